//! Which carrier: QUIC first, WebSocket half a second behind, the first that stands wins. A QUIC that still hangs when
//! WebSocket has stood for a while is what a network does that swallows UDP: it is not tried for ten minutes then, or
//! until the network changes, and probed again after that. One that fails at once may only have met a server that
//! was starting, and is not remembered.

use super::{dial::Dialer, socket::Socket};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinHandle, time};

/// How far WebSocket starts behind.
const HEAD_START: Duration = Duration::from_millis(500);
/// How long QUIC may come behind a WebSocket that has won without counting as swallowed.
const LATE: Duration = Duration::from_secs(3);
/// How long it is remembered that QUIC does not pass.
const REMEMBERED: Duration = Duration::from_secs(600);

/// A connection that stands.
pub(super) enum Reached {
    Quic(quinn::Connection),
    WebSocket(Box<Socket>),
}

/// Whether this network swallows UDP, as far as is known. Clones share what they know.
#[derive(Debug, Clone, Default)]
pub(super) struct Swallowed(Arc<Mutex<Option<Instant>>>);

impl Swallowed {
    fn remember(&self, at: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    fn lately(&self, now: Instant) -> bool {
        let at = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        at.is_some_and(|at| now.saturating_duration_since(at) < REMEMBERED)
    }

    /// The network is another one: nothing is known of it.
    pub(super) fn forget(&self) {
        self.remember(None);
    }
}

/// The first carrier that stands, or why none does.
pub(super) async fn race(dialer: &Dialer, endpoint: &str) -> Result<Reached, String> {
    if dialer.swallowed.lately(Instant::now()) {
        let socket = dialer.reach_socket(endpoint).await;
        return socket.map(|socket| Reached::WebSocket(Box::new(socket)));
    }
    let mut quic = Hand(tokio::spawn({
        let (dialer, endpoint) = (dialer.clone(), endpoint.to_owned());
        async move { dialer.reach(&endpoint).await }
    }));
    let why = match time::timeout(HEAD_START, &mut quic.0).await {
        Ok(Ok(Ok(connection))) => return Ok(stands(dialer, connection)),
        Ok(Ok(Err(why))) => Some(why),
        Ok(Err(_)) => Some("dialing failed".to_owned()),
        Err(_) => None,
    };
    if let Some(why) = why {
        // WebSocket does not wait for its turn.
        let socket = dialer.reach_socket(endpoint).await;
        return socket.map(|socket| Reached::WebSocket(Box::new(socket))).map_err(|_| why);
    }
    tokio::select! {
        reached = &mut quic.0 => match reached {
            Ok(Ok(connection)) => Ok(stands(dialer, connection)),
            Ok(Err(why)) => {
                let socket = dialer.reach_socket(endpoint).await;
                socket.map(|socket| Reached::WebSocket(Box::new(socket))).map_err(|_| why)
            }
            Err(_) => Err("dialing failed".to_owned()),
        },
        socket = dialer.reach_socket(endpoint) => match socket {
            Ok(socket) => {
                judge(dialer.swallowed.clone(), quic);
                Ok(Reached::WebSocket(Box::new(socket)))
            }
            // Only UDP may pass.
            Err(_) => match (&mut quic.0).await {
                Ok(Ok(connection)) => Ok(stands(dialer, connection)),
                Ok(Err(why)) => Err(why),
                Err(_) => Err("dialing failed".to_owned()),
            },
        },
    }
}

fn stands(dialer: &Dialer, connection: quinn::Connection) -> Reached {
    dialer.swallowed.forget();
    Reached::Quic(connection)
}

/// WebSocket has won: whether QUIC was swallowed or was only slow is seen a little later.
fn judge(swallowed: Swallowed, mut quic: Hand) {
    tokio::spawn(async move {
        match time::timeout(LATE, &mut quic.0).await {
            Ok(Ok(Ok(late))) => {
                swallowed.forget();
                late.close(quinn::VarInt::from_u32(0), b"another carrier was faster");
            }
            Ok(_) => {}
            Err(_) => swallowed.remember(Some(Instant::now())),
        }
    });
}

/// A dial under way; dropped, it is given up.
struct Hand(JoinHandle<Result<quinn::Connection, String>>);

impl Drop for Hand {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_udp_is_swallowed_is_remembered_for_a_time_and_for_one_network() {
        let (swallowed, now) = (Swallowed::default(), Instant::now());
        assert!(!swallowed.lately(now));
        swallowed.remember(Some(now));
        assert!(swallowed.lately(now + REMEMBERED / 2) && !swallowed.lately(now + REMEMBERED));
        swallowed.forget();
        assert!(!swallowed.lately(now));
    }
}

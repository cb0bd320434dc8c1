//! TCP: each connection is carried by one of its own to the server. Bytes keep their order in any weather.

use crate::{IDLE, Settings, Way, Weather, weather::Line};
use bytes::Bytes;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

/// Pieces of one connection that travel one way. Full: nothing more is read.
const TRAVELLING_MAX: usize = 256;
const PIECE_BYTES: usize = 16_384;
/// Connections at a time. Full: new ones wait in the listener.
const CONNECTIONS_MAX: usize = 4_096;

/// Carries until nobody holds the wire.
pub(crate) async fn carry(listener: TcpListener, settings: watch::Receiver<Settings>) {
    let mut connections = JoinSet::new();
    let mut number = 0_u64;
    while settings.has_changed().is_ok() {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((near, _)) = listener.accept().await else { continue };
        number += 1;
        connections.spawn(connection(near, settings.clone(), number));
    }
}

/// How a connection ended.
struct Broken;

async fn connection(mut near: TcpStream, mut settings: watch::Receiver<Settings>, number: u64) {
    let (to, resets, half_opens, seed) = {
        let now = settings.borrow();
        (now.to, now.resets, now.half_opens, now.seed ^ (number << 1))
    };
    let reset = {
        let mut settings = settings.clone();
        async move {
            // An error says that the wire is gone, and with it this connection.
            let _ = settings.wait_for(|now| now.resets != resets).await;
        }
    };
    let mut far = None;
    let carried = async {
        let far = far.insert(reach(to, &mut settings).await?);
        // Small frames leave at once, as they came.
        near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).map_err(|_| Broken)?;
        let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
        let half = |way, seed| Half { way, settings: settings.clone(), half_opens, line: Line::new(seed) };
        tokio::try_join!(
            half(Way::Up, seed).carry(near_in, far_out),
            half(Way::Down, seed | 1 << 63).carry(far_in, near_out),
        )
    };
    let broken = tokio::select! {
        () = reset => true,
        ended = carried => ended.is_err(),
    };
    if broken {
        // Closing without lingering sends RST.
        for end in [Some(&near), far.as_ref()].into_iter().flatten() {
            let _ = socket2::SockRef::from(end).set_linger(Some(Duration::ZERO));
        }
    }
}

/// A connection to the server, once the way there is open.
async fn reach(to: SocketAddr, settings: &mut watch::Receiver<Settings>) -> Result<TcpStream, Broken> {
    settings.wait_for(|now| !now.up.hold && !now.down.hold).await.map_err(|_| Broken)?;
    TcpStream::connect(to).await.map_err(|_| Broken)
}

/// One direction of a connection.
struct Half {
    way: Way,
    settings: watch::Receiver<Settings>,
    /// As it was when the connection began.
    half_opens: u64,
    line: Line,
}

impl Half {
    /// Until the sender finishes, which the receiver is told; or until one of them breaks.
    async fn carry(mut self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), Broken> {
        let (begin, mut arriving) = mpsc::channel::<(Instant, Bytes)>(TRAVELLING_MAX);
        let mut seen = self.settings.clone();
        let (way, half_opens) = (self.way, self.half_opens);
        let read = async {
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                let length = from.read(&mut piece).await.map_err(|_| Broken)?;
                if length == 0 {
                    break;
                }
                let at = self.line.segment(&weather(&self.settings, way), Instant::now(), length);
                let bytes = Bytes::copy_from_slice(&piece[..length]);
                begin.send((at, bytes)).await.map_err(|_| Broken)?;
            }
            drop(begin);
            Ok(())
        };
        let write = async {
            let mut dead = false;
            while let Some((at, bytes)) = arriving.recv().await {
                sleep_until(at).await;
                seen.wait_for(|now| !of(now, way).hold).await.map_err(|_| Broken)?;
                dead |= swallows(&seen, way, half_opens);
                if !dead {
                    to.write_all(&bytes).await.map_err(|_| Broken)?;
                }
            }
            dead |= swallows(&seen, way, half_opens);
            if dead {
                // The other side is not told that this one has gone.
                let _ = timeout(IDLE, seen.wait_for(|_| false)).await;
                return Err(Broken);
            }
            to.shutdown().await.map_err(|_| Broken)
        };
        tokio::try_join!(read, write).map(drop)
    }
}

fn of(settings: &Settings, way: Way) -> &Weather {
    if way == Way::Up { &settings.up } else { &settings.down }
}

fn weather(settings: &watch::Receiver<Settings>, way: Way) -> Weather {
    of(&settings.borrow(), way).clone()
}

fn swallows(settings: &watch::Receiver<Settings>, way: Way, half_opens: u64) -> bool {
    let now = settings.borrow();
    now.half_opens != half_opens || of(&now, way).swallow
}

//! A TCP proxy between a node and its arbiter that loses and delays what passes, so that outcomes become unknown.
//!
//! A fault begins with the next bytes, or with the next request that holds a certain word: etcd is asked twice for a swap, and
//! only the second request can leave it unknown.
//!
//! Bytes that are lost are swallowed while both connections stay open, as on a link whose other direction works. What was
//! delayed arrives even if the sender has hung up meanwhile, as a packet that was under way does.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

/// What happens to what passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Requests are swallowed.
    LoseRequests,
    /// Replies are swallowed; requests arrive.
    LoseReplies,
    /// Requests arrive after [`DELAY`], when whoever asked has given up.
    DelayRequests,
}

/// Longer than any question waits.
pub(crate) const DELAY: Duration = Duration::from_millis(1_500);

/// The proxy; gone when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    fault: Arc<AtomicU8>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// With `word`, a fault begins with the next request that holds it.
    pub(crate) async fn start(target: SocketAddr, word: Option<&'static [u8]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(AtomicU8::new(Fault::None as u8));
        let accepting = {
            let fault = Arc::clone(&fault);
            tokio::spawn(async move {
                loop {
                    let (near, _) = listener.accept().await.unwrap();
                    // An arbiter that is down is down behind the proxy too.
                    if let Ok(far) = TcpStream::connect(target).await {
                        join(near, far, &fault, word);
                    }
                }
            })
        };
        Self { address, fault, accepting }
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn join(near: TcpStream, far: TcpStream, fault: &Arc<AtomicU8>, word: Option<&'static [u8]>) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let begun = Arc::new(AtomicBool::new(word.is_none()));
    let way = |loses, word| Way { fault: Arc::clone(fault), begun: Arc::clone(&begun), loses, word };
    tokio::spawn(pump(near_in, far_out, way(Fault::LoseRequests, word)));
    tokio::spawn(pump(far_in, near_out, way(Fault::LoseReplies, None)));
}

/// One direction of a connection.
struct Way {
    fault: Arc<AtomicU8>,
    /// Whether what is wrong with the link concerns this connection yet.
    begun: Arc<AtomicBool>,
    /// What loses bytes of this direction.
    loses: Fault,
    word: Option<&'static [u8]>,
}

/// Moves bytes one way until an end hangs up. A direction that lost something is dead from then on, as TLS would notice.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Way) {
    let (mut bytes, mut dead) = ([0; 4_096], false);
    loop {
        let Ok(length @ 1..) = from.read(&mut bytes).await else { return };
        let now = way.fault.load(Ordering::SeqCst);
        let holds = |word: &[u8]| bytes[..length].windows(word.len()).any(|window| window == word);
        if now != Fault::None as u8 && way.word.is_some_and(holds) {
            way.begun.store(true, Ordering::SeqCst);
        }
        let begun = way.begun.load(Ordering::SeqCst);
        dead |= begun && now == way.loses as u8;
        if dead {
            continue;
        }
        if begun && now == Fault::DelayRequests as u8 && way.loses == Fault::LoseRequests {
            tokio::time::sleep(DELAY).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}

//! A wire with weather, for tests: a userspace proxy that forwards one loopback address to a server, datagrams (UDP) and
//! connections (TCP) on the same port number, and spoils what passes as it is told, at any time and each way by itself.
//!
//! ```text
//!  clients ──► Wire.address() ── up:   loss, delay, jitter, reorder, duplicate, bandwidth, hold ──► server
//!          ◄──────────────────── down: the same, with numbers of its own ◄──────────────────────
//! ```
//!
//! There is no netem in the places where these tests run, so the proxy says what it stands for. A **datagram** is really lost,
//! doubled or overtaken. A **TCP segment** is not: what a lost one costs is modelled as the wait for its repetition, behind
//! which everything that was sent later on that connection waits too ([`Weather::loss`]).
//!
//! Chance comes from a seed. Every queue is bounded: what a datagram finds full drops it, as a router does; what a connection
//! finds full stops the reading, as TCP does. Nothing is kept longer than [`IDLE`].
//!
//! Used by the end-to-end tests as a library, and by everything that is not Rust as the program `duet-wire`, which takes the same
//! orders as lines of JSON.

mod chance;
mod datagrams;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at what it did not expect")]
mod laws;
mod streams;
mod weather;

pub use weather::{Way, Weather};

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::JoinHandle,
};

/// A flow of datagrams, or a connection whose other side is gone, is forgotten after so much silence.
pub const IDLE: Duration = Duration::from_secs(120);

/// A wire; it falls down when it is dropped.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    settings: watch::Sender<Settings>,
    tasks: [JoinHandle<()>; 2],
}

/// What the tasks of a wire obey.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) to: SocketAddr,
    pub(crate) up: Weather,
    pub(crate) down: Weather,
    /// Grows with every [`Wire::reset`].
    pub(crate) resets: u64,
    /// Grows with every [`Wire::half_open`].
    pub(crate) half_opens: u64,
    /// Grows with every [`Wire::rebind`].
    pub(crate) rebinds: u64,
    pub(crate) seed: u64,
    /// Whether datagrams pass at all.
    pub(crate) datagrams: bool,
}

impl Wire {
    /// A wire to the server at `to`, on a free loopback port, in clear weather. The same `seed` and the same packets meet the same
    /// chances.
    ///
    /// # Errors
    /// When no port is free for UDP and TCP alike.
    pub async fn to(to: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::begin(to, seed, true).await
    }

    /// The same in a network that swallows UDP, as many do.
    ///
    /// # Errors
    /// As [`Wire::to`].
    pub async fn without_datagrams(to: SocketAddr, seed: u64) -> io::Result<Self> {
        Self::begin(to, seed, false).await
    }

    async fn begin(to: SocketAddr, seed: u64, pass: bool) -> io::Result<Self> {
        let (datagrams, streams) = sockets().await?;
        let address = datagrams.local_addr()?;
        let (up, down) = (Weather::default(), Weather::default());
        let begin = Settings { to, up, down, resets: 0, half_opens: 0, rebinds: 0, seed, datagrams: pass };
        let (settings, seen) = watch::channel(begin);
        let tasks = [
            tokio::spawn(datagrams::carry(datagrams, seen.clone())),
            tokio::spawn(streams::carry(streams, seen)),
        ];
        Ok(Self { address, settings, tasks })
    }

    /// Where clients call.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The weather one way, or both ways, from now on.
    pub fn set(&self, way: Way, weather: &Weather) {
        self.settings.send_modify(|settings| {
            if way != Way::Down {
                settings.up = weather.clone();
            }
            if way != Way::Up {
                settings.down = weather.clone();
            }
        });
    }

    /// Holds everything both ways, or lets it pass again; other weather is as it was.
    pub fn cut(&self, cut: bool) {
        self.settings.send_modify(|settings| (settings.up.hold, settings.down.hold) = (cut, cut));
    }

    /// Whether UDP passes at all from now on; TCP does all the same.
    pub fn pass_datagrams(&self, pass: bool) {
        self.settings.send_modify(|settings| settings.datagrams = pass);
    }

    /// Another server for new connections and for all datagrams.
    pub fn aim(&self, to: SocketAddr) {
        self.settings.send_modify(|settings| settings.to = to);
    }

    /// Ends every TCP connection with RST, on both sides.
    pub fn reset(&self) {
        self.settings.send_modify(|settings| settings.resets += 1);
    }

    /// From now on every TCP connection that stands swallows what it is given, and neither side is told; new ones work.
    pub fn half_open(&self) {
        self.settings.send_modify(|settings| settings.half_opens += 1);
    }

    /// Clients have another address from now on, as the server sees it: every flow of datagrams gets a new source port, and what
    /// is sent to the old one is lost.
    pub fn rebind(&self) {
        self.settings.send_modify(|settings| settings.rebinds += 1);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A socket of each kind on one port.
async fn sockets() -> io::Result<(UdpSocket, TcpListener)> {
    let mut last = None;
    for _ in 0..100 {
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        match TcpListener::bind(datagrams.local_addr()?).await {
            Ok(streams) => return Ok((datagrams, streams)),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("no port")))
}

//! The witness's end: one connection of a node, from TLS to its end. The server accepts and bounds them; no connection waits
//! for another, because only the register is shared, and it is never held while somebody is being written to.
//!
//! ```text
//! accepted ─TLS 5 s─► node's certificate? ─hello 5 s─► pair, version, machine? ─► asked ─► answered 1 s ─► written 2 s ─┐
//!                                                                                   ▲ idle 30 s                       │
//!                                                                                   └─────────────────────────────────┘
//! ```

use super::{ALPN_WITNESS, Ask, Hello, IDLE_MAX, Outcome, Refusal, Reply, VERSION, WireError, receive, send};
use crate::{
    arbiter::{DEADLINE, machine::Machine, register::Register},
    core::{Answer, ClusterId, Side},
    peer::{BadIdentity, Identity, Member},
};
use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::watch,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// For TLS, and again for the hello.
const GREETING_MAX: Duration = Duration::from_secs(5);
/// A node that takes no answer for so long is given up.
const WRITE_MAX: Duration = Duration::from_secs(2);

/// Why a connection ended without a fault of anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The node hung up, or was silent for [`IDLE_MAX`].
    Quiet,
    /// The witness stops.
    Stopped,
}

/// What a witness is asked, for whoever counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A node read the register.
    Read(Side),
    /// A node wrote this version.
    Swapped(Side, u64),
    /// A node's write built on another value.
    SwapRefused(Side),
    /// A connection that is not served, of whoever's certificate was shown.
    Stranger(Option<Member>),
}

/// Is told what was seen. Must not block.
pub type Watcher = Arc<dyn Fn(Seen) + Send + Sync>;

/// What a witness serves. Clones share it.
#[derive(Clone)]
pub struct WitnessService {
    watcher: Watcher,
    register: Register,
    cluster: ClusterId,
    machine: Option<Machine>,
    acceptor: Arc<Mutex<TlsAcceptor>>,
}

impl WitnessService {
    /// A witness of one pair. With `same_machine` it serves nodes that run on its own machine, which makes it useless as a
    /// witness of that machine's death.
    ///
    /// # Errors
    /// [`BadIdentity`] when the certificate's files do not belong together.
    pub fn new(
        register: Register,
        cluster: ClusterId,
        identity: &Identity,
        same_machine: bool,
    ) -> Result<Self, BadIdentity> {
        let acceptor = Arc::new(Mutex::new(acceptor(identity)?));
        let machine = if same_machine { None } else { Machine::this(cluster) };
        Ok(Self { watcher: Arc::new(|_| {}), register, cluster, machine, acceptor })
    }

    /// The same, and `watcher` hears of everything.
    #[must_use]
    pub fn seen_by(self, watcher: Watcher) -> Self {
        Self { watcher, ..self }
    }

    /// Shows another certificate from the next connection on.
    ///
    /// # Errors
    /// [`BadIdentity`] when the certificate's files do not belong together.
    pub fn renew(&self, identity: &Identity) -> Result<(), BadIdentity> {
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = acceptor(identity)?;
        Ok(())
    }

    /// Serves one connection to its end. A question that is being answered when `stopping` turns true is answered first.
    ///
    /// # Errors
    /// [`WireError`] when the other end did something wrong, or the connection broke.
    pub async fn serve(
        &self,
        tcp: TcpStream,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<Ended, WireError> {
        tcp.set_nodelay(true)?;
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let accepted = timeout(GREETING_MAX, acceptor.accept(tcp)).await;
        let mut stream = accepted.map_err(|_| WireError::Slow)??;
        let side = self.greet(&mut stream).await?;
        tracing::debug!(%side, "a node is served");
        let mut swaps = Swaps::default();
        loop {
            let ask: Ask = tokio::select! {
                biased;
                _ = stopping.wait_for(|&stopping| stopping) => return Ok(Ended::Stopped),
                asked = timeout(IDLE_MAX, receive(&mut stream)) => match asked {
                    Ok(Ok(ask)) => ask,
                    Ok(Err(WireError::Io(error))) if hung_up(&error) => return Ok(Ended::Quiet),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Ok(Ended::Quiet),
                },
            };
            let deadline = Instant::now() + DEADLINE;
            let answer = timeout_at(deadline, self.register.answer(ask.question())).await;
            let outcome = answer.unwrap_or(Answer::Unknown).into();
            match (ask.swap, outcome) {
                (None, _) => (self.watcher)(Seen::Read(side)),
                (Some(cfg), Outcome::Swapped) => (self.watcher)(Seen::Swapped(side, cfg.ver)),
                (Some(_), Outcome::Value(_)) => (self.watcher)(Seen::SwapRefused(side)),
                (Some(_), Outcome::NotDone | Outcome::Unknown) => {}
            }
            if let Some(cfg) = ask.swap {
                swaps.tell(side, cfg.ver, outcome);
            }
            say(&mut stream, &Reply::Told { id: ask.id, outcome }).await?;
        }
    }

    async fn greet(&self, stream: &mut TlsStream<TcpStream>) -> Result<Side, WireError> {
        let (_, tls) = stream.get_ref();
        if tls.alpn_protocol() != Some(ALPN_WITNESS) {
            return Err(WireError::OtherProtocol);
        }
        let leaf = tls.peer_certificates().and_then(|chain| chain.first());
        let member = leaf.and_then(|leaf| Member::of(leaf, self.cluster));
        let hello = timeout(GREETING_MAX, receive(stream)).await.map_err(|_| WireError::Slow)??;
        match self.judge(member, &hello) {
            Ok(side) => {
                say(stream, &Reply::Welcome).await?;
                Ok(side)
            }
            Err(refusal) => {
                let whose = member.map_or_else(|| "nobody of this pair".to_owned(), |it| it.to_string());
                let address = stream.get_ref().0.peer_addr().ok();
                (self.watcher)(Seen::Stranger(member));
                tracing::error!(node = whose, ?address, error = %refusal, "a node is not served");
                say(stream, &Reply::Refused(refusal)).await?;
                // The refusal must not be overtaken by a reset; whether the other end waits for it is its own affair.
                let _ = timeout(WRITE_MAX, stream.shutdown()).await;
                Err(refusal.into())
            }
        }
    }

    fn judge(&self, member: Option<Member>, hello: &Hello) -> Result<Side, Refusal> {
        let Some(Member::Node(side)) = member else { return Err(Refusal::NotANode) };
        if hello.cluster != self.cluster {
            return Err(Refusal::OtherCluster);
        }
        if hello.version != VERSION {
            return Err(Refusal::Version);
        }
        if self.machine.is_some() && self.machine == hello.machine {
            return Err(Refusal::SameMachine);
        }
        Ok(side)
    }
}

/// What is logged of one node's swaps: each that happened; of those that were refused alike, the first, the second, the
/// fourth and so on, because a node that may not have its way asks ten times a second.
#[derive(Default)]
struct Swaps {
    refused: Option<(u64, u64)>,
}

impl Swaps {
    fn tell(&mut self, side: Side, ver: u64, outcome: Outcome) {
        let Outcome::Value(held) = outcome else {
            self.refused = None;
            tracing::info!(%side, ver, ?outcome, "a swap was asked for");
            return;
        };
        let times = match self.refused {
            Some((refused, times)) if refused == ver => times + 1,
            _ => 1,
        };
        self.refused = Some((ver, times));
        if times.is_power_of_two() {
            let holds = held.map_or(0, |cfg| cfg.ver);
            tracing::warn!(%side, ver, holds, times, "a swap was refused: it builds on another value");
        }
    }
}

fn acceptor(identity: &Identity) -> Result<TlsAcceptor, BadIdentity> {
    Ok(TlsAcceptor::from(Arc::new(identity.server_config(ALPN_WITNESS)?)))
}

impl fmt::Debug for WitnessService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessService").field("register", &self.register).finish_non_exhaustive()
    }
}

async fn say(stream: &mut TlsStream<TcpStream>, reply: &Reply) -> Result<(), WireError> {
    Ok(timeout(WRITE_MAX, send(stream, reply)).await.map_err(|_| WireError::Slow)??)
}

fn hung_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}

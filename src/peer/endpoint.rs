//! The pair's port: it listens, calls the peer while there is no link, and gives the links that stand, one after the other.
//!
//! ```text
//! loop { match endpoint.next_link().await {
//!     Some(link) => hand its parts to tasks; whatever was said on the link before may be lost
//!     None       => the endpoint is closed
//! } }
//! ```
//!
//! Handshakes: at most [`GREETINGS_MAX`] at once, [`GREETING_MAX`] each; strangers beyond are turned away. Calls: one at a
//! time, again after 0.1 s doubling to 1 s, with jitter. A reason for failing is logged when it changes, and once a minute.

use super::{
    PeerError,
    ended::{LinkError, STOPPED},
    greeting::{GREETING_MAX, Greeter},
    hello::{Greeting, Refusal, VERSIONS},
    identity::{Identity, IdentityFiles, Member},
    link::{Link, transport_config},
    standing::Standing,
};
use crate::core::{ClusterId, Nonce, Side};
use futures_util::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use quinn::{
    ClientConfig, EndpointConfig, Incoming, ServerConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt, io,
    net::{SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    net::lookup_host,
    time::{self, Instant},
};

/// The protocol's name in TLS.
pub const ALPN_PEER: &[u8] = b"duet-peer/1";
/// Handshakes that are under way at most, besides our own call.
pub const GREETINGS_MAX: usize = 8;

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(1);
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Asked of the system for the socket, each way; it may give less.
const SOCKET_BYTES: usize = 4 * 1024 * 1024;

/// What the endpoint needs to know.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Where to listen; `[::]` takes IPv4 as well. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// The peer, `host:port`; looked up anew for every call.
    pub peer: String,
    /// Which pair.
    pub cluster: ClusterId,
    /// This node's place in it.
    pub side: Side,
    /// This process.
    pub nonce: Nonce,
    /// Certificates.
    pub identity: IdentityFiles,
    /// Encoded entries that may wait for the link, bytes. At least twice what the core has under way.
    pub log_queue_bytes: usize,
}

/// The pair's port.
pub struct PeerEndpoint {
    config: PeerConfig,
    endpoint: quinn::Endpoint,
    client: Arc<Mutex<ClientConfig>>,
    greeter: Greeter,
    greetings: FuturesUnordered<BoxFuture<'static, Result<Link, LinkError>>>,
    calling: Option<BoxFuture<'static, Result<Option<Link>, LinkError>>>,
    backoff: Duration,
    said: Option<(LinkError, Instant)>,
}

impl PeerEndpoint {
    /// Binds the port. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`PeerError`] for certificates or an address that cannot be used.
    pub fn bind(config: PeerConfig) -> Result<Self, PeerError> {
        let (server, client) = configurations(&config)?;
        let failed = |source| PeerError::Bind { address: config.listen, source };
        let socket = open(config.listen).map_err(failed)?;
        let runtime = quinn::default_runtime().ok_or_else(|| failed(io::Error::other("no async runtime")))?;
        let endpoint =
            quinn::Endpoint::new(EndpointConfig::default(), Some(server), socket, runtime).map_err(failed)?;
        let greeting =
            Greeting { cluster: config.cluster, versions: VERSIONS, side: config.side, nonce: config.nonce };
        let greeter =
            Greeter { greeting, standing: Standing::default(), log_queue_bytes: config.log_queue_bytes };
        Ok(Self {
            config,
            endpoint,
            client: Arc::new(Mutex::new(client)),
            greeter,
            greetings: FuturesUnordered::new(),
            calling: None,
            backoff: BACKOFF_MIN,
            said: None,
        })
    }

    /// The address in use.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// Why there was no link last, if there was none since the last one; for people.
    #[must_use]
    pub fn last_failure(&self) -> Option<&LinkError> {
        self.said.as_ref().map(|(error, _)| error)
    }

    /// Calls the peer elsewhere from the next call on, `host:port`.
    pub fn set_peer(&mut self, peer: &str) {
        peer.clone_into(&mut self.config.peer);
    }

    /// Reads the certificates again, as [`PeerRenewal::reload`] does.
    ///
    /// # Errors
    /// [`PeerError`] as at the start.
    pub fn reload(&self) -> Result<(), PeerError> {
        self.renewal().reload()
    }

    /// What reads the certificates again, for whoever hears that they were renewed.
    #[must_use]
    pub fn renewal(&self) -> PeerRenewal {
        let (config, endpoint) = (self.config.clone(), self.endpoint.clone());
        PeerRenewal { config, endpoint, client: Arc::clone(&self.client) }
    }

    /// The next link that stands. The one before has ended then, or ends by it. Call it all the time: it is what answers
    /// the peer. Safe to drop and call again. `None` when the endpoint is closed.
    pub async fn next_link(&mut self) -> Option<Link> {
        loop {
            let living = self.greeter.standing.living();
            if living.is_none() && self.calling.is_none() {
                self.calling = Some(self.call());
            }
            let ended = async {
                match living {
                    Some(connection) => drop(connection.closed().await),
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                incoming = self.endpoint.accept() => {
                    self.meet(incoming?);
                    continue;
                }
                Some(result) = self.greetings.next() => result.map(Some),
                result = pending_call(&mut self.calling) => {
                    self.calling = None;
                    if result.is_err() {
                        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                    }
                    result
                }
                () = ended => continue,
            };
            if let Some(link) = self.settle(result) {
                return Some(link);
            }
        }
    }

    /// Closes every link, and waits at most `within` until the peer knows.
    pub async fn close(&self, within: Duration) {
        self.endpoint.close(STOPPED, b"this node stops");
        let _ = time::timeout(within, self.endpoint.wait_idle()).await;
    }

    fn meet(&mut self, incoming: Incoming) {
        if self.greetings.len() >= GREETINGS_MAX {
            incoming.refuse();
        } else if self.greetings.len() >= GREETINGS_MAX / 2
            && !incoming.remote_address_validated()
            && incoming.may_retry()
        {
            if let Err(error) = incoming.retry() {
                error.into_incoming().ignore();
            }
        } else if let Ok(connecting) = incoming.accept() {
            let greeter = self.greeter.clone();
            self.greetings.push(Box::pin(async move { greeter.answer(connecting).await }));
        }
    }

    /// A call after the backoff; nothing when there is a link by then.
    fn call(&self) -> BoxFuture<'static, Result<Option<Link>, LinkError>> {
        let (greeter, client) = (self.greeter.clone(), Arc::clone(&self.client));
        let (endpoint, peer) = (self.endpoint.clone(), self.config.peer.clone());
        let name = Member::Node(self.config.side.other()).name(self.config.cluster);
        let pause = jittered(self.backoff);
        Box::pin(async move {
            time::sleep(pause).await;
            if greeter.standing.living().is_some() {
                return Ok(None);
            }
            let unreachable = |reason: String| LinkError::Unreachable { peer: peer.clone(), reason };
            let addresses = time::timeout(GREETING_MAX, lookup_host(&peer))
                .await
                .map_err(|_| LinkError::NoAnswer(GREETING_MAX))?
                .map_err(|error| unreachable(error.to_string()))?;
            let mut failed = unreachable("it has no address".to_owned());
            for address in addresses.take(ADDRESSES_MAX) {
                let client = client.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match endpoint.connect_with(client, address, &name) {
                    Ok(connecting) => match greeter.call(connecting).await {
                        Ok(link) => return Ok(Some(link)),
                        Err(error) => failed = error,
                    },
                    Err(error) => failed = unreachable(format!("{address}: {error}")),
                }
            }
            Err(failed)
        })
    }

    fn settle(&mut self, result: Result<Option<Link>, LinkError>) -> Option<Link> {
        match result {
            Ok(Some(link)) if self.greeter.standing.adopt(link.info, &link.connection) => {
                self.backoff = BACKOFF_MIN;
                self.said = None;
                let info = link.info;
                tracing::info!(
                    peer = %info.address, dialled_by = %info.dialled_by, version = info.version,
                    "the link to the peer is up"
                );
                Some(link)
            }
            Ok(Some(link)) => {
                link.guard.close(&super::LinkEnded::Superseded);
                None
            }
            Ok(None) => None,
            Err(error) => {
                self.say(error);
                None
            }
        }
    }

    /// Logs why there is no link: when it changes, and once a minute.
    fn say(&mut self, error: LinkError) {
        let superseded =
            [LinkError::Refused(Refusal::Superseded), LinkError::RefusedByPeer(Refusal::Superseded)];
        if superseded.contains(&error) {
            return;
        }
        let now = Instant::now();
        if self.said.as_ref().is_some_and(|(said, at)| *said == error && now < *at + SAY_AGAIN) {
            return;
        }
        tracing::warn!(peer = %self.config.peer, "no link to the peer: {error}");
        self.said = Some((error, now));
    }
}

/// Reads the certificates of a [`PeerEndpoint`] again.
pub struct PeerRenewal {
    config: PeerConfig,
    endpoint: quinn::Endpoint,
    client: Arc<Mutex<ClientConfig>>,
}

impl PeerRenewal {
    /// The files as they are now are used from the next link on. Those in use stay when they are of no use.
    ///
    /// # Errors
    /// [`PeerError`] as at the start.
    pub fn reload(&self) -> Result<(), PeerError> {
        let (server, client) = configurations(&self.config)?;
        self.endpoint.set_server_config(Some(server));
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        Ok(())
    }
}

impl fmt::Debug for PeerRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRenewal").field("config", &self.config).finish_non_exhaustive()
    }
}

impl fmt::Debug for PeerEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerEndpoint").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Addresses of the peer that one call tries at most.
const ADDRESSES_MAX: usize = 4;

async fn pending_call(
    calling: &mut Option<BoxFuture<'static, Result<Option<Link>, LinkError>>>,
) -> Result<Option<Link>, LinkError> {
    match calling {
        Some(call) => call.await,
        None => std::future::pending().await,
    }
}

fn configurations(config: &PeerConfig) -> Result<(ServerConfig, ClientConfig), PeerError> {
    let identity = Identity::load(&config.identity, config.cluster, Member::Node(config.side))?;
    let unfit = |error: &dyn fmt::Display| PeerError::Tls(error.to_string());
    let server =
        QuicServerConfig::try_from(identity.server_config(ALPN_PEER)?).map_err(|error| unfit(&error))?;
    let client =
        QuicClientConfig::try_from(identity.client_config(ALPN_PEER)?).map_err(|error| unfit(&error))?;
    let mut server = ServerConfig::with_crypto(Arc::new(server));
    server.transport_config(transport_config()).max_incoming(4 * GREETINGS_MAX).migration(false);
    let mut client = ClientConfig::new(Arc::new(client));
    client.transport_config(transport_config());
    Ok((server, client))
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    let _ = socket.set_recv_buffer_size(SOCKET_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BYTES);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Between half of it and the whole.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0; 2];
    // Without random bytes both nodes only call at the same moments.
    let _ = getrandom::fill(&mut random);
    pause / 2 + pause.mul_f64(f64::from(u16::from_le_bytes(random)) / 131_072.0)
}

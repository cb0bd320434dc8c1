//! The QUIC endpoint: one port, two families, two protocols.
//!
//! ALPN decides what a connection is: `duet/1` is a client by itself, `h3` carries WebTransport sessions
//! and plain requests. Above a rate of handshakes, addresses must prove themselves first (Retry).

use super::{
    Certificates, Connection, Limits, Origins, TransportError,
    keys::Keys,
    quic::QuicConnection,
    sockets::Sockets,
    tcp,
    webtransport::{Answer, Http3, Policy},
};
use duet_protocol::ALPN_NATIVE;
use futures_util::future::select_all;
use quinn::{
    ServerConfig, VarInt,
    crypto::rustls::{HandshakeData, QuicServerConfig},
};
use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time;

/// What an endpoint needs to know.
pub struct EndpointConfig {
    /// Where to listen, UDP and TCP alike; a port of 0 means one free port for all.
    pub addresses: Vec<SocketAddr>,
    /// The certificate.
    pub certificates: Certificates,
    /// Keys that outlive the process.
    pub keys: Keys,
    /// Bounds.
    pub limits: Limits,
    /// Which pages may connect.
    pub origins: Origins,
    /// Path of WebTransport sessions, `/duet/v1`.
    pub path: String,
    /// Answers plain HTTP/3 requests.
    pub answer: Answer,
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// A listening endpoint. Dropping it stops listening; connections go on.
pub struct Endpoint {
    sockets: Vec<quinn::Endpoint>,
    limits: Arc<Limits>,
    policy: Arc<Policy>,
    rate: Mutex<HandshakeRate>,
}

impl Endpoint {
    /// Binds UDP and TCP on every address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`TransportError`] when a port is taken or the certificate is of no use for QUIC.
    pub fn bind(config: EndpointConfig) -> Result<(Self, tcp::Listener), TransportError> {
        let EndpointConfig { addresses, certificates, keys, limits, origins, path, answer } = config;
        let bound = Sockets::bind(&addresses)?;
        let tls = certificates.quic_config(&keys)?;
        let crypto =
            QuicServerConfig::try_from(tls).map_err(|error| TransportError::Tls(error.to_string()))?;
        let mut server = ServerConfig::new(Arc::new(crypto), keys.token_key());
        server.transport_config(limits.transport_config()).max_incoming(limits.incoming_max);

        let first = addresses.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let runtime = quinn::default_runtime().ok_or_else(|| TransportError::Bind {
            address: first,
            source: std::io::Error::other("no async runtime"),
        })?;
        let mut sockets = Vec::new();
        for udp in bound.udp {
            let address = udp.local_addr().unwrap_or(first);
            let runtime = Arc::clone(&runtime);
            let socket = quinn::Endpoint::new(keys.endpoint_config(), Some(server.clone()), udp, runtime)
                .map_err(|source| TransportError::Bind { address, source })?;
            sockets.push(socket);
        }
        let limits = Arc::new(limits);
        let listener = tcp::Listener::new(bound.tcp, certificates.tcp_config(&keys)?, Arc::clone(&limits))?;
        let policy = Arc::new(Policy { path, origins, answer });
        let rate = Mutex::new(HandshakeRate::new(Instant::now()));
        Ok((Self { sockets, limits, policy, rate }, listener))
    }

    /// The next client that begins a handshake; `None` when the endpoint is closed. Safe to drop and
    /// call again.
    pub async fn accept(&self) -> Option<Pending> {
        loop {
            let accepts = self.sockets.iter().map(|socket| Box::pin(socket.accept()));
            let (incoming, ..) = select_all(accepts).await;
            let incoming = incoming?;
            let rate = {
                let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
                rate.count(Instant::now())
            };
            if rate > self.limits.retry_above_per_s
                && !incoming.remote_address_validated()
                && incoming.may_retry()
            {
                if let Err(error) = incoming.retry() {
                    error.into_incoming().ignore();
                }
                continue;
            }
            let (limits, policy) = (Arc::clone(&self.limits), Arc::clone(&self.policy));
            return Some(Pending { incoming, limits, policy });
        }
    }

    /// The addresses in use, ports resolved, in the order of the configuration.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Connections that exist now, handshakes included.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.sockets.iter().map(quinn::Endpoint::open_connections).sum()
    }

    /// Takes no new clients; those that are here stay.
    pub fn refuse_new(&self) {
        for socket in &self.sockets {
            socket.set_server_config(None);
        }
    }

    /// Closes every connection with a code, at once, and waits at most `within` until the peers know.
    pub async fn close(&self, code: u32, reason: &str, within: Duration) {
        for socket in &self.sockets {
            socket.close(VarInt::from_u32(code), reason.as_bytes());
        }
        let idle = async {
            for socket in &self.sockets {
                socket.wait_idle().await;
            }
        };
        let _ = time::timeout(within, idle).await;
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("addresses", &self.local_addresses()).finish_non_exhaustive()
    }
}

/// A client in the middle of its handshake.
pub struct Pending {
    incoming: quinn::Incoming,
    limits: Arc<Limits>,
    policy: Arc<Policy>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("peer", &self.peer()).finish_non_exhaustive()
    }
}

/// What a finished handshake led to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "made once a connection and taken apart at once")]
pub enum Established {
    /// A client over raw QUIC.
    Native(Connection),
    /// An HTTP/3 connection, to be driven for its sessions.
    Http3(Http3),
}

impl Pending {
    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.incoming.remote_address()
    }

    /// Turns the client away.
    pub fn refuse(self) {
        self.incoming.refuse();
    }

    /// Completes the handshake, within `deadline` from now.
    ///
    /// # Errors
    /// [`TransportError`] when the client fails or is too slow.
    pub async fn handshake(self, deadline: Duration) -> Result<Established, TransportError> {
        let finished = time::timeout(deadline, self.complete()).await;
        finished.map_err(|_| TransportError::PeerSlow(deadline))?
    }

    async fn complete(self) -> Result<Established, TransportError> {
        let failed = |error: quinn::ConnectionError| TransportError::PeerFailed(error.to_string());
        let connection = self.incoming.accept().map_err(failed)?.await.map_err(failed)?;
        let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        let protocol = data.and_then(|data| data.protocol);
        if protocol.as_deref() == Some(ALPN_NATIVE) {
            return Ok(Established::Native(QuicConnection::native(connection, self.limits).into()));
        }
        Http3::new(connection, self.limits, self.policy).await.map(Established::Http3)
    }
}

/// Handshakes in the current second.
#[derive(Debug)]
struct HandshakeRate {
    since: Instant,
    count: u32,
}

impl HandshakeRate {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    fn count(&mut self, now: Instant) -> u32 {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_rate_begins_anew_each_second() {
        let start = Instant::now();
        let mut rate = HandshakeRate::new(start);
        assert_eq!((rate.count(start), rate.count(start + Duration::from_millis(999))), (1, 2));
        assert_eq!(rate.count(start + Duration::from_secs(1)), 1);
    }
}

//! Dialing: one UDP socket for all connections of a client, names resolved, addresses tried side by side; over TCP where
//! UDP does not pass.

use super::{
    Facts, Link, Trust, connection,
    race::Swallowed,
    socket::{self, Socket},
};
use crate::machine::ConnectionId;
use quinn::{ClientConfig, Endpoint, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};
use std::{
    fmt, io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, task::JoinSet, time};
use tokio_rustls::TlsConnector;

/// The client's own pings: below the shortest time after which middle boxes forget a UDP flow.
const KEEP_ALIVE: Duration = Duration::from_secs(11);
/// Silence after which a connection is lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Unread bytes of one stream, and of the connection.
const STREAM_WINDOW: u32 = 256 << 10;
const RECEIVE_WINDOW: u32 = 1 << 20;
const SEND_WINDOW: u64 = 512 << 10;
/// Datagram bytes that wait, each way. Full: the oldest is dropped.
const DATAGRAM_BUFFER: usize = 64 << 10;
/// Most addresses of one name that are tried, each this long after the one before (RFC 8305 §5).
const ADDRESSES_MAX: usize = 4;
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);
/// From the name to a connection; the machine has a deadline of its own above it.
const DIAL_TIMEOUT: Duration = Duration::from_secs(9);

/// Why there is no link at all.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// A hash that is no SHA-256.
    #[error("a pinned hash must be 64 hexadecimal digits")]
    BadHash,
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// No UDP socket.
    #[error("no UDP socket: {0}")]
    Socket(#[from] io::Error),
}

/// Makes connections.
#[derive(Clone)]
pub struct Dialer {
    endpoint: Endpoint,
    config: ClientConfig,
    connector: TlsConnector,
    pub(super) swallowed: Swallowed,
}

impl Dialer {
    /// Binds a UDP socket of both address families, or of IPv4 alone. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`LinkError`]
    pub fn new(trust: &Trust) -> Result<Self, LinkError> {
        let tls =
            QuicClientConfig::try_from(trust.tls()?).map_err(|error| LinkError::Tls(error.to_string()))?;
        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(Arc::new(transport()));
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
        let endpoint =
            Endpoint::client(any).or_else(|_| Endpoint::client((Ipv4Addr::UNSPECIFIED, 0).into()))?;
        let connector = TlsConnector::from(Arc::new(trust.tls_over_tcp()?));
        Ok(Self { endpoint, config, connector, swallowed: Swallowed::default() })
    }

    /// Moves all connections to a fresh socket: the network is another one. The server follows (RFC 9000 §9).
    ///
    /// # Errors
    /// When no socket can be had; the old one stays in use then.
    pub fn rebind(&self) -> io::Result<()> {
        self.swallowed.forget();
        let v6 = self.endpoint.local_addr().is_ok_and(|address| address.is_ipv6());
        let any: SocketAddr =
            if v6 { (Ipv6Addr::UNSPECIFIED, 0).into() } else { (Ipv4Addr::UNSPECIFIED, 0).into() };
        self.endpoint.rebind(UdpSocket::bind(any)?)
    }

    /// Begins a connection; everything that becomes of it comes through `facts`.
    #[must_use]
    pub fn dial(&self, id: ConnectionId, endpoint: String, facts: Facts) -> Link {
        connection::start(self.clone(), id, endpoint, facts)
    }

    /// A connection to `endpoint` (`host:port`), or why not.
    pub(super) async fn reach(&self, endpoint: &str) -> Result<quinn::Connection, String> {
        match time::timeout(DIAL_TIMEOUT, self.race(endpoint)).await {
            Ok(result) => result,
            Err(_) => Err(format!("{endpoint} does not answer")),
        }
    }

    async fn race(&self, endpoint: &str) -> Result<quinn::Connection, String> {
        let host = host(endpoint).ok_or_else(|| format!("{endpoint:?} is not host:port"))?;
        let found = tokio::net::lookup_host(endpoint).await;
        let addresses = found.map_err(|error| format!("{endpoint}: {error}"))?;
        let mut racers = JoinSet::new();
        for (turn, address) in addresses.take(ADDRESSES_MAX).enumerate() {
            let (this, host) = (self.clone(), host.to_owned());
            let wait = NEXT_ADDRESS_AFTER.saturating_mul(u32::try_from(turn).unwrap_or(u32::MAX));
            racers.spawn(async move {
                time::sleep(wait).await;
                this.try_address(address, &host).await
            });
        }
        let mut last = format!("{endpoint} has no address");
        while let Some(result) = racers.join_next().await {
            match result {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(why)) => last = why,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// A WebSocket to `endpoint`, or why not.
    pub(super) async fn reach_socket(&self, endpoint: &str) -> Result<Socket, String> {
        let reaching = async {
            let host = host(endpoint).ok_or_else(|| format!("{endpoint:?} is not host:port"))?;
            let stream =
                TcpStream::connect(endpoint).await.map_err(|error| format!("{endpoint}: {error}"))?;
            socket::open(&self.connector, stream, endpoint, host).await
        };
        match time::timeout(DIAL_TIMEOUT, Box::pin(reaching)).await {
            Ok(result) => result,
            Err(_) => Err(format!("{endpoint} does not answer over TCP")),
        }
    }

    async fn try_address(&self, address: SocketAddr, host: &str) -> Result<quinn::Connection, String> {
        let connecting = self.endpoint.connect_with(self.config.clone(), address, host);
        let connecting = connecting.map_err(|error| format!("{address}: {error}"))?;
        connecting.await.map_err(|error| format!("{address}: {error}"))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The part of `host:port` that a certificate names; brackets of IPv6 addresses are taken off.
fn host(endpoint: &str) -> Option<&str> {
    let (host, port) = endpoint.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some(host)
}

fn transport() -> TransportConfig {
    let mut config = TransportConfig::default();
    let idle_ms = u32::try_from(IDLE_TIMEOUT.as_millis()).unwrap_or(u32::MAX);
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))))
        .keep_alive_interval(Some(KEEP_ALIVE));
    config
}

#[cfg(test)]
mod tests {
    use super::host;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        assert_eq!(host("chat.example.org:4433"), Some("chat.example.org"));
        assert_eq!(host("[::1]:4433"), Some("::1"));
        for bad in ["", "chat.example.org", ":4433", "a:b", "a:99999"] {
            assert_eq!(host(bad), None, "{bad}");
        }
    }
}

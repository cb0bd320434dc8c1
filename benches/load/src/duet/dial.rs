//! Dialing: many connections from few sockets.

use super::{Ears, Way, quic::Quic, websocket::Socket};
use crate::{Carrier, LoadError, Plan, tls};
use duet_protocol::{ALPN_NATIVE, SUBPROTOCOL};
use quinn::{ClientConfig, Endpoint, IdleTimeout, TransportConfig, VarInt, crypto::rustls::QuicClientConfig};
use rustls::pki_types::ServerName;
use std::{
    cell::Cell,
    fmt::Display,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::{
    client::IntoClientRequest as _,
    http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL},
};

/// Makes connections to one server.
pub(crate) struct Dialer {
    address: SocketAddr,
    host: String,
    endpoints: Vec<Endpoint>,
    next: Cell<usize>,
    native: ClientConfig,
    h3: ClientConfig,
    tcp: TlsConnector,
}

impl Dialer {
    /// Binds the UDP sockets that a plan needs.
    ///
    /// # Errors
    /// [`LoadError`] when there are none, or TLS cannot be set up.
    pub(crate) fn new(plan: &Plan) -> Result<Self, LoadError> {
        let any = if plan.address.is_ipv6() {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        } else {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        };
        let sockets = plan.sessions.div_ceil(SESSIONS_PER_SOCKET);
        let endpoints = (0..sockets).map(|_| Endpoint::client(any)).collect::<Result<_, _>>();
        let tcp = tls::client(&plan.trust, &[b"http/1.1"])?;
        Ok(Self {
            address: plan.address,
            host: plan.host.clone(),
            endpoints: endpoints.map_err(|error| lost(&error))?,
            next: Cell::new(0),
            native: quic(plan, ALPN_NATIVE)?,
            h3: quic(plan, b"h3")?,
            tcp: TlsConnector::from(Arc::new(tcp)),
        })
    }

    /// A connection; for a WebSocket, what it hears goes to `ears` at once.
    pub(crate) async fn dial(&self, carrier: Carrier, ears: &Rc<dyn Ears>) -> Result<Way, LoadError> {
        let way = async {
            match carrier {
                Carrier::Native => Ok(Way::Quic(Quic::native(self.quic(&self.native).await?))),
                Carrier::WebTransport => {
                    let connection = self.quic(&self.h3).await?;
                    Ok(Way::Quic(Quic::webtransport(connection, &self.authority()).await?))
                }
                Carrier::WebSocket => Ok(Way::WebSocket(self.websocket(Rc::clone(ears)).await?)),
            }
        };
        time::timeout(DIAL_TIMEOUT, way).await.map_err(|_| LoadError::Silence("a connection"))?
    }

    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.address.port())
    }

    async fn quic(&self, config: &ClientConfig) -> Result<quinn::Connection, LoadError> {
        let turn = self.next.replace(self.next.get().wrapping_add(1));
        let endpoint = &self.endpoints[turn % self.endpoints.len()];
        let connecting = endpoint.connect_with(config.clone(), self.address, &self.host);
        connecting.map_err(|error| lost(&error))?.await.map_err(|error| lost(&error))
    }

    async fn websocket(&self, ears: Rc<dyn Ears>) -> Result<Rc<Socket>, LoadError> {
        let tcp = TcpStream::connect(self.address).await.map_err(|error| lost(&error))?;
        tcp.set_nodelay(true).map_err(|error| lost(&error))?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| lost(&error))?;
        let tls = self.tcp.connect(name, tcp).await.map_err(|error| lost(&error))?;
        let url = format!("wss://{}/duet/v1/ws", self.authority());
        let mut request = url.into_client_request().map_err(|error| lost(&error))?;
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        let (socket, _) =
            tokio_tungstenite::client_async(request, tls).await.map_err(|error| lost(&error))?;
        Ok(Socket::start(socket, ears))
    }
}

fn lost(error: &dyn Display) -> LoadError {
    LoadError::Connection(error.to_string())
}

fn quic(plan: &Plan, alpn: &[u8]) -> Result<ClientConfig, LoadError> {
    let crypto = QuicClientConfig::try_from(tls::client(&plan.trust, &[alpn])?);
    let mut config = ClientConfig::new(Arc::new(crypto.map_err(|error| LoadError::Tls(error.to_string()))?));
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        // HTTP/3's control and QPACK streams.
        .max_concurrent_uni_streams(VarInt::from_u32(8))
        .stream_receive_window(VarInt::from_u32(256 << 10))
        .receive_window(VarInt::from_u32(1 << 20))
        .send_window(512 << 10)
        .datagram_receive_buffer_size(Some(64 << 10))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(30_000))))
        // The server keeps connections alive, as it does for pages.
        .keep_alive_interval(None);
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// One socket's buffer holds what these may send at once.
const SESSIONS_PER_SOCKET: usize = 500;
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

//! The doors: QUIC, with WebTransport on top, and TLS over TCP with WebSocket and plain requests. Each client gets a task of its own; a slow
//! handshake delays nobody else, and the set of tasks is bounded by [`Admission`].

use super::{
    ServeError,
    admission::{Admission, Place, Turned},
    connection::Entrance,
    fallback::Fallback,
    http::Http,
};
use crate::{
    admin::metrics as name,
    config::Config,
    transport::{
        Certificates, Endpoint, EndpointConfig, Established, Http3, Limits, Origins, TransportError,
        http::Carriers, keys::Keys, tcp, websocket,
    },
};
use ::http::{HeaderMap, Request, Response, StatusCode};
use axum::{
    Extension, Router,
    extract::{State, ws::WebSocketUpgrade},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use metrics::counter;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::task::JoinSet;

/// Where clients come in. Bound, but nobody is let in before [`Ports::serve`].
pub(super) struct Ports {
    endpoint: Arc<Endpoint>,
    listener: Option<tcp::Listener>,
    certificates: Certificates,
    lobby: Lobby,
    over_tcp: Router,
}

/// What is needed to let a client in. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lobby {
    entrance: Entrance,
    admission: Admission,
    origins: Arc<Origins>,
    limits: Arc<Limits>,
}

/// Binds what the configuration asks for.
pub(super) fn open(
    config: &Config,
    http: &Http,
    entrance: Entrance,
    admission: Admission,
) -> Result<Ports, ServeError> {
    let certificates = match &config.tls {
        Some(files) => Certificates::from_files(&files.certificate, &files.key)?,
        None => Certificates::minted(&config.data_dir.join("certificate"))?,
    };
    let mut keys = Keys::load_or_mint(&config.data_dir.join("keys"))?;
    if let Some(shared) = config.pair.as_ref().and_then(|pair| pair.shared_key_file.as_ref()) {
        keys = keys.with_shared(shared)?;
    }
    let limits = limits(config);
    let origins = origins(config, http);
    let (endpoint, listener) = Endpoint::bind(EndpointConfig {
        addresses: addresses(config),
        certificates: certificates.clone(),
        keys,
        limits: limits.clone(),
        origins: origins.clone(),
        path: PATH.to_owned(),
        answer: Arc::new(plain_answer),
    })?;
    let lobby = Lobby { entrance, admission, origins: Arc::new(origins), limits: Arc::new(limits) };
    let over_tcp = websocket_route(lobby.clone()).merge(Fallback::new(lobby.clone()).router());
    Ok(Ports { endpoint: Arc::new(endpoint), listener: Some(listener), certificates, lobby, over_tcp })
}

impl Ports {
    /// The certificate in use.
    pub(super) fn certificates(&self) -> Certificates {
        self.certificates.clone()
    }

    /// The addresses in use.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.endpoint.local_addresses()
    }

    /// The routes of carriers over TCP, for a listener on loopback without TLS.
    pub(super) fn loopback_routes(&self) -> Router {
        let nobody = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        self.over_tcp.clone().layer(Extension(tcp::Peer(nobody)))
    }

    /// Begins to let clients in.
    pub(super) fn serve(&mut self, tasks: &mut JoinSet<&'static str>) {
        let (endpoint, lobby) = (Arc::clone(&self.endpoint), self.lobby.clone());
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                tokio::select! {
                    pending = endpoint.accept() => match pending {
                        None => return "the QUIC endpoint",
                        Some(pending) => match lobby.enter(pending.peer().ip()) {
                            Ok(place) => drop(clients.spawn(lobby.clone().quic(pending, place))),
                            Err(_) => pending.refuse(),
                        },
                    },
                    Some(_) = clients.join_next() => {}
                }
            }
        });
        let Some(listener) = self.listener.take() else { return };
        let (lobby, router) = (self.lobby.clone(), self.over_tcp.clone());
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                tokio::select! {
                    pending = listener.accept() => {
                        if let Ok(place) = lobby.enter(pending.peer().ip()) {
                            clients.spawn(tls(pending, router.clone(), place));
                        }
                    }
                    Some(_) = clients.join_next() => {}
                }
            }
        });
    }

    /// Lets nobody new in.
    pub(super) fn refuse_new(&self) {
        self.endpoint.refuse_new();
    }

    /// Closes whatever is still open.
    pub(super) async fn close(self, within: Duration) {
        let code = duet_protocol::Code::SHUTDOWN;
        self.endpoint.close(u32::from(code.0), code.sentence(), within).await;
    }
}

/// Path of WebTransport sessions; the WebSocket's lies below it.
const PATH: &str = "/duet/v1";
const WEBSOCKET_PATH: &str = "/duet/v1/ws";

/// Longest time for a QUIC and TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

impl Lobby {
    /// A table of carriers that are made of HTTP requests.
    pub(super) fn carriers(&self) -> Carriers {
        Carriers::new(Arc::clone(&self.origins), Arc::clone(&self.limits))
    }

    pub(super) fn entrance(&self) -> Entrance {
        self.entrance.clone()
    }

    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Turned> {
        let entered = self.admission.enter(address);
        if let Err(turned) = &entered {
            counter!(name::CONNECTIONS_REFUSED, "reason" => turned.name()).increment(1);
        }
        entered
    }

    async fn quic(self, pending: crate::transport::endpoint::Pending, place: Place) {
        match pending.handshake(HANDSHAKE).await {
            Ok(Established::Native(connection)) => self.entrance.carry(connection, place).await,
            Ok(Established::Http3(http3)) => self.http3(http3, place).await,
            Err(error) => failed("quic", &error),
        }
    }

    /// Drives an HTTP/3 connection for its sessions. The first one takes over the connection's place.
    async fn http3(self, mut http3: Http3, place: Place) {
        let (mut first, mut sessions) = (Some(place), JoinSet::new());
        loop {
            tokio::select! {
                request = http3.next() => {
                    let Some(request) = request else { break };
                    let Some(place) = first.take().or_else(|| self.enter(http3.peer().ip()).ok()) else { continue };
                    let entrance = self.entrance.clone();
                    sessions.spawn(async move {
                        match request.accept().await {
                            Ok(connection) => entrance.carry(connection, place).await,
                            Err(error) => failed("webtransport", &error),
                        }
                    });
                }
                Some(_) = sessions.join_next() => {}
            }
        }
        // The connection is over, and each session ends with it.
        while sessions.join_next().await.is_some() {}
    }
}

async fn tls(pending: tcp::Pending, router: Router, place: Place) {
    if let Err(error) = pending.serve(router).await {
        failed("tcp", &error);
    }
    drop(place);
}

fn failed(what: &'static str, error: &TransportError) {
    let reason = match error {
        TransportError::PeerSlow(_) => "slow",
        TransportError::PeerFailed(_) => "failed",
        _ => "internal",
    };
    counter!(name::HANDSHAKES_FAILED, "reason" => reason).increment(1);
    tracing::debug!(what, %error, "no connection came of it");
}

fn websocket_route(lobby: Lobby) -> Router {
    Router::new().route(WEBSOCKET_PATH, get(websocket_upgrade)).with_state(lobby)
}

async fn websocket_upgrade(
    State(lobby): State<Lobby>,
    Extension(tcp::Peer(peer)): Extension<tcp::Peer>,
    headers: HeaderMap,
    request: WebSocketUpgrade,
) -> axum::response::Response {
    let Ok(place) = lobby.enter(peer.ip()) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many connections\n").into_response();
    };
    let entrance = lobby.entrance.clone();
    websocket::upgrade(request, peer, &headers, &lobby.origins, lobby.limits, |connection| {
        entrance.carry(connection, place)
    })
}

fn plain_answer(_: &Request<()>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(b"Duet speaks WebTransport here, at /duet/v1.\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// What to listen on: without IPv6 on this machine, the IPv4 addresses alone.
fn addresses(config: &Config) -> Vec<SocketAddr> {
    let wanted = &config.listen.clients;
    let has_ipv6 = || std::net::UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if wanted.iter().all(SocketAddr::is_ipv6) || has_ipv6() {
        return wanted.clone();
    }
    tracing::warn!("this machine has no IPv6; only the IPv4 addresses are in use");
    wanted.iter().copied().filter(SocketAddr::is_ipv4).collect()
}

pub(super) fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    let idle_timeout = Duration::from_millis(limits.idle_timeout_ms.into());
    let defaults = Limits::default();
    // Beside its lanes a client has the control stream; the core refuses one stream too many by a code, which must be
    // granted to be refused.
    let streams = limits.streams_max + 16;
    Limits {
        native_streams: defaults.native_streams.max(streams),
        webtransport_streams: defaults.webtransport_streams.max(streams),
        idle_timeout,
        keep_alive: defaults.keep_alive.min(idle_timeout / 3),
        ping_every: defaults.ping_every.min(idle_timeout * 2 / 5),
        pong_within: defaults.pong_within.min(idle_timeout * 2 / 5),
        outbox_bytes: limits.outbox_bytes,
        // The core refuses one lane too many by a code; this bound is for who goes on all the same.
        wrapped_lanes: limits.lanes_max as usize + 64,
        ..defaults
    }
}

/// With `--dev` pages from this machine may connect, unless the configuration names others.
fn origins(config: &Config, http: &Http) -> Origins {
    let allowed = &config.origins;
    if allowed.iter().any(|origin| origin == "*") {
        return Origins::any();
    }
    if config.dev && allowed.is_empty() {
        return Origins::loopback();
    }
    let page = http.dev_addresses.first().map(|address| format!("http://localhost:{}", address.port()));
    Origins::only(allowed.iter().cloned().chain(page))
}

//! TLS over TCP on the same port number: HTTP/1.1 for the WebSocket, HTTP/2 or HTTP/1.1 for whatever else the server
//! mounts.
//!
//! Every answer carries `Alt-Svc`, so that browsers learn that the same port speaks HTTP/3.

use super::{Limits, TransportError, idle::Idle, tls::ALPN_HTTP2};
use axum::Router;
use futures_util::future::select_all;
use http::{HeaderValue, header::ALT_SVC};
use hyper::server::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{
    io,
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpStream, time};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Pause after the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens for TCP clients.
pub struct Listener {
    sockets: Vec<tokio::net::TcpListener>,
    tls: TlsAcceptor,
    alt_svc: HeaderValue,
    limits: Arc<Limits>,
}

/// Requests of one HTTP/2 connection under way, its unread bytes, and the bytes of a request's head.
const HTTP2_STREAMS: u32 = 32;
const HTTP2_WINDOW: u32 = 256 << 10;
const HTTP2_STREAM_WINDOW: u32 = 64 << 10;
const HTTP2_HEAD_BYTES: u32 = 16 << 10;
const HTTP2_SEND_BYTES: usize = 64 << 10;

/// The client's address, an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

impl Listener {
    pub(super) fn new(
        sockets: Vec<net::TcpListener>,
        tls: Arc<rustls::ServerConfig>,
        limits: Arc<Limits>,
    ) -> Result<Self, TransportError> {
        let mut listening = Vec::new();
        let mut port = 0;
        for socket in sockets {
            let address = socket.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
            port = address.port();
            let socket = tokio::net::TcpListener::from_std(socket);
            listening.push(socket.map_err(|source| TransportError::Bind { address, source })?);
        }
        let alt_svc = HeaderValue::from_str(&format!("h3=\":{port}\"; ma=86400"))
            .map_err(|error| TransportError::Tls(error.to_string()))?;
        Ok(Self { sockets: listening, tls: TlsAcceptor::from(tls), alt_svc, limits })
    }

    /// The next client. Safe to drop and call again.
    pub async fn accept(&self) -> Pending {
        loop {
            let accepts = self.sockets.iter().map(|socket| Box::pin(socket.accept()));
            match select_all(accepts).await.0 {
                Ok((stream, peer)) => {
                    let (tls, alt_svc, limits) =
                        (self.tls.clone(), self.alt_svc.clone(), Arc::clone(&self.limits));
                    return Pending { stream, peer, tls, alt_svc, limits };
                }
                Err(error) => {
                    tracing::warn!(%error, "a TCP client could not be accepted");
                    time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// The addresses in use.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("addresses", &self.local_addresses()).finish_non_exhaustive()
    }
}

/// A TCP client before its TLS handshake.
pub struct Pending {
    stream: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
    alt_svc: HeaderValue,
    limits: Arc<Limits>,
}

impl Pending {
    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Serves this client with `router` until it leaves or is upgraded. The handshake and each request's
    /// head have the time limit `setup`; requests carry a [`Peer`] extension.
    ///
    /// # Errors
    /// [`TransportError`] when the client fails or is too slow.
    pub async fn serve(self, router: Router) -> Result<(), TransportError> {
        let failed = |error: io::Error| TransportError::PeerFailed(error.to_string());
        self.stream.set_nodelay(true).map_err(failed)?;
        let (setup, http2_idle) = (self.limits.setup, self.limits.http2_idle);
        let handshake = time::timeout(setup, self.tls.accept(self.stream));
        let stream = handshake.await.map_err(|_| TransportError::PeerSlow(setup))?.map_err(failed)?;
        let (peer, alt_svc) = (self.peer, self.alt_svc);
        let router = router.layer(axum::Extension(Peer(peer))).layer(axum::middleware::map_response(
            move |mut response: axum::response::Response| {
                response.headers_mut().insert(ALT_SVC, alt_svc.clone());
                std::future::ready(response)
            },
        ));
        let served = if stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2) {
            serve_http2(stream, router, http2_idle).await
        } else {
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(setup)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                .with_upgrades()
                .await
        };
        served.map_err(|error| TransportError::PeerFailed(error.to_string()))
    }
}

/// Serves HTTP/2 (RFC 9113): many requests at once over one connection, each with a small window.
async fn serve_http2(stream: TlsStream<TcpStream>, router: Router, idle: Duration) -> hyper::Result<()> {
    http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS)
        .initial_connection_window_size(HTTP2_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .max_header_list_size(HTTP2_HEAD_BYTES)
        .max_send_buf_size(HTTP2_SEND_BYTES)
        .serve_connection(TokioIo::new(Idle::new(stream, idle)), TowerToHyperService::new(router))
        .await
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("peer", &self.peer).finish_non_exhaustive()
    }
}

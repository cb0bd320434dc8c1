//! The routes of clients that nothing but plain HTTP gets through to: carriers are opened, written to and read.

use super::accept::Lobby;
use crate::{
    admin::metrics as name,
    transport::{
        TransportKind,
        http::{Carriers, refusal},
        tcp,
    },
};
use ::http::{HeaderMap, StatusCode};
use axum::{
    Extension, Router,
    body::Body,
    extract::State,
    response::Response,
    routing::{get, post},
};
use duet_protocol::Code;
use metrics::counter;

/// Paths of event streams, polls and chunks.
const STREAM_PATH: &str = "/duet/v1/sse";
const POLL_PATH: &str = "/duet/v1/poll";
const SEND_PATH: &str = "/duet/v1/send";

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub(super) struct Fallback {
    lobby: Lobby,
    carriers: Carriers,
}

impl Fallback {
    pub(super) fn new(lobby: Lobby) -> Self {
        let carriers = lobby.carriers();
        Self { lobby, carriers }
    }

    /// The routes. Clones of one `Fallback` serve the same carriers.
    pub(super) fn router(self) -> Router {
        Router::new()
            .route(STREAM_PATH, get(stream).post(open_streamed).options(preflight))
            .route(POLL_PATH, get(poll).post(open_polled).options(preflight))
            .route(SEND_PATH, post(send).options(preflight))
            .with_state(self)
    }

    async fn open(self, kind: TransportKind, peer: tcp::Peer, headers: &HeaderMap, body: Body) -> Response {
        let Ok(place) = self.lobby.enter(peer.0.ip()) else {
            return counted("open", refusal(headers, StatusCode::SERVICE_UNAVAILABLE, Code::OVERLOADED));
        };
        match self.carriers.open(kind, peer.0, headers, body).await {
            Ok((answer, connection)) => {
                // The carrier outlives the request; its own deadlines bound it, and the driver closes it at the end.
                tokio::spawn(self.lobby.entrance().carry(connection, place));
                counted("open", answer)
            }
            Err(answer) => counted("open", answer),
        }
    }
}

async fn open_streamed(
    State(fallback): State<Fallback>,
    Extension(peer): Extension<tcp::Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    fallback.open(TransportKind::Sse, peer, &headers, body).await
}

async fn open_polled(
    State(fallback): State<Fallback>,
    Extension(peer): Extension<tcp::Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    fallback.open(TransportKind::Poll, peer, &headers, body).await
}

async fn send(State(fallback): State<Fallback>, headers: HeaderMap, body: Body) -> Response {
    counted("send", fallback.carriers.send(&headers, body).await)
}

async fn poll(State(fallback): State<Fallback>, headers: HeaderMap) -> Response {
    counted("poll", fallback.carriers.poll(&headers).await)
}

async fn stream(State(fallback): State<Fallback>, headers: HeaderMap) -> Response {
    counted("sse", fallback.carriers.stream(&headers))
}

async fn preflight(State(fallback): State<Fallback>, headers: HeaderMap) -> Response {
    counted("preflight", fallback.carriers.preflight(&headers))
}

fn counted(request: &'static str, answer: Response) -> Response {
    let status = answer.status().as_u16().to_string();
    counter!(name::CARRIER_REQUESTS, "request" => request, "status" => status).increment(1);
    answer
}

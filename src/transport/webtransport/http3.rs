//! One HTTP/3 connection: yields session requests, answers plain ones, routes everything else.

use super::{
    adapter::{Adapter, BidiStream},
    codes::{self, H3_NO_ERROR},
    handover::Handover,
    request::{Refusal, SessionRequest},
    router::Router,
    sessions::Sessions,
};
use crate::transport::{Limits, Origins, TransportError};
use bytes::Bytes;
use duet_protocol::Code;
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use h3::{
    ext::Protocol,
    server::{Connection, RequestStream},
};
use http::{Method, Request, Response};
use quinn::ConnectionError;
use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{self, Instant, Sleep};

/// Answers a plain HTTP/3 request.
pub type Answer = Arc<dyn Fn(&Request<()>) -> Response<Bytes> + Send + Sync>;

/// Requests whose headers are being read, or which are being answered, at the same time.
const REQUESTS_MAX: usize = 16;

/// How long a connection stays after its last session: a page that reloads gets a new one anyway.
const LINGER: Duration = Duration::from_millis(500);

/// Who may open what.
#[derive(Clone)]
pub(in crate::transport) struct Policy {
    pub(in crate::transport) path: String,
    pub(in crate::transport) origins: Origins,
    pub(in crate::transport) answer: Answer,
}

type Resolved = Option<(Request<()>, RequestStream<BidiStream, Bytes>)>;

/// An HTTP/3 connection. Must be driven (by [`Http3::next`]) until it yields `None`: sessions get their
/// streams and datagrams through it. Dropping it closes the connection.
pub struct Http3 {
    connection: quinn::Connection,
    h3: Connection<Adapter, Bytes>,
    router: Router,
    sessions: Arc<Sessions>,
    limits: Arc<Limits>,
    policy: Arc<Policy>,
    resolving: FuturesUnordered<BoxFuture<'static, Resolved>>,
    answering: FuturesUnordered<BoxFuture<'static, ()>>,
    had_session: bool,
    idle: Pin<Box<Sleep>>,
    idle_armed: bool,
}

impl Http3 {
    pub(in crate::transport) async fn new(
        connection: quinn::Connection,
        limits: Arc<Limits>,
        policy: Arc<Policy>,
    ) -> Result<Self, TransportError> {
        connection.set_max_concurrent_bi_streams(quinn::VarInt::from_u32(limits.webtransport_streams));
        let handover = Arc::new(Handover::default());
        let sessions = Arc::new(Sessions::default());
        let adapter = Adapter::new(connection.clone(), Arc::clone(&handover));
        let router = Router::new(&connection, limits.setup, Arc::clone(&sessions), handover);
        let h3 = h3::server::builder()
            .max_field_section_size(limits.field_section_bytes)
            .enable_extended_connect(true)
            .enable_datagram(true)
            .enable_webtransport(true)
            .max_webtransport_sessions(u64::try_from(limits.sessions).unwrap_or(1))
            .send_grease(false)
            .build(adapter)
            .await
            .map_err(|error| TransportError::PeerFailed(error.to_string()))?;
        Ok(Self {
            idle: Box::pin(time::sleep(limits.session_idle)),
            idle_armed: true,
            connection,
            h3,
            router,
            sessions,
            limits,
            policy,
            resolving: FuturesUnordered::new(),
            answering: FuturesUnordered::new(),
            had_session: false,
        })
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// The next session that a client asks for, path and Origin checked already. `None` when the
    /// connection is over. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<SessionRequest> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<SessionRequest>> {
        self.sessions.register_driver(cx);
        if self.router.poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        loop {
            match self.poll_h3(cx) {
                Poll::Ready(true) => continue,
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => {}
            }
            match self.resolving.poll_next_unpin(cx) {
                Poll::Ready(Some(None)) => continue,
                Poll::Ready(Some(Some((request, stream)))) => {
                    if let Some(request) = self.take_request(request, stream) {
                        return Poll::Ready(Some(request));
                    }
                    continue;
                }
                _ => {}
            }
            if let Poll::Ready(Some(())) = self.answering.poll_next_unpin(cx) {
                continue;
            }
            return self.poll_idle(cx).map(|()| None);
        }
    }

    /// Takes one request from h3: true when there was one, false when the connection is over.
    fn poll_h3(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.resolving.len() + self.answering.len() >= REQUESTS_MAX {
            return Poll::Pending;
        }
        // The future only wraps a poll function, so a new one each time loses nothing.
        let accepted = pin!(self.h3.accept()).poll(cx);
        accepted.map(|accepted| {
            let Ok(Some(resolver)) = accepted else { return false };
            let within = self.limits.setup;
            let resolve = async move {
                time::timeout(within, resolver.resolve_request()).await.ok().and_then(Result::ok)
            };
            self.resolving.push(resolve.boxed());
            true
        })
    }

    fn take_request(
        &mut self,
        request: Request<()>,
        stream: RequestStream<BidiStream, Bytes>,
    ) -> Option<SessionRequest> {
        let connect = request.method() == Method::CONNECT
            && request.extensions().get::<Protocol>() == Some(&Protocol::WEB_TRANSPORT);
        if !connect {
            let response = (self.policy.answer)(&request);
            self.answer(respond(stream, response));
            return None;
        }
        if request.uri().path() != self.policy.path {
            self.answer(respond(stream, status_only(http::StatusCode::NOT_FOUND)));
            return None;
        }
        let id = stream.id().into_inner();
        let Some(place) = self.sessions.open(id, self.limits.sessions) else {
            self.answer(respond(stream, status_only(http::StatusCode::TOO_MANY_REQUESTS)));
            return None;
        };
        self.had_session = true;
        let request =
            SessionRequest::new(request, stream, place, self.connection.clone(), Arc::clone(&self.limits));
        if !self.policy.origins.allow(request.origin()) {
            let code = Code::FORBIDDEN_ORIGIN;
            let refusal = Refusal { code: u32::from(code.0), reason: code.sentence().to_owned() };
            self.answer(async move { request.refuse(refusal.code, &refusal.reason).await });
            return None;
        }
        Some(request)
    }

    fn answer(&self, answer: impl Future<Output = ()> + Send + 'static) {
        let within = self.limits.setup;
        let bounded = async move {
            let _ = time::timeout(within, answer).await;
        };
        self.answering.push(bounded.boxed());
    }

    /// Ready, and the connection closed, when nobody has used it for a while.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.sessions.live() > 0 || !self.resolving.is_empty() || !self.answering.is_empty() {
            self.idle_armed = false;
            return Poll::Pending;
        }
        if !self.idle_armed {
            let wait = if self.had_session { LINGER } else { self.limits.session_idle };
            self.idle.as_mut().reset(Instant::now() + wait);
            self.idle_armed = true;
        }
        if self.idle.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.connection.close(codes::varint(H3_NO_ERROR), b"");
        Poll::Ready(())
    }
}

impl Drop for Http3 {
    fn drop(&mut self) {
        // Nobody routes from here on, so no session may wait for anything.
        let reason = self.connection.close_reason().unwrap_or(ConnectionError::LocallyClosed);
        self.sessions.lose(&reason);
    }
}

impl fmt::Debug for Http3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http3")
            .field("peer", &self.peer())
            .field("sessions", &self.sessions.live())
            .finish_non_exhaustive()
    }
}

async fn respond(mut stream: RequestStream<BidiStream, Bytes>, response: Response<Bytes>) {
    let (parts, body) = response.into_parts();
    let sent = async {
        stream.send_response(Response::from_parts(parts, ())).await?;
        if !body.is_empty() {
            stream.send_data(body).await?;
        }
        stream.finish().await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, "an HTTP/3 answer was not delivered");
    }
}

fn status_only(status: http::StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

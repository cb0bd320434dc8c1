//! A client's request for a session, to be accepted or refused.

use super::{adapter::BidiStream, session::Session, sessions::Place};
use crate::transport::{Connection, Limits, TransportError, quic::QuicConnection};
use bytes::Bytes;
use duet_protocol::SUBPROTOCOL;
use h3::server::RequestStream;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::{fmt, net::SocketAddr, sync::Arc};
use tokio::time;

/// A request whose path and Origin are fine. Dropping it refuses it without a word.
pub struct SessionRequest {
    head: Request<()>,
    stream: RequestStream<BidiStream, Bytes>,
    place: Place,
    connection: quinn::Connection,
    limits: Arc<Limits>,
}

/// Why a page may not come in.
pub(super) struct Refusal {
    pub(super) code: u32,
    pub(super) reason: String,
}

impl SessionRequest {
    pub(super) fn new(
        head: Request<()>,
        stream: RequestStream<BidiStream, Bytes>,
        place: Place,
        connection: quinn::Connection,
        limits: Arc<Limits>,
    ) -> Self {
        Self { head, stream, place, connection, limits }
    }

    /// The path asked for.
    #[must_use]
    pub fn path(&self) -> &str {
        self.head.uri().path()
    }

    /// What follows the question mark.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.head.uri().query()
    }

    /// Host and port as the client sees them.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.head.uri().authority().map(http::uri::Authority::as_str)
    }

    /// The page's origin; none when the client is no browser.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.header("origin")
    }

    /// The client's own description of itself.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.header("user-agent")
    }

    /// The subprotocols offered, best first.
    #[must_use]
    pub fn subprotocols(&self) -> Vec<String> {
        offered(self.head.headers())
    }

    /// The client's address.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Lets the client in, choosing `duet.v1` when it offers it.
    ///
    /// # Errors
    /// [`TransportError`] when the client is gone, or does not take the answer in time.
    pub async fn accept(mut self) -> Result<Connection, TransportError> {
        self.respond().await?;
        let limits = Arc::clone(&self.limits);
        let (send, recv) = self.stream.split();
        let session = Session::new(self.connection, self.place, send, recv);
        Ok(QuicConnection::session(session, limits).into())
    }

    /// Refuses so that a page sees why: by accepting and closing, since a page never sees a status.
    pub async fn refuse(mut self, code: u32, reason: &str) {
        if self.respond().await.is_ok() {
            let within = self.limits.close_flush;
            let (send, recv) = self.stream.split();
            Session::new(self.connection, self.place, send, recv).close(code, reason, within).await;
        }
    }

    async fn respond(&mut self) -> Result<(), TransportError> {
        let mut response = Response::new(());
        let headers = response.headers_mut();
        headers.insert("sec-webtransport-http3-draft", HeaderValue::from_static("draft02"));
        if self.subprotocols().iter().any(|offered| offered == SUBPROTOCOL)
            && let Ok(chosen) = HeaderValue::from_str(&format!("\"{SUBPROTOCOL}\""))
        {
            headers.insert("wt-protocol", chosen);
        }
        let within = self.limits.setup;
        time::timeout(within, self.stream.send_response(response))
            .await
            .map_err(|_| TransportError::PeerSlow(within))?
            .map_err(|error| TransportError::PeerFailed(error.to_string()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.headers().get(name)?.to_str().ok()
    }
}

impl fmt::Debug for SessionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the query: it may carry a token.
        f.debug_struct("SessionRequest")
            .field("path", &self.path())
            .field("origin", &self.origin())
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

/// Reads `wt-available-protocols`, a structured-field list of strings (RFC 9651 §3.1). Members that are
/// no strings are passed over.
fn offered(headers: &HeaderMap) -> Vec<String> {
    headers
        .get_all("wt-available-protocols")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|member| {
            let item = member.split(';').next().unwrap_or(member).trim();
            Some(item.strip_prefix('"')?.strip_suffix('"')?.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offered_protocols_are_read_in_order() {
        let mut headers = HeaderMap::new();
        headers
            .append("wt-available-protocols", HeaderValue::from_static("\"b\" ; q=1, \"duet.v1\", token, 7"));
        headers.append("wt-available-protocols", HeaderValue::from_static("\"c\""));
        assert_eq!(offered(&headers), ["b", "duet.v1", "c"]);
        assert!(offered(&HeaderMap::new()).is_empty());
    }
}

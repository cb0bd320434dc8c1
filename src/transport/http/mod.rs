//! A carrier made of plain HTTP requests, for networks that let nothing else pass: chunks of frames go up in POSTs,
//! batches of frames come down as server-sent events or as answers of long polls. `docs/protocol.md` has the rules.
//!
//! ```text
//! POST chunk ─► Carrier.chunks ─► HttpConnection::run ─► sink
//! outbox ─► HttpConnection::run ─► Carrier.batches (numbered, kept until acknowledged) ─► GET stream or poll
//! ```
//!
//! A request finds its carrier by the hash of the key that it shows; nothing else ties the two, so it may come over any
//! TCP connection. What is not known here is answered with a code after which a client resumes over a new carrier.

mod answer;
mod carrier;
mod connection;
mod events;
mod fields;
mod reading;
mod table;

pub use answer::refusal;
pub(super) use connection::HttpConnection;

use super::{
    Limits, Origins, TransportKind,
    connection::{Connection, Misbehaved},
};
use answer::{accepted, batches, gone, key, stream};
use axum::{
    body::{Body, to_bytes},
    response::Response,
};
use bytes::Bytes;
use carrier::{Carrier, Taken};
use duet_protocol::Code;
use events::Events;
use fields::{Fields, allowed};
use http::{HeaderMap, StatusCode};
use reading::{Came, Reading};
use std::{net::SocketAddr, sync::Arc};
use table::Table;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time,
};

/// Most bytes of the body that opens a carrier: room for `Hello` with the longest token.
pub const OPENING_BYTES_MAX: usize = 16 << 10;

/// Most bytes of a chunk.
pub const CHUNK_BYTES_MAX: usize = 128 << 10;

/// All carriers of this kind. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Carriers {
    table: Arc<Table>,
    origins: Arc<Origins>,
    limits: Arc<Limits>,
}

impl Carriers {
    /// None yet.
    #[must_use]
    pub fn new(origins: Arc<Origins>, limits: Arc<Limits>) -> Self {
        Self { table: Arc::default(), origins, limits }
    }

    /// Opens a carrier with the frames of `body`; the connection must be run for anything to come of it. `kind` says
    /// how the client means to read, for the metrics.
    ///
    /// # Errors
    /// The answer that says why not: 403 with 3502 for a foreign page, 4xx for a body that is too large or too slow.
    pub async fn open(
        &self,
        kind: TransportKind,
        peer: SocketAddr,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Response, Connection), Response> {
        if !allowed(headers, &self.origins) {
            return Err(refusal(headers, StatusCode::FORBIDDEN, Code::FORBIDDEN_ORIGIN));
        }
        let opening = self.read(headers, body, OPENING_BYTES_MAX).await?;
        let Some(secret) = table::mint() else {
            return Err(refusal(headers, StatusCode::SERVICE_UNAVAILABLE, Code::INTERNAL));
        };
        let carrier = Arc::new(Carrier::new(opening));
        let place = self.table.enter(&secret, Arc::clone(&carrier));
        let connection = HttpConnection::new(kind, peer, carrier, place, Arc::clone(&self.limits));
        Ok((key(headers, &secret), connection.into()))
    }

    /// Takes a chunk, an acknowledgement, a close: what a `send` brings.
    pub async fn send(&self, headers: &HeaderMap, body: Body) -> Response {
        let (carrier, fields) = match self.find(headers) {
            Ok(found) => found,
            Err(answer) => return *answer,
        };
        // A retry may overtake the request that it repeats, so two may be read at once, and no more.
        let _uploading = match self.turn(headers, &carrier.uploads).await {
            Ok(turn) => turn,
            Err(answer) => return answer,
        };
        let chunk = match self.read(headers, body, CHUNK_BYTES_MAX).await {
            Ok(chunk) => chunk,
            Err(answer) => return answer,
        };
        match (chunk.is_empty(), fields.seq) {
            (true, _) => {}
            (false, None) => return misbehaved(headers, &carrier, "a chunk without a number"),
            (false, Some(seq)) => match self.turn(headers, &carrier.room).await {
                Err(answer) => return answer,
                Ok(room) => match carrier.take_chunk(seq, chunk) {
                    Taken::New => room.forget(),
                    Taken::Again => {}
                    Taken::Ahead => return misbehaved(headers, &carrier, "a chunk is missing"),
                },
            },
        }
        if let Some(code) = fields.close {
            carrier.closed_by_peer(code);
        }
        accepted(headers)
    }

    /// Answers a poll: at once if something waits, else when something comes, or after a time with nothing.
    pub async fn poll(&self, headers: &HeaderMap) -> Response {
        let (carrier, fields) = match self.find(headers) {
            Ok(found) => found,
            Err(answer) => return *answer,
        };
        let mut reading = Reading::begin(&carrier, fields.ack);
        match time::timeout(self.limits.poll_wait, reading.next(usize::MAX)).await {
            Ok(Came::Batches(found)) => batches(headers, found),
            Ok(Came::Ended(end)) => gone(headers, &end),
            Ok(Came::Replaced) | Err(_) => batches(headers, Vec::new()),
        }
    }

    /// Answers with a stream of events, each a batch.
    #[must_use]
    pub fn stream(&self, headers: &HeaderMap) -> Response {
        let (carrier, fields) = match self.find(headers) {
            Ok(found) => found,
            Err(answer) => return *answer,
        };
        if let Some(end) = carrier.ended_after(fields.ack) {
            carrier.told();
            return gone(headers, &end);
        }
        let events = Events::new(Reading::begin(&carrier, fields.ack), self.limits.comment_every);
        stream(headers, Body::from_stream(events))
    }

    /// Answers a browser that asks whether a page may.
    #[must_use]
    pub fn preflight(&self, headers: &HeaderMap) -> Response {
        // A foreign page may ask too: it is refused by the request itself, with a code that it can read.
        answer::preflight(headers)
    }

    /// The carrier that a request names, and what the request says to any of them.
    fn find(&self, headers: &HeaderMap) -> Result<(Arc<Carrier>, Fields), Box<Response>> {
        if !allowed(headers, &self.origins) {
            return Err(Box::new(refusal(headers, StatusCode::FORBIDDEN, Code::FORBIDDEN_ORIGIN)));
        }
        let carrier = headers.get(fields::CARRIER).and_then(|key| self.table.find(key.as_bytes()));
        let Some(carrier) = carrier else {
            return Err(Box::new(refusal(headers, StatusCode::NOT_FOUND, Code::CARRIER_GONE)));
        };
        carrier.hear();
        let Some(fields) = Fields::read(headers) else {
            return Err(Box::new(misbehaved(headers, &carrier, "a field that is no number")));
        };
        if !carrier.acknowledge(fields.ack) {
            return Err(Box::new(misbehaved(headers, &carrier, "an acknowledgement of what was never sent")));
        }
        Ok((carrier, fields))
    }

    /// Waits for a turn at something that a carrier has few of.
    async fn turn<'a>(
        &self,
        headers: &HeaderMap,
        of: &'a Semaphore,
    ) -> Result<SemaphorePermit<'a>, Response> {
        match time::timeout(self.limits.body_within, of.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(refusal(headers, StatusCode::NOT_FOUND, Code::CARRIER_GONE)),
            Err(_) => Err(answer::untyped(headers, StatusCode::SERVICE_UNAVAILABLE)),
        }
    }

    async fn read(&self, headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, Response> {
        match time::timeout(self.limits.body_within, to_bytes(body, bytes_max)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            // Too large, or cut; nobody waits for the answer to the latter.
            Ok(Err(_)) => Err(refusal(headers, StatusCode::PAYLOAD_TOO_LARGE, Code::PROTOCOL_ERROR)),
            Err(_) => Err(answer::untyped(headers, StatusCode::REQUEST_TIMEOUT)),
        }
    }
}

/// Ends the carrier of a client that does not keep to the rules.
fn misbehaved(headers: &HeaderMap, carrier: &Carrier, what: &'static str) -> Response {
    carrier.misbehaved(Misbehaved::Request(what));
    refusal(headers, StatusCode::BAD_REQUEST, Code::PROTOCOL_ERROR)
}

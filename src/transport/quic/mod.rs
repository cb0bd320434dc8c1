//! Lanes over QUIC streams, for raw QUIC and WebTransport alike: they differ only in the [`Wire`].
//!
//! ```text
//! accept ─► LaneReader ─► frames ─┐                    ┌─► LaneSender 0 ─► stream
//! datagrams ──────────────────────┼─► sink    outbox ──┼─► LaneSender 1 ─► stream
//! CONNECT stream, connection end ─┘                    └─► datagrams
//! ```

mod engine;
mod reading;
mod wire;
mod writing;

use wire::Wire;
pub(super) use wire::{AcceptedStream, lost};

use super::{
    connection::{Closed, Inbound},
    limits::Limits,
    outbox::Outbox,
    path::{Link, TransportKind},
    webtransport::Session,
};
use engine::Engine;
use futures_util::Sink;
use std::{future::poll_fn, pin::pin, sync::Arc};

/// A raw QUIC connection or a WebTransport session, before it runs.
#[derive(Debug)]
pub(super) struct QuicConnection {
    wire: Wire,
    outbox: Outbox,
    limits: Arc<Limits>,
}

impl QuicConnection {
    pub(super) fn native(connection: quinn::Connection, limits: Arc<Limits>) -> Self {
        let link = Link::Quic(connection.clone(), TransportKind::Quic);
        Self::new(Wire::native(connection), link, limits)
    }

    pub(super) fn session(session: Session, limits: Arc<Limits>) -> Self {
        let link = Link::Quic(session.connection().clone(), TransportKind::WebTransport);
        Self::new(Wire::Session(Box::new(session)), link, limits)
    }

    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    fn new(wire: Wire, link: Link, limits: Arc<Limits>) -> Self {
        let outbox = Outbox::new(link, limits.outbox_bound(), wire.has_datagrams());
        Self { wire, outbox, limits }
    }
}

/// Runs the connection to its end, closing handshake included.
pub(super) async fn run<S: Sink<Inbound>>(connection: QuicConnection, sink: S) -> Closed {
    let mut engine = Engine::new(connection.wire, connection.outbox, connection.limits);
    let mut sink = pin!(sink);
    let closed = poll_fn(|cx| engine.poll(cx, sink.as_mut())).await;
    engine.close(closed).await
}

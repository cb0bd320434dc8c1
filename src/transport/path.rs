//! The way to a client as it is now: for metrics, logs and the strip on the demo page.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransportKind {
    /// Raw QUIC, ALPN `duet/1`.
    Quic,
    /// A WebTransport session over HTTP/3.
    WebTransport,
    /// A WebSocket over TLS and TCP.
    WebSocket,
    /// Plain HTTP requests; what comes down is streamed as server-sent events.
    Sse,
    /// Plain HTTP requests; what comes down is polled.
    Poll,
}

impl TransportKind {
    /// The name used in metrics, logs and pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebTransport => "webtransport",
            Self::WebSocket => "websocket",
            Self::Sse => "sse",
            Self::Poll => "poll",
        }
    }
}

/// The state of the way to the client, as of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// What carries the connection.
    pub transport: TransportKind,
    /// The client's address; follows a QUIC client that moves.
    pub peer: SocketAddr,
    /// Round trip; `None` while nothing was measured.
    pub rtt: Option<Duration>,
    /// Bytes received: of the whole QUIC connection, or of messages and bodies.
    pub bytes_in: u64,
    /// Bytes sent, counted likewise.
    pub bytes_out: u64,
}

/// Where a [`Path`] is read from.
#[derive(Debug)]
pub(super) enum Link {
    /// A QUIC connection measures itself.
    Quic(quinn::Connection, TransportKind),
    /// Other carriers count here.
    Counted(TransportKind, SocketAddr, Arc<Counters>),
}

/// What a carrier over TCP measures about itself.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    /// Round trip of the last ping in microseconds; 0 while there was none.
    pub(super) rtt_us: AtomicU64,
}

impl Link {
    pub(super) fn path(&self) -> Path {
        match self {
            Self::Quic(connection, transport) => {
                let stats = connection.stats();
                Path {
                    transport: *transport,
                    peer: connection.remote_address(),
                    rtt: Some(connection.rtt()),
                    bytes_in: stats.udp_rx.bytes,
                    bytes_out: stats.udp_tx.bytes,
                }
            }
            Self::Counted(transport, peer, counters) => {
                let rtt_us = counters.rtt_us.load(Ordering::Relaxed);
                Path {
                    transport: *transport,
                    peer: *peer,
                    rtt: (rtt_us > 0).then(|| Duration::from_micros(rtt_us)),
                    bytes_in: counters.bytes_in.load(Ordering::Relaxed),
                    bytes_out: counters.bytes_out.load(Ordering::Relaxed),
                }
            }
        }
    }
}

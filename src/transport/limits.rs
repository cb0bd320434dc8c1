//! Every number that bounds a peer: windows, streams, queues, times. One table, so that an operator
//! and a reader find them together.

use super::connection::{Closed, LostReason};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use std::{sync::Arc, time::Duration};

/// Bounds on what one client may use and how long it may take. The defaults are measured; see
/// `docs/decisions/0002-transport-limits.md`.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Streams a raw QUIC client may have open; WebTransport gets
    /// [`webtransport_streams`](Self::webtransport_streams).
    pub native_streams: u32,
    /// Bidirectional streams an HTTP/3 client may have open, CONNECT included. Chromium refuses to open
    /// one more at once, so there is room.
    pub webtransport_streams: u32,
    /// Unidirectional streams of any client; HTTP/3 itself needs three and reserves more.
    pub uni_streams: u32,
    /// Unread bytes of one stream.
    pub stream_receive_window: u32,
    /// Unread bytes of one connection.
    pub receive_window: u32,
    /// Unacknowledged bytes of one connection.
    pub send_window: u64,
    /// Datagram bytes that wait, each way.
    pub datagram_buffer: usize,
    /// Silence after which a QUIC connection is lost.
    pub idle_timeout: Duration,
    /// Our own pings on a QUIC connection: a page cannot send any.
    pub keep_alive: Duration,
    /// QUIC handshakes under way.
    pub incoming_max: usize,
    /// Handshakes a second above which an address must prove itself first (Retry).
    pub retry_above_per_s: u32,
    /// Bytes that wait in one client's outbox.
    pub outbox_bytes: usize,
    /// Wrapped lanes of one connection.
    pub wrapped_lanes: usize,
    /// How long nothing of a filled outbox may move before the client counts as slow.
    pub slow_after: Duration,
    /// How long a closing connection may still send what waits.
    pub close_flush: Duration,
    /// First bytes of a stream, a request's headers, the answer to a CONNECT: each at most this long.
    pub setup: Duration,
    /// Header section of an HTTP/3 request, in bytes as HTTP/3 counts them.
    pub field_section_bytes: u64,
    /// How long an HTTP/3 connection without a session or request stays.
    pub session_idle: Duration,
    /// WebTransport sessions on one connection, at the same time.
    pub sessions: usize,
    /// Time between pings on a WebSocket.
    pub ping_every: Duration,
    /// How long a WebSocket's pong may take.
    pub pong_within: Duration,
    /// Bytes of an HTTP carrier that were sent and not acknowledged: beyond that nothing more is sent.
    pub carrier_kept_bytes: usize,
    /// How long a client of an HTTP carrier may fetch nothing.
    pub carrier_unread: Duration,
    /// How long a client of an HTTP carrier may send nothing, whatever it fetches.
    pub carrier_silent: Duration,
    /// How long a poll waits for something to come.
    pub poll_wait: Duration,
    /// Time between comments on an event stream.
    pub comment_every: Duration,
    /// How long the body of a request may take.
    pub body_within: Duration,
    /// How long a TCP connection of HTTP/2 may carry nothing.
    pub http2_idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            native_streams: 32,
            webtransport_streams: 128,
            uni_streams: 16,
            stream_receive_window: 64 << 10,
            receive_window: 768 << 10,
            send_window: 512 << 10,
            datagram_buffer: 64 << 10,
            idle_timeout: Duration::from_secs(25),
            keep_alive: Duration::from_secs(10),
            incoming_max: 2_048,
            retry_above_per_s: 500,
            outbox_bytes: 256 << 10,
            wrapped_lanes: 256,
            slow_after: Duration::from_secs(30),
            close_flush: Duration::from_secs(2),
            setup: Duration::from_secs(10),
            field_section_bytes: 16 << 10,
            session_idle: Duration::from_secs(10),
            sessions: 8,
            ping_every: Duration::from_secs(10),
            pong_within: Duration::from_secs(10),
            carrier_kept_bytes: 64 << 10,
            carrier_unread: Duration::from_secs(15),
            carrier_silent: Duration::from_secs(75),
            poll_wait: Duration::from_secs(25),
            comment_every: Duration::from_secs(15),
            body_within: Duration::from_secs(20),
            http2_idle: Duration::from_secs(60),
        }
    }
}

impl Limits {
    /// Smallest useful outbox: one largest frame must fit above the low mark.
    pub const OUTBOX_BYTES_MIN: usize = 128 << 10;

    pub(super) fn outbox_bound(&self) -> usize {
        self.outbox_bytes.max(Self::OUTBOX_BYTES_MIN)
    }

    /// How long clients are silent before they are given up.
    #[must_use]
    pub fn silences(&self) -> Silences {
        // A ping goes out some time after the last sign of life, and the deadline counts from the ping.
        Silences {
            timed_out: self.idle_timeout + self.keep_alive / 2,
            no_pong: self.pong_within + self.ping_every / 2,
        }
    }

    /// What quinn is told. Every connection starts with the native number of streams; HTTP/3
    /// connections are raised once their protocol is known, because quinn reserves memory a stream.
    pub(super) fn transport_config(&self) -> Arc<TransportConfig> {
        let mut config = TransportConfig::default();
        let idle_ms = u32::try_from(self.idle_timeout.as_millis()).unwrap_or(u32::MAX);
        config
            .max_concurrent_bidi_streams(VarInt::from_u32(self.native_streams))
            .max_concurrent_uni_streams(VarInt::from_u32(self.uni_streams))
            .stream_receive_window(VarInt::from_u32(self.stream_receive_window))
            .receive_window(VarInt::from_u32(self.receive_window))
            .send_window(self.send_window)
            .datagram_receive_buffer_size(Some(self.datagram_buffer))
            .datagram_send_buffer_size(self.datagram_buffer)
            .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(idle_ms))))
            .keep_alive_interval(Some(self.keep_alive));
        Arc::new(config)
    }
}

/// How long a client has most likely been silent when it is given up: right to within half the time between two pings.
#[derive(Debug, Clone, Copy)]
pub struct Silences {
    timed_out: Duration,
    no_pong: Duration,
}

impl Silences {
    /// The silence before a connection ended so; none when the client, or we, said so.
    #[must_use]
    pub fn before(&self, closed: &Closed) -> Duration {
        match closed {
            Closed::Lost(LostReason::TimedOut) => self.timed_out,
            Closed::Silent => self.no_pong,
            _ => Duration::ZERO,
        }
    }
}

//! A link that has just come to be, and how its parts are used. Nothing here starts a task; the caller does:
//!
//! ```text
//! LinkParts { sender, writer, receiver, files }
//!   task 1   writer.run().await                              → why the link ended
//!   task 2   loop { receiver.recv().await? }                 → messages; pulses before entries
//!   task 3   loop { files.next().await?.receive(..).await }  → snapshots from the peer
//!   anyone   sender.send(&message)                            never waits
//! ```
//!
//! Each lane is a bidirectional stream of its own with its own window, and the connection's window has room for all of them:
//! a lane that nobody reads holds back nothing but itself. Pulses go first whenever a packet is made. Dropping the writer or
//! the receiver closes the link. Whoever holds one hears of its end within [`IDLE_TIMEOUT`].

use super::{
    ended::{LinkEnded, STOPPED},
    file::LinkFiles,
    incoming::LinkReceiver,
    outgoing::{LinkSender, LinkWriter, outgoing},
};
use crate::core::{Nonce, Side};
use quinn::{Connection, IdleTimeout, RecvStream, SendStream, TransportConfig, VarInt};
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// A link from which nothing comes for so long is dead. Keep-alive packets go three times as often.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(3);

const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Of each stream: what may be under way before its reader reads.
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// Two lanes and two files that nobody reads, and one stream's room beyond.
const RECEIVE_WINDOW: u32 = 5 * STREAM_WINDOW;
/// What may be written and not acknowledged: more than the windows of the streams allow, so that no stream waits for
/// another's acknowledgements.
const SEND_WINDOW: u64 = 8 * STREAM_WINDOW as u64;
/// Streams that the other node may have open: two lanes, two files.
const STREAMS_MAX: u32 = 4;
/// For the first packets only; nodes of a pair are near each other.
const INITIAL_RTT: Duration = Duration::from_millis(50);

/// What there is to know about a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkInfo {
    /// The peer's process.
    pub peer: Nonce,
    /// The version that both speak.
    pub version: u8,
    /// Who called.
    pub dialled_by: Side,
    /// Where the peer is.
    pub address: SocketAddr,
}

/// What a link has done and how well, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkStatistics {
    /// Round trip, as QUIC sees it.
    pub rtt: Duration,
    /// UDP payload sent, bytes.
    pub sent_bytes: u64,
    /// UDP payload received, bytes.
    pub received_bytes: u64,
    /// Packets that had to be sent again.
    pub lost_packets: u64,
    /// Encoded messages that wait for their stream, bytes.
    pub waiting_bytes: usize,
}

/// A link to the peer, greeted and judged.
#[derive(Debug)]
pub struct Link {
    pub(super) info: LinkInfo,
    pub(super) connection: Connection,
    pub(super) pulse: (SendStream, RecvStream),
    pub(super) log: (SendStream, RecvStream),
    pub(super) guard: Guard,
    pub(super) log_queue_bytes: usize,
}

/// The parts of a link, each for its own task.
#[derive(Debug)]
pub struct LinkParts {
    /// Takes messages; cheap to clone.
    pub sender: LinkSender,
    /// Moves them; must be run.
    pub writer: LinkWriter,
    /// Gives the peer's messages.
    pub receiver: LinkReceiver,
    /// Sends and takes files; cheap to clone.
    pub files: LinkFiles,
}

impl Link {
    /// About the link.
    #[must_use]
    pub fn info(&self) -> LinkInfo {
        self.info
    }

    /// Takes it apart.
    #[must_use]
    pub fn split(self) -> LinkParts {
        let Self { connection, pulse, log, guard, log_queue_bytes, .. } = self;
        let (pulse_out, pulse_in) = pulse;
        let (log_out, log_in) = log;
        // A stream that ended already ends the link as soon as it is used.
        let _ = pulse_out.set_priority(PULSE_PRIORITY);
        let _ = log_out.set_priority(LOG_PRIORITY);
        let files = LinkFiles::new(connection.clone());
        let receiver = LinkReceiver::new(connection.clone(), guard, pulse_in, log_in);
        let (sender, writer) = outgoing(connection, pulse_out, log_out, log_queue_bytes);
        LinkParts { sender, writer, receiver, files }
    }
}

/// Streams of higher priority go first; files have the lowest.
const PULSE_PRIORITY: i32 = 2;
const LOG_PRIORITY: i32 = 1;
pub(super) const FILE_PRIORITY: i32 = -1;

/// Closes the connection when it is dropped, unless it is closed already.
#[derive(Debug)]
pub(super) struct Guard(Connection);

impl Guard {
    pub(super) fn new(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// Closes it for this reason.
    pub(super) fn close(&self, ended: &LinkEnded) {
        self.0.close(ended.code(), ended.to_string().as_bytes());
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close(STOPPED, b"");
    }
}

/// The QUIC parameters of a link, the same for both ends.
pub(super) fn transport_config() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_idle_timeout(IdleTimeout::try_from(IDLE_TIMEOUT).ok())
        .datagram_receive_buffer_size(None)
        .initial_rtt(INITIAL_RTT);
    Arc::new(config)
}

//! What the core wants done: data, carried out by the driver in order.

use super::{
    input::{ConnectionId, Lane, ReadId},
    record::ConversationKey,
    replication::PairEffect,
    revoking::RevokeRefused,
};
use bytes::Bytes;
use duet_protocol::Code;

/// A subscription's lane, in one of its runs.
///
/// A run is an unbroken sequence of events. When one finds no room ([`Input::Overflowed`](super::Input::Overflowed))
/// the driver drops what is left of that run, and the core begins a new one where the old one broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// The connection.
    pub connection: ConnectionId,
    /// The lane.
    pub lane: Lane,
    /// The run; grows.
    pub run: u32,
}

/// One entry of the log on its way to the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Its index; contiguous.
    pub index: u64,
    /// Its epoch.
    pub epoch: u64,
    /// The encoded entry.
    pub bytes: Bytes,
    /// The events that it adds to conversations, for history pages.
    pub events: Vec<EventRow>,
}

/// One event of a conversation, as it is stored and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The conversation.
    pub conversation: ConversationKey,
    /// Its position.
    pub seq: u64,
    /// The encoded event: the body of an `Event` frame.
    pub bytes: Bytes,
}

/// A row of the checkpoint: key, and value or deletion.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

/// An order for the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write an entry; answer with `Persisted`.
    Append(Append),
    /// Write the rows that changed up to `index`, in the order of the appends.
    Checkpoint {
        /// The rows are the state after this entry.
        index: u64,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Send a frame on a lane. If there is no room, close the connection as `SLOW`.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: Lane,
        /// The encoded frame.
        frame: Bytes,
    },
    /// Send one event to many lanes; each that has no room is reported with `Overflowed`.
    Deliver {
        /// The event's position.
        seq: u64,
        /// The encoded frame, shared by all.
        frame: Bytes,
        /// The lanes.
        targets: Vec<Target>,
    },
    /// Send a frame to many lanes that may drop it: ephemeral messages.
    Cast {
        /// The encoded frame, shared by all.
        frame: Bytes,
        /// The lanes.
        targets: Vec<Target>,
    },
    /// Send a signal as a datagram; it may be lost.
    Signal {
        /// The encoded frame, shared by all.
        frame: Bytes,
        /// The connections.
        connections: Vec<ConnectionId>,
    },
    /// Read events `after < seq <= upto`, at most about `bytes_max` and at least one; answer with `EventsRead`.
    Read {
        /// Comes back in the answer.
        read: ReadId,
        /// The conversation.
        conversation: ConversationKey,
        /// Exclusive.
        after: u64,
        /// Inclusive.
        upto: u64,
        /// Where to stop.
        bytes_max: usize,
        /// Whether to keep the latest events of the range, when it does not fit, rather than the first.
        latest: bool,
    },
    /// Answers [`Input::Revoke`](super::Input::Revoke): how many sessions ended, once that is as safe as the policy wants.
    Revoked {
        /// Which.
        ask: u64,
        /// The outcome.
        result: Result<u32, RevokeRefused>,
    },
    /// Something for the pair.
    Pair(PairEffect),
    /// Finish the server's side of a lane.
    CloseLane {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: Lane,
    },
    /// Send `Closing` and close the connection.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        code: Code,
        /// For people.
        reason: String,
    },
}

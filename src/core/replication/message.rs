//! What the two nodes say to each other. `src/peer` carries it; order and delivery within one link are kept, a link may end
//! at any message.

use super::cfg::{Cfg, Nonce, StoreId};
use bytes::Bytes;
use duet_protocol::codec::{Decode, Encode};

/// A place in a log: two logs with the same chain at an index are equal up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Position {
    /// Epoch of the entry at `index`.
    pub epoch: u64,
    /// 0 is before the first entry.
    pub index: u64,
    /// The chain after that entry.
    pub chain: u64,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerMessage {
    /// Primary: I reign; answer with `Echo`. Sent every heartbeat, on its own stream, never behind entries.
    Beat(Beat),
    /// Standby: I hear you.
    Echo(Echo),
    /// Primary: entries, in order.
    Append(AppendEntries),
    /// Standby: these are on my disk.
    Acked(Acked),
    /// Standby: the entries that came do not join on to my log; begin again from `Echo`'s places.
    Rewind(Echo),
    /// Anyone: I have seen an epoch above yours.
    Stale {
        /// The highest epoch that the sender has seen.
        max_epoch: u64,
    },
    /// Anyone: the newest value of the register that I have seen, if any. Sent when a link begins and when it changes.
    Told(Option<Cfg>),
    /// Standby: this process stops on purpose; go on without it at once.
    Leaving(Nonce),
    /// Primary: your log cannot be continued; begin anew and take a snapshot.
    Resync {
        /// The reign.
        epoch: u64,
        /// The last reigns of the primary's log, oldest first: epoch, and index of the first entry. They tell the standby
        /// where its own log parts from it. At most [`REIGNS_MAX`](crate::core::REIGNS_MAX).
        reigns: Vec<(u64, u64)>,
    },
}

/// A heartbeat of the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Beat {
    /// The reign.
    pub epoch: u64,
    /// The process that reigns.
    pub holder: Nonce,
    /// Entries up to here are acknowledged.
    pub commit: u64,
    /// The end of the primary's log.
    pub end: u64,
    /// The primary's boot clock when it was sent, milliseconds; comes back in the echo.
    pub sent_ms: u64,
    /// The newest value of the register that the primary knows.
    pub cfg: Cfg,
}

/// A standby's answer to a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Echo {
    /// The reign that the standby follows.
    pub epoch: u64,
    /// The standby's process.
    pub nonce: Nonce,
    /// The standby's store.
    pub store: StoreId,
    /// `sent_ms` of the heartbeat; 0 in a `Rewind`.
    pub sent_ms: u64,
    /// Entries up to here are verified in this epoch and on the standby's disk.
    pub acked: u64,
    /// Where the standby's state stands: everything up to here is committed.
    pub applied: Position,
    /// The end of its log.
    pub end: Position,
}

/// Entries for a standby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendEntries {
    /// The reign.
    pub epoch: u64,
    /// Where the first one joins on.
    pub prev: Position,
    /// Encoded entries, contiguous.
    pub entries: Vec<Bytes>,
    /// Entries up to here are acknowledged.
    pub commit: u64,
}

/// A standby's acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Acked {
    /// The reign in which they were verified.
    pub epoch: u64,
    /// The standby's process.
    pub nonce: Nonce,
    /// Entries up to here are on its disk.
    pub upto: u64,
}

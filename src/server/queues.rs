//! Every queue of the server, with its bound and its policy.
//!
//! | queue | from | to | bound | when full |
//! |---|---|---|---|---|
//! | commands | connections | driver | 1,024 | the connection waits, and stops reading |
//! | facts | store thread, readers, drain | driver | 1,024 | the sender waits; the driver never waits for it |
//! | jobs | driver | store thread | 8,192 | the driver keeps the rest and takes no commands meanwhile |
//! | reads | driver | one reader thread | 256 | the read fails, and its client subscribes again |
//! | links | the pair's port | its task of messages | 2 | the port answers nobody until one is taken |
//! | lanes | driver | the link's streams | 64 pulses, 16 MiB of entries | the message is refused; the peer says where to go on |

use super::driver::{Arrival, Fact};
use crate::{
    core::{Append, ConversationKey, ReadId, Row},
    store::{EventRow, LogItem},
};
use std::sync::mpsc as threads;
use tokio::sync::mpsc as tasks;

/// What connections send to the driver.
pub(super) type Arrivals = tasks::Sender<Arrival>;

/// What threads send to the driver.
pub(super) type Facts = tasks::Sender<Fact>;

/// What the store thread takes.
pub(super) type Jobs = threads::Receiver<Job>;

/// What a reader thread takes.
pub(super) type Reads = threads::Receiver<ReadJob>;

/// Work for the store thread.
#[derive(Debug)]
pub(super) enum Job {
    /// Write an entry.
    Append(Append),
    /// Write state rows.
    Checkpoint {
        /// They are the state after this entry.
        index: u64,
        /// The rows.
        rows: Vec<Row>,
    },
    /// Take back every entry above `after`.
    Truncate {
        /// The last entry that stays.
        after: u64,
    },
    /// Remember the highest epoch that was seen.
    SaveEpoch(u64),
    /// Remember whether this node of a pair may acknowledge alone.
    Alone(bool),
}

/// Work for a reader thread.
#[derive(Debug, Clone, Copy)]
pub(super) enum ReadJob {
    /// Events of a conversation.
    Events(EventsJob),
    /// Entries of the log, for the peer.
    Log {
        /// The first one.
        from: u64,
        /// Where to stop.
        bytes_max: usize,
    },
}

/// Events `after < seq <= upto`.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventsJob {
    pub(super) read: ReadId,
    pub(super) conversation: ConversationKey,
    pub(super) after: u64,
    pub(super) upto: u64,
    pub(super) bytes_max: usize,
    pub(super) latest: bool,
}

pub(super) fn arrivals() -> (Arrivals, tasks::Receiver<Arrival>) {
    tasks::channel(1_024)
}

pub(super) fn facts() -> (Facts, tasks::Receiver<Fact>) {
    tasks::channel(1_024)
}

pub(super) fn jobs() -> (threads::SyncSender<Job>, Jobs) {
    threads::sync_channel(8_192)
}

pub(super) fn reads() -> (threads::SyncSender<ReadJob>, Reads) {
    threads::sync_channel(256)
}

/// What the store writes for an entry.
pub(super) fn log_item(append: Append) -> LogItem {
    let events = append.events.into_iter().map(|row| EventRow {
        tenant: row.conversation.tenant.0,
        conversation: row.conversation.conversation.0,
        seq: row.seq,
        bytes: row.bytes,
    });
    LogItem { index: append.index, epoch: append.epoch, bytes: append.bytes, events: events.collect() }
}

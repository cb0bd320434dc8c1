//! What can go wrong between Duet and its disk, each with a sentence an operator can act on.
//!
//! By whose fault (`StoreError` is always *ours*, never a client's): the caller handed over something that cannot be
//! stored (`Gap`, `TooLarge`, `Refused`, `Exporting`, `Occupied`: nothing was written, the writer stays usable), the disk is nearly full
//! (`ReadOnly`: nothing was written, it passes by itself when space returns), or the disk or the database failed
//! (`Io`, `Corrupt`, then `Poisoned` for every later call: a failed sync is never retried, because the kernel may
//! have dropped the very pages that did not reach the disk).

use std::io;
use std::path::PathBuf;

/// What an operator does about a damaged store when there is a second copy or a backup.
pub(super) const RESTORE: &str = "keep the directory as it is, start with a restored backup or an empty directory that syncs from the peer";

/// A refusal or a failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has this store open.
    #[error("the store in {} is in use by another process: stop that process, or give this one its own directory", dir.display())]
    Busy {
        /// The store's directory.
        dir: PathBuf,
    },
    /// Stored data contradicts itself, or less is there than was acknowledged.
    #[error("the store is damaged: {what}: {advice}")]
    Corrupt {
        /// What was found, and where.
        what: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// Too little disk space is left to write safely; nothing was written.
    #[error(
        "the store is read-only: {free} bytes free on its disk, {floor} are required: free some space or enlarge the disk"
    )]
    ReadOnly {
        /// Bytes free for this process on the store's file system.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
    /// An earlier call failed in a way that cannot be retried; restart the process once the cause is gone.
    #[error("the store stopped writing after an earlier failure ({cause}): remove the cause, then restart")]
    Poisoned {
        /// The first failure, as text.
        cause: String,
    },
    /// The operating system refused an operation.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A log index that does not follow the last one; nothing was written.
    #[error("log entry {found} was offered where {expected} must follow")]
    Gap {
        /// The index that must come next.
        expected: u64,
        /// The index that came.
        found: u64,
    },
    /// Log entries that are no longer stored; a peer that needs them takes a snapshot instead.
    #[error("the log is stored from entry {first} on")]
    Truncated {
        /// Lowest index still stored.
        first: u64,
    },
    /// A key, value or list above its limit; nothing was written.
    #[error("{what} has {found}, at most {max} fit")]
    TooLarge {
        /// What is too large, with its unit.
        what: &'static str,
        /// Its size.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// The store was written by a newer Duet.
    #[error(
        "the store has format {found}, this version knows {known}: use the version of Duet that wrote it, or a newer one"
    )]
    Format {
        /// The format version on disk.
        found: u32,
        /// The newest version this code reads.
        known: u32,
    },
    /// Another part of this process reads the state rows for a snapshot, or makes one; nothing was written, it passes.
    #[error("a snapshot is being made: try again when it is done")]
    Exporting,
    /// A snapshot that was given up before it was whole.
    #[error("the snapshot was given up: {what}")]
    Interrupted {
        /// Why.
        what: &'static str,
    },
    /// A file that is no whole snapshot; nothing of it was taken.
    #[error("the snapshot cannot be used: {what}: take another one")]
    Snapshot {
        /// What was found.
        what: String,
    },
    /// A snapshot was to be brought to where a store with entries, or something else, already lies.
    #[error("{} already holds something: move it away first", dir.display())]
    Occupied {
        /// The directory.
        dir: PathBuf,
    },
    /// A request that contradicts what is stored; nothing was written.
    #[error("refused: {what}")]
    Refused {
        /// Why.
        what: &'static str,
    },
}

impl StoreError {
    /// True when the writer must not be used again: the disk or the database failed.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Io { .. } | Self::Poisoned { .. })
    }

    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into(), advice: RESTORE }
    }

    pub(super) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }

    pub(super) fn sled(what: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |error| match error {
            sled::Error::Io(source) => Self::Io { what, source },
            other => Self::corrupt(format!("{what}: {other}")),
        }
    }
}

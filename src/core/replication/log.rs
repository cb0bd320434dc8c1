//! The end of the log that is held in memory: where it stands, what of it is durable, what a standby has not folded yet.
//!
//! ```text
//!   … checkpoint … base │ first … last = end
//!   on disk only        │ in memory: on a standby not folded yet; on a primary what the peer may still need
//! ```

use super::message::Position;
use crate::core::record::Entry;
use bytes::Bytes;
use std::collections::VecDeque;

/// An entry with its place.
#[derive(Debug, Clone)]
pub(super) struct Logged {
    pub(super) at: Position,
    pub(super) bytes: Bytes,
}

/// The end of the log.
#[derive(Debug)]
pub(super) struct LogEnd {
    /// Right before the first entry in memory.
    base: Position,
    entries: VecDeque<Logged>,
    bytes: usize,
    durable: u64,
    /// Truncations on their way to the disk: reports of durability are of an older log until they are done.
    truncating: u32,
}

impl LogEnd {
    /// A log of which everything in `entries` is durable.
    pub(super) fn durable(base: Position, entries: impl IntoIterator<Item = Logged>) -> Self {
        let mut log = Self { base, entries: VecDeque::new(), bytes: 0, durable: base.index, truncating: 0 };
        for entry in entries {
            log.push(entry);
        }
        log.durable = log.end().index;
        log
    }

    pub(super) fn base(&self) -> Position {
        self.base
    }

    pub(super) fn end(&self) -> Position {
        self.entries.back().map_or(self.base, |last| last.at)
    }

    /// Entries up to here are on this node's disk.
    pub(super) fn durable_index(&self) -> u64 {
        self.durable
    }

    /// The position at an index, if it is in memory.
    pub(super) fn position(&self, index: u64) -> Option<Position> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| entry.at)
    }

    /// Every entry in memory.
    pub(super) fn all(&self) -> impl Iterator<Item = Bytes> {
        self.entries.iter().map(|entry| entry.bytes.clone())
    }

    /// Every place in memory.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.entries.iter().map(|entry| entry.at)
    }

    pub(super) fn entry(&self, index: u64) -> Option<&Logged> {
        let place = index.checked_sub(self.base.index + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: Logged) {
        assert_eq!(entry.at.index, self.end().index + 1, "the log has a hole");
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
    }

    /// Takes back what lies above `after`.
    pub(super) fn cut(&mut self, after: u64, keeps_durable: bool) {
        assert!(after >= self.base.index, "what was folded cannot be taken back");
        while self.end().index > after {
            let gone = self.entries.pop_back();
            self.bytes -= gone.map_or(0, |gone| gone.bytes.len());
        }
        self.truncating += 1;
        if !keeps_durable {
            self.durable = self.durable.min(after);
        }
    }

    /// A truncation is done.
    pub(super) fn truncated(&mut self) {
        self.truncating = self.truncating.saturating_sub(1);
    }

    /// The disk reports that entries up to `upto` are durable.
    pub(super) fn persisted(&mut self, upto: u64, believes_all: bool) {
        if self.truncating == 0 || believes_all {
            self.durable = self.durable.max(upto.min(self.end().index));
        }
    }

    /// Lets go of the first entry.
    pub(super) fn pop_first(&mut self) -> Option<Logged> {
        let first = self.entries.pop_front()?;
        self.bytes -= first.bytes.len();
        self.base = first.at;
        Some(first)
    }

    /// Lets go of entries up to `upto` as long as more than `bytes_max` are held.
    pub(super) fn shed(&mut self, upto: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.base.index < upto {
            if self.pop_first().is_none() {
                return;
            }
        }
    }
}

impl Logged {
    /// An entry that is decoded already.
    pub(super) fn of(entry: &Entry, bytes: Bytes) -> Self {
        let chain = Entry::chain_after(entry.chain_before, &bytes);
        Self { at: Position { epoch: entry.epoch, index: entry.index, chain }, bytes }
    }
}

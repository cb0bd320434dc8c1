//! The one writer: groups of log entries, checkpoints, truncation at both ends, small synced values.
//!
//! A call returns when its work survives a power cut. The writer is moved into the one thread that the server gives
//! it; every method blocks that thread on the disk.
//!
//! ```text
//!   usable ──(ReadOnly, Gap, TooLarge, Refused: nothing written)──► usable
//!     └─────(Io, Corrupt: from the disk or the database)──► poisoned ──(every call)──► Poisoned
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sled::Batch;

use super::acknowledged::{Acknowledged, Life};
use super::checkpoint::{Delta, Head, StateChange};
use super::database::Database;
use super::entry::{self, GROUP_ENTRIES_MAX, LogItem, limit};
use super::error::StoreError;
use super::marks::{self, Marks, Retention};
use super::space::Space;
use super::{key, meta, row};

/// Most bytes of entries and events that are written between two barriers; larger groups pass several.
const SLICE_BYTES: usize = 512 * 1024;
/// Entries removed by one truncating batch.
const TRUNCATE_ENTRIES: usize = 1_000;

/// Writes to the store. There is one.
#[derive(Debug)]
pub struct Writer {
    database: Arc<Database>,
    acknowledged: Acknowledged,
    space: Space,
    head: Head,
    marks: Marks,
    last: u64,
    poisoned: Option<String>,
}

/// A group that survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable {
    /// Every entry up to this index is durable.
    pub upto: u64,
    /// Entries in this group.
    pub entries: usize,
    /// Bytes of entries and events in this group, before sled's overhead.
    pub bytes: usize,
    /// Time spent in durability barriers.
    pub barrier: Duration,
    /// Time spent in the whole call.
    pub took: Duration,
}

/// A checkpoint that survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpointed {
    /// The state rows are the fold of the log up to this index.
    pub index: u64,
    /// Rows that were offered.
    pub rows: usize,
    /// Time spent.
    pub took: Duration,
}

/// What a truncation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated {
    /// Entries removed by this call.
    pub removed: u64,
    /// Lowest index still stored.
    pub first: u64,
    /// True when another call would remove more.
    pub more: bool,
}

impl Writer {
    pub(super) fn new(
        database: Arc<Database>,
        acknowledged: Acknowledged,
        head: Head,
        marks: Marks,
        last: u64,
    ) -> Self {
        let space = Space::new(database.directory().path(), database.free_floor());
        Self { database, acknowledged, space, head, marks, last, poisoned: None }
    }

    /// Index of the last entry; 0 while the log is empty.
    pub fn last_index(&self) -> u64 {
        self.last
    }

    /// Lowest index still stored; one above the last while the log is empty.
    pub fn first_index(&self) -> u64 {
        self.database.first()
    }

    /// Index of the checkpoint; 0 before the first.
    pub fn checkpoint_index(&self) -> u64 {
        self.head.index
    }

    /// The lowest index that [`truncate_front`](Self::truncate_front) is to keep.
    pub fn keep_from(&self, retention: &Retention) -> u64 {
        self.marks.keep_from(self.head.index, retention)
    }

    /// Whether writing may go on below the floor of free space, down to half of it: for what was taken before the floor
    /// was reached, and for nothing else.
    pub fn use_reserve(&mut self, reserve: bool) {
        self.space.use_reserve(reserve);
    }

    /// Whether as much is free as the floor asks.
    ///
    /// # Errors
    /// `Io` when the file system does not answer.
    pub fn is_above_floor(&self) -> Result<bool, StoreError> {
        self.space.is_above_floor()
    }

    /// Writes a group of consecutive entries and returns when all of them are durable. The group is atomic against a
    /// crash in slices of 512 KiB: after a crash a prefix of it may be there.
    ///
    /// # Errors
    /// Nothing written: `Gap`, `TooLarge` (more than [`GROUP_ENTRIES_MAX`] entries, an entry or event above its limit),
    /// `ReadOnly`, `Poisoned`. Unknown how much was written, writer poisoned: `Io`, `Corrupt`.
    pub fn commit(&mut self, group: &[LogItem]) -> Result<Durable, StoreError> {
        let start = Instant::now();
        limit("a commit group, in entries,", group.len(), GROUP_ENTRIES_MAX)?;
        for (expected, item) in (self.last + 1..).zip(group) {
            if item.index != expected {
                return Err(StoreError::Gap { expected, found: item.index });
            }
            item.check()?;
            limit("a log entry with its events, in bytes,", item.stored_bytes(), SLICE_BYTES)?;
        }
        self.usable()?;
        self.space.require(group.iter().map(LogItem::stored_bytes).sum())?;
        let (mut bytes, mut barrier) = (0, Duration::ZERO);
        let mut rest = group;
        while !rest.is_empty() {
            let (slice, slice_bytes) = first_slice(rest);
            rest = &rest[slice.len()..];
            bytes += slice_bytes;
            let passed = self.write_slice(slice);
            barrier += self.sealed(passed)?;
        }
        Ok(Durable { upto: self.last, entries: group.len(), bytes, barrier, took: start.elapsed() })
    }

    /// Call when no group has come for a while: makes the acknowledged-index file as new as the log even for a power
    /// cut. Cheap when there is nothing to do.
    ///
    /// # Errors
    /// `Poisoned`, `Io`.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        let settled = self.acknowledged.settle();
        self.sealed(settled)
    }

    /// Makes the state rows the fold of the log up to `index`: writes rows with a value, removes rows without one,
    /// all or nothing even when the process dies in the middle. Of two changes of one key the last counts. Deltas of up
    /// to 512 rows and 512 KiB cost one batch; larger ones are written twice and block the caller longer.
    ///
    /// # Errors
    /// Nothing written: `Refused` (`index` below the last checkpoint or above the log, empty key), `TooLarge`,
    /// `ReadOnly`, `Poisoned`, `Exporting` (an export reads the state rows: offer these changes again with the next ones).
    /// Writer poisoned: `Io`, `Corrupt`.
    pub fn checkpoint(&mut self, index: u64, changes: &[StateChange]) -> Result<Checkpointed, StoreError> {
        let start = Instant::now();
        if index < self.head.index || index > self.last {
            return Err(StoreError::Refused {
                what: "a checkpoint lies between the last one and the end of the log",
            });
        }
        self.usable()?;
        let database = Arc::clone(&self.database);
        let _state_rows = database.guard.try_state_rows()?;
        let size = |(key, value): &StateChange| key.len() + value.as_ref().map_or(0, Vec::len);
        self.space.require(changes.iter().map(size).sum())?;
        let delta = Delta::new(&self.database.tree, &self.head, index, changes);
        let delta = self.sealed(delta)?;
        let written = delta.write(&self.database);
        self.head = self.sealed(written)?;
        Ok(Checkpointed { index, rows: changes.len(), took: start.elapsed() })
    }

    /// Whether a checkpoint would find the state rows free: no export reads them.
    pub fn can_checkpoint(&self) -> bool {
        self.database.guard.try_state_rows().is_ok()
    }

    /// Removes up to 1,000 entries below `keep_from`, the checkpoint index and everything that a [`LogHold`] keeps; events
    /// stay. Call again between groups while the answer says `more`.
    ///
    /// [`LogHold`]: super::LogHold
    ///
    /// # Errors
    /// `Poisoned`; writer poisoned: `Io`, `Corrupt`.
    pub fn truncate_front(&mut self, keep_from: u64) -> Result<Truncated, StoreError> {
        self.usable()?;
        let first = self.database.first();
        let mut end = keep_from.min(self.head.index);
        // Readers that start below the new first entry are refused before the first row goes.
        let until = self.database.guard.move_first(&self.database, |held| {
            end = end.min(held);
            end.min(first + TRUNCATE_ENTRIES as u64)
        });
        if until <= first {
            return Ok(Truncated { removed: 0, first, more: false });
        }
        let removed = self.remove_entries(first, until, false);
        self.sealed(removed)?;
        Ok(Truncated { removed: until - first, first: until, more: until < end })
    }

    /// Takes back every entry above `after` together with its events, because the primary's log says otherwise. The
    /// acknowledged index is lowered first; a crash in the middle leaves a shorter, contiguous log.
    ///
    /// # Errors
    /// Nothing removed: `Refused` (`after` lies below the checkpoint or below the first entry), `Poisoned`. Writer
    /// poisoned: `Io`, `Corrupt`.
    pub fn truncate_back(&mut self, after: u64) -> Result<Truncated, StoreError> {
        self.usable()?;
        let first = self.database.first();
        if after < self.head.index || after + 1 < first {
            return Err(StoreError::Refused { what: "entries below the checkpoint cannot be taken back" });
        }
        let removed = self.last.saturating_sub(after);
        let result = self.take_back(after);
        self.sealed(result)?;
        Ok(Truncated { removed, first, more: false })
    }

    /// Reads a small value that was stored with [`meta_set`](Self::meta_set).
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn meta_get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        meta::get(&self.database, name)
    }

    /// Stores a small value (at most 64 KiB) under a name (at most 64 bytes), durable on return.
    ///
    /// # Errors
    /// Nothing written: `TooLarge`, `ReadOnly`, `Poisoned`. Writer poisoned: `Io`, `Corrupt`.
    pub fn meta_set(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        meta::check(name, value)?;
        self.usable()?;
        self.space.require(value.len())?;
        let set = meta::set(&self.database, name, value);
        self.sealed(set)
    }

    fn write_slice(&mut self, slice: &[LogItem]) -> Result<Duration, StoreError> {
        let mut batch = Batch::default();
        let (mut bytes, mut last) = (0, self.last);
        for item in slice {
            let value = item.encode();
            (bytes, last) = (bytes + marks::entry_bytes(value.len()), item.index);
            row::put(&mut batch, &key::log(item.index), &value);
            for event in &item.events {
                row::put(&mut batch, &key::event(event.tenant, &event.conversation, event.seq), &event.bytes);
            }
        }
        self.marks.count(&mut batch, last, bytes);
        self.database.apply(batch)?;
        let barrier = self.database.barrier()?;
        self.last = last;
        self.database.set_durable(self.last);
        self.acknowledged.record(self.last)?;
        Ok(barrier)
    }

    fn take_back(&mut self, after: u64) -> Result<(), StoreError> {
        if after >= self.last {
            return Ok(());
        }
        self.database.guard.take_back();
        self.acknowledged.declare(Life::Live, after.min(self.acknowledged.index()))?;
        self.database.set_durable(after);
        let mut end = self.last + 1;
        while end > after + 1 {
            let start = (after + 1).max(end.saturating_sub(TRUNCATE_ENTRIES as u64));
            self.remove_entries(start, end, true)?;
            end = start;
            self.last = end - 1;
        }
        self.marks = Marks::load(&self.database, self.database.first())?;
        Ok(())
    }

    /// Removes the entries of `start..end` in one batch, with or without their events.
    fn remove_entries(&mut self, start: u64, end: u64, with_events: bool) -> Result<(), StoreError> {
        let database = Arc::clone(&self.database);
        let tree = &database.tree;
        let mut batch = Batch::default();
        for found in tree.range(key::log(start)..key::log(end)) {
            let (log_key, stored) = found.map_err(StoreError::sled("reading entries to remove"))?;
            if with_events {
                let value = row::join(tree, &log_key, &stored)?;
                let index = key::log_index(&log_key).unwrap_or_default();
                for position in entry::decode(index, value)?.1 {
                    let event_key = key::event(position.tenant, &position.conversation, position.seq);
                    if let Some(head) =
                        tree.get(event_key).map_err(StoreError::sled("reading an event to remove"))?
                    {
                        row::remove(&mut batch, &event_key, &head);
                    }
                }
            }
            row::remove(&mut batch, &log_key, &stored);
        }
        if with_events {
            self.marks.cut_back(&mut batch, start);
        } else {
            self.marks.cut_front(&mut batch, end);
        }
        self.database.apply(batch)?;
        self.database.barrier().map(drop)
    }

    fn usable(&self) -> Result<(), StoreError> {
        match &self.poisoned {
            Some(cause) => Err(StoreError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// Poisons the writer when a result says that the disk or the database failed.
    fn sealed<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(error) = &result
            && error.is_fatal()
        {
            tracing::error!(%error, "the store stops writing");
            self.poisoned = Some(error.to_string());
        }
        result
    }
}

/// The longest start of a group that stays within one slice, at least one entry, and its bytes.
fn first_slice(group: &[LogItem]) -> (&[LogItem], usize) {
    let mut bytes = 0;
    for (at, item) in group.iter().enumerate() {
        let with_item = bytes + item.stored_bytes();
        if at > 0 && with_item > SLICE_BYTES {
            return (&group[..at], bytes);
        }
        bytes = with_item;
    }
    (group, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Opened, Store, StoreOptions};

    #[test]
    fn after_a_failure_of_the_disk_every_call_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { mut writer, .. } = Store::open(dir.path(), options).unwrap();
        let item = |index| LogItem { index, epoch: 1, bytes: Bytes::from_static(b"x"), events: Vec::new() };
        writer.commit(&[item(1)]).unwrap();
        let failed = StoreError::Io { what: "syncing", source: std::io::Error::from_raw_os_error(5) };
        assert!(writer.sealed::<()>(Err(failed)).is_err());
        let poisoned = |result: Result<(), StoreError>| matches!(result, Err(StoreError::Poisoned { .. }));
        assert!(poisoned(writer.commit(&[item(2)]).map(drop)));
        assert!(poisoned(writer.checkpoint(1, &[]).map(drop)));
        assert!(poisoned(writer.truncate_front(1).map(drop)));
        assert!(poisoned(writer.truncate_back(1).map(drop)));
        assert!(poisoned(writer.meta_set("a", b"b")));
        assert!(poisoned(writer.settle()));
        let Err(StoreError::Poisoned { cause }) = writer.commit(&[item(2)]) else { panic!("still poisoned") };
        assert!(cause.contains("syncing"), "{cause}");
    }

    #[test]
    fn a_slice_holds_at_least_one_entry_and_no_more_than_its_bytes() {
        let item =
            |bytes| LogItem { index: 1, epoch: 1, bytes: Bytes::from(vec![0; bytes]), events: Vec::new() };
        let group = [item(SLICE_BYTES), item(10), item(SLICE_BYTES / 2), item(SLICE_BYTES / 2)];
        assert_eq!(first_slice(&group).0.len(), 1);
        assert_eq!(first_slice(&group[1..]).0.len(), 2);
        assert_eq!(first_slice(&group[3..]).0.len(), 1);
    }
}

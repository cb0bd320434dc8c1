//! How much of the log is how old: what the front of the log is cut by.
//!
//! A peer that was away for a while catches up from the log, so as much of it is kept as that is worth: so many bytes, so
//! many hours. Counting the bytes of a long log at every start would read all of it. So the writer leaves a mark behind
//! every [`MARK_BYTES`] or [`MARK_EVERY`]: up to this entry the log has grown by so many bytes since the mark before, at
//! this time. A start reads the marks and counts what lies behind the last.
//!
//! Promises: what is kept never exceeds the bytes asked for, but for entries that the checkpoint or a hold still needs.
//! Bytes are those of keys and values before sled's own overhead; a piece of the log goes when its newest entry is too old.
//!
//! Value of a mark, under the index of its last entry: `at_ms u64 ‖ bytes u64`.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Buf as _;
use sled::Batch;

use super::database::Database;
use super::error::StoreError;
use super::{key, row};

/// How much of the log is kept behind the checkpoint; the narrowest of the three counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At most so many entries up to the checkpoint.
    pub entries: u64,
    /// At most so many bytes of entries.
    pub bytes: u64,
    /// Entries at most so old, by this machine's clock.
    pub age: Duration,
}

/// The marks of the stored log, in memory.
#[derive(Debug)]
pub(super) struct Marks {
    marks: VecDeque<Mark>,
    /// Bytes of all marks together.
    marked: u64,
    /// Bytes behind the last mark.
    open: u64,
    marked_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The last entry that it counts.
    index: u64,
    /// When it was left, Unix milliseconds.
    at_ms: u64,
    /// What the entries since the mark before take.
    bytes: u64,
}

impl Marks {
    /// Reads the marks of a store, and counts the entries behind the last.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(super) fn load(database: &Database, first: u64) -> Result<Self, StoreError> {
        let tree = &database.tree;
        let mut loaded = Self { marks: VecDeque::new(), marked: 0, open: 0, marked_at: Instant::now() };
        for found in tree.range(key::mark(first)..=key::mark(u64::MAX)) {
            let (mark_key, stored) = found.map_err(StoreError::sled("reading marks of the log"))?;
            let value = row::join(tree, &mark_key, &stored)?;
            loaded.push(Mark::decode(&mark_key, &value)?);
        }
        let from = loaded.marks.back().map_or(first, |mark| mark.index + 1);
        for found in tree.range(key::log(from)..=key::log(u64::MAX)) {
            let (log_key, stored) = found.map_err(StoreError::sled("counting the log"))?;
            loaded.open += entry_bytes(row::join(tree, &log_key, &stored)?.len());
        }
        Ok(loaded)
    }

    /// Counts a slice of the log that the batch writes up to `index`, and leaves a mark when it is time.
    pub(super) fn count(&mut self, batch: &mut Batch, index: u64, values: u64) {
        self.open += values;
        if self.open >= MARK_BYTES || self.marked_at.elapsed() >= MARK_EVERY {
            let mark = Mark { index, at_ms: now_ms(), bytes: self.open };
            row::put(batch, &key::mark(index), &mark.encode());
            self.push(mark);
            (self.open, self.marked_at) = (0, Instant::now());
        }
    }

    /// Removes the marks of entries that go from the front, all below `until`.
    pub(super) fn cut_front(&mut self, batch: &mut Batch, until: u64) {
        while let Some(mark) = self.marks.front().filter(|mark| mark.index < until) {
            batch.remove(&key::mark(mark.index));
            self.marked -= mark.bytes;
            self.marks.pop_front();
        }
    }

    /// Removes the marks of entries that are taken back, all from `from` on. What is left is counted by
    /// [`load`](Self::load).
    pub(super) fn cut_back(&mut self, batch: &mut Batch, from: u64) {
        while let Some(mark) = self.marks.back().filter(|mark| mark.index >= from) {
            batch.remove(&key::mark(mark.index));
            self.marked -= mark.bytes;
            self.marks.pop_back();
        }
    }

    /// The lowest index that is kept of a log with a checkpoint at `checkpoint`.
    pub(super) fn keep_from(&self, checkpoint: u64, retention: &Retention) -> u64 {
        let oldest_ms = now_ms().saturating_sub(u64::try_from(retention.age.as_millis()).unwrap_or(u64::MAX));
        let mut bytes = self.marked + self.open;
        let mut from = (checkpoint + 1).saturating_sub(retention.entries);
        for mark in &self.marks {
            if bytes <= retention.bytes && mark.at_ms >= oldest_ms {
                break;
            }
            bytes -= mark.bytes;
            from = from.max(mark.index + 1);
        }
        from
    }

    fn push(&mut self, mark: Mark) {
        self.marked += mark.bytes;
        self.marks.push_back(mark);
    }
}

impl Mark {
    fn encode(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.at_ms.to_be_bytes());
        bytes[8..].copy_from_slice(&self.bytes.to_be_bytes());
        bytes
    }

    fn decode(mark_key: &[u8], mut value: &[u8]) -> Result<Self, StoreError> {
        let broken = || StoreError::corrupt("a mark of the log is cut short");
        let index = key::mark_index(mark_key).ok_or_else(broken)?;
        let at_ms = value.try_get_u64().map_err(|_| broken())?;
        Ok(Self { index, at_ms, bytes: value.try_get_u64().map_err(|_| broken())? })
    }
}

/// What an entry with a value of that length takes.
pub(super) fn entry_bytes(value: usize) -> u64 {
    (key::log(0).len() + value) as u64
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

const MARK_BYTES: u64 = 1024 * 1024;
const MARK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::store::{LogItem, Opened, Store, StoreOptions};

    const NONE: Retention = Retention { entries: u64::MAX, bytes: u64::MAX, age: Duration::MAX };

    fn item(index: u64) -> LogItem {
        LogItem { index, epoch: 1, bytes: Bytes::from(vec![7; 30_000]), events: Vec::new() }
    }

    fn stored_bytes(opened: &Opened) -> u64 {
        let rows = opened.recovered.database.tree.scan_prefix([key::LOG]);
        let pieces = opened.recovered.database.tree.scan_prefix([key::PIECE, key::LOG]);
        rows.chain(pieces).map(|row| row.unwrap().1.len() as u64).sum()
    }

    #[test]
    fn no_more_of_the_log_is_kept_than_the_bytes_that_were_asked_for_whether_reopened_or_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, device_sync: false, ..StoreOptions::default() };
        let retention = Retention { bytes: 3 * MARK_BYTES, ..NONE };
        let mut opened = Store::open(dir.path(), options).unwrap();
        for round in 1..=12 {
            let first = opened.writer.last_index() + 1;
            for at in 0..3 {
                let items: Vec<_> = (first + at * 10..first + at * 10 + 10).map(item).collect();
                opened.writer.commit(&items).unwrap();
            }
            if round % 4 == 0 {
                opened.writer.truncate_back(opened.writer.last_index() - 7).unwrap();
            }
            let last = opened.writer.last_index();
            opened.writer.checkpoint(last, &[]).unwrap();
            if round % 3 == 0 {
                drop(opened);
                opened = Store::open(dir.path(), options).unwrap();
            }
            let (from, before) = (opened.writer.keep_from(&retention), opened.writer.first_index());
            while opened.writer.truncate_front(from).unwrap().more {}
            let stored = stored_bytes(&opened);
            assert!(stored <= retention.bytes, "round {round}: {stored} bytes");
            assert!(round < 5 || stored > MARK_BYTES, "round {round}: only {stored} bytes");
            assert_eq!(opened.writer.first_index(), from.max(before), "round {round}");
        }
        let marks = opened.recovered.database.tree.scan_prefix([key::MARK]).count();
        assert!(marks <= 3, "{marks} marks: those of removed entries went with them");
    }

    #[test]
    fn what_is_too_old_or_too_many_goes_and_without_a_bound_everything_stays() {
        let mut marks = Marks { marks: VecDeque::new(), marked: 0, open: 5, marked_at: Instant::now() };
        for (index, age_ms) in [(10, 3_600_000), (20, 1_800_000), (30, 0)] {
            marks.push(Mark { index, at_ms: now_ms() - age_ms, bytes: 100 });
        }
        assert_eq!(marks.keep_from(35, &NONE), 0);
        assert_eq!(marks.keep_from(35, &Retention { age: Duration::from_secs(2_700), ..NONE }), 11);
        assert_eq!(marks.keep_from(35, &Retention { age: Duration::from_secs(900), ..NONE }), 21);
        assert_eq!(marks.keep_from(35, &Retention { entries: 8, ..NONE }), 28);
        assert_eq!(marks.keep_from(35, &Retention { bytes: 305, ..NONE }), 0);
        assert_eq!(marks.keep_from(35, &Retention { bytes: 304, ..NONE }), 11);
        assert_eq!(
            marks.keep_from(35, &Retention { bytes: 4, ..NONE }),
            31,
            "what lies behind the last mark stays"
        );
    }
}

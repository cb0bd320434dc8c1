//! What a store holds when it is opened: the checkpoint's rows and the log after it, read as they are asked for.
//!
//! Both iterators check what they pass (checksums, contiguous indexes, the digest of each family of rows) and end after
//! the first error. A caller that has read both to the end without an error has the whole state.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sled::Iter;

use super::checkpoint::{Family, Head};
use super::database::Database;
use super::entry::LogEntry;
use super::error::StoreError;
use super::reader::read_entry;
use super::{key, row};

/// What was found on opening.
#[derive(Debug)]
pub struct Recovered {
    /// The node's identity: 16 random bytes minted when the store was created.
    pub node: [u8; 16],
    /// True when this call created the store.
    pub created: bool,
    /// The state rows are the fold of the log up to this index; 0 before the first checkpoint.
    pub checkpoint: u64,
    /// Lowest log index still stored; one above the last while the log is empty.
    pub first_index: u64,
    /// Highest log index; 0 while the log is empty.
    pub last_index: u64,
    /// What the acknowledged-index file said; at most `last_index`.
    pub acknowledged: u64,
    pub(super) database: Arc<Database>,
    pub(super) head: Head,
}

impl Recovered {
    /// The first bytes of the keys of state rows, in order.
    pub fn families(&self) -> impl Iterator<Item = u8> + '_ {
        self.head.families.keys().copied()
    }

    /// Every state row of the checkpoint, in key order.
    pub fn state(&self) -> StateRows {
        StateRows::new(&self.database, self.head.families.clone(), &[])
    }

    /// The state rows whose keys begin with `family`, in key order.
    pub fn state_family(&self, family: u8) -> StateRows {
        let expected = self.head.families.get(&family).copied().unwrap_or_default();
        StateRows::new(&self.database, BTreeMap::from([(family, expected)]), &[family])
    }

    /// The log entries after the checkpoint, in order.
    pub fn log(&self) -> LogEntries {
        LogEntries::new(Arc::clone(&self.database), self.checkpoint + 1, self.last_index)
    }
}

/// State rows, key and value, checked.
pub struct StateRows {
    database: Arc<Database>,
    rows: Iter,
    expected: BTreeMap<u8, Family>,
    found: BTreeMap<u8, Family>,
    done: bool,
}

impl StateRows {
    pub(super) fn new(database: &Arc<Database>, expected: BTreeMap<u8, Family>, prefix: &[u8]) -> Self {
        let rows = database.tree.scan_prefix(key::state(prefix));
        Self { database: Arc::clone(database), rows, expected, found: BTreeMap::new(), done: false }
    }

    fn next_row(&mut self) -> Result<Option<(Vec<u8>, Bytes)>, StoreError> {
        let Some(found) = self.rows.next() else {
            self.expected.retain(|_, family| family.rows > 0);
            if self.found == self.expected {
                return Ok(None);
            }
            return Err(StoreError::corrupt("the state rows are not those that the checkpoint wrote"));
        };
        let (state_key, stored) = found.map_err(StoreError::sled("reading state rows"))?;
        let value = row::join(&self.database.tree, &state_key, &stored)?;
        let key = state_key[1..].to_vec();
        let family = key.first().copied().ok_or_else(|| StoreError::corrupt("a state row without a key"))?;
        self.found.entry(family).or_default().add_row(&key, &value);
        Ok(Some((key, value)))
    }
}

impl Iterator for StateRows {
    type Item = Result<(Vec<u8>, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.next_row();
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// Log entries in order, contiguous, checked.
pub struct LogEntries {
    database: Arc<Database>,
    rows: Iter,
    next: u64,
    upto: u64,
    done: bool,
}

impl LogEntries {
    pub(super) fn new(database: Arc<Database>, from: u64, upto: u64) -> Self {
        let rows = database.tree.range(key::log(from)..=key::log(upto.max(from)));
        Self { database, rows, next: from, upto, done: from > upto }
    }

    fn next_entry(&mut self) -> Result<LogEntry, StoreError> {
        let missing = || StoreError::corrupt(format!("log entry {} is missing", self.next));
        let (log_key, stored) =
            self.rows.next().ok_or_else(missing)?.map_err(StoreError::sled("reading the log"))?;
        if key::log_index(&log_key) != Some(self.next) {
            return Err(missing());
        }
        read_entry(&self.database, &log_key, &stored)
    }
}

impl Iterator for LogEntries {
    type Item = Result<LogEntry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let entry = self.next_entry();
        self.done = entry.is_err() || self.next == self.upto;
        self.next += 1;
        Some(entry)
    }
}

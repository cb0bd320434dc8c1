//! The checkpoint: state rows that are exactly the fold of the log up to one index.
//!
//! A checkpoint is a delta: rows to write and rows to remove. A small one is one batch together with the checkpoint
//! head. A large one does not fit a batch (a batch blocks every reader), so it is staged:
//!
//! ```text
//!  rows of the delta ──► staged rows, batch by batch          crash here: the old checkpoint is whole; they are removed
//!                        marker {count, new head}, one batch  crash after: the new one is finished at the next open
//!  staged rows ─────────► state rows, batch by batch (each batch moves its rows: staged away, state written)
//!                        head written, marker removed, with the last batch
//! ```
//!
//! sled recovers a prefix of its batches, so this order is all that is needed.
//!
//! The head keeps a count and a digest (wrapping sum of one xxh3 hash a row) for each *family*, which is the first byte
//! of a row's key. A row that sled lost, kept by mistake or brought back is found when the family is read at start.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes};
use sled::{Batch, IVec, Tree};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::database::Database;
use super::entry::limit;
use super::error::StoreError;
use super::{key, row};

/// Longest key of a state row; its first byte is the family.
pub const STATE_KEY_BYTES_MAX: usize = 128;
/// Longest value of a state row.
pub const STATE_VALUE_BYTES_MAX: usize = 512 * 1024;
/// Most bytes and rows that go into one batch; a delta within both is written without staging.
const BATCH_BYTES: usize = 512 * 1024;
const BATCH_ROWS: usize = 512;

const HEAD_NAME: &str = "checkpoint";
const MARKER_NAME: &str = "staged";
const FAMILY_BYTES: usize = 17;

/// One change of a checkpoint: the key of a state row, and its new value or nothing to remove it.
pub type StateChange = (Vec<u8>, Option<Vec<u8>>);

/// The index of the checkpoint and what its rows must add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) index: u64,
    pub(super) families: BTreeMap<u8, Family>,
}

/// What the rows of a family add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Family {
    pub(super) rows: u64,
    pub(super) digest: u64,
}

/// A checked delta, ready to be written.
pub(super) struct Delta {
    head: Head,
    changes: Vec<Change>,
    bytes: usize,
}

struct Change {
    state_key: Vec<u8>,
    value: Option<Bytes>,
}

impl Delta {
    /// Compares the changes with what is stored, and computes the head that follows from them.
    ///
    /// # Errors
    /// `TooLarge`, `Refused` (empty key); `Io`, `Corrupt` when an old row cannot be read.
    pub(super) fn new(
        tree: &Tree,
        old: &Head,
        index: u64,
        changes: &[StateChange],
    ) -> Result<Self, StoreError> {
        for (key, value) in changes {
            limit("the key of a state row, in bytes,", key.len(), STATE_KEY_BYTES_MAX)?;
            limit("a state row, in bytes,", value.as_ref().map_or(0, Vec::len), STATE_VALUE_BYTES_MAX)?;
            if key.is_empty() {
                return Err(StoreError::Refused { what: "the key of a state row is empty" });
            }
        }
        let last_wins: BTreeMap<&[u8], Option<&[u8]>> =
            changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
        let mut delta = Self { head: Head { index, ..old.clone() }, changes: Vec::new(), bytes: 0 };
        for (key, value) in last_wins {
            let state_key = key::state(key);
            let stored = row::get(tree, &state_key)?;
            if stored.as_deref() == value {
                continue;
            }
            let family = delta.head.families.entry(key[0]).or_default();
            if let Some(stored) = stored {
                family.drop_row(key, &stored);
            }
            if let Some(value) = value {
                family.add_row(key, value);
            }
            delta.bytes += state_key.len() + value.map_or(0, <[u8]>::len);
            delta.changes.push(Change { state_key, value: value.map(Bytes::copy_from_slice) });
        }
        delta.head.families.retain(|_, family| family.rows > 0);
        Ok(delta)
    }

    /// Writes the delta; the new checkpoint is whole when this returns, and durable after the barrier that it ends with.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(super) fn write(self, database: &Database) -> Result<Head, StoreError> {
        if self.bytes <= BATCH_BYTES && self.changes.len() <= BATCH_ROWS {
            let mut batch = Batch::default();
            for change in &self.changes {
                put_state(&mut batch, &database.tree, &change.state_key, change.value.as_deref())?;
            }
            put_head(&mut batch, &self.head);
            database.apply(batch)?;
        } else {
            self.stage(database)?;
            finish(database)?;
        }
        database.barrier()?;
        Ok(self.head)
    }

    fn stage(&self, database: &Database) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let (mut rows, mut bytes, mut ordinal) = (0, 0, 0_u32);
        for change in &self.changes {
            let staged = change.encode();
            rows += 1;
            bytes += staged.len();
            row::put(&mut batch, &key::staged(ordinal), &staged);
            ordinal += 1;
            if rows >= BATCH_ROWS || bytes >= BATCH_BYTES {
                database.apply(std::mem::take(&mut batch))?;
                database.barrier()?;
                (rows, bytes) = (0, 0);
            }
        }
        let mut marker = ordinal.to_be_bytes().to_vec();
        marker.extend_from_slice(&self.head.encode());
        row::put(&mut batch, &key::meta(MARKER_NAME), &marker);
        database.apply(batch)?;
        database.barrier().map(drop)
    }
}

impl Change {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.value.is_some())];
        bytes.extend_from_slice(&u16::try_from(self.state_key.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&self.state_key);
        bytes.extend_from_slice(self.value.as_deref().unwrap_or_default());
        bytes
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        let put = bytes.try_get_u8().ok()? == 1;
        let key_bytes = usize::from(bytes.try_get_u16().ok()?);
        if bytes.len() < key_bytes {
            return None;
        }
        let state_key = bytes.split_to(key_bytes).to_vec();
        Some(Self { state_key, value: put.then_some(bytes) })
    }
}

impl Head {
    /// Reads the head of the stored checkpoint; index 0 where there is none yet.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(super) fn read(tree: &Tree) -> Result<Self, StoreError> {
        match row::get(tree, &key::meta(HEAD_NAME))? {
            Some(bytes) => {
                Self::decode(bytes).ok_or_else(|| StoreError::corrupt("the checkpoint head is cut short"))
            }
            None => Ok(Self::default()),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.index.to_be_bytes().to_vec();
        bytes.extend_from_slice(&u16::try_from(self.families.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (name, family) in &self.families {
            bytes.push(*name);
            bytes.extend_from_slice(&family.rows.to_be_bytes());
            bytes.extend_from_slice(&family.digest.to_be_bytes());
        }
        bytes
    }

    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let index = bytes.try_get_u64().ok()?;
        let count = usize::from(bytes.try_get_u16().ok()?);
        if bytes.len() != count * FAMILY_BYTES {
            return None;
        }
        let families = (0..count).map(|_| {
            let name = bytes.get_u8();
            (name, Family { rows: bytes.get_u64(), digest: bytes.get_u64() })
        });
        Some(Self { index, families: families.collect() })
    }
}

impl Family {
    pub(super) fn add_row(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_add(1);
        self.digest = self.digest.wrapping_add(row_hash(key, value));
    }

    fn drop_row(&mut self, key: &[u8], value: &[u8]) {
        self.rows = self.rows.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(row_hash(key, value));
    }
}

/// Adds the head to the batch that ends a checkpoint.
pub(super) fn put_head(batch: &mut Batch, head: &Head) {
    row::put(batch, &key::meta(HEAD_NAME), &head.encode());
}

/// Ends what a crash interrupted: finishes a checkpoint whose marker was written, forgets one whose marker was not.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn recover(database: &Database) -> Result<(), StoreError> {
    if database.tree.contains_key(key::meta(MARKER_NAME)).map_err(StoreError::sled("looking for a marker"))? {
        tracing::info!("finishing the checkpoint that an earlier process had staged");
        finish(database)?;
        return database.barrier().map(drop);
    }
    loop {
        let mut batch = Batch::default();
        let mut rows = 0;
        for found in database.tree.scan_prefix([key::STAGED]).take(BATCH_ROWS) {
            let (staged_key, head) = found.map_err(StoreError::sled("reading staged rows"))?;
            row::remove(&mut batch, &staged_key, &head);
            rows += 1;
        }
        if rows == 0 {
            return Ok(());
        }
        database.apply(batch)?;
        database.barrier()?;
    }
}

/// Moves the staged rows into place, batch by batch, and writes the head with the last.
fn finish(database: &Database) -> Result<(), StoreError> {
    let tree = &database.tree;
    let broken = || StoreError::corrupt("the marker of a staged checkpoint is cut short");
    let marker_key = key::meta(MARKER_NAME);
    let stored = tree.get(&marker_key).map_err(StoreError::sled("reading a marker"))?.ok_or_else(broken)?;
    let mut marker = row::join(tree, &marker_key, &stored)?;
    let count = marker.try_get_u32().map_err(|_| broken())?;
    let head = Head::decode(marker).ok_or_else(broken)?;
    loop {
        let (batch, next) = take_batch(tree)?;
        let mut batch = batch;
        let done = next == Some(count) || next.is_none();
        if done {
            row::remove(&mut batch, &marker_key, &stored);
            put_head(&mut batch, &head);
        }
        database.apply(batch)?;
        if done {
            return Ok(());
        }
        database.barrier()?;
    }
}

/// One batch that moves the lowest staged rows, and the ordinal after them (`None` when no row is staged).
fn take_batch(tree: &Tree) -> Result<(Batch, Option<u32>), StoreError> {
    let mut batch = Batch::default();
    let (mut bytes, mut next) = (0, None);
    for found in tree.scan_prefix([key::STAGED]).take(BATCH_ROWS) {
        let (staged_key, stored): (IVec, IVec) = found.map_err(StoreError::sled("reading staged rows"))?;
        let value = row::join(tree, &staged_key, &stored)?;
        bytes += value.len();
        let change = Change::decode(value).ok_or_else(|| StoreError::corrupt("a staged row is cut short"))?;
        put_state(&mut batch, tree, &change.state_key, change.value.as_deref())?;
        row::remove(&mut batch, &staged_key, &stored);
        next = staged_key
            .get(1..5)
            .and_then(|ordinal| ordinal.try_into().ok())
            .map(|at| u32::from_be_bytes(at) + 1);
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    Ok((batch, next))
}

/// Adds a state row's new value, or its removal, to the batch, together with the removal of pieces it had before.
fn put_state(
    batch: &mut Batch,
    tree: &Tree,
    state_key: &[u8],
    value: Option<&[u8]>,
) -> Result<(), StoreError> {
    if let Some(stored) = tree.get(state_key).map_err(StoreError::sled("reading a state row"))? {
        row::remove(batch, state_key, &stored);
    }
    if let Some(value) = value {
        row::put(batch, state_key, value);
    }
    Ok(())
}

fn row_hash(key: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64_with_seed(key, 0))
}

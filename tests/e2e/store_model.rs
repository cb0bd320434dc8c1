//! What the store must hold, computed and not remembered: entry `index` of a run with `seed` is always the same bytes,
//! makes the same events and changes the same state rows. So a test that killed the writer can check everything from
//! the last acknowledged index alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use duet::store::{EventRow, LogItem, Opened, Reader, Store, StoreError, StoreOptions};

/// Conversations that share the entries in turn.
pub(crate) const CONVERSATIONS: u64 = 37;
/// The tenant of every conversation.
pub(crate) const TENANT: u32 = 7;
const STATE_KEYS: u64 = 4_000;

/// A seed with this bit makes entries of several KiB instead of some hundred bytes.
pub(crate) const LONG: u64 = 1 << 63;

/// The fold of a run up to an index, and the keys that changed since the last checkpoint.
#[derive(Default)]
pub(crate) struct Fold {
    pub(crate) index: u64,
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) dirty: BTreeSet<Vec<u8>>,
}

/// What a store was found to hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) last: u64,
    pub(crate) checkpoint: u64,
    pub(crate) acknowledged: u64,
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "log to {}, checkpoint at {}, recorded {}", self.last, self.checkpoint, self.acknowledged)
    }
}

/// Options for tests: a small cache, and no floor that a busy machine could hit.
pub(crate) fn options() -> StoreOptions {
    StoreOptions { cache_bytes: 16 * 1024 * 1024, free_floor_bytes: 0, ..StoreOptions::default() }
}

/// A well-mixed number for a position.
pub(crate) fn mixed(seed: u64, at: u64) -> u64 {
    let mut value =
        seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(at.wrapping_mul(0xd1b5_4a32_d192_ed03));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Entry `index` of a run.
pub(crate) fn item(seed: u64, index: u64) -> LogItem {
    let random = mixed(seed, index);
    let length = match random % 1_000 {
        0 => 70_000,
        1..=5 => 9_000,
        _ if seed & LONG != 0 => 1_000 + (random >> 16) % 5_000,
        _ => 60 + (random >> 16) % 300,
    };
    let event = EventRow {
        tenant: TENANT,
        conversation: conversation(index),
        seq: (index - 1) / CONVERSATIONS + 1,
        bytes: content(random ^ 1, length / 2),
    };
    LogItem { index, epoch: index / 1_000, bytes: content(random, length), events: vec![event] }
}

/// The items from `first` to `last`.
pub(crate) fn items(seed: u64, first: u64, last: u64) -> Vec<LogItem> {
    (first..=last).map(|index| item(seed, index)).collect()
}

/// The conversation of an entry.
pub(crate) fn conversation(index: u64) -> [u8; 16] {
    let mut id = [0x5a; 16];
    id[8..].copy_from_slice(&((index - 1) % CONVERSATIONS).to_be_bytes());
    id
}

impl Fold {
    /// The fold of a run up to `index`, with nothing dirty.
    pub(crate) fn upto(seed: u64, index: u64) -> Self {
        let mut fold = Self::default();
        while fold.index < index {
            fold.advance(seed);
        }
        fold.dirty.clear();
        fold
    }

    /// Folds in the next entry.
    pub(crate) fn advance(&mut self, seed: u64) {
        self.index += 1;
        let random = mixed(seed ^ 0x5eed, self.index);
        let length = if random.is_multiple_of(500) { 9_000 } else { 10 + (random >> 20) % 300 };
        self.set(self.index * 31 % STATE_KEYS, Some(content(random, length).to_vec()));
        if self.index.is_multiple_of(97) {
            self.set(self.index / 97 * 13 % STATE_KEYS, None);
        }
    }

    /// The changes since the last call.
    pub(crate) fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| (key.clone(), self.rows.get(&key).cloned())).collect()
    }

    fn set(&mut self, number: u64, value: Option<Vec<u8>>) {
        let mut key = vec![b'a' + u8::try_from(number % 5).unwrap()];
        key.extend_from_slice(&number.to_be_bytes());
        match value {
            Some(value) => self.rows.insert(key.clone(), value),
            None => self.rows.remove(&key),
        };
        self.dirty.insert(key);
    }
}

/// Opens the store and checks all of it: nothing acknowledged is missing, every entry, event and state row is the one
/// that was written, the state rows are the fold up to the checkpoint.
pub(crate) fn verify(dir: &Path, seed: u64, acknowledged: u64) -> Result<Found, StoreError> {
    let Opened { reader, recovered, .. } = Store::open(dir, options())?;
    let (first, last, checkpoint) = (recovered.first_index, recovered.last_index, recovered.checkpoint);
    assert!(last >= acknowledged, "entries {}..={acknowledged} were acknowledged and are gone", last + 1);
    assert!(recovered.acknowledged <= last, "the acknowledged-index file is ahead of the log");

    let mut expected = Fold::upto(seed, checkpoint).rows.into_iter();
    for row in recovered.state() {
        let (key, value) = row?;
        assert_eq!(
            Some((key, value.to_vec())),
            expected.next(),
            "a state row of the checkpoint at {checkpoint}"
        );
    }
    assert_eq!(expected.next(), None, "a state row of the checkpoint at {checkpoint} is missing");

    let mut next = checkpoint + 1;
    for entry in recovered.log() {
        let entry = entry?;
        let written = item(seed, next);
        assert_eq!((entry.index, entry.epoch, entry.bytes), (next, written.epoch, written.bytes));
        next += 1;
    }
    assert_eq!(next, last + 1, "the log after the checkpoint is contiguous up to its end");
    verify_kept_log(&reader, seed, first, last)?;
    verify_events(&reader, seed, last)?;
    Ok(Found { last, checkpoint, acknowledged: recovered.acknowledged })
}

fn verify_kept_log(reader: &Reader, seed: u64, first: u64, last: u64) -> Result<(), StoreError> {
    let mut next = first;
    while next <= last {
        let page = reader.log(next, 256 * 1024)?;
        assert!(!page.is_empty(), "the log ends at {next}, not at {last}");
        for entry in page {
            assert_eq!((entry.index, entry.bytes), (next, item(seed, next).bytes));
            next += 1;
        }
    }
    Ok(())
}

fn verify_events(reader: &Reader, seed: u64, last: u64) -> Result<(), StoreError> {
    for first in (1..=last.min(CONVERSATIONS)).take(CONVERSATIONS as usize) {
        let mut index = first;
        while index <= last {
            let seq = (index - 1) / CONVERSATIONS + 1;
            let page = reader.events(TENANT, &conversation(first), seq, u64::MAX, 64 * 1024)?;
            assert!(!page.is_empty(), "event {seq} of conversation {first} is missing");
            for (seq, bytes) in page {
                let written = &item(seed, index).events[0];
                assert_eq!((seq, &bytes), (written.seq, &written.bytes), "an event of conversation {first}");
                index += CONVERSATIONS;
            }
        }
    }
    Ok(())
}

fn content(mut random: u64, length: u64) -> Bytes {
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap() + 8);
    while (bytes.len() as u64) < length {
        random = mixed(random, 1);
        bytes.extend_from_slice(&random.to_le_bytes());
    }
    bytes.truncate(usize::try_from(length).unwrap());
    Bytes::from(bytes)
}

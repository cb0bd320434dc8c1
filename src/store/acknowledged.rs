//! The acknowledged-index file: how an empty or old database is recognised.
//!
//! sled recovers to *some* consistent state; after a disaster that may be an empty one, and it does not say so. This
//! small file beside it says how far the log was durable, which store it belongs to, and whether the store was ever
//! finished being created.
//!
//! Promises: the file is never ahead of what is durable, because a slot is written only after the barrier of its group
//! has passed. It lags by nothing after the death of the process (the write is in the page cache), and after a power
//! cut by at most [`SYNC_EVERY`] of commits, because it is synced that often while groups come, by
//! [`Acknowledged::settle`] when they stop, and when it is dropped. Two slots, each in a block of its own, are written
//! in turn, so that a torn write loses one turn and not the file.
//!
//! Slot: `"DUETACK1" ‖ node 16 ‖ life u8 ‖ zero 7 ‖ turn u64 ‖ index u64 ‖ crc32 u32`; slot 0 at 0, slot 1 at 4,096.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::directory;
use super::error::StoreError;

/// Longest time that commits go on before the file is synced.
pub(super) const SYNC_EVERY: Duration = Duration::from_millis(100);

const NAME: &str = "acknowledged";
const NEW_NAME: &str = "acknowledged.new";
const MAGIC: [u8; 8] = *b"DUETACK1";
const SLOT_BYTES: usize = 52;
const SLOT_STRIDE: u64 = 4_096;

/// Whether the store was finished being created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Creation began; nothing can have been acknowledged, what lies there may be thrown away.
    Creating,
    /// The store holds data that counts.
    Live,
}

/// The open file and what it says.
#[derive(Debug)]
pub(super) struct Acknowledged {
    file: File,
    slot: Slot,
    synced_at: Instant,
    dirty: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    node: [u8; 16],
    life: Life,
    turn: u64,
    index: u64,
}

impl Acknowledged {
    /// Opens the file of a store; `None` where there is none.
    ///
    /// # Errors
    /// `Corrupt` when neither slot is whole, `Io` when it cannot be read.
    pub(super) fn open(dir: &Path) -> Result<Option<Self>, StoreError> {
        let file = match OpenOptions::new().read(true).write(true).open(dir.join(NAME)) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("opening the acknowledged-index file")(error)),
        };
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        let newest = slots.into_iter().flatten().max_by_key(|slot| slot.turn);
        let slot = newest
            .ok_or_else(|| StoreError::corrupt("neither slot of the acknowledged-index file is whole"))?;
        Ok(Some(Self { file, slot, synced_at: Instant::now(), dirty: false }))
    }

    /// Makes the file for a store that is about to be created, whole or not at all.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn create(dir: &Path, node: [u8; 16]) -> Result<Self, StoreError> {
        let failed = StoreError::io;
        let path = dir.join(NEW_NAME);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(failed("creating the acknowledged-index file"))?;
        let slot = Slot { node, life: Life::Creating, turn: 0, index: 0 };
        file.set_len(2 * SLOT_STRIDE).map_err(failed("sizing the acknowledged-index file"))?;
        for place in 0..2 {
            // Whole blocks are written, so that later writes change data only and never the file's layout.
            let mut block = vec![0; SLOT_STRIDE as usize];
            block[..SLOT_BYTES].copy_from_slice(&slot.encode());
            let written = file.write_all_at(&block, place * SLOT_STRIDE);
            written.map_err(failed("writing the acknowledged-index file"))?;
        }
        file.sync_all().map_err(failed("syncing the acknowledged-index file"))?;
        std::fs::rename(&path, dir.join(NAME)).map_err(failed("naming the acknowledged-index file"))?;
        directory::sync(dir)?;
        Ok(Self { file, slot, synced_at: Instant::now(), dirty: false })
    }

    pub(super) fn node(&self) -> [u8; 16] {
        self.slot.node
    }

    pub(super) fn index(&self) -> u64 {
        self.slot.index
    }

    pub(super) fn life(&self) -> Life {
        self.slot.life
    }

    /// Notes that everything up to `index` is durable; the barrier for it has passed.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn record(&mut self, index: u64) -> Result<(), StoreError> {
        self.write(Slot { index, ..self.slot })?;
        if self.synced_at.elapsed() >= SYNC_EVERY { self.settle() } else { Ok(()) }
    }

    /// Notes that the store is created, or lowers the index before entries are taken back; synced at once.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn declare(&mut self, life: Life, index: u64) -> Result<(), StoreError> {
        self.write(Slot { life, index, ..self.slot })?;
        self.settle()
    }

    /// Syncs what was recorded, if anything was.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn settle(&mut self) -> Result<(), StoreError> {
        if self.dirty {
            self.file.sync_data().map_err(StoreError::io("syncing the acknowledged-index file"))?;
            self.dirty = false;
        }
        self.synced_at = Instant::now();
        Ok(())
    }

    fn write(&mut self, next: Slot) -> Result<(), StoreError> {
        let slot = Slot { turn: self.slot.turn + 1, ..next };
        let place = (slot.turn % 2) * SLOT_STRIDE;
        let written = self.file.write_all_at(&slot.encode(), place);
        written.map_err(StoreError::io("writing the acknowledged-index file"))?;
        self.slot = slot;
        self.dirty = true;
        Ok(())
    }
}

impl Drop for Acknowledged {
    fn drop(&mut self) {
        if let Err(error) = self.settle() {
            tracing::warn!(%error, "the acknowledged-index file was not synced on close");
        }
    }
}

impl Slot {
    fn encode(&self) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..24].copy_from_slice(&self.node);
        bytes[24] = u8::from(self.life == Life::Live);
        bytes[32..40].copy_from_slice(&self.turn.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.index.to_be_bytes());
        let crc = crc32fast::hash(&bytes[..48]);
        bytes[48..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let whole = bytes[..8] == MAGIC && crc32fast::hash(&bytes[..48]).to_be_bytes() == bytes[48..];
        if !whole {
            return None;
        }
        Some(Self {
            node: bytes[8..24].try_into().ok()?,
            life: if bytes[24] == 1 { Life::Live } else { Life::Creating },
            turn: u64::from_be_bytes(bytes[32..40].try_into().ok()?),
            index: u64::from_be_bytes(bytes[40..48].try_into().ok()?),
        })
    }
}

fn read_slot(file: &File, place: u64) -> Result<Option<Slot>, StoreError> {
    let mut bytes = [0; SLOT_BYTES];
    match file.read_exact_at(&mut bytes, place * SLOT_STRIDE) {
        Ok(()) => Ok(Slot::decode(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(StoreError::io("reading the acknowledged-index file")(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = Acknowledged::create(dir.path(), [7; 16]).unwrap();
        assert_eq!((file.life(), file.index()), (Life::Creating, 0));
        file.declare(Life::Live, 0).unwrap();
        for index in 1..=5 {
            file.record(index).unwrap();
        }
        drop(file);
        let reopened = Acknowledged::open(dir.path()).unwrap().unwrap();
        assert_eq!((reopened.node(), reopened.life(), reopened.index()), ([7; 16], Life::Live, 5));

        let newest = (reopened.slot.turn % 2) * SLOT_STRIDE;
        reopened.file.write_all_at(&[0xff], newest + 44).unwrap();
        let reopened = Acknowledged::open(dir.path()).unwrap().unwrap();
        assert_eq!(reopened.index(), 4, "a torn slot costs one turn");

        reopened.file.write_all_at(&[0xff], (SLOT_STRIDE - newest) + 44).unwrap();
        assert!(matches!(Acknowledged::open(dir.path()), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_slot_has_its_golden_bytes() {
        let slot = Slot { node: [1; 16], life: Life::Live, turn: 2, index: 3 };
        let mut expected = b"DUETACK1".to_vec();
        expected.extend_from_slice(&[1; 16]);
        expected.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend_from_slice(&crc32fast::hash(&expected).to_be_bytes());
        assert_eq!(slot.encode().to_vec(), expected);
        assert_eq!(Slot::decode(&slot.encode()), Some(slot));
    }

    #[test]
    fn a_directory_without_the_file_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Acknowledged::open(dir.path()).unwrap().is_none());
    }
}

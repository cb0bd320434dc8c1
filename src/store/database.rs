//! The only door to sled: opening it, applying a batch, and the durability barrier.
//!
//! sled's `flush()` is not a sync on Linux (it calls `sync_file_range`, which leaves file size, extents and the
//! device's cache alone). The barrier is therefore `flush()`, which puts every byte into the file, followed by
//! `sync_data()` on a second handle of that file. The second handle is opened before anything is written, so that the
//! kernel reports a failed write-back to it, too. A failed barrier is never retried: the caller poisons the writer.
//!
//! sled asserts where it finds its own files wrong, so every call into it is guarded; a panic becomes `Corrupt`.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sled::{Batch, Db, Tree};

use super::directory::Directory;
use super::error::StoreError;
use super::open::StoreOptions;
use super::snapshot::Guard;

/// sled's unit of allocation. A power cut is survived as long as less than one segment is written between two
/// barriers (`docs/storage.md`, Durability), so it is far above what one group can bring.
pub(super) const SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// How often sled's own thread writes and relocates. Half of it is the longest burst of relocation.
const FLUSH_EVERY_MS: u64 = 200;
const TREE_NAME: &str = "duet";
/// How long to wait for sled's own lock, which its worker threads hold for a moment after a close in this process.
const LOCK_DEADLINE: Duration = Duration::from_secs(5);

/// The open database, shared by the writer and all readers.
pub(super) struct Database {
    pub(super) tree: Tree,
    db: Db,
    file: File,
    device_sync: bool,
    /// Highest log index for which the barrier has passed.
    durable: AtomicU64,
    /// Lowest log index that is still stored; one above the last when the log is empty.
    first: AtomicU64,
    /// What exports and the writer agree on.
    pub(super) guard: Guard,
    free_floor: u64,
    // Last, so that the lock is released after sled has closed its files.
    directory: Directory,
}

/// sled prints everything that it holds: nothing of that may come into a log or a message.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Database {
    /// Opens sled in the locked directory.
    ///
    /// # Errors
    /// `Corrupt` when sled refuses its files, `Io`.
    pub(super) fn open(directory: Directory, options: &StoreOptions) -> Result<Self, StoreError> {
        let config = || {
            sled::Config::new()
                .path(directory.database())
                .cache_capacity(options.cache_bytes)
                .segment_size(SEGMENT_BYTES)
                .flush_every_ms(Some(FLUSH_EVERY_MS))
        };
        let deadline = Instant::now() + LOCK_DEADLINE;
        let db = loop {
            match guarded("opening the database", || config().open()) {
                Err(StoreError::Io { source, .. })
                    if is_lock_conflict(&source) && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
                other => break other?,
            }
        };
        let tree = guarded("opening the table", || db.open_tree(TREE_NAME))?;
        let path = directory.database_file();
        let file =
            File::options().write(true).open(path).map_err(StoreError::io("opening the barrier's handle"))?;
        let durable = AtomicU64::new(0);
        let first = AtomicU64::new(1);
        let (device_sync, free_floor) = (options.device_sync, options.free_floor_bytes);
        let guard = Guard::default();
        Ok(Self { tree, db, file, device_sync, durable, first, guard, free_floor, directory })
    }

    /// Applies a batch atomically; it is durable after the next [`barrier`](Self::barrier).
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub(super) fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        guarded("writing a batch", || self.tree.apply_batch(batch))
    }

    /// Returns once everything applied so far survives a power cut; says how long that took.
    ///
    /// # Errors
    /// `Io`, `Corrupt`; the store must not be written again.
    pub(super) fn barrier(&self) -> Result<Duration, StoreError> {
        let start = Instant::now();
        guarded("flushing the database", || self.tree.flush())?;
        if self.device_sync {
            self.file.sync_data().map_err(StoreError::io("syncing the database file"))?;
        }
        Ok(start.elapsed())
    }

    /// Bytes that the database takes on disk.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn size_on_disk(&self) -> Result<u64, StoreError> {
        guarded("measuring the database", || self.db.size_on_disk())
    }

    /// Bytes that must stay free on the file system.
    pub(super) fn free_floor(&self) -> u64 {
        self.free_floor
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(super) fn set_durable(&self, index: u64) {
        self.durable.store(index, Ordering::Release);
    }

    pub(super) fn first(&self) -> u64 {
        self.first.load(Ordering::Acquire)
    }

    pub(super) fn set_first(&self, index: u64) {
        self.first.store(index, Ordering::Release);
    }
}

/// Calls into sled and turns its errors and its panics into ours.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn guarded<T>(
    what: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(StoreError::sled(what)),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            Err(StoreError::corrupt(format!("{what}: the database gave up: {said}")))
        }
    }
}

fn is_lock_conflict(error: &std::io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

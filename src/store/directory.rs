//! The store's directory: its lock, the leftovers of a killed process, and the names that must survive a power cut.
//!
//! ```text
//! <dir>/lock            held by the one process that has the store open
//! <dir>/acknowledged    how far the log was durable (acknowledged.rs)
//! <dir>/sled/           the database: conf, db, snap.*, blobs/
//! ```
//!
//! Nothing is touched before the lock is held: cleaning up under a living process would destroy its data.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::error::StoreError;

const LOCK_NAME: &str = "lock";
const DATABASE_NAME: &str = "sled";

/// The lock on a store's directory, released when it is dropped or the process dies.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Makes the directory if need be, and locks it.
    ///
    /// # Errors
    /// `Busy` when another process holds it, `Io`.
    pub(super) fn lock(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::io("creating the store's directory"))?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join(LOCK_NAME))
            .map_err(StoreError::io("opening the store's lock file"))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Busy { dir: path.to_owned() }),
            Err(errno) => Err(StoreError::io("locking the store's directory")(errno.into())),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where sled keeps its files.
    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_NAME)
    }

    /// sled's one data file, on which the durability barrier acts.
    pub(super) fn database_file(&self) -> PathBuf {
        self.database().join("db")
    }

    /// True when sled's data file exists and has content.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn has_database(&self) -> Result<bool, StoreError> {
        match fs::metadata(self.database_file()) {
            Ok(found) => Ok(found.len() > 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("looking for the database file")(error)),
        }
    }

    /// Throws away a database whose creation never finished.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn discard_database(&self) -> Result<(), StoreError> {
        match fs::remove_dir_all(self.database()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io("removing a database whose creation never finished")(error))
            }
            _ => sync(&self.path),
        }
    }

    /// Removes half-written snapshots (a process killed while it opened the database leaves them, and sled then
    /// refuses to open), and makes what an earlier process left in the page cache durable, so that the snapshot that
    /// sled is about to write and sync cannot be newer than the data it describes.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn clean(&self) -> Result<(), StoreError> {
        let failed = || StoreError::io("removing half-written snapshots");
        for found in fs::read_dir(self.database()).map_err(failed())? {
            let path = found.map_err(failed())?.path();
            if path.extension().is_some_and(|extension| extension == "generating") {
                tracing::info!(file = %path.display(), "removing a half-written snapshot");
                fs::remove_file(&path).map_err(failed())?;
            }
        }
        let file = File::open(self.database_file()).map_err(StoreError::io("opening the database file"))?;
        file.sync_data().map_err(StoreError::io("syncing the database file"))
    }

    /// Makes every name of the store survive a power cut.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn sync_names(&self) -> Result<(), StoreError> {
        for entry in ["conf", "db"] {
            let file =
                File::open(self.database().join(entry)).map_err(StoreError::io("opening a database file"))?;
            file.sync_all().map_err(StoreError::io("syncing a database file"))?;
        }
        sync(&self.database())?;
        sync(&self.path)?;
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync)
    }
}

/// Syncs a directory, so that the names in it survive a power cut.
///
/// # Errors
/// `Io`.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    let directory = File::open(path).map_err(StoreError::io("opening a directory of the store"))?;
    directory.sync_all().map_err(StoreError::io("syncing a directory of the store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = Directory::lock(dir.path()).unwrap();
        assert!(matches!(Directory::lock(dir.path()), Err(StoreError::Busy { .. })));
        drop(first);
        assert!(Directory::lock(dir.path()).is_ok());
    }

    #[test]
    fn half_written_snapshots_are_removed_and_whole_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::lock(dir.path()).unwrap();
        fs::create_dir(directory.database()).unwrap();
        for name in ["db", "snap.00000000000001AB", "snap.00000000000001AC.generating"] {
            fs::write(directory.database().join(name), b"x").unwrap();
        }
        directory.clean().unwrap();
        assert!(directory.database().join("snap.00000000000001AB").exists());
        assert!(!directory.database().join("snap.00000000000001AC.generating").exists());
    }
}

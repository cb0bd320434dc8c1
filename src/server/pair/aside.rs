//! What is put aside when a node begins anew: a store that cannot go on, and entries that only it has.
//!
//! ```text
//!   Resync ─► marker file ─► (process begins anew) ─► entries above the fork into lost+found ─► store renamed to store.old
//!          ─► empty store, snapshot or log from the peer ─► in sync ─► store.old removed
//! ```
//!
//! A shorter way is taken when the log alone goes back ([`OwnEntries::keep`]): then the entries that are taken back go to
//! lost+found too, if this node acknowledged alone since it was last in sync.
//!
//! Each step can be interrupted and is done again; nothing is removed before the node is in sync, and what was acknowledged
//! by this node alone stays in `lost+found` for ever. A damaged store goes there as a whole: nobody can say what only it had.

use crate::{
    server::ServeError,
    store::{Opened, Reader, Store, StoreError, StoreOptions},
};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// What to do with the store before the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::server) enum Aside {
    /// Nothing: only what is in memory is thrown away.
    Nothing,
    /// It cannot go on. Entries above the fork, if there is one, are this node's own.
    Store {
        /// The last index that this log shares with the peer's.
        fork: Option<u64>,
    },
}

/// The places in a data directory.
#[derive(Debug, Clone)]
pub(in crate::server) struct LostAndFound {
    data_dir: PathBuf,
}

impl LostAndFound {
    pub(in crate::server) fn new(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned() }
    }

    /// The store in use.
    pub(in crate::server) fn store(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Where a snapshot of the peer's lies when it has arrived whole.
    pub(in crate::server) fn snapshot(&self) -> PathBuf {
        self.data_dir.join("snapshot")
    }

    /// Where a snapshot for the peer is made.
    pub(in crate::server) fn outgoing_snapshot(&self) -> PathBuf {
        self.data_dir.join("snapshot.out")
    }

    fn old_store(&self) -> PathBuf {
        self.data_dir.join("store.old")
    }

    fn marker(&self) -> PathBuf {
        self.data_dir.join("resync.json")
    }

    /// Notes what the next start has to do first.
    pub(in crate::server) fn note(&self, aside: Aside) -> Result<(), ServeError> {
        if aside == Aside::Nothing {
            return Ok(());
        }
        let text =
            serde_json::to_vec(&aside).map_err(|error| ServeError::system("the resync marker", &error))?;
        write_synced(&self.marker(), &text)
    }

    /// Does what was noted, if anything was.
    pub(in crate::server) fn settle(&self, options: StoreOptions) -> Result<(), ServeError> {
        let marker = self.marker();
        let text = match fs::read(&marker) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ServeError::file(&marker, error)),
        };
        let aside: Aside = serde_json::from_slice(&text)
            .map_err(|error| ServeError::State(format!("{}: {error}", marker.display())))?;
        if let Aside::Store { fork } = aside {
            let readable = fork.map_or(Ok(true), |fork| self.keep_own_entries(fork, options))?;
            if readable { self.put_store_aside()? } else { self.keep_store()? }
        }
        fs::remove_file(&marker).map_err(|error| ServeError::file(&marker, error))?;
        sync_dir(&self.data_dir)
    }

    /// Renames the store, whatever state it is in.
    pub(in crate::server) fn put_store_aside(&self) -> Result<(), ServeError> {
        let (store, old) = (self.store(), self.old_store());
        if !store.exists() {
            return Ok(());
        }
        if old.exists() {
            // An earlier one that was never needed again; the one in use is newer.
            fs::remove_dir_all(&old).map_err(|error| ServeError::file(&old, error))?;
        }
        tracing::warn!(store = %store.display(), old = %old.display(), "the store is put aside");
        fs::rename(&store, &old).map_err(|error| ServeError::file(&old, error))?;
        sync_dir(&self.data_dir)
    }

    /// Moves a damaged store into lost+found, where nothing is ever removed.
    pub(in crate::server) fn keep_store(&self) -> Result<(), ServeError> {
        let (store, dir) = (self.store(), self.lost_and_found());
        if !store.exists() {
            return Ok(());
        }
        fs::create_dir_all(&dir).map_err(|error| ServeError::file(&dir, error))?;
        let free = (1_u32..).map(|number| dir.join(format!("store.{number}"))).find(|path| !path.exists());
        let kept = free.unwrap_or_else(|| dir.join("store"));
        tracing::error!(
            store = %store.display(),
            kept = %kept.display(),
            "a damaged store is kept: look whether it has acknowledged entries that the peer lacks, then remove it"
        );
        fs::rename(&store, &kept).map_err(|error| ServeError::file(&kept, error))?;
        sync_dir(&dir)?;
        sync_dir(&self.data_dir)
    }

    fn lost_and_found(&self) -> PathBuf {
        self.data_dir.join("lost+found")
    }

    /// The node is in sync: what was put aside is no longer needed.
    pub(in crate::server) fn forget_old_store(&self) {
        let old = self.old_store();
        if old.exists() {
            match fs::remove_dir_all(&old) {
                Ok(()) => tracing::info!(old = %old.display(), "in sync: the old store is removed"),
                Err(error) => tracing::warn!(%error, old = %old.display(), "the old store stays"),
            }
        }
    }

    /// Keeps the entries above the fork of a store that is about to be put aside; `false` if they cannot be read.
    fn keep_own_entries(&self, fork: u64, options: StoreOptions) -> Result<bool, ServeError> {
        if !self.store().exists() {
            return Ok(true);
        }
        let opened = Store::open(&self.store(), options);
        match opened.and_then(|Opened { reader, .. }| self.keep(&reader, fork)) {
            Ok(()) => Ok(true),
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "own entries cannot be read");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the entries above `after` into `lost+found/<their last epoch>.log`, each as length (u32, big-endian) and
    /// bytes. Durable on return; memory for a megabyte of them at a time.
    fn keep(&self, reader: &Reader, after: u64) -> Result<(), StoreError> {
        let dir = self.lost_and_found();
        let failed = |source| StoreError::Io { what: "keeping entries in lost+found", source };
        let mut entries = reader.log(after + 1, KEEP_BYTES)?;
        let Some(first) = entries.first().map(|entry| entry.index) else { return Ok(()) };
        fs::create_dir_all(&dir).map_err(failed)?;
        let part = dir.join("entries.part");
        let mut file = fs::File::create(&part).map_err(failed)?;
        let (mut last, mut epoch) = (after, 0);
        while !entries.is_empty() {
            let mut bytes = Vec::new();
            for entry in &entries {
                bytes.extend_from_slice(&u32::try_from(entry.bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend_from_slice(&entry.bytes);
                (last, epoch) = (entry.index, entry.epoch);
            }
            file.write_all(&bytes).map_err(failed)?;
            entries = reader.log(last + 1, KEEP_BYTES)?;
        }
        let path = dir.join(format!("{epoch}.log"));
        let named = file.sync_all().and_then(|()| fs::rename(&part, &path));
        named.and_then(|()| fs::File::open(&dir)?.sync_all()).map_err(failed)?;
        tracing::error!(
            first,
            last,
            file = %path.display(),
            "entries that only this node had are kept; look whether they were acknowledged"
        );
        Ok(())
    }
}

/// The entries of this node's log, which may have to be kept before they are taken back.
pub(in crate::server) struct OwnEntries {
    reader: Reader,
    places: LostAndFound,
}

impl OwnEntries {
    pub(in crate::server) fn new(reader: Reader, data_dir: &Path) -> Self {
        Self { reader, places: LostAndFound::new(data_dir) }
    }

    /// Keeps those above `after`.
    pub(in crate::server) fn keep(&self, after: u64) -> Result<(), StoreError> {
        self.places.keep(&self.reader, after)
    }
}

/// Bytes of entries that are read at once.
const KEEP_BYTES: usize = 1 << 20;

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), ServeError> {
    let failed = |error| ServeError::file(path, error);
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = fs::File::create(&part).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    fs::rename(&part, path).map_err(failed)?;
    path.parent().map_or(Ok(()), sync_dir)
}

fn sync_dir(dir: &Path) -> Result<(), ServeError> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| ServeError::file(dir, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_store_is_never_removed_and_never_replaced_by_another_one() {
        let data = tempfile::tempdir().unwrap();
        let places = LostAndFound::new(data.path());
        for name in ["first", "second"] {
            fs::create_dir(places.store()).unwrap();
            fs::write(places.store().join(name), name).unwrap();
            places.keep_store().unwrap();
            assert!(!places.store().exists());
            places.forget_old_store();
        }
        let kept = |number: u32, name: &str| data.path().join(format!("lost+found/store.{number}/{name}"));
        assert!(kept(1, "first").exists() && kept(2, "second").exists());
        places.keep_store().unwrap();
    }
}

//! From a snapshot to a store: built beside, checked, synced, and named last.
//!
//! ```text
//!  <dir>.import  database, life "creating" ─► rows, checkpoint head, origin ─► barrier ─► life "live" ─► opened and read
//!  <dir>         an empty store, if one lies there, is renamed <dir>.empty
//!  <dir>.import  ─ rename ─► <dir>          the moment from which the store is there
//! ```
//!
//! Killed before the last rename, it leaves no `<dir>` or the empty one; what lies beside is removed by the next import
//! or start. The log of the new store is empty and begins after the snapshot's index.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::fs::FlockOperation;
use sled::Batch;

use crate::store::acknowledged::{Acknowledged, Life};
use crate::store::checkpoint::{self, Family, Head};
use crate::store::database::Database;
use crate::store::directory::{self, Directory};
use crate::store::error::StoreError;
use crate::store::open::{Opened, Store, StoreOptions, mint_node};
use crate::store::space::Space;
use crate::store::{key, meta, row};

use super::format::{BadSnapshot, Kind, SnapshotReader, Totals};

/// A store that was made from a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// The identity of the new store, random.
    pub node: [u8; 16],
    /// What the log made up to this index is in it; the entry after it is the next.
    pub index: u64,
    /// State rows taken.
    pub state_rows: u64,
    /// Events taken.
    pub events: u64,
    /// Length of the snapshot.
    pub bytes: u64,
    /// Time spent.
    pub took: Duration,
}

impl Store {
    /// Makes a store in `dir` from a snapshot, whole or not at all. The store is not opened; the snapshot stays.
    ///
    /// # Errors
    /// Nothing is left behind: `Snapshot` when the file is no whole snapshot, `Occupied` when `dir` holds a store with
    /// entries or anything else, `Busy` when another process has it open or imports, `ReadOnly` when space runs short,
    /// `Io`, `Corrupt`.
    pub fn import(snapshot: &Path, dir: &Path, options: StoreOptions) -> Result<Imported, StoreError> {
        let began = Instant::now();
        let stage = beside(dir, STAGE)?;
        let vacant = Vacant::find(dir, options)?;
        let file = File::open(snapshot).map_err(StoreError::io("opening a snapshot"))?;
        let lock = Directory::lock(&stage)?;
        let imported = build(file, &stage, lock, options).and_then(|(imported, _lock)| {
            vacant.give_way(dir)?;
            fs::rename(&stage, dir).map_err(StoreError::io("naming an imported store"))?;
            directory::sync(parent(dir))?;
            Ok(Imported { took: began.elapsed(), ..imported })
        });
        match &imported {
            Ok(_) => remove(&beside(dir, EMPTY)?)?,
            // Another process has begun in the moment in which the lock changed hands.
            Err(StoreError::Busy { .. }) => {}
            Err(_) => remove(&stage)?,
        }
        imported
    }
}

/// Removes what a killed import left beside a store that is being opened.
///
/// # Errors
/// `Io`.
pub(in crate::store) fn sweep(dir: &Path) -> Result<(), StoreError> {
    let Ok(stage) = beside(dir, STAGE) else { return Ok(()) };
    remove(&beside(dir, EMPTY)?)?;
    if !stage.exists() {
        return Ok(());
    }
    match Directory::lock(&stage) {
        Ok(_lock) => {
            tracing::info!(folder = %stage.display(), "removing an import that did not end");
            remove(&stage)
        }
        // Somebody is importing; the rename will find this store where it wanted to be.
        Err(StoreError::Busy { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Builds a live store in the stage and closes it.
fn build(
    file: File,
    stage: &Path,
    lock: Directory,
    options: StoreOptions,
) -> Result<(Imported, Directory), StoreError> {
    lock.discard_database()?;
    let node = mint_node()?;
    let mut acknowledged = Acknowledged::create(stage, node)?;
    let database = Database::open(lock, &options)?;
    meta::create(&database, node)?;
    let (index, totals) = fill(&database, file, Space::new(stage, options.free_floor_bytes))?;
    database.barrier()?;
    database.directory().sync_names()?;
    acknowledged.declare(Life::Live, index)?;
    drop((acknowledged, database));
    let lock = check(stage, options, index)?;
    let Totals { state_rows, events, bytes } = totals;
    Ok((Imported { node, index, state_rows, events, bytes, took: Duration::ZERO }, lock))
}

/// Reads the whole snapshot into the database; says where its log would go on.
fn fill(database: &Database, file: File, mut space: Space) -> Result<(u64, Totals), StoreError> {
    let (mut snapshot, head) =
        SnapshotReader::new(BufReader::with_capacity(READ_BYTES, file)).map_err(unusable)?;
    let bad = |what: &str| StoreError::Snapshot { what: what.to_owned() };
    let mut head = Head::decode(Bytes::from(head)).ok_or_else(|| bad("its checkpoint head is cut short"))?;
    if !(1..=INDEX_MAX).contains(&head.index) {
        return Err(bad("its index is impossible"));
    }
    let mut found = std::collections::BTreeMap::<u8, Family>::new();
    let (mut batch, mut bytes) = (Batch::default(), 0);
    while let Some((kind, rows)) = snapshot.rows().map_err(unusable)? {
        for (key, value) in rows {
            if value.len() > row::VALUE_BYTES_MAX {
                return Err(bad("a row of it is too long"));
            }
            let table = if kind == Kind::State { key::STATE } else { key::EVENT };
            if let (Kind::State, Some(family)) = (kind, key.first()) {
                found.entry(*family).or_default().add_row(key, value);
            }
            row::put(&mut batch, &[&[table], key].concat(), value);
            bytes += key.len() + value.len();
            if bytes >= BATCH_BYTES {
                space.require(bytes)?;
                database.apply(std::mem::take(&mut batch))?;
                bytes = 0;
            }
        }
    }
    head.families.retain(|_, family| family.rows > 0);
    if found != head.families {
        return Err(bad("its state rows are not those of its checkpoint"));
    }
    checkpoint::put_head(&mut batch, &head);
    meta::put_origin(&mut batch, head.index);
    space.require(bytes)?;
    database.apply(batch)?;
    Ok((head.index, snapshot.totals()))
}

/// Opens what was built as a start would, and waits until it is closed again.
fn check(stage: &Path, options: StoreOptions, index: u64) -> Result<Directory, StoreError> {
    let Opened { writer, reader, recovered } = Store::open(stage, options)?;
    if (recovered.checkpoint, recovered.first_index, recovered.last_index) != (index, index + 1, index) {
        return Err(StoreError::corrupt("an imported store is not what its snapshot said"));
    }
    recovered.state().try_for_each(|row| row.map(drop))?;
    drop((writer, reader, recovered));
    // sled's threads may hold its file for a moment longer; nothing of this process may write below the new name.
    let lock = Directory::lock(stage)?;
    let file = File::open(lock.database_file()).map_err(StoreError::io("opening an imported database"))?;
    let deadline = Instant::now() + CLOSE_DEADLINE;
    while let Err(errno) = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        if errno != rustix::io::Errno::WOULDBLOCK || Instant::now() > deadline {
            return Err(StoreError::io("waiting for an imported database to be closed")(errno.into()));
        }
        std::thread::sleep(CLOSE_POLL);
    }
    lock.sync_names()?;
    Ok(lock)
}

/// That nothing of value lies where a store is to come, and the lock on the empty store that does.
struct Vacant(Option<Directory>);

impl Vacant {
    fn find(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let occupied = || StoreError::Occupied { dir: dir.to_owned() };
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self(None)),
            Err(error) => return Err(StoreError::io("looking where to import")(error)),
        };
        let mut counts = false;
        for entry in entries {
            let entry = entry.map_err(StoreError::io("looking where to import"))?;
            // What a process leaves that was killed before it created anything.
            counts |= !["lock", "acknowledged.new"].iter().any(|name| entry.file_name() == *name);
        }
        if !counts {
            return Directory::lock(dir).map(|lock| Self(Some(lock)));
        }
        if Acknowledged::open(dir)?.is_none_or(|acknowledged| acknowledged.index() > 0) {
            return Err(occupied());
        }
        let recovered = Store::open(dir, options)?.recovered;
        if recovered.last_index > 0 || recovered.checkpoint > 0 {
            return Err(occupied());
        }
        drop(recovered);
        Directory::lock(dir).map(|lock| Self(Some(lock)))
    }

    /// Renames the empty store, if there is one.
    fn give_way(self, dir: &Path) -> Result<(), StoreError> {
        let Some(_lock) = self.0 else { return Ok(()) };
        let aside = beside(dir, EMPTY)?;
        remove(&aside)?;
        fs::rename(dir, aside).map_err(StoreError::io("moving an empty store aside"))
    }
}

fn unusable(bad: BadSnapshot) -> StoreError {
    match bad {
        BadSnapshot::Unread(error) => StoreError::io("reading a snapshot")(error),
        BadSnapshot::Damaged(what) => StoreError::Snapshot { what: what.to_owned() },
    }
}

/// A folder beside `dir`, named after it.
fn beside(dir: &Path, suffix: &str) -> Result<PathBuf, StoreError> {
    let name = dir.file_name().ok_or(StoreError::Refused { what: "the store's directory has no name" })?;
    let mut name = name.to_owned();
    name.push(suffix);
    Ok(dir.with_file_name(name))
}

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn remove(folder: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::io("removing a folder beside the store")(error))
        }
        _ => Ok(()),
    }
}

const STAGE: &str = ".import";
const EMPTY: &str = ".empty";
/// Bytes in a batch. Nothing counts before the one barrier at the end, so batches are bounded by memory alone.
const BATCH_BYTES: usize = 512 * 1024;
const READ_BYTES: usize = 256 * 1024;
/// Far above any log, far below where counting on would overflow.
const INDEX_MAX: u64 = u64::MAX / 2;
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);
const CLOSE_POLL: Duration = Duration::from_millis(2);

//! Opening a store: refuse what is damaged, finish what was interrupted, never begin empty where data was acknowledged.
//!
//! ```text
//!  lock ─► acknowledged-index file ─┬─ none, no database ──► create it ("creating") ─┐
//!                                   ├─ none, a database ───► Corrupt                 │
//!                                   ├─ "creating" ─────────► discard the database ───┤
//!                                   │                                                ▼
//!                                   │                     new database, format and node rows, barrier, "live"
//!                                   └─ "live" ─┬─ no database ─► Corrupt             │
//!                                              └─ clean up, open ─► format, node ────┤
//!                                                                                    ▼
//!                            finish or forget a staged checkpoint ─► compare the log with both indexes ─► Opened
//! ```

use std::path::Path;
use std::sync::Arc;

use super::acknowledged::{Acknowledged, Life};
use super::checkpoint::{self, Head};
use super::database::{Database, guarded};
use super::directory::Directory;
use super::error::StoreError;
use super::marks::Marks;
use super::reader::Reader;
use super::recovered::Recovered;
use super::writer::Writer;
use super::{key, meta, snapshot};

/// The door to the store.
#[derive(Debug, Clone, Copy)]
pub struct Store;

/// How a store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// sled's page cache, in bytes.
    pub cache_bytes: u64,
    /// Writing is refused while fewer bytes than this are free on the file system.
    pub free_floor_bytes: u64,
    /// Whether the barrier reaches the device. Without it an acknowledged entry survives the death of the process but
    /// not a power cut: for measurements, and for proving that the power-cut test can fail.
    pub device_sync: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: 128 * 1024 * 1024, free_floor_bytes: 256 * 1024 * 1024, device_sync: true }
    }
}

/// An open store: its writer, its readers, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// Writes; there is one.
    pub writer: Writer,
    /// Reads; clone it as needed.
    pub reader: Reader,
    /// What the store holds. Drop it once it is read.
    pub recovered: Recovered,
}

impl Store {
    /// Opens the store in `dir`, or creates one there.
    ///
    /// # Errors
    /// `Busy` when another process has it open; `Corrupt` when files are damaged, missing, or hold less than was
    /// acknowledged; `Format` when a newer version wrote it; `Io`.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
        let directory = Directory::lock(dir)?;
        snapshot::sweep(dir)?;
        let mut acknowledged = match Acknowledged::open(dir)? {
            Some(found) => found,
            None if directory.has_database()? => {
                return Err(StoreError::corrupt("the database is there, its acknowledged-index file is not"));
            }
            None => Acknowledged::create(dir, mint_node()?)?,
        };
        let node = acknowledged.node();
        let created = acknowledged.life() == Life::Creating;
        let database = if created {
            directory.discard_database()?;
            let database = Database::open(directory, &options)?;
            meta::create(&database, node)?;
            database.barrier()?;
            database.directory().sync_names()?;
            acknowledged.declare(Life::Live, 0)?;
            database
        } else {
            open_live(directory, &options, &acknowledged)?
        };
        checkpoint::recover(&database)?;
        let head = Head::read(&database.tree)?;
        let (first, last) = bounds(&database, meta::origin(&database)?)?;
        compare(first, last, head.index, acknowledged.index())?;
        database.set_first(first);
        database.set_durable(last);
        let marks = Marks::load(&database, first)?;
        let said = acknowledged.index();
        // What was found is durable (it was synced before sled read it), so it counts as acknowledged from here on.
        acknowledged.declare(Life::Live, last)?;

        let database = Arc::new(database);
        let recovered = Recovered {
            node,
            created,
            checkpoint: head.index,
            first_index: first,
            last_index: last,
            acknowledged: said,
            database: Arc::clone(&database),
            head: head.clone(),
        };
        let reader = Reader::new(Arc::clone(&database));
        let writer = Writer::new(database, acknowledged, head, marks, last);
        Ok(Opened { writer, reader, recovered })
    }
}

fn open_live(
    directory: Directory,
    options: &StoreOptions,
    acknowledged: &Acknowledged,
) -> Result<Database, StoreError> {
    let index = acknowledged.index();
    if !directory.has_database()? {
        return Err(StoreError::corrupt(format!(
            "the database is gone, but log entries up to {index} were acknowledged"
        )));
    }
    directory.clean()?;
    let database = Database::open(directory, options)?;
    meta::verify(&database, acknowledged.node(), index)?;
    database.directory().sync_names()?;
    Ok(database)
}

/// Lowest and highest stored log index; while the log is empty, the index that comes first and the one before it.
fn bounds(database: &Database, origin: u64) -> Result<(u64, u64), StoreError> {
    let mut rows = database.tree.scan_prefix([key::LOG]);
    let index =
        |row: sled::Result<(sled::IVec, sled::IVec)>| row.map(|(log_key, _)| key::log_index(&log_key));
    let first = guarded("looking for the first log entry", || rows.next().map(index).transpose())?.flatten();
    let mut rows = database.tree.scan_prefix([key::LOG]);
    let last =
        guarded("looking for the last log entry", || rows.next_back().map(index).transpose())?.flatten();
    Ok((first.unwrap_or(origin + 1), last.unwrap_or(origin)))
}

fn compare(first: u64, last: u64, checkpoint: u64, acknowledged: u64) -> Result<(), StoreError> {
    if last < acknowledged {
        return Err(StoreError::corrupt(format!(
            "the log ends at {last}, but entries up to {acknowledged} were acknowledged"
        )));
    }
    if last < checkpoint || first > checkpoint + 1 {
        return Err(StoreError::corrupt(format!(
            "the log holds entries {first} to {last}, which does not join on to the checkpoint at {checkpoint}"
        )));
    }
    Ok(())
}

pub(super) fn mint_node() -> Result<[u8; 16], StoreError> {
    let mut node = [0; 16];
    getrandom::fill(&mut node).map_err(|error| StoreError::Io {
        what: "minting the node's identity",
        source: std::io::Error::other(error.to_string()),
    })?;
    Ok(node)
}

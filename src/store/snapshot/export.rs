//! Writing a snapshot while the writer goes on.
//!
//! 1. The state rows of the last checkpoint are read under the guard, so that no checkpoint changes them meanwhile; the
//!    log is held from the checkpoint's index on. Their digest is compared with the checkpoint's head.
//! 2. Events follow without any guard. Those of later entries are left out: for every page of events that was read, the
//!    log behind the checkpoint is read up to its end, and in each conversation everything from the first seq that a later
//!    entry wrote is dropped. A batch holds an entry and its events, so an event that was seen has its entry there. Seqs of
//!    a conversation ascend with the log, so one number for each conversation that is talked in meanwhile is enough.
//!
//! So the file holds exactly what the entries up to the checkpoint made, and those can never be taken back. Should others be
//! taken back while an export runs (then this node is no primary any more), it gives up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::store::checkpoint::Head;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::reader::Reader;
use crate::store::recovered::StateRows;
use crate::store::{entry, key, row, space};

use super::format::{EVENT_KEY_BYTES, Kind, SnapshotWriter};
use super::guard::LogHold;
use super::pace::ExportPace;

/// A snapshot that lies in a file.
#[derive(Debug)]
pub struct Exported {
    /// Where.
    pub path: PathBuf,
    /// It holds what the log made up to this index; whoever takes it goes on with the entry after it.
    pub index: u64,
    /// State rows in it.
    pub state_rows: u64,
    /// Events in it.
    pub events: u64,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// Time spent.
    pub took: Duration,
    /// Keeps the log from `index` on, for two hours at most. Drop it once the peer has caught up, or will not any more.
    pub hold: LogHold,
}

impl Reader {
    /// Writes everything that a new store of another node needs to `path`, which is replaced: the state rows of the last
    /// checkpoint and the events of all entries up to it. Blocks the thread for as long as the pace says; commits go on,
    /// checkpoints are refused with `Exporting` while state rows are read. The cluster's own small values are not in it.
    ///
    /// # Errors
    /// The file is removed: `Refused` before the first checkpoint, `Exporting` while another export runs,
    /// `Interrupted` when it was stopped or entries were taken back, `ReadOnly` when space runs short, `Io`, `Corrupt`.
    pub fn export(&self, path: &Path, pace: &ExportPace) -> Result<Exported, StoreError> {
        let database = self.database();
        let _alone = database.guard.export()?;
        let exported = write(database, path, pace);
        if exported.is_err()
            && let Err(error) = fs::remove_file(path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = %path.display(), "a snapshot that was given up stays behind");
        }
        exported
    }
}

fn write(database: &Arc<Database>, path: &Path, pace: &ExportPace) -> Result<Exported, StoreError> {
    let began = Instant::now();
    let state_rows = database.guard.state_rows()?;
    let taken_back = database.guard.taken_back();
    let head = Head::read(&database.tree)?;
    if head.index == 0 {
        return Err(StoreError::Refused { what: "there is no checkpoint yet, the log has everything" });
    }
    let hold = LogHold::new(database, head.index.max(database.first()))?;
    let file = File::create(path).map_err(StoreError::io("creating a snapshot"))?;
    let out = SnapshotWriter::new(file, &head.encode()).map_err(StoreError::io(WRITING))?;
    let mut export = Export { database, path, pace, out, due: began, unsynced: 0, taken_back };
    for found in StateRows::new(database, head.families.clone(), &[]) {
        let (key, value) = found?;
        export.row(Kind::State, &key, &value)?;
    }
    drop(state_rows);
    export.events(head.index)?;
    let (file, totals, sha256) = export.out.finish().map_err(StoreError::io(WRITING))?;
    file.sync_all().map_err(StoreError::io(SYNCING))?;
    Ok(Exported {
        path: path.to_owned(),
        index: head.index,
        state_rows: totals.state_rows,
        events: totals.events,
        bytes: totals.bytes,
        sha256,
        took: began.elapsed(),
        hold,
    })
}

struct Export<'a> {
    database: &'a Arc<Database>,
    path: &'a Path,
    pace: &'a ExportPace,
    out: SnapshotWriter<File>,
    due: Instant,
    unsynced: usize,
    taken_back: u64,
}

impl Export<'_> {
    /// Every event of the entries up to `index`.
    fn events(&mut self, index: u64) -> Result<(), StoreError> {
        let mut later = Later { next: index + 1, cuts: BTreeMap::new() };
        let mut from = vec![key::EVENT];
        loop {
            let page = self.page(&from);
            let read = later.read_log(self.database);
            // What was taken back is in no log any more, and may be in the page, whole or in part.
            if self.database.guard.taken_back() != self.taken_back {
                return Err(StoreError::Interrupted { what: "entries were taken back meanwhile" });
            }
            let page = read.and(page)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            // The next key that there can be.
            from = [&[key::EVENT], &last[..], &[0]].concat();
            for (position, event) in page {
                if !later.wrote(&position) {
                    self.row(Kind::Events, &position, &event)?;
                }
            }
        }
    }

    /// Events from a key on, by position, until enough bytes are together.
    fn page(&self, from: &[u8]) -> Result<Vec<([u8; EVENT_KEY_BYTES], bytes::Bytes)>, StoreError> {
        let tree = &self.database.tree;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for found in tree.range(from..&[key::EVENT + 1][..]) {
            let (event_key, stored) = found.map_err(StoreError::sled("reading events"))?;
            let position = event_key.get(1..).and_then(|position| position.try_into().ok());
            let position = position.ok_or_else(|| StoreError::corrupt("a row in the place of an event"))?;
            let event = row::join(tree, &event_key, &stored)?;
            bytes += event.len();
            page.push((position, event));
            if bytes >= PAGE_BYTES || page.len() >= PAGE_ROWS {
                break;
            }
        }
        Ok(page)
    }

    fn row(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let written = self.out.row(kind, key, value).map_err(StoreError::io(WRITING))?;
        if written == 0 {
            return Ok(());
        }
        self.unsynced += written;
        if self.unsynced >= SYNC_BYTES {
            // In small doses: a barrier of the commits beside may have to wait for what is dirty in this file.
            self.out.get_ref().sync_data().map_err(StoreError::io(SYNCING))?;
            self.unsynced = 0;
            let (free, floor) = (space::free_bytes(self.folder())?, self.database.free_floor());
            if free < floor {
                return Err(StoreError::ReadOnly { free, floor });
            }
        }
        self.pace.wait(&mut self.due, written)
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// In which conversations entries after the checkpoint wrote events, and from which seq on.
struct Later {
    next: u64,
    cuts: BTreeMap<[u8; 20], u64>,
}

impl Later {
    /// Takes in the log up to its end, durable or not.
    fn read_log(&mut self, database: &Database) -> Result<(), StoreError> {
        for found in database.tree.range(key::log(self.next)..=key::log(u64::MAX)) {
            let (log_key, stored) = found.map_err(StoreError::sled("reading the log"))?;
            if key::log_index(&log_key) != Some(self.next) {
                return Err(StoreError::corrupt(format!("log entry {} is missing", self.next)));
            }
            let value = row::join(&database.tree, &log_key, &stored)?;
            for position in entry::decode(self.next, value)?.1 {
                let event_key = key::event(position.tenant, &position.conversation, position.seq);
                if let Ok(conversation) = event_key[1..21].try_into() {
                    let cut = self.cuts.entry(conversation).or_insert(position.seq);
                    *cut = position.seq.min(*cut);
                }
            }
            self.next += 1;
        }
        Ok(())
    }

    fn wrote(&self, position: &[u8; EVENT_KEY_BYTES]) -> bool {
        let (conversation, seq) = position.split_at(20);
        self.cuts.get(conversation).is_some_and(|cut| seq >= &cut.to_be_bytes()[..])
    }
}

const WRITING: &str = "writing a snapshot";
const SYNCING: &str = "syncing a snapshot";
/// Events that are read before the log is looked at again.
const PAGE_BYTES: usize = 256 * 1024;
const PAGE_ROWS: usize = 1_024;
/// The file is synced, and free space looked at, whenever so much was written.
const SYNC_BYTES: usize = 4 * 1024 * 1024;

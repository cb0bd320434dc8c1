//! What an export and the writer agree on: who may touch the state rows, and how far the front of the log may go.
//!
//! A checkpoint changes state rows, an export reads them as they were at one index: they exclude each other, and a
//! checkpoint that finds an export there is refused (`Exporting`) instead of waiting, so commits never stand behind it.
//! Everything else goes on beside an export: events are written once, and the log only grows.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crate::store::database::Database;
use crate::store::error::StoreError;

/// Shared by the writer and all exports of one database.
#[derive(Debug, Default)]
pub(in crate::store) struct Guard {
    /// Held while state rows change, and while they are exported.
    state_rows: Mutex<()>,
    /// An export waits for the state rows: no further checkpoint begins before it.
    wanted: AtomicBool,
    /// Held while an export runs: there is one at a time.
    export: Mutex<()>,
    holds: Mutex<Holds>,
    /// How often entries were taken back.
    taken_back: AtomicU64,
}

#[derive(Debug, Default)]
struct Holds {
    next: u64,
    floors: BTreeMap<u64, Floor>,
}

/// How far the front of the log may go for one hold, and since when it holds.
#[derive(Debug, Clone, Copy)]
struct Floor {
    index: u64,
    since: Instant,
}

impl Holds {
    /// The lowest index that somebody holds, and may still hold at this time.
    fn lowest(&self, now: Instant) -> Option<u64> {
        let good = |floor: &&Floor| now.saturating_duration_since(floor.since) < HOLD_MAX;
        self.floors.values().filter(good).map(|floor| floor.index).min()
    }
}

impl Guard {
    /// The right to change state rows, for a checkpoint.
    ///
    /// # Errors
    /// `Exporting`, at once.
    pub(in crate::store) fn try_state_rows(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        if self.wanted.load(Ordering::SeqCst) {
            return Err(StoreError::Exporting);
        }
        taken(self.state_rows.try_lock())
    }

    /// The right to read state rows as they are, for an export: waits until a checkpoint that is being written is done.
    ///
    /// # Errors
    /// `Exporting` when that takes longer than [`CHECKPOINT_DEADLINE`].
    pub(super) fn state_rows(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        let deadline = Instant::now() + CHECKPOINT_DEADLINE;
        self.wanted.store(true, Ordering::SeqCst);
        let state_rows = loop {
            match taken(self.state_rows.try_lock()) {
                Err(_) if Instant::now() < deadline => std::thread::sleep(CHECKPOINT_POLL),
                result => break result,
            }
        };
        self.wanted.store(false, Ordering::SeqCst);
        state_rows
    }

    /// The right to export at all.
    ///
    /// # Errors
    /// `Exporting`, at once.
    pub(super) fn export(&self) -> Result<MutexGuard<'_, ()>, StoreError> {
        taken(self.export.try_lock())
    }

    /// Says that entries are about to be taken back: exports that run give up.
    pub(in crate::store) fn take_back(&self) {
        self.taken_back.fetch_add(1, Ordering::SeqCst);
    }

    /// How often entries were taken back so far.
    pub(super) fn taken_back(&self) -> u64 {
        self.taken_back.load(Ordering::SeqCst)
    }

    /// Moves the first entry up to what `choose` makes of the lowest index that is held, and never beyond that.
    pub(in crate::store) fn move_first(&self, database: &Database, choose: impl FnOnce(u64) -> u64) -> u64 {
        let holds = self.holds();
        let until = choose(holds.lowest(Instant::now()).unwrap_or(u64::MAX));
        if until > database.first() {
            database.set_first(until);
        }
        until
    }

    fn holds(&self) -> MutexGuard<'_, Holds> {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the log from an index on until it is dropped, for [`HOLD_MAX`] at most: the log grows meanwhile, and a peer that
/// is not there by then needs another snapshot.
#[derive(Debug)]
pub struct LogHold {
    database: Arc<Database>,
    id: u64,
}

impl LogHold {
    /// Holds the log from `from` on.
    ///
    /// # Errors
    /// `Truncated` when it begins later.
    pub(super) fn new(database: &Arc<Database>, from: u64) -> Result<Self, StoreError> {
        let mut holds = database.guard.holds();
        let first = database.first();
        if from < first {
            return Err(StoreError::Truncated { first });
        }
        let id = holds.next;
        holds.next += 1;
        holds.floors.insert(id, Floor { index: from, since: Instant::now() });
        drop(holds);
        Ok(Self { database: Arc::clone(database), id })
    }

    /// Lets go of the log below `from`: the peer has it.
    pub fn advance(&self, from: u64) {
        if let Some(floor) = self.database.guard.holds().floors.get_mut(&self.id) {
            floor.index = from.max(floor.index);
        }
    }
}

impl Drop for LogHold {
    fn drop(&mut self) {
        self.database.guard.holds().floors.remove(&self.id);
    }
}

fn taken<'a, T>(
    result: Result<MutexGuard<'a, T>, TryLockError<MutexGuard<'a, T>>>,
) -> Result<MutexGuard<'a, T>, StoreError> {
    match result {
        Ok(guard) => Ok(guard),
        // Nothing lies in the lock that a panic could have left half done.
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(StoreError::Exporting),
    }
}

/// Longest time for which a hold counts.
const HOLD_MAX: Duration = Duration::from_secs(2 * 3_600);
const CHECKPOINT_DEADLINE: Duration = Duration::from_secs(30);
const CHECKPOINT_POLL: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forgotten_hold_does_not_keep_the_log_for_ever() {
        let since = Instant::now();
        let floors = [(0, Floor { index: 5, since }), (1, Floor { index: 9, since: since + HOLD_MAX / 2 })];
        let holds = Holds { next: 2, floors: floors.into() };
        assert_eq!(holds.lowest(since), Some(5));
        assert_eq!(holds.lowest(since + HOLD_MAX), Some(9));
        assert_eq!(holds.lowest(since + HOLD_MAX * 2), None);
    }
}

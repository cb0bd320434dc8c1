//! The free-space floor: the store refuses to write while the disk can still hold what sled needs to open again.
//!
//! sled turns a full disk into an error that sticks until reopening, and cannot reopen on a full disk. So writing ends
//! above a floor. The file system is asked every [`CHECK_EVERY`], and earlier when so much was written since that the
//! free space could have come near the floor: a fast disk fills in less time than any interval that is worth having.
//!
//! What was taken before the floor was reached must still be written: for that, half of the floor is a reserve.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::StoreError;

/// Longest time between two questions to the file system.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Watches the free space of the file system under the store.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    floor: u64,
    /// Whether the reserve below the floor may be used.
    reserve: bool,
    checked: Option<Checked>,
}

/// An answer of the file system, and for how many bytes it holds.
#[derive(Debug, Clone, Copy)]
struct Checked {
    at: Instant,
    good_for: u64,
}

impl Space {
    pub(super) fn new(dir: &Path, floor: u64) -> Self {
        Self { dir: dir.to_owned(), floor, reserve: false, checked: None }
    }

    /// Passes while enough space is free to write `bytes` more.
    ///
    /// # Errors
    /// `ReadOnly` below the floor, `Io` when the file system does not answer.
    pub(super) fn require(&mut self, bytes: usize) -> Result<(), StoreError> {
        let bytes = bytes as u64;
        if let Some(checked) = &mut self.checked
            && checked.at.elapsed() < CHECK_EVERY
            && checked.good_for >= bytes
        {
            checked.good_for -= bytes;
            return Ok(());
        }
        let free = free_bytes(&self.dir)?;
        let floor = if self.reserve { self.floor / RESERVE_PART } else { self.floor };
        if free < floor {
            self.checked = None;
            return Err(StoreError::ReadOnly { free, floor });
        }
        let good_for = ((free - floor) / WRITTEN_PER_BYTE).saturating_sub(bytes);
        self.checked = Some(Checked { at: Instant::now(), good_for });
        Ok(())
    }

    /// Allows the reserve or forbids it.
    pub(super) fn use_reserve(&mut self, reserve: bool) {
        (self.reserve, self.checked) = (reserve, None);
    }

    /// Whether the disk has as much free as the floor asks, reserve or not.
    ///
    /// # Errors
    /// `Io` when the file system does not answer.
    pub(super) fn is_above_floor(&self) -> Result<bool, StoreError> {
        Ok(free_bytes(&self.dir)? >= self.floor)
    }
}

/// The reserve reaches down to this part of the floor; sled needs the rest to open again.
const RESERVE_PART: u64 = 2;

/// Bytes that sled may put on the disk for one byte of ours, generously: pages are written again and again.
const WRITTEN_PER_BYTE: u64 = 16;

/// Bytes that this process may still write to the file system of a path.
///
/// # Errors
/// `Io`.
pub(super) fn free_bytes(path: &Path) -> Result<u64, StoreError> {
    let found =
        rustix::fs::statvfs(path).map_err(|errno| StoreError::io("asking for free space")(errno.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_the_floor_writing_is_refused_with_both_figures() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Space::new(dir.path(), 0).require(1).is_ok());
        let refused = Space::new(dir.path(), u64::MAX).require(1);
        assert!(matches!(refused, Err(StoreError::ReadOnly { free, floor: u64::MAX }) if free > 0));
    }

    #[test]
    fn the_reserve_lies_between_the_floor_and_half_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(dir.path()).unwrap();
        let mut space = Space::new(dir.path(), free / 2 * 3);
        assert!(space.require(1).is_err() && !space.is_above_floor().unwrap());
        space.use_reserve(true);
        assert!(space.require(1).is_ok() && !space.is_above_floor().unwrap());
        space.use_reserve(false);
        assert!(space.require(1).is_err());
        let mut space = Space::new(dir.path(), free * 4);
        space.use_reserve(true);
        assert!(matches!(space.require(1), Err(StoreError::ReadOnly { floor, .. }) if floor == free * 2));
    }
}

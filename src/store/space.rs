//! The free-space floor: the store refuses to write while the disk can still hold what sled needs to open again.
//!
//! sled turns a full disk into an error that sticks until reopening, and cannot reopen on a full disk. So writing ends
//! above a floor. The file system is asked every [`CHECK_EVERY`], and earlier when so much was written since that the
//! free space could have come near the floor: a fast disk fills in less time than any interval that is worth having.

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
        Self { dir: dir.to_owned(), floor, checked: None }
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
        if free < self.floor {
            self.checked = None;
            return Err(StoreError::ReadOnly { free, floor: self.floor });
        }
        let good_for = ((free - self.floor) / WRITTEN_PER_BYTE).saturating_sub(bytes);
        self.checked = Some(Checked { at: Instant::now(), good_for });
        Ok(())
    }
}

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
}

//! The free-space floor: the store refuses to write while the disk can still hold what sled needs to open again.
//!
//! sled turns a full disk into an error that sticks until reopening, and cannot reopen on a full disk. So writing ends
//! above a floor. The file system is asked at most every [`CHECK_EVERY`]; what can be written in that time is far
//! below any sensible floor.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::StoreError;

/// Shortest time between two questions to the file system.
pub(super) const CHECK_EVERY: Duration = Duration::from_millis(250);

/// Watches the free space of the file system under the store.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    floor: u64,
    checked: Option<(Instant, u64)>,
}

impl Space {
    pub(super) fn new(dir: &Path, floor: u64) -> Self {
        Self { dir: dir.to_owned(), floor, checked: None }
    }

    /// Passes while enough space is free.
    ///
    /// # Errors
    /// `ReadOnly` below the floor, `Io` when the file system does not answer.
    pub(super) fn require(&mut self) -> Result<(), StoreError> {
        let free = match self.checked {
            Some((at, free)) if at.elapsed() < CHECK_EVERY => free,
            _ => {
                let free = free_bytes(&self.dir)?;
                self.checked = Some((Instant::now(), free));
                free
            }
        };
        if free < self.floor {
            return Err(StoreError::ReadOnly { free, floor: self.floor });
        }
        Ok(())
    }
}

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
        assert!(Space::new(dir.path(), 0).require().is_ok());
        let refused = Space::new(dir.path(), u64::MAX).require();
        assert!(matches!(refused, Err(StoreError::ReadOnly { free, floor: u64::MAX }) if free > 0));
    }
}

//! How fast a snapshot is written, so that the barrier of the commits beside it hardly notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::store::error::StoreError;

/// How fast an export goes, bytes of its file a second, and whether it goes on. Clones share both.
#[derive(Debug, Clone)]
pub struct ExportPace {
    rate: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
}

impl ExportPace {
    /// So many bytes a second; at least 64 KiB.
    #[must_use]
    pub fn bytes_per_s(rate: u64) -> Self {
        let pace = Self::unlimited();
        pace.set(rate);
        pace
    }

    /// As fast as the disk gives it.
    #[must_use]
    pub fn unlimited() -> Self {
        Self { rate: Arc::new(AtomicU64::new(u64::MAX)), stopped: Arc::default() }
    }

    /// From now on.
    pub fn set(&self, rate: u64) {
        self.rate.store(rate.max(RATE_MIN), Ordering::Relaxed);
    }

    /// Ends the export with `Interrupted` within [`STEP`]: nobody wants its file any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits until `bytes` more may have been written since `due`, the end of the wait before.
    ///
    /// # Errors
    /// `Interrupted` when it was stopped.
    pub(super) fn wait(&self, due: &mut Instant, bytes: usize) -> Result<(), StoreError> {
        let rate = u128::from(self.rate.load(Ordering::Relaxed));
        let nanoseconds = bytes as u128 * 1_000_000_000 / rate;
        // Time that was lost on a slow disk is not made up for: that would be a burst on a disk that is busy.
        *due = (*due).max(Instant::now() - STEP)
            + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        loop {
            if self.stopped.load(Ordering::Relaxed) {
                return Err(StoreError::Interrupted { what: "it is not wanted any more" });
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}

const RATE_MIN: u64 = 64 * 1024;
/// Longest sleep between two looks at whether to go on.
const STEP: Duration = Duration::from_millis(50);

//! How fast files go, so that the primary's disk and the entries on their way hardly notice them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How fast files go, bytes a second. Clones share it, and it may be changed on the way.
#[derive(Debug, Clone)]
pub struct Pace(Arc<AtomicU64>);

impl Pace {
    /// So many bytes a second; at least one chunk of 64 KiB in four seconds.
    #[must_use]
    pub fn bytes_per_s(rate: u64) -> Self {
        let pace = Self(Arc::default());
        pace.set(rate);
        pace
    }

    /// From now on.
    pub fn set(&self, rate: u64) {
        self.0.store(rate.max(PACE_MIN), Ordering::Relaxed);
    }

    /// How long so many bytes take.
    pub(super) fn time_of(&self, bytes: usize) -> Duration {
        let rate = self.0.load(Ordering::Relaxed);
        Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000) / rate)
    }
}

const PACE_MIN: u64 = 16 * 1024;

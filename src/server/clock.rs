//! The one clock that the core is told: Unix milliseconds that never go back.
//!
//! It follows the monotonic clock, so that a system clock set back stops no timer; when the system clock is found to be
//! ahead by more than a second (suspend, a correction) it jumps there.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock with one owner.
#[derive(Debug)]
pub(super) struct Clock {
    anchor: Instant,
    anchor_ms: u64,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { anchor: Instant::now(), anchor_ms: system_ms() }
    }

    /// Now.
    pub(super) fn now_ms(&mut self) -> u64 {
        let steady_ms = self.anchor_ms + self.anchor.elapsed().as_millis() as u64;
        let system_ms = system_ms();
        if system_ms > steady_ms + 1_000 {
            *self = Self { anchor: Instant::now(), anchor_ms: system_ms };
            return system_ms;
        }
        steady_ms
    }

    /// When the clock will show `at_ms`; at once if it has.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        self.anchor + Duration::from_millis(at_ms.saturating_sub(self.anchor_ms))
    }
}

/// The system's clock, Unix milliseconds.
pub(super) fn system_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_clock_ahead_is_followed_and_one_behind_is_not() {
        let hour_ms = 3_600_000;
        let mut behind = Clock { anchor: Instant::now(), anchor_ms: system_ms() - hour_ms };
        assert!(behind.now_ms() + 1_000 > system_ms());
        let mut ahead = Clock { anchor: Instant::now(), anchor_ms: system_ms() + hour_ms };
        let first = ahead.now_ms();
        assert!(first >= system_ms() + hour_ms - 1_000 && ahead.now_ms() >= first);
        assert!(ahead.instant(first + 50) <= Instant::now() + Duration::from_millis(50));
    }
}

//! The one clock that the core is told: Unix milliseconds that never go back.
//!
//! It follows the monotonic clock, so that a system clock set back stops no timer; when the system clock is found to be
//! ahead by more than a second (suspend, a correction) it jumps there. It is never behind the log: a node that starts after
//! its system clock was set back goes on from the log's time, and its timers run as ever. Deadlines that others gave by
//! their own clocks, the ends of tokens, are moved by as much as this one is ahead of the system's.

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

    /// Now, at least the log's time.
    pub(super) fn now_ms(&mut self, log_ms: u64) -> u64 {
        let steady_ms = self.steady_ms();
        let system_ms = system_ms().max(log_ms);
        if steady_ms < log_ms {
            *self = Self { anchor: Instant::now(), anchor_ms: system_ms };
            return system_ms;
        }
        if system_ms > steady_ms + 1_000 {
            *self = Self { anchor: Instant::now(), anchor_ms: system_ms };
            return system_ms;
        }
        steady_ms
    }

    /// How far it is ahead of the system's clock; 0 below a second.
    pub(super) fn ahead_ms(&self) -> u64 {
        let ahead_ms = self.steady_ms().saturating_sub(system_ms());
        if ahead_ms < 1_000 { 0 } else { ahead_ms }
    }

    fn steady_ms(&self) -> u64 {
        self.anchor_ms + self.anchor.elapsed().as_millis() as u64
    }

    /// When the clock will show `at_ms`; at once if it has.
    pub(super) fn instant(&self, at_ms: u64) -> Instant {
        self.anchor + Duration::from_millis(at_ms.saturating_sub(self.anchor_ms))
    }
}

/// Milliseconds since the machine started, counting sleep: never goes back, never jumps.
pub(super) fn boot_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
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
        assert!(behind.now_ms(0) + 1_000 > system_ms());
        let mut ahead = Clock { anchor: Instant::now(), anchor_ms: system_ms() + hour_ms };
        let first = ahead.now_ms(0);
        assert!(first >= system_ms() + hour_ms - 1_000 && ahead.now_ms(0) >= first);
        assert!(ahead.instant(first + 50) <= Instant::now() + Duration::from_millis(50));
    }

    #[test]
    fn a_log_from_the_future_stops_no_timer_and_ends_no_token() {
        let log_ms = system_ms() + 3_600_000;
        let mut clock = Clock::start();
        let first = clock.now_ms(log_ms);
        assert_eq!(first, log_ms);
        assert!(clock.instant(first + 50) <= Instant::now() + Duration::from_millis(50), "50 ms are 50 ms");
        assert!(clock.now_ms(log_ms) >= first);
        let token_ends_ms = system_ms() + 60_000;
        let left_ms = (token_ends_ms + clock.ahead_ms()).saturating_sub(clock.now_ms(log_ms));
        assert!((59_000..=61_000).contains(&left_ms), "a minute is a minute: {left_ms}");
    }
}

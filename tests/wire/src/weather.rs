//! What happens to what passes one way, and when each piece arrives: arithmetic without a socket.

use crate::chance::Chance;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::Instant;

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From clients to the server.
    Up,
    /// From the server to clients.
    Down,
    /// Both of them.
    Both,
}

/// What happens one way. The default is clear weather. Probabilities are between 0 and 1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weather {
    /// Everything takes so long, milliseconds.
    pub delay_ms: u32,
    /// And up to so much more, milliseconds; datagrams may overtake each other by it.
    pub jitter_ms: u32,
    /// How many datagrams are lost. Of TCP: how many segments of 1,400 bytes arrive only at their repetition, one
    /// round trip later ([`Weather::repeat_ms`]), which is the best that TCP can do.
    pub loss: f64,
    /// What is not longer than this is never lost, bytes: to stall one conversation of large messages, and none of small ones.
    pub spares_bytes: u32,
    /// What a lost TCP segment costs, milliseconds; 0 means twice the delay and jitter of this way, at least 20.
    pub repeat_ms: u32,
    /// How many datagrams arrive twice.
    pub duplicate: f64,
    /// How many datagrams are overtaken by those behind them: they take 20 milliseconds longer.
    pub reorder: f64,
    /// Bytes a second for each flow or connection; 0 is no limit. At most a second's worth waits.
    pub bytes_per_s: u64,
    /// Nothing passes: datagrams are lost, and a connection's bytes wait, until the weather changes.
    pub hold: bool,
    /// A connection's bytes are swallowed, and nobody is told; what comes after them is swallowed too, for good.
    pub swallow: bool,
}

impl Weather {
    fn spares(&self, bytes: usize) -> bool {
        u32::try_from(bytes).is_ok_and(|bytes| bytes <= self.spares_bytes)
    }
}

/// One direction of one flow or connection.
#[derive(Debug)]
pub(crate) struct Line {
    chance: Chance,
    /// When the last byte that was let through has left.
    free_at: Instant,
    /// When the last segment arrives, which none overtakes.
    last_at: Instant,
}

const SEGMENT_BYTES: usize = 1_400;
const OVERTAKEN_BY: Duration = Duration::from_millis(20);
const REPEAT_MS_MIN: u32 = 20;
const BURST: Duration = Duration::from_secs(1);

impl Line {
    pub(crate) fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self { chance: Chance::new(seed), free_at: now, last_at: now }
    }

    /// When copies of a datagram arrive; none when it is lost.
    pub(crate) fn datagram(&mut self, weather: &Weather, now: Instant, bytes: usize) -> [Option<Instant>; 2] {
        // Drawn in any weather, so that a change of one number moves no other chance.
        let (lost, doubled, overtaken) = (
            self.chance.happens(weather.loss),
            self.chance.happens(weather.duplicate),
            self.chance.happens(weather.reorder),
        );
        let behind = self.free_at.saturating_duration_since(now) > BURST;
        let lost = lost && !weather.spares(bytes);
        if lost || weather.hold || weather.swallow || (weather.bytes_per_s > 0 && behind) {
            return [None, None];
        }
        let left = self.leaves(weather, now, bytes);
        let arrives = left + self.travels(weather) + if overtaken { OVERTAKEN_BY } else { Duration::ZERO };
        let again = doubled.then(|| left + self.travels(weather));
        [Some(arrives), again]
    }

    /// When a piece of a connection's bytes arrives: behind the one before it.
    pub(crate) fn segment(&mut self, weather: &Weather, now: Instant, bytes: usize) -> Instant {
        let mut arrives = self.leaves(weather, now, bytes) + self.travels(weather);
        for _ in 0..bytes.div_ceil(SEGMENT_BYTES) {
            if self.chance.happens(weather.loss) && !weather.spares(bytes) {
                arrives += repetition(weather);
            }
        }
        self.last_at = self.last_at.max(arrives);
        self.last_at
    }

    fn leaves(&mut self, weather: &Weather, now: Instant, bytes: usize) -> Instant {
        if weather.bytes_per_s == 0 {
            return now;
        }
        let takes = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / weather.bytes_per_s;
        self.free_at = self.free_at.max(now) + Duration::from_micros(takes);
        self.free_at
    }

    fn travels(&mut self, weather: &Weather) -> Duration {
        let delay = Duration::from_millis(weather.delay_ms.into());
        delay + Duration::from_millis(weather.jitter_ms.into()).mul_f64(self.chance.unit())
    }
}

fn repetition(weather: &Weather) -> Duration {
    let own = if weather.repeat_ms > 0 {
        weather.repeat_ms
    } else {
        (2 * (weather.delay_ms + weather.jitter_ms)).max(REPEAT_MS_MIN)
    };
    Duration::from_millis(own.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_segment_holds_up_what_follows_and_a_lost_datagram_does_not() {
        let rain = Weather { delay_ms: 10, loss: 1.0, ..Weather::default() };
        let clear = Weather { delay_ms: 10, ..Weather::default() };
        let (mut line, now) = (Line::new(1), Instant::now());
        let late = line.segment(&rain, now, 100);
        assert_eq!(late, now + Duration::from_millis(30));
        assert_eq!(line.segment(&clear, now, 100), late, "what came behind waits");
        assert_eq!(line.datagram(&rain, now, 100), [None, None]);
        assert_eq!(line.datagram(&clear, now, 100), [Some(now + Duration::from_millis(10)), None]);
    }

    #[test]
    fn what_is_small_is_spared_when_that_is_wanted_and_still_waits_behind_what_is_not() {
        let rain = Weather { delay_ms: 10, loss: 1.0, spares_bytes: 500, ..Weather::default() };
        let (mut line, now) = (Line::new(1), Instant::now());
        assert_eq!(line.datagram(&rain, now, 501), [None, None]);
        assert_eq!(line.datagram(&rain, now, 500), [Some(now + Duration::from_millis(10)), None]);
        assert_eq!(line.segment(&rain, now, 500), now + Duration::from_millis(10));
        assert_eq!(line.segment(&rain, now, 501), now + Duration::from_millis(30));
        assert_eq!(line.segment(&rain, now, 500), now + Duration::from_millis(30));
    }

    #[test]
    fn a_narrow_wire_sends_byte_after_byte_and_drops_datagrams_that_would_wait_too_long() {
        let narrow = Weather { bytes_per_s: 1_000, ..Weather::default() };
        let (mut line, now) = (Line::new(1), Instant::now());
        let arrivals: Vec<_> = (0..5).map(|_| line.datagram(&narrow, now, 500)[0]).collect();
        let at = |ms| Some(now + Duration::from_millis(ms));
        assert_eq!(arrivals, [at(500), at(1_000), at(1_500), None, None]);
    }

    #[test]
    fn a_doubled_datagram_arrives_twice_and_an_overtaken_one_later() {
        let (mut line, now) = (Line::new(1), Instant::now());
        let twice = line.datagram(&Weather { duplicate: 1.0, ..Weather::default() }, now, 9);
        assert_eq!(twice, [Some(now), Some(now)]);
        let late = line.datagram(&Weather { reorder: 1.0, ..Weather::default() }, now, 9);
        assert_eq!(late, [Some(now + OVERTAKEN_BY), None]);
        let held = line.datagram(&Weather { hold: true, ..Weather::default() }, now, 9);
        assert_eq!(held, [None, None]);
    }
}

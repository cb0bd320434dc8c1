//! How long to wait before the next attempt: full jitter, so that clients that fell together do not rise together.
//!
//! `delay = random(0, min(max, base · 2^n))`, the first one `random(0, first)`. What the server asks for is a floor
//! below the draw, so that its clients still spread.
//!
//! The count is forgotten at the first proof of service on a connection ([`Proof`]). A welcome is none: a server that lets
//! clients in and drops them at once meets growing delays, and so does one that falls over whatever waits in an outbox.

use super::{config::Config, entropy::Entropy};
use duet_protocol::Delivery;

/// That a node serves, as opposed to: that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It acknowledged a message.
    Acknowledged,
    /// It said what only a node that serves can say. Enough for a client that has nothing to publish.
    Answered,
}

impl Proof {
    /// What a delivery proves.
    pub(crate) fn of(delivery: &Delivery) -> Option<Self> {
        match delivery {
            Delivery::Published(_) => Some(Self::Acknowledged),
            Delivery::Opened(_)
            | Delivery::CaughtUp(_)
            | Delivery::Event(_)
            | Delivery::Done(_)
            | Delivery::Created(_)
            | Delivery::HistoryPage(_) => Some(Self::Answered),
            _ => None,
        }
    }
}

/// Attempts since the last good connection.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
    redirects: u32,
}

/// Redirects that are followed at once before they count as failures: two nodes may each name the other.
const REDIRECTS_MAX: u32 = 3;
/// Rounds that follow each other quickly while a pair fails over: a quarter of a second each on average, and a pair that
/// needs more than two seconds is still asked often.
const QUICK_TRIES: u32 = 12;

impl Backoff {
    /// Milliseconds until the next round. `quick`: it is likely that another node takes over in a moment.
    pub(crate) fn delay(
        &mut self,
        config: &Config,
        entropy: &mut Entropy,
        retry_after_ms: u32,
        quick: bool,
    ) -> u64 {
        let bound = match (quick, self.tries.checked_sub(QUICK_TRIES)) {
            (false, _) => bound(config, self.tries),
            (true, None) => config.retry_base_ms,
            (true, Some(tries)) => bound(config, tries + 1),
        };
        self.tries = self.tries.saturating_add(1);
        u64::from(retry_after_ms) + entropy.up_to(bound)
    }

    /// The same when the server said where to go at once.
    pub(crate) fn redirect(&mut self, config: &Config, entropy: &mut Entropy, retry_after_ms: u32) -> u64 {
        self.redirects = self.redirects.saturating_add(1);
        if self.redirects <= REDIRECTS_MAX {
            u64::from(retry_after_ms)
        } else {
            self.delay(config, entropy, retry_after_ms, false)
        }
    }

    /// Failures since the last good connection.
    pub(crate) fn tries(&self) -> u32 {
        self.tries
    }

    /// Whether there is nothing to forget.
    pub(crate) fn is_fresh(&self) -> bool {
        self.tries == 0 && self.redirects == 0
    }

    /// The connection was good.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// The largest wait after `tries` failures, in milliseconds.
pub(crate) fn bound(config: &Config, tries: u32) -> u64 {
    if tries == 0 {
        return config.retry_first_ms;
    }
    let doubled = 1u64.checked_shl(tries).and_then(|factor| config.retry_base_ms.checked_mul(factor));
    doubled.unwrap_or(u64::MAX).min(config.retry_max_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use duet_protocol::DeviceId;

    #[test]
    fn waits_stay_below_a_bound_that_doubles_from_one_second_to_twenty() {
        let config = Config::new(vec!["a:1".into()], DeviceId::parse("d").unwrap(), [0; 16]);
        let bounds: Vec<u64> = (0..8).map(|tries| bound(&config, tries)).collect();
        assert_eq!(bounds, [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
        assert_eq!(bound(&config, u32::MAX), 20_000);
        let (mut backoff, mut entropy) = (Backoff::default(), Entropy::new([1; 16]));
        for limit in bounds {
            assert!(backoff.delay(&config, &mut entropy, 0, false) <= limit);
        }
    }

    #[test]
    fn a_pair_is_asked_often_at_first_and_then_ever_less() {
        let config = Config::new(vec!["a:1".into()], DeviceId::parse("d").unwrap(), [0; 16]);
        for seed in 0..50 {
            let (mut backoff, mut entropy) = (Backoff::default(), Entropy::new([seed; 16]));
            let delays: Vec<u64> = (0..24).map(|_| backoff.delay(&config, &mut entropy, 0, true)).collect();
            assert!(delays[..12].iter().all(|delay| *delay <= 500), "{delays:?}");
            assert!(delays[12] <= 1_000 && delays[12..].iter().sum::<u64>() > 30_000, "{delays:?}");
        }
    }

    #[test]
    fn what_the_server_asks_for_is_a_floor_and_clients_spread_above_it() {
        let config = Config::new(vec!["a:1".into()], DeviceId::parse("d").unwrap(), [0; 16]);
        let draw = |seed| Backoff::default().delay(&config, &mut Entropy::new([seed; 16]), 5_000, false);
        let drawn: std::collections::BTreeSet<u64> = (0..50).map(draw).collect();
        assert!(drawn.iter().all(|delay| (5_000..=6_000).contains(delay)));
        assert!(drawn.len() > 25);
    }

    #[test]
    fn two_nodes_that_name_each_other_do_not_make_a_client_spin() {
        let config = Config::new(vec!["a:1".into()], DeviceId::parse("d").unwrap(), [0; 16]);
        let (mut backoff, mut entropy) = (Backoff::default(), Entropy::new([1; 16]));
        let delays: Vec<u64> = (0..20).map(|_| backoff.redirect(&config, &mut entropy, 0)).collect();
        assert_eq!(delays[..3], [0, 0, 0]);
        assert!(delays[3..].iter().sum::<u64>() > 20_000);
    }
}

//! Chance from a seed: SplitMix64 (Steele, Lea, Flood 2014), which is small, and even enough for weather.

/// A source of chances.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Evenly from 0 to 1, 1 excluded.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = (mixed ^ (mixed >> 31)) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
        let unit = bits as f64 / (1_u64 << 53) as f64;
        unit
    }

    /// Whether something of this probability happens now.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_is_met_and_a_seed_repeats() {
        let mut chance = Chance::new(7);
        let hits = (0..100_000).filter(|_| chance.happens(0.05)).count();
        assert!((4_700..5_300).contains(&hits), "{hits}");
        let draws = |seed| (0..9).map(|_| Chance::new(seed).unit().to_bits()).collect::<Vec<_>>();
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        assert!(!Chance::new(1).happens(0.0));
    }
}

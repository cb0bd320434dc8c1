//! Chance as data: a small deterministic generator over the seed that the machine was given.
//!
//! xoroshiro128++ by Blackman and Vigna. Not for secrets: it spreads retries over time and makes ids unique; the same
//! seed gives the same run.

/// The machine's only source of chance.
#[derive(Debug, Clone)]
pub(crate) struct Entropy {
    state: [u64; 2],
}

impl Entropy {
    pub(crate) fn new(seed: [u8; 16]) -> Self {
        let [low, high] = [0, 8].map(|at| {
            let mut half = [0; 8];
            half.copy_from_slice(&seed[at..at + 8]);
            u64::from_le_bytes(half)
        });
        // The generator stands still at zero and starts slowly near it: stir both halves first.
        Self {
            state: [stir(low ^ 0x9e37_79b9_7f4a_7c15), stir(high.wrapping_add(0x6a09_e667_f3bc_c909)) | 1],
        }
    }

    /// The next 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
        let [a, mut b] = self.state;
        let out = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
        b ^= a;
        self.state = [a.rotate_left(49) ^ b ^ (b << 21), b.rotate_left(28)];
        out
    }

    /// A number from 0 to `max`, both included.
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        match max.checked_add(1) {
            Some(count) => ((u128::from(self.next()) * u128::from(count)) >> 64) as u64,
            None => self.next(),
        }
    }

    /// `N` random bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        for chunk in out.chunks_mut(8) {
            let bytes = self.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        out
    }
}

/// The finalizer of splitmix64.
fn stir(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_numbers_and_another_seed_others() {
        let draw = |seed: [u8; 16]| {
            let mut entropy = Entropy::new(seed);
            [entropy.next(), entropy.next(), entropy.up_to(1_000)]
        };
        assert_eq!(draw([7; 16]), draw([7; 16]));
        assert_ne!(draw([7; 16]), draw([8; 16]));
        assert_ne!(draw([0; 16])[0], draw([0; 16])[1], "not even a seed of zeros stands still");
    }

    #[test]
    fn draws_stay_within_their_bound_and_reach_both_ends() {
        let mut entropy = Entropy::new([3; 16]);
        let drawn: Vec<u64> = (0..400).map(|_| entropy.up_to(3)).collect();
        assert!((0..=3).all(|value| drawn.contains(&value)) && drawn.iter().all(|value| *value <= 3));
        assert_eq!(entropy.up_to(0), 0);
    }
}

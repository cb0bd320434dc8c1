//! What is particular to a world with two nodes: who decides, how the peer and the arbiter are reached, what an operator does.

use crate::rng::Rng;
use duet::core::{ClusterId, PairMutant, Policy};

#[derive(Debug, Clone)]
pub(crate) struct PairPlan {
    pub(crate) mutant: Option<PairMutant>,
    pub(crate) cluster: ClusterId,
    /// Whether there is an arbiter; without one an operator decides.
    pub(crate) automatic: bool,
    pub(crate) policy: Policy,
    /// In a thousand: the peer link drops, doubles and reorders single messages, which no real one does.
    pub(crate) rude: u64,
    /// What entries take longer than heartbeats, at most.
    pub(crate) bulk_ms: u64,
    /// In a thousand: something breaks right after the register changed.
    pub(crate) ambush: u64,
    /// One way of the peer link, milliseconds.
    pub(crate) peer_ms: (u64, u64),
    /// One way to the arbiter.
    pub(crate) arbiter_ms: (u64, u64),
    /// Questions and answers of the arbiter that are lost, in a thousand.
    pub(crate) arbiter_loss: u64,
    /// Whether an answer still comes after the node was told that nobody knows.
    pub(crate) late_answers: bool,
    /// In a thousand: a standby that has just taken over dies, and finds the old primary alive and nobody to ask.
    pub(crate) usurper: u64,
    /// A peer link that carries nothing for so long ends.
    pub(crate) idle_ms: u64,
    /// Entries that a node keeps behind its checkpoint.
    pub(crate) keeps: Option<u64>,
    /// Whether the operator gives acknowledged messages up when there is no other way.
    pub(crate) accepts_loss: bool,
    /// How often the operator looks.
    pub(crate) operator_ms: (u64, u64),
}

impl PairPlan {
    pub(crate) fn draw(rng: &mut Rng, mutant: Option<PairMutant>) -> Self {
        let automatic = !rng.chance(180);
        Self {
            mutant,
            cluster: ClusterId(rng.bytes()),
            automatic,
            policy: if rng.chance(200) { Policy::Block } else { Policy::Solo },
            rude: if rng.chance(200) { *rng.pick(&[25, 150]).unwrap_or(&25) } else { 0 },
            bulk_ms: if rng.chance(300) { rng.between((50, 1_500)) } else { 0 },
            ambush: *rng.pick(&[0, 100, 400]).unwrap_or(&0),
            peer_ms: *rng.pick(&[(0, 2), (0, 10), (1, 60), (20, 300)]).unwrap_or(&(0, 10)),
            arbiter_ms: *rng.pick(&[(0, 3), (1, 30), (10, 250)]).unwrap_or(&(1, 30)),
            arbiter_loss: *rng.pick(&[0, 20, 150]).unwrap_or(&0),
            late_answers: rng.chance(500),
            usurper: *rng.pick(&[0, 300, 800]).unwrap_or(&0),
            idle_ms: rng.between((1_500, 6_000)),
            // Without an arbiter what was given up has to be found in the log.
            keeps: (automatic && !rng.chance(300)).then(|| rng.between((0, 60))),
            accepts_loss: rng.chance(500),
            operator_ms: *rng.pick(&[(1_000, 3_000), (4_000, 9_000)]).unwrap_or(&(1_000, 3_000)),
        }
    }
}

//! Every deliberate defect of the pair must be found, as those of the core are.

use crate::{live, number, plan::Case, world::Outcome};
use duet::core::PairMutant;

/// Each mutant with a seed on which it is found.
const RECORDED: &[(PairMutant, u64)] = &[
    (PairMutant::SoloBeforeSwap, 8),
    (PairMutant::PromoteOutOfSync, 1),
    (PairMutant::ExpandBeforeCaughtUp, 1),
    (PairMutant::RequireAfterExpand, 5),
    (PairMutant::SameEpochOnRestart, 1),
    (PairMutant::AckBeforeOwnDisk, 1),
    (PairMutant::AckBeforePeerDisk, 1),
    (PairMutant::CommitAlone, 1),
    (PairMutant::AckLogEnd, 32),
    (PairMutant::SettleOnTimeout, 335),
    (PairMutant::OwnByEpoch, 38),
    (PairMutant::NoTruncate, 6),
    (PairMutant::DurableOverTruncate, 27),
    (PairMutant::NoLease, 32),
    (PairMutant::LeaseFromReceipt, 166),
    (PairMutant::TrustLostDisk, 43),
    (PairMutant::ApplyUncommitted, 1),
    (PairMutant::EchoWhilePromoting, 1363),
    (PairMutant::PrefixByIndex, 91),
    (PairMutant::AlwaysTwoReplicas, 3),
];

/// Not found in 4,000 seeds, or on one of them only: `NoFence` stops progress on seed 3480. What is acknowledged names the
/// newest epoch that the standby has seen, which the old primary does not count, and a primary that steps down over a conflict
/// is another process on another link, so that little is left for the fence to do.
/// `SettleOnStaleRead`: as long as a swap is of unknown outcome the next question is a swap that settles it, not a read.
/// `ForgetMaxEpoch`: an epoch of which no entry is durable has acknowledged nothing; what is left is a lease of less than
/// a second. The others need a standby with a long tail of its own, and a message lost or late at that very moment.
const AT_LARGE: &[PairMutant] = &[
    PairMutant::NoFence,
    PairMutant::ForgetMaxEpoch,
    PairMutant::SettleOnStaleRead,
    PairMutant::SwitchoverWithoutDrain,
    PairMutant::AckOfOldEpoch,
];

/// A change of the product moves every history a little: so many seeds from the recorded one on are tried.
const TRIES: u64 = 2_000;

#[test]
fn every_mutant_of_the_pair_has_a_recorded_seed() {
    for mutant in PairMutant::ALL {
        let recorded = RECORDED.iter().any(|(known, _)| known == mutant);
        assert!(recorded != AT_LARGE.contains(mutant), "{mutant:?} has no seed, or one that is not recorded");
    }
}

#[test]
fn every_mutant_of_the_pair_is_found_from_its_recorded_seed_on() {
    for (mutant, seed) in RECORDED {
        let found = (*seed..seed + TRIES).find(|seed| with(*seed, *mutant).violation.is_some());
        println!("{mutant:?} found on seed {found:?}, recorded {seed}");
        assert!(found.is_some(), "{mutant:?} survives {TRIES} seeds from {seed}");
    }
}

/// Looks for a seed for each mutant, or for the one that `DUET_SIM_MUTANT` names, in `DUET_SIM_SEEDS` seeds;
/// `cargo test --test sim --features mutants -- --ignored --nocapture find_pair_seeds`.
#[test]
#[ignore = "a tool: prints the first seed on which each mutant is found"]
fn find_pair_seeds() {
    let wanted = std::env::var("DUET_SIM_MUTANT").ok();
    let seeds = number("DUET_SIM_SEEDS").unwrap_or(1_000);
    for mutant in PairMutant::ALL {
        if wanted.as_ref().is_some_and(|wanted| *wanted != format!("{mutant:?}")) {
            continue;
        }
        let found = (1..=seeds).find_map(|seed| with(seed, *mutant).violation.map(|what| (seed, what)));
        match found {
            Some((seed, what)) => println!("(PairMutant::{mutant:?}, {seed}), // {what:.200}"),
            None => println!("{mutant:?} SURVIVES"),
        }
    }
}

fn with(seed: u64, mutant: PairMutant) -> Outcome {
    live(seed, Case { pair: true, pair_mutant: Some(mutant), ..Case::default() }, false)
}

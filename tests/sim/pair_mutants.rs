//! Every deliberate defect of the pair must be found, as those of the core are.

use crate::{live, number, plan::Case, world::Outcome};
use duet::core::PairMutant;

/// Each mutant with a seed on which it is found.
const RECORDED: &[(PairMutant, u64)] = &[
    (PairMutant::SoloBeforeSwap, 9),
    (PairMutant::PromoteOutOfSync, 1),
    (PairMutant::ExpandBeforeCaughtUp, 1),
    (PairMutant::RequireAfterExpand, 8),
    (PairMutant::SameEpochOnRestart, 1),
    (PairMutant::AckBeforeOwnDisk, 1),
    (PairMutant::AckBeforePeerDisk, 1),
    (PairMutant::CommitAlone, 1),
    (PairMutant::AckLogEnd, 32),
    (PairMutant::SettleOnTimeout, 391),
    (PairMutant::OwnByEpoch, 62),
    (PairMutant::NoTruncate, 6),
    (PairMutant::DurableOverTruncate, 28),
    (PairMutant::NoLease, 33),
    (PairMutant::LeaseFromReceipt, 304),
    (PairMutant::TrustLostDisk, 80),
    (PairMutant::ApplyUncommitted, 1),
    (PairMutant::EchoWhilePromoting, 1519),
    (PairMutant::PrefixByIndex, 306),
    (PairMutant::AlwaysTwoReplicas, 5),
    (PairMutant::SwitchoverWithoutDrain, 9),
    (PairMutant::SettleOnStaleRead, 1780),
    (PairMutant::ServeBeforeSaved, 62),
    (PairMutant::IgnoreEpochs, 20),
];

/// Rules that are held up by others as well: alone they change nothing, and the mutant that breaks the whole group has its
/// recorded seed.
///
/// `NoFence` and `AckOfOldEpoch`: entries flow only after an answer that names the reign of the one who asks, and every answer
/// names the highest epoch that its sender has seen. A standby that has seen a newer reign is thus never sent entries of
/// an older one, whether it would take them or not; and what the same process acknowledged in an earlier reign of the same
/// primary was committed before that primary followed in between, or it would be another process on another link.
/// `ForgetMaxEpoch`: a reign in which anybody was served has its first entry on the disk, written together with its epoch, so
/// that the log alone remembers it; what remains is a reign that nobody has seen. `ServeBeforeSaved` lets it be seen.
const COVERED: &[(PairMutant, PairMutant)] = &[
    (PairMutant::NoFence, PairMutant::IgnoreEpochs),
    (PairMutant::AckOfOldEpoch, PairMutant::IgnoreEpochs),
    (PairMutant::ForgetMaxEpoch, PairMutant::ServeBeforeSaved),
];

/// A change of the product moves every history a little: so many seeds from the recorded one on are tried.
const TRIES: u64 = 2_000;

#[test]
fn every_mutant_of_the_pair_has_a_recorded_seed() {
    for mutant in PairMutant::ALL {
        let recorded = |mutant: &PairMutant| RECORDED.iter().any(|(known, _)| known == mutant);
        let covered = COVERED.iter().any(|(alone, group)| alone == mutant && recorded(group));
        assert!(recorded(mutant) != covered, "{mutant:?} has no seed, or one and an excuse");
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

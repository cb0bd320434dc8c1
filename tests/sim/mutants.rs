//! Every deliberate defect of the core must be found: checkers that cannot fail prove nothing.

use crate::{live, plan::Case, world::Outcome};
use duet::core::Mutant;

/// Each mutant with a seed on which it is found.
const RECORDED: &[(Mutant, u64)] = &[
    (Mutant::ReleaseBeforeDurable, 1),
    (Mutant::NoDedup, 6),
    (Mutant::DuplicateAnsweredEarly, 436),
    (Mutant::ForgetWithoutFloor, 13),
    (Mutant::LiveTooEarly, 6),
    (Mutant::OverflowIgnored, 4),
    (Mutant::CheckpointWithoutDedup, 1),
    (Mutant::HistoryBeyondCommit, 8),
    (Mutant::EpochKept, 1),
];

#[test]
fn every_mutant_has_a_recorded_seed() {
    for mutant in Mutant::ALL {
        assert!(RECORDED.iter().any(|(known, _)| known == mutant), "{mutant:?} has no seed");
    }
}

/// A change of the product moves every history a little: so many seeds from the recorded one on are tried.
const TRIES: u64 = 300;

#[test]
fn every_mutant_is_found_from_its_recorded_seed_on() {
    for (mutant, seed) in RECORDED {
        let found = (*seed..seed + TRIES).find(|seed| with(*seed, *mutant).violation.is_some());
        println!("{mutant:?} found on seed {found:?}, recorded {seed}");
        assert!(found.is_some(), "{mutant:?} survives {TRIES} seeds from {seed}");
    }
}

/// Looks for a seed for each mutant; `cargo test --test sim --features mutants -- --ignored --nocapture find_seeds`.
#[test]
#[ignore = "a tool: prints the first seed on which each mutant is found"]
fn find_seeds() {
    for mutant in Mutant::ALL {
        let found = (1..=400).find_map(|seed| with(seed, *mutant).violation.map(|what| (seed, what)));
        match found {
            Some((seed, what)) => println!("(Mutant::{mutant:?}, {seed}), // {what:.200}"),
            None => println!("{mutant:?} SURVIVES"),
        }
    }
}

fn with(seed: u64, mutant: Mutant) -> Outcome {
    live(seed, Case { mutant: Some(mutant), ..Case::default() }, false)
}

//! Every deliberate defect of the core must be found on its recorded seed: checkers that cannot fail prove nothing.

use crate::live;
use duet::core::Mutant;

/// Each mutant with a seed on which it is found.
const RECORDED: &[(Mutant, u64)] = &[];

#[test]
fn every_mutant_is_found_on_its_recorded_seed() {
    for (mutant, seed) in RECORDED {
        let outcome = live(*seed, Some(*mutant), false);
        assert!(outcome.violation.is_some(), "{mutant:?} survives seed {seed}");
    }
}

/// Looks for a seed for each mutant; `cargo test --test sim --features mutants -- --ignored --nocapture find_seeds`.
#[test]
#[ignore = "a tool: prints the first seed on which each mutant is found"]
fn find_seeds() {
    for mutant in Mutant::ALL {
        let found =
            (1..=400).find_map(|seed| live(seed, Some(*mutant), false).violation.map(|what| (seed, what)));
        match found {
            Some((seed, what)) => println!("(Mutant::{mutant:?}, {seed}), // {what:.200}"),
            None => println!("{mutant:?} SURVIVES"),
        }
    }
}

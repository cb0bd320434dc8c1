//! The simulator: the real core and the real client machine, with a fake clock, network and disk, in one thread.
//!
//! A seed is a world and a history: who takes part, what they do, what breaks. Checkers compare everything that a client is
//! told with what is durable. `DUET_SIM_SEEDS` says how many seeds to live, `DUET_SIM_FROM` which is the first; a failure
//! prints its seed and the end of its history. The mutants prove that the checkers can fail.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a world that cannot be set up ends the test")]

mod app;
mod client;
mod disk;
mod faults;
mod link;
mod mutants;
mod network;
mod node;
mod plan;
mod restored;
mod rng;
mod settle;
mod truth;
mod wire;
mod workload;
mod world;

use duet::core::Mutant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Figures, Outcome};

/// Seeds of the normal run.
const SEEDS: u64 = 1_500;
/// Lines of a failed history that are printed, unless `DUET_SIM_TRACE` says otherwise.
const TRACE_LINES: u64 = 150;

#[test]
fn what_was_acknowledged_stays_and_everyone_sees_the_same_whatever_breaks() {
    let seeds = number("DUET_SIM_SEEDS").unwrap_or(SEEDS);
    let from = number("DUET_SIM_FROM").unwrap_or(1);
    let mut sum = Figures::default();
    for seed in from..from + seeds {
        let outcome = live(seed, None, false);
        if let Some(violation) = outcome.violation {
            let again = live(seed, None, true);
            let lines = number("DUET_SIM_TRACE").unwrap_or(TRACE_LINES) as usize;
            let skip = again.trace.len().saturating_sub(lines);
            for line in again.trace.iter().skip(skip) {
                println!("{line}");
            }
            panic!("seed {seed} (DUET_SIM_FROM={seed} DUET_SIM_SEEDS=1): {violation}");
        }
        sum.simulated_ms += outcome.figures.simulated_ms;
        sum.acknowledged += outcome.figures.acknowledged;
        sum.crashes += outcome.figures.crashes;
        sum.overflows += outcome.figures.overflows;
        sum.reloads += outcome.figures.reloads;
    }
    println!(
        "{seeds} seeds from {from}, {} simulated seconds, {} messages, {} crashes, {} overflows, {} reloads",
        sum.simulated_ms / 1_000,
        sum.acknowledged,
        sum.crashes,
        sum.overflows,
        sum.reloads
    );
    assert!(seeds == 0 || sum.acknowledged > 0, "nobody said anything: the run proves nothing");
}

/// Lives a seed; an assertion of the product counts as a violation.
fn live(seed: u64, mutant: Option<Mutant>, trace: bool) -> Outcome {
    let lived = catch_unwind(AssertUnwindSafe(|| world::run(seed, mutant, trace)));
    lived.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Outcome {
            figures: Figures::default(),
            violation: Some(format!("panicked: {}", said.unwrap_or_default())),
            trace: std::collections::VecDeque::new(),
        }
    })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

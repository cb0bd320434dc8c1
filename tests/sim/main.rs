//! The simulator: the real core and the real client machine, with a fake clock, network and disk, in one thread.
//!
//! A seed is a world and a history: who takes part, what they do, what breaks. Checkers compare everything that a client is
//! told with what is durable. `DUET_SIM_SEEDS` says how many seeds to live, `DUET_SIM_FROM` which is the first; a failure
//! prints its seed and the end of its history. The mutants prove that the checkers can fail.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "a world that cannot be set up ends the test")]

mod app;
mod arbiter;
mod client;
mod disk;
mod faults;
mod link;
mod mutants;
mod network;
mod node;
mod operator;
mod pair;
mod pair_faults;
mod pair_mutants;
mod pair_plan;
mod pair_settle;
mod peer;
mod plan;
mod process;
mod restored;
mod rng;
mod settle;
mod truth;
mod wire;
mod witness;
mod workload;
mod world;

use plan::Case;
use std::panic::{AssertUnwindSafe, catch_unwind};
use world::{Figures, Outcome};

/// Seeds of the normal run: worlds with one node, and worlds with two.
const SEEDS_ALONE: u64 = 1_000;
const SEEDS_PAIR: u64 = 3_000;
/// Worlds with two nodes in which something was found.
const ONCE_FAILED: &[u64] = &[
    1_035_631, 5_021_318, 5_038_054, 5_049_534, 5_055_041, 5_056_350, 5_085_789, 5_089_674, 8_000_277,
    8_000_560, 8_001_586, 8_002_841, 9_000_317, 9_003_186,
];
/// Lines of a failed history that are printed, unless `DUET_SIM_TRACE` says otherwise.
const TRACE_LINES: u64 = 150;

#[test]
fn what_was_acknowledged_stays_and_everyone_sees_the_same_whatever_breaks() {
    live_all("alone", SEEDS_ALONE, Case::default());
}

#[test]
fn what_was_acknowledged_stays_when_either_node_of_a_pair_dies() {
    live_all("pair", SEEDS_PAIR, Case { pair: true, ..Case::default() });
}

#[test]
fn worlds_that_once_failed_stay_whole() {
    for seed in ONCE_FAILED {
        let outcome = live(*seed, Case { pair: true, ..Case::default() }, false);
        assert_eq!(outcome.violation, None, "seed {seed} (DUET_SIM_FROM={seed} DUET_SIM_SEEDS=1)");
    }
}

fn live_all(name: &str, seeds: u64, case: Case) {
    let seeds = number("DUET_SIM_SEEDS").unwrap_or(seeds);
    let from = number("DUET_SIM_FROM").unwrap_or(1);
    let mut sum = Figures::default();
    for seed in from..from + seeds {
        let outcome = live(seed, case, false);
        if let Some(violation) = outcome.violation {
            let again = live(seed, case, true);
            let lines = number("DUET_SIM_TRACE").unwrap_or(TRACE_LINES) as usize;
            let skip = again.trace.len().saturating_sub(lines);
            for line in again.trace.iter().skip(skip) {
                println!("{line}");
            }
            panic!("{name} seed {seed} (DUET_SIM_FROM={seed} DUET_SIM_SEEDS=1): {violation}");
        }
        sum.add(&outcome.figures);
    }
    println!(
        "{seeds} seeds from {from} ({name}), {} simulated seconds, {} messages, {} crashes, {} reigns, \
         {} snapshots, {} overflows, {} reloads",
        sum.simulated_ms / 1_000,
        sum.acknowledged,
        sum.crashes,
        sum.reigns,
        sum.snapshots,
        sum.overflows,
        sum.reloads
    );
    assert!(seeds == 0 || sum.acknowledged > 0, "nobody said anything: the run proves nothing");
}

/// Lives many worlds with two nodes and lists every one that fails, instead of stopping at the first.
#[test]
#[ignore = "a tool: prints one line for each seed that fails"]
fn find_failures() {
    let (seeds, from) =
        (number("DUET_SIM_SEEDS").unwrap_or(SEEDS_PAIR), number("DUET_SIM_FROM").unwrap_or(1));
    let case = Case { pair: true, ..Case::default() };
    let failed = (from..from + seeds).filter_map(|seed| Some((seed, live(seed, case, false).violation?)));
    let count = failed.inspect(|(seed, what)| println!("seed {seed}: {what:.300}")).count();
    println!("{count} of {seeds} seeds from {from} fail");
}

/// Lives a seed; an assertion of the product counts as a violation.
fn live(seed: u64, case: Case, trace: bool) -> Outcome {
    let lived = catch_unwind(AssertUnwindSafe(|| world::run(seed, case, trace)));
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

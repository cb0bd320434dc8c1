//! Duet beside what people use today: the same rooms, the same messages, the same pacing, one server after the other, round
//! after round, each pinned to its own core. What counts are ratios within a round.
//!
//! `make bench-peers` builds and runs it; see docs/performance.md.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench stops at what it did not expect"
)]

mod case;
mod floor;
mod mqtt;
mod nats;
mod servers;
mod socketio;
mod table;
mod tcp;
mod websocket;

use case::{Case, Outcome};
use clap::Parser;
use servers::{Server, Which};
use std::{path::PathBuf, time::Duration};

/// Duet beside its peers.
#[derive(Debug, Parser)]
struct Args {
    /// The optimised `duet`.
    #[arg(long, default_value = "target/release/duet")]
    duet: PathBuf,
    /// The Node servers' folder, with its node_modules.
    #[arg(long, default_value = "benches/load/peers")]
    node_servers: PathBuf,
    /// Rounds; the table holds medians of their figures.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Who takes part, with commas; all unless named.
    #[arg(long, value_enum, value_delimiter = ',')]
    servers: Vec<Which>,
    /// Which cases, with commas; all unless named. See --list.
    #[arg(long, value_delimiter = ',')]
    cases: Vec<String>,
    /// Names the cases and ends.
    #[arg(long)]
    list: bool,
    /// The core of the servers; that of the generator is chosen by who starts it.
    #[arg(long)]
    core: Option<usize>,
    /// Writes everything that was measured into this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only the floor's server, in this process, with the certificate in this folder (used by the harness itself).
    #[arg(long, hide = true)]
    floor: Option<PathBuf>,
}

fn main() {
    let args = Args::parse();
    if let Some(folder) = args.floor {
        return floor::serve(&folder);
    }
    let cases: Vec<Case> = case::all()
        .into_iter()
        .filter(|case| args.cases.is_empty() || args.cases.iter().any(|name| name == case.name))
        .collect();
    if args.list {
        return cases.iter().for_each(|case| println!("{:<16}{}", case.name, case.about));
    }
    let servers = if args.servers.is_empty() { Which::all() } else { args.servers };
    let folder = tempfile::tempdir().unwrap();
    servers::certificate(folder.path());
    let mut outcomes: Vec<Outcome> = Vec::new();
    for round in 0..args.rounds {
        for case in &cases {
            for turn in 0..servers.len() {
                // Each round begins with another one, so that nobody always runs on a warm or a tired machine.
                let which = servers[(turn + round) % servers.len()];
                if !case.suits(which) {
                    continue;
                }
                let place = servers::Place {
                    folder: folder.path(),
                    duet: &args.duet,
                    node_servers: &args.node_servers,
                    core: args.core,
                };
                let server = Server::start(which, &place);
                match case.run(&server, Duration::from_secs(args.seconds)) {
                    Ok(figures) => {
                        eprintln!("round {} {:<14} {:<18} {figures}", round + 1, case.name, which.name());
                        outcomes.push(Outcome { round, case: case.name, server: which.name(), figures });
                    }
                    Err(error) => {
                        eprintln!("round {} {} {}: FAILED: {error}", round + 1, case.name, which.name());
                    }
                }
            }
        }
    }
    println!("{}", table::markdown(&cases, &servers, &outcomes));
    if let Some(file) = args.json {
        std::fs::write(file, serde_json::to_string_pretty(&outcomes).unwrap()).unwrap();
    }
}

//! What it costs those who write when a standby comes back that lacks much. A measure, not a law: `make resync` runs it,
//! optimised, on a machine with nothing else to do.
//!
//! `DUET_PAIR_AWAY` says how many messages a standby misses (100,000), `DUET_PAIR_CLIENTS` how many clients write (80), a
//! thousand messages a second in all. What it may cost: [`FACTOR_MAX`] times the p99 of an acknowledgement before.

use super::{
    laws::acknowledged,
    resync::{SHORT_LOG, snapshots},
    rig::{Make, Rig},
};
use crate::writers::{Load, Writer, wait_until};
use std::{
    fs,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measure of minutes: make resync"]
async fn a_standby_that_missed_much_comes_back_and_hurts_nobody() {
    let (away, clients) = (number("PAIR_AWAY", 100_000), number("PAIR_CLIENTS", 80));
    let mut worst: f64 = 0.0;
    for flags in [&[], SHORT_LOG] {
        let rig = Rig::in_sync(Make { flags, ..Make::default() }).await;
        let load = Load::from(Duration::from_millis(clients as u64));
        let writers = rig.writers(clients.div_ceil(2), load).await;
        let primary = rig.settled().await;
        tokio::time::sleep(WARM_UP).await;
        let begun = Instant::now();
        tokio::time::sleep(BEFORE).await;
        let before = Cost::of(&writers, begun);
        println!("in sync: {before}");

        rig.kill(1 - primary);
        let alone = Instant::now();
        let missed = acknowledged(&writers) + away;
        let deadline = Duration::from_secs(120 + away as u64 / 200);
        wait_until(deadline, "so many messages without it", || acknowledged(&writers) >= missed).await;
        println!("without it: {}", Cost::of(&writers, alone));
        worst = worst.max(come_back(&rig, &writers, primary, "missed them", &before).await);

        rig.kill(1 - primary);
        fs::remove_dir_all(rig.data(1 - primary)).unwrap();
        worst = worst.max(come_back(&rig, &writers, primary, "lost its disk", &before).await);
        rig.check(&writers).await;
    }
    println!(
        "{away} messages missed, {clients} clients: the p99 of an acknowledgement while a standby comes back is at most \
         {worst:.2} times that before"
    );
    assert!(worst <= FACTOR_MAX, "{worst:.2} times");
}

/// Starts the standby and waits until it is in sync; how many times the p99 before that cost.
async fn come_back(rig: &Rig, writers: &[Writer], primary: usize, why: &str, before: &Cost) -> f64 {
    let sent = snapshots(rig, primary);
    let begun = Instant::now();
    rig.start(1 - primary);
    assert_eq!(rig.settled_within(Duration::from_secs(600)).await, primary, "nobody was sent away");
    let took = begun.elapsed();
    let cost = Cost::of(writers, begun);
    let way = if snapshots(rig, primary) > sent { "a snapshot" } else { "the log" };
    let factor = cost.p99.as_secs_f64() / before.p99.as_secs_f64();
    println!(
        "a standby that {why} is in sync by {way} after {took:.1?}, meanwhile {cost}: {factor:.2} times"
    );
    factor
}

/// What acknowledgements cost in a span of time.
struct Cost {
    count: usize,
    p50: Duration,
    p99: Duration,
}

impl Cost {
    /// From then until now.
    fn of(writers: &[Writer], since: Instant) -> Self {
        let mut took: Vec<Duration> = Vec::new();
        for writer in writers {
            let ledger = writer.ledger();
            took.extend(ledger.took.iter().filter(|(at, _)| *at >= since).map(|(_, took)| *took));
        }
        took.sort_unstable();
        let below = |percent: usize| took[((took.len() * percent).div_ceil(100)).max(1) - 1];
        assert!(!took.is_empty(), "nothing was acknowledged");
        Self { count: took.len(), p50: below(50), p99: below(99) }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = |it: Duration| it.as_secs_f64() * 1_000.0;
        write!(f, "{} acknowledgements, p50 {:.1} ms p99 {:.1} ms", self.count, ms(self.p50), ms(self.p99))
    }
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(format!("DUET_{variable}")).map_or(usual, |text| text.parse().unwrap())
}

/// What a standby that comes back may cost.
const FACTOR_MAX: f64 = 2.0;
/// Not measured: connections are young, caches empty.
const WARM_UP: Duration = Duration::from_secs(5);
const BEFORE: Duration = Duration::from_secs(20);

//! Failover after failover, under load: the primary is killed, or stopped for longer than its peer waits, or cut off from
//! the two others, again and again. Afterwards every client's history is compared with what the pair tells.
//!
//! `DUET_FAILOVERS` sets how many (20), `DUET_FAILOVER_CLIENTS` how many clients write (8), `DUET_FAILOVER_PACE_MS` how
//! long a client waits between two messages (20), `DUET_FAILOVER_SECONDS` after which time no further one begins. After
//! every 250 of them the histories are compared and a new pair begins, so that a long run finds a defect early and its logs
//! do not fill the disk.

use super::rig::{ALL_GO_ON, Make, Rig, name};
use crate::{
    node::PATIENCE,
    writers::{Writer, wait_until},
};
use std::time::{Duration, Instant};
use tokio::{task::JoinSet, time::timeout};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_every_failover_once_and_in_order() {
    let mut run = Run::new(number("FAILOVERS", 20), number("FAILOVER_SECONDS", 110));
    let clients = number("FAILOVER_CLIENTS", 8);
    let pace = Duration::from_millis(number("FAILOVER_PACE_MS", 20) as u64);
    while run.goes_on() {
        let rig = Rig::in_sync(Make { wired: true, ..Make::default() }).await;
        let writers = rig.writers(clients.div_ceil(2), pace).await;
        let upto = run.first.len() + CHAPTER;
        while run.first.len() < upto && run.goes_on() {
            run.once(&rig, &writers).await;
        }
        run.checked(rig.check(&writers).await);
        // They would look for the pair for ever.
        let closing = writers.into_iter().map(|it| async move { timeout(PATIENCE, it.client.close()).await });
        closing.collect::<JoinSet<_>>().join_all().await;
    }
    run.tell(clients.div_ceil(2) * 2);
}

/// What came of all failovers so far.
struct Run {
    wanted: usize,
    ends: Instant,
    begun: Instant,
    kinds: [usize; 3],
    /// From each fault to the first acknowledgement.
    first: Vec<Duration>,
    /// From each fault to the first acknowledgement of each client.
    each: Vec<Duration>,
    acknowledged: usize,
}

impl Run {
    fn new(wanted: usize, seconds: usize) -> Self {
        let begun = Instant::now();
        let ends = begun + Duration::from_secs(seconds as u64);
        Self { wanted, ends, begun, kinds: [0; 3], first: Vec::new(), each: Vec::new(), acknowledged: 0 }
    }

    fn goes_on(&self) -> bool {
        self.first.len() < self.wanted && Instant::now() < self.ends
    }

    async fn once(&mut self, rig: &Rig, writers: &[Writer]) {
        let (round, waited) = (self.first.len(), Instant::now());
        let primary = rig.settled().await;
        let settled = waited.elapsed();
        // At a moment that no client chose.
        tokio::time::sleep(Duration::from_millis((round as u64 * 37) % 113)).await;
        let fault = Fault::of(round);
        let took = fail_over(rig, writers, primary, fault).await;
        let (soonest, latest) = (took[0], took[took.len() - 1]);
        println!(
            "failover {} of {} after {:.1} s: node {} {fault:?}, in sync after {settled:.2?}, first acknowledgement after \
             {soonest:.2?}, every client after {latest:.2?}",
            round + 1,
            self.wanted,
            self.begun.elapsed().as_secs_f32(),
            name(primary),
        );
        self.kinds[fault as usize] += 1;
        self.first.push(soonest);
        self.each.extend(took);
    }

    fn checked(&mut self, acknowledged: usize) {
        self.acknowledged += acknowledged;
        println!(
            "{} failovers compared after {:.0} s: {} acknowledged messages, each once, in order, on every client",
            self.first.len(),
            self.begun.elapsed().as_secs_f32(),
            self.acknowledged,
        );
    }

    fn tell(mut self, clients: usize) {
        let (done, seconds) = (self.first.len(), self.begun.elapsed().as_secs());
        assert!(done > 0, "there was no failover");
        if done < self.wanted {
            println!("no time for more than {done} of {} failovers", self.wanted);
        }
        let ([killed, stopped, cut_off], total) = (self.kinds, self.acknowledged);
        println!(
            "{done} failovers ({killed} killed, {stopped} stopped, {cut_off} cut off) of {clients} clients, {total} \
             acknowledged messages, 0 lost, 0 doubled, 0 reordered, first acknowledgement p50 {:.2} s p99 {:.2} s, every \
             client p50 {:.2} s p99 {:.2} s, {seconds} s",
            percentile(&mut self.first, 50),
            percentile(&mut self.first, 99),
            percentile(&mut self.each, 50),
            percentile(&mut self.each, 99),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_switchover_shows_no_client_an_error() {
    let wanted = number("SWITCHOVERS", 6);
    let rig = Rig::in_sync(Make::default()).await;
    let pace = Duration::from_millis(number("FAILOVER_PACE_MS", 10) as u64);
    let writers = rig.writers(number("FAILOVER_CLIENTS", 8).div_ceil(2), pace).await;
    let (mut gaps, mut clients) = (Vec::new(), Vec::new());
    for round in 0..wanted {
        let primary = rig.settled().await;
        let epoch = rig.status(primary).unwrap().epoch;
        let begun = Instant::now();
        let (status, said) = rig.order(primary, "switchover", "");
        assert_eq!(status, 200, "{said}");
        all_acknowledged(&writers, epoch).await;
        let spans: Vec<_> = writers.iter().map(|writer| span(writer, epoch)).collect();
        let last = spans.iter().filter_map(|(last, _)| *last).max().expect("somebody wrote before");
        let next = spans.iter().map(|(_, next)| *next).min().expect("somebody wrote after");
        gaps.push(next.saturating_duration_since(last));
        clients
            .extend(spans.iter().filter_map(|(last, next)| Some(next.saturating_duration_since((*last)?))));
        println!(
            "switchover {} of {wanted}: gap {:.0?}, over after {:.0?}",
            round + 1,
            gaps[round],
            begun.elapsed()
        );
    }
    let total = rig.check(&writers).await;
    println!(
        "{wanted} switchovers of {} clients, {total} acknowledged messages, 0 lost, 0 doubled, 0 errors, gap p50 {:.3} s \
         p99 {:.3} s, of one client p50 {:.3} s p99 {:.3} s",
        writers.len(),
        percentile(&mut gaps, 50),
        percentile(&mut gaps, 99),
        percentile(&mut clients, 50),
        percentile(&mut clients, 99),
    );
}

/// What happens to a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Killed,
    Stopped,
    CutOff,
}

impl Fault {
    /// Mostly kills: they come fastest.
    fn of(round: usize) -> Self {
        match round % 5 {
            2 => Self::Stopped,
            4 => Self::CutOff,
            _ => Self::Killed,
        }
    }
}

/// Makes the primary fail, waits until every client has an acknowledgement from its successor, and mends it. After which
/// time each client had one, the soonest first.
async fn fail_over(rig: &Rig, writers: &[Writer], primary: usize, fault: Fault) -> Vec<Duration> {
    let epoch = rig.status(primary).expect("the primary answers").epoch;
    let failed = Instant::now();
    match fault {
        Fault::Killed => rig.kill(primary),
        Fault::Stopped => rig.signal(primary, "STOP"),
        Fault::CutOff => rig.wires.as_ref().expect("wires").isolate(primary, true),
    }
    all_acknowledged(writers, epoch).await;
    match fault {
        Fault::Killed => rig.start(primary),
        // Every client has gone on without it: it slept for longer than its peer waits.
        Fault::Stopped => rig.signal(primary, "CONT"),
        Fault::CutOff => rig.wires.as_ref().expect("wires").isolate(primary, false),
    }
    let mut took: Vec<_> =
        writers.iter().map(|it| span(it, epoch).1.saturating_duration_since(failed)).collect();
    took.sort_unstable();
    took
}

/// Waits until every client has an acknowledgement of a reign after this one.
async fn all_acknowledged(writers: &[Writer], epoch: u64) {
    wait_until(ALL_GO_ON, "every client goes on in the next reign", || {
        writers.iter().all(|writer| writer.ledger().reigns.range(epoch + 1..).next().is_some())
    })
    .await;
}

/// A client's last acknowledgement up to this reign, and its first one after it.
fn span(writer: &Writer, epoch: u64) -> (Option<Instant>, Instant) {
    let ledger = writer.ledger();
    let last = ledger.reigns.range(..=epoch).next_back().map(|(_, (_, last))| *last);
    let (_, (next, _)) = ledger.reigns.range(epoch + 1..).next().expect("it was waited for");
    (last, *next)
}

/// Seconds below which so many percent are.
fn percentile(values: &mut [Duration], percent: usize) -> f64 {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values[rank - 1].as_secs_f64()
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(format!("DUET_{variable}")).map_or(usual, |text| text.parse().unwrap())
}

/// So many failovers of one pair.
const CHAPTER: usize = 250;

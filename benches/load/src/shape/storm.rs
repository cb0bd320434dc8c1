//! Storm: every connection breaks at once, and every session comes back, as SDKs do it: at once, then with growing waits of
//! random length.

use crate::{
    Carrier, Latency, LoadError, Meter, Plan, Report, Tally,
    duet::{Dialer, Fleet, Session},
    plan::{Progress, say},
};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use hdrhistogram::Histogram;
use std::{
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::time;

pub(super) async fn run(
    plan: &Plan,
    size: usize,
    fleet: &Fleet,
    tally: &Rc<Tally>,
    progress: &mut Progress<'_>,
) -> Result<Report, LoadError> {
    fleet.enter_rooms(size, progress).await?;
    time::sleep(plan.warm_up).await;
    let meter = plan.server.map(Meter::start).transpose()?;
    let own = Meter::start(std::process::id())?;
    let begun = Instant::now();
    fleet.sessions.iter().for_each(|session| session.cut());
    let deadline = begun + plan.duration;
    let mut returning: FuturesUnordered<_> = fleet
        .sessions
        .iter()
        .enumerate()
        .map(|(number, session)| {
            let carrier = fleet.carriers[number % fleet.carriers.len()];
            come_back(session, &fleet.dialer, carrier, number as u64, deadline)
        })
        .collect();
    let mut times = Histogram::<u64>::new_with_bounds(1_000, 600_000_000_000, 3)
        .map_err(|error| LoadError::Plan(error.to_string()))?;
    let (mut retried, mut back) = (0, 0_usize);
    while let Some(result) = returning.next().await {
        match result {
            Ok(tries) => {
                times.saturating_record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
                retried += u64::from(tries > 1);
                back += 1;
            }
            Err(error) => {
                say(progress, &format!("a session did not come back: {error}"));
                tally.lost();
            }
        }
        if back.is_multiple_of(1_000) {
            say(progress, &format!("{back} of {} back", plan.sessions));
        }
    }
    let mut report = Report::new("storm", &plan.carriers, plan.sessions);
    report.room = Some(size);
    report.seconds = begun.elapsed().as_secs_f64();
    report.resume = Latency::of(&times);
    report.retried = retried;
    report.server = meter.as_ref().map(Meter::read).transpose()?;
    report.generator_cores = own.read()?.cores;
    Ok(report)
}

/// How many tries it took.
async fn come_back(
    session: &Rc<Session>,
    dialer: &Dialer,
    carrier: Carrier,
    seed: u64,
    deadline: Instant,
) -> Result<u32, LoadError> {
    let mut tries = 0;
    loop {
        tries += 1;
        let outcome = async {
            session.connect(dialer, carrier, None).await?;
            session.enter_again().await
        };
        match outcome.await {
            Ok(()) => return Ok(tries),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => time::sleep(wait(tries, seed)).await,
        }
    }
}

/// Full jitter, from 0.5 s doubling to 20 s.
fn wait(tries: u32, seed: u64) -> Duration {
    let longest = Duration::from_millis(500 << (tries - 1).min(6)).min(Duration::from_secs(20));
    // SplitMix64 (Steele, Lea, Flood 2014): chance enough to spread.
    let mut chance = seed.wrapping_add(u64::from(tries).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    chance = (chance ^ (chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    chance = (chance ^ (chance >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    longest.mul_f64((chance >> 11) as f64 / (1_u64 << 53) as f64)
}

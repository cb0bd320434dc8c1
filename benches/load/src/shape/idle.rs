//! Idle: what it costs to be there.

use crate::{
    LoadError, Meter, Plan, Report,
    plan::{Progress, say},
};
use std::time::Instant;
use tokio::time;

pub(super) async fn run(
    plan: &Plan,
    rss_before: Option<u64>,
    progress: &mut Progress<'_>,
) -> Result<Report, LoadError> {
    time::sleep(plan.warm_up).await;
    let meter = plan.server.map(Meter::start).transpose()?;
    let own = Meter::start(std::process::id())?;
    let begun = Instant::now();
    while begun.elapsed() < plan.duration {
        time::sleep(plan.duration.saturating_sub(begun.elapsed()).min(SAY_EVERY)).await;
        say(progress, &format!("{} s of {} s", begun.elapsed().as_secs(), plan.duration.as_secs()));
    }
    let mut report = Report::new("idle", &plan.carriers, plan.sessions);
    report.seconds = begun.elapsed().as_secs_f64();
    report.server = meter.as_ref().map(Meter::read).transpose()?;
    report.rss_kib_per_session = report
        .server
        .zip(rss_before)
        .map(|(usage, before)| usage.rss_kib.saturating_sub(before) as f64 / plan.sessions as f64);
    report.generator_cores = own.read()?.cores;
    Ok(report)
}

const SAY_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

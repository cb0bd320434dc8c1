//! The shapes of load.

mod idle;
mod rooms;
mod storm;

use crate::{LoadError, Meter, Plan, Report, Shape, Tally, Tokens, duet::Fleet, plan::Progress};
use std::rc::Rc;

/// Connects, does what the plan says, and reports.
pub(crate) async fn run(
    plan: &Plan,
    tokens: &dyn Tokens,
    progress: &mut Progress<'_>,
) -> Result<Report, LoadError> {
    plan.check()?;
    let tally = Rc::new(Tally::new());
    let before = plan.server.map(Meter::start).transpose()?;
    let rss_before = before.as_ref().map(Meter::read).transpose()?.map(|usage| usage.rss_kib);
    let fleet = Fleet::connect(plan, tokens, &tally, progress).await?;
    let connecting = before.as_ref().map(Meter::read).transpose()?;
    let mut report = match plan.shape {
        Shape::Rooms { .. } => rooms::run(plan, &fleet, &tally, progress).await?,
        Shape::Idle => idle::run(plan, rss_before, progress).await?,
        Shape::Storm { size } => storm::run(plan, size, &fleet, &tally, progress).await?,
    };
    report.connect_seconds = fleet.connected_in.as_secs_f64();
    report.handshake_cpu_ms = connecting.map(|usage| usage.cpu_s * 1e3 / plan.sessions as f64);
    report.refused = tally.refusals();
    report.lost = tally.losses();
    Ok(report)
}

//! Rooms: what one says, all of the room hear.

use crate::{Flow, LoadError, Plan, Report, Shape, Speaker, Tally, duet::Fleet, flow, plan::Progress};
use std::rc::Rc;

pub(super) async fn run(
    plan: &Plan,
    fleet: &Fleet,
    tally: &Rc<Tally>,
    progress: &mut Progress<'_>,
) -> Result<Report, LoadError> {
    let Shape::Rooms { size, pressure, payload_bytes, durability, lively } = plan.shape else {
        return Err(LoadError::Plan("no rooms in this plan".to_owned()));
    };
    fleet.enter_rooms(size, progress).await?;
    fleet.sessions.iter().for_each(|session| session.speaks(durability, lively));
    let speakers: Vec<Rc<dyn Speaker>> =
        fleet.sessions.iter().map(|session| Rc::clone(session) as Rc<dyn Speaker>).collect();
    let how =
        Flow { pressure, payload_bytes, warm_up: plan.warm_up, duration: plan.duration, server: plan.server };
    let flown = flow(&speakers, tally, &how, progress).await?;
    let mut report = Report::new("rooms", &plan.carriers, plan.sessions);
    report.room = Some(size);
    report.durability = Some(durability);
    report.payload_bytes = Some(payload_bytes);
    report.add_flow(&flown, tally);
    Ok(report)
}

//! How the pair stands, as this node sees it: written by the driver, read by the admin pages and counted.

use crate::{
    admin::{
        metrics as name,
        pair::{PairReport, Refused},
    },
    core::{Core, Role, Side},
    peer::LinkStatistics,
};
use metrics::gauge;
use std::time::Instant;
use tokio::sync::{oneshot, watch};

/// The answer to an operator's order.
pub(in crate::server) type Reply = oneshot::Sender<Result<(), Refused>>;

/// The driver's end.
pub(in crate::server) struct Board {
    shown: watch::Sender<PairReport>,
    lacks_since: Option<Instant>,
}

impl Board {
    pub(super) fn new(side: Side, arbiter: &str) -> (Self, watch::Receiver<PairReport>) {
        let (shown, status) = watch::channel(PairReport {
            side: side.to_string(),
            role: "joining".to_owned(),
            arbiter: arbiter.to_owned(),
            arbiter_answers: true,
            epoch: 0,
            in_sync: false,
            serving: false,
            solo: false,
            link: false,
            link_rtt_ms: 0.0,
            log_index: 0,
            commit_index: 0,
            lag_entries: 0,
            lag_s: 0.0,
        });
        (Self { shown, lacks_since: None }, status)
    }

    pub(super) fn link(&self, up: bool) {
        self.shown.send_modify(|report| report.link = up);
        gauge!(name::PAIR_LINK).set(f64::from(u8::from(up)));
    }

    /// The arbiter answered a question, or did not.
    pub(super) fn arbiter(&self, answers: bool) {
        gauge!(name::PAIR_ARBITER).set(f64::from(u8::from(answers)));
        if self.shown.borrow().arbiter_answers != answers {
            self.shown.send_modify(|report| report.arbiter_answers = answers);
            if answers {
                tracing::info!("the arbiter answers again");
            } else {
                tracing::error!(
                    "NO ARBITER: until it answers nobody can be promoted and no peer left behind"
                );
            }
        }
    }

    /// The role changed: everybody who has to know is told at once.
    pub(super) fn role(&self, role: Role) {
        let before = self.shown.borrow().clone();
        self.shown.send_modify(|report| take_role(report, role));
        let now = self.shown.borrow().clone();
        if (&before.role, before.epoch) != (&now.role, now.epoch) {
            tracing::info!(role = now.role, epoch = now.epoch, in_sync = now.in_sync, "role");
        }
        if before.solo != now.solo {
            if now.solo {
                tracing::error!(
                    epoch = now.epoch,
                    "ALONE: the peer is not in sync, every acknowledgement means one disk"
                );
            } else if now.role == "primary" {
                tracing::info!(epoch = now.epoch, "in sync: every acknowledgement means two disks");
            }
        }
        gauge!(name::PAIR_ROLE).set(match now.role.as_str() {
            "primary" => 2.0,
            "standby" => 1.0,
            _ => 0.0,
        });
        gauge!(name::PAIR_IN_SYNC).set(f64::from(u8::from(now.in_sync)));
        gauge!(name::PAIR_SOLO).set(f64::from(u8::from(now.solo)));
        gauge!(name::PAIR_SERVING).set(f64::from(u8::from(now.serving)));
    }

    /// How far the nodes are, now and then.
    pub(super) fn report(&mut self, core: &Core, statistics: Option<LinkStatistics>) {
        let end = core.log_end();
        let lag = core.peer_matched().map_or(0, |matched| end.saturating_sub(matched));
        self.lacks_since = (lag > 0).then(|| self.lacks_since.unwrap_or_else(Instant::now));
        let lag_s = self.lacks_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
        let rtt_s = statistics.map_or(0.0, |statistics| statistics.rtt.as_secs_f64());
        self.shown.send_modify(|report| {
            (report.log_index, report.commit_index) = (end, core.commit_index());
            (report.lag_entries, report.lag_s, report.link_rtt_ms) = (lag, lag_s, rtt_s * 1_000.0);
        });
        gauge!(name::PAIR_LAG_ENTRIES).set(lag as f64);
        gauge!(name::PAIR_LAG_SECONDS).set(lag_s);
        gauge!(name::PAIR_LINK_RTT).set(rtt_s);
    }
}

fn take_role(report: &mut PairReport, role: Role) {
    role_name(role).clone_into(&mut report.role);
    match role {
        Role::Joining => {
            (report.in_sync, report.serving, report.solo) = (false, false, false);
        }
        Role::Primary { epoch, in_sync, serving } => {
            (report.epoch, report.in_sync) = (epoch, in_sync);
            (report.serving, report.solo) = (serving, !in_sync);
        }
        Role::Standby { epoch, in_sync, .. } => {
            (report.epoch, report.in_sync) = (epoch, in_sync);
            (report.serving, report.solo) = (false, false);
        }
    }
}

/// The word for a role.
pub(in crate::server) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Joining => "joining",
        Role::Primary { .. } => "primary",
        Role::Standby { .. } => "standby",
    }
}

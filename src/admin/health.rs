//! How the node is: written by the server as things happen, read by whoever asks.
//!
//! ```text
//! Starting ──► Ready ◄──► ReadOnly        Ready, ReadOnly ──► Draining
//! ```

use serde::Serialize;
use std::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// What the node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Opening the store, reading the log.
    Starting,
    /// Serving.
    Ready,
    /// Serving reads; the disk takes no more writes.
    ReadOnly,
    /// About to stop.
    Draining,
}

/// How the node stands, for those who ask: what it is doing, and if that is serving, whether it is its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// See [`Phase::Starting`].
    Starting,
    /// See [`Phase::Ready`]; in a pair, its primary.
    Ready,
    /// See [`Phase::ReadOnly`].
    ReadOnly,
    /// Follows the peer, which serves clients.
    Standby,
    /// Does not know yet who reigns.
    Joining,
    /// Reigns, and may serve nobody until its lease is renewed.
    Waiting,
    /// See [`Phase::Draining`].
    Draining,
}

/// The answer of `/healthz` and `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the driver still turns.
    pub live: bool,
    /// Whether clients are welcome.
    pub ready: bool,
    /// How the node stands.
    pub state: Standing,
    /// `primary`, `standby` or `joining`; a node without a peer is always the primary.
    pub role: &'static str,
    /// The reign; 0 while starting.
    pub epoch: u64,
    /// The last entry of the log that is on the disk.
    pub log_index: u64,
    /// Since when the process runs, seconds.
    pub uptime_s: u64,
    /// The version of Duet.
    pub version: &'static str,
}

/// Shared by the driver, who writes, and the admin pages, who read.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    phase: AtomicU8,
    /// Index into [`ROLES`].
    role: AtomicU8,
    serves: AtomicBool,
    epoch: AtomicU64,
    log_index: AtomicU64,
    beat_ms: AtomicU64,
}

impl Health {
    /// A node that is starting.
    #[must_use]
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            phase: AtomicU8::new(0),
            role: AtomicU8::new(0),
            serves: AtomicBool::new(true),
            epoch: AtomicU64::new(0),
            log_index: AtomicU64::new(0),
            beat_ms: AtomicU64::new(0),
        }
    }

    /// The node begins another phase. Nothing leads out of `Draining`.
    pub fn enter(&self, phase: Phase) {
        let next = PHASES.iter().position(|other| *other == phase).unwrap_or(0) as u8;
        let draining = PHASES.len() as u8 - 1;
        let _ = self
            .phase
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now != draining).then_some(next));
    }

    /// What the node is in its pair, and whether it serves clients; a node that stands alone always does.
    pub fn take_role(&self, role: &'static str, serves: bool) {
        let role = ROLES.iter().position(|other| *other == role).unwrap_or(0) as u8;
        self.role.store(role, Ordering::Relaxed);
        self.serves.store(serves, Ordering::Relaxed);
    }

    /// The driver turned: what it stands at.
    pub fn beat(&self, epoch: u64, log_index: u64) {
        self.epoch.store(epoch, Ordering::Relaxed);
        self.log_index.store(log_index, Ordering::Relaxed);
        self.beat_ms.store(self.started.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// As of now.
    #[must_use]
    pub fn report(&self) -> Report {
        let phase = PHASES[usize::from(self.phase.load(Ordering::Relaxed)).min(PHASES.len() - 1)];
        let uptime = self.started.elapsed();
        let silent = uptime.saturating_sub(Duration::from_millis(self.beat_ms.load(Ordering::Relaxed)));
        let live = phase == Phase::Starting || silent < BEAT_MISSED_AFTER;
        let role = ROLES[usize::from(self.role.load(Ordering::Relaxed)).min(ROLES.len() - 1)];
        let state = standing(phase, role, self.serves.load(Ordering::Relaxed));
        Report {
            live,
            ready: live && state == Standing::Ready,
            state,
            role,
            epoch: self.epoch.load(Ordering::Relaxed),
            log_index: self.log_index.load(Ordering::Relaxed),
            uptime_s: uptime.as_secs(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

fn standing(phase: Phase, role: &str, serves: bool) -> Standing {
    match (phase, role) {
        (Phase::Starting, _) => Standing::Starting,
        (Phase::Draining, _) => Standing::Draining,
        (Phase::ReadOnly, _) => Standing::ReadOnly,
        (Phase::Ready, _) if serves => Standing::Ready,
        (Phase::Ready, "standby") => Standing::Standby,
        (Phase::Ready, "joining") => Standing::Joining,
        (Phase::Ready, _) => Standing::Waiting,
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// The driver beats at least once a second.
pub const BEAT_EVERY: Duration = Duration::from_secs(1);

const BEAT_MISSED_AFTER: Duration = Duration::from_secs(10);
const ROLES: [&str; 3] = ["primary", "standby", "joining"];
const PHASES: [Phase; 4] = [Phase::Starting, Phase::Ready, Phase::ReadOnly, Phase::Draining];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ready_node_is_ready_and_nothing_leads_out_of_draining() {
        let health = Health::new();
        assert!(health.report().live && !health.report().ready);
        health.beat(3, 70);
        health.enter(Phase::Ready);
        let report = health.report();
        assert!(report.ready && report.epoch == 3 && report.log_index == 70);
        health.enter(Phase::ReadOnly);
        assert!(!health.report().ready && health.report().live);
        health.enter(Phase::Draining);
        health.enter(Phase::Ready);
        assert_eq!(health.report().state, Standing::Draining);
    }

    #[test]
    fn a_node_of_a_pair_that_does_not_serve_never_says_that_it_is_ready() {
        let health = Health::new();
        health.beat(1, 1);
        health.enter(Phase::Ready);
        for (role, serves, state) in [
            ("joining", false, Standing::Joining),
            ("standby", false, Standing::Standby),
            ("primary", false, Standing::Waiting),
            ("primary", true, Standing::Ready),
        ] {
            health.take_role(role, serves);
            let report = health.report();
            assert_eq!((report.state, report.ready), (state, serves), "{role}");
        }
    }
}

//! Doubt: the node in use has been silent when it should have spoken. Where a pair is known, the other node is asked,
//! beside the connection in use, whether it reigns by now.
//!
//! ```text
//!  quiet, or a publish without an answer ──► Ping ──(no sign of life)──► a hello to the other node
//!                                              ▲                            │ welcome: the session has moved
//!                                              └── again and again ◄────────┘ not the primary: nothing has changed
//! ```
//!
//! To ask is harmless: a node that does not reign refuses and changes nothing, and one that does has fenced the other
//! off. So a failover costs a client no longer than the pair itself needs, and the application sees no interruption; a
//! node that was only slow keeps its sessions.

use super::{Machine, Timer, round::Purpose};

/// Wait between two questions to the other node: below this bound at first.
const ASK_AGAIN_MS: u64 = 400;
/// So many questions come that soon; a pair takes about two seconds to fail over.
const ASKED_SOON: u32 = 12;
/// The largest bound.
const ASK_AGAIN_MAX_MS: u64 = 5_000;

impl Machine {
    /// Whether there is anybody else to ask.
    pub(super) fn has_other_node(&self) -> bool {
        self.life.online().is_some_and(|online| !self.endpoints.others(&online.endpoint).is_empty())
    }

    /// How long an answer may be awaited before there is doubt.
    pub(super) fn patience_ms(&self) -> u64 {
        self.config.doubt_ms.max(self.session.round_trip_ms.saturating_mul(3))
    }

    /// The connection is watched for quiet from now on, if there is anybody else to ask.
    pub(super) fn watch_quiet(&mut self) {
        if self.has_other_node() {
            self.timers.set(Timer::Quiet, self.now_ms + self.config.quiet_ms);
        }
    }

    /// Asks for a sign of life if there was none lately.
    pub(super) fn quiet(&mut self) {
        let Some(online) = self.life.online() else { return };
        let due_ms = online.heard_at_ms + self.config.quiet_ms;
        if due_ms <= self.now_ms {
            self.probe();
            self.watch_quiet();
        } else {
            self.timers.set(Timer::Quiet, due_ms);
        }
    }

    /// A question was asked of the node in use.
    pub(super) fn expect_life(&mut self) {
        if self.has_other_node() {
            self.timers.set_if_idle(Timer::Doubt, self.now_ms + self.patience_ms());
        }
    }

    /// There was no answer in time: the other nodes are asked.
    pub(super) fn doubt(&mut self) {
        let Some(online) = self.life.online_mut() else { return };
        online.doubts = online.doubts.saturating_add(1);
        let current = online.endpoint.clone();
        let others = self.endpoints.others(&current);
        self.dial_beside(Purpose::Doubt, others, Some(current));
    }

    /// No other node reigns yet.
    pub(super) fn doubt_on(&mut self, retry_after_ms: u32) {
        let Some(online) = self.life.online().filter(|_| self.timers.is_set(&Timer::Silence)) else { return };
        let doubled = online.doubts.saturating_sub(ASKED_SOON).min(8);
        let bound_ms = (ASK_AGAIN_MS << doubled).min(ASK_AGAIN_MAX_MS);
        let delay_ms = u64::from(retry_after_ms) + self.entropy.up_to(bound_ms);
        self.timers.set(Timer::Doubt, self.now_ms + delay_ms);
    }

    /// The node in use has spoken. A hello that has gone to another node already is left to its answer.
    pub(super) fn doubt_is_over(&mut self) {
        self.timers.clear(&Timer::Doubt);
        let now_ms = self.now_ms;
        let Some(online) = self.life.online_mut() else { return };
        (online.heard_at_ms, online.doubts) = (now_ms, 0);
        let idle = |round: &super::round::Round| round.purpose == Purpose::Doubt && !round.awaits_welcome();
        if online.moving.as_ref().is_some_and(idle) {
            self.take_round();
        }
    }
}

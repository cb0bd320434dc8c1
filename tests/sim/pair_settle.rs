//! The end of a run with two nodes: after everything has healed they find together within ten seconds (I6), and in the end
//! both have the same log and the same fold of it, through one more death of both.

use crate::world::World;
use duet::core::{Core, Role};

/// How long healing may take (I6), and how much more a snapshot may add.
const HEALING_MS: u64 = 10_000;
const SNAPSHOT_MS: u64 = 8_000;

impl World {
    /// Everything works again: who is off starts, what is stopped goes on.
    pub(crate) fn heal_pair(&mut self) {
        let until_ms = self.nodes.iter().map(|node| node.paused_until_ms).max().unwrap_or(0);
        self.run_until(until_ms.max(self.now_ms));
        self.heal_peer_link();
        let now_ms = self.now_ms;
        let arbiter = &mut self.pair_mut().arbiter;
        (arbiter.down_until_ms, arbiter.sluggish_until_ms, arbiter.cut_until_ms) =
            (now_ms, now_ms, [now_ms; 2]);
        // What is slow by plan is slow, not broken; what was under way for seconds is given its time.
        self.run_until(now_ms + 6_500);
        for node in 0..2 {
            self.nodes[node].stall_ms = 0;
        }
        let healed_ms = self.now_ms;
        let snapshots = self.figures.snapshots;
        while self.violation.is_none() && !(self.pair_is_in_sync() && self.truth.end() > 0) {
            let snapshot_ms = if self.figures.snapshots > snapshots { SNAPSHOT_MS } else { 0 };
            let manual_ms = if self.pair_plan().automatic { 0 } else { 60_000 };
            if self.now_ms >= healed_ms + HEALING_MS + snapshot_ms + manual_ms {
                let why = self.unrest();
                return self.violated(format!("I6: no progress {HEALING_MS} ms after healing: {why}"));
            }
            self.run_until(self.now_ms + 100);
        }
    }

    /// One reigns and serves, the other follows, and both are in sync.
    pub(crate) fn pair_is_in_sync(&self) -> bool {
        if self.pair.is_none() {
            return true;
        }
        let role = |node: usize| self.nodes[node].core.as_ref().and_then(Core::role);
        let leads = |role| matches!(role, Some(Role::Primary { in_sync: true, serving: true, .. }));
        let follows = |role| matches!(role, Some(Role::Standby { in_sync: true, .. }));
        let (a, b) = (role(0), role(1));
        leads(a) && follows(b) || follows(a) && leads(b)
    }

    /// Both have the same log and the same fold of it; and again after both have died.
    pub(crate) fn settle_pair(&mut self) {
        self.compare_nodes();
        self.check_given_up();
        let promised = self.truth.end();
        for node in 0..2 {
            let down_ms = self.rng.between((10, 500));
            self.crash(node, down_ms);
        }
        let deadline_ms = self.now_ms + HEALING_MS + 60_000;
        while self.violation.is_none() && !(self.pair_is_in_sync() && self.truth.end() > promised) {
            if self.now_ms >= deadline_ms {
                let why = self.unrest();
                return self.violated(format!("I6: no progress after both nodes died: {why}"));
            }
            self.run_until(self.now_ms + 100);
        }
        let rest_ms = self.now_ms + 3_000;
        self.run_until(rest_ms);
        self.compare_nodes();
    }

    fn nodes_are_level(&self) -> bool {
        let end = self.truth.end();
        self.nodes.iter().all(|node| {
            let folded = node.core.as_ref().map(|core| core.state().tip.index);
            folded == Some(end) && node.disk.durable() == end && node.disk.unsynced() == 0
        })
    }

    fn compare_nodes(&mut self) {
        // A session may just have ended: what follows from that is awaited.
        let deadline_ms = self.now_ms + HEALING_MS;
        while self.violation.is_none() && self.now_ms < deadline_ms && !self.nodes_are_level() {
            self.run_until(self.now_ms + 50);
        }
        let end = self.truth.end();
        for node in 0..2 {
            if self.violation.is_some() {
                return;
            }
            let Some(core) = self.nodes[node].core.as_ref() else { return };
            let (tip, durable) = (core.state().tip.index, self.nodes[node].disk.durable());
            if tip != end || durable != end {
                return self.violated(format!("I5: {node} has folded {tip} and stored {durable} of {end}"));
            }
            self.check_members();
            self.check_fold(node);
            self.check(crate::restored::state_at_the_end(&self.nodes[node], &self.truth));
        }
    }
}

//! A node's process: it starts on what its disk holds, has clocks of its own, is stopped for a while, dies.

use crate::{
    disk::{Disk, Report},
    link::{LinkId, Up},
    plan::TENANTS,
    restored,
    world::{Happening, World},
};
use duet::core::{Core, Input, Now, PairFact, Role};
use duet_protocol::TenantName;
use std::collections::VecDeque;

/// A node: a process that may be dead, and its disk.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) core: Option<Core>,
    pub(crate) disk: Disk,
    /// Which process this is; answers to earlier ones are void.
    pub(crate) process: u32,
    /// What to add to the world's clock to get this node's.
    pub(crate) clock_offset_ms: i64,
    /// When its clock that never jumps was at 0, by the world's clock.
    pub(crate) booted_ms: u64,
    pub(crate) paused_until_ms: u64,
    pub(crate) read_only: bool,
    /// Whether a disk that is read-only cannot even write what was taken before.
    pub(crate) reserve_used: bool,
    /// The next barrier takes this much longer.
    pub(crate) stall_ms: u64,
    /// Whether its disk may have failed it for long enough that it gives its reign away.
    pub(crate) sick: bool,
    /// Reads fail until then.
    pub(crate) unreadable_until_ms: u64,
    /// What clients said while the core was saturated.
    pub(crate) waiting: VecDeque<(LinkId, u32, Up)>,
    /// Whether what waits is about to be let in.
    pub(crate) admits: bool,
    /// What the checkers have seen of this process: the role that it told last, and its commit index.
    pub(crate) told_role: Option<Role>,
    pub(crate) told_commit: u64,
    /// Whether what it handles now moves its commit index.
    pub(crate) commits: bool,
}

impl Node {
    /// The moment by this node's clocks.
    pub(crate) fn now(&self, world_ms: u64) -> Now {
        Now {
            unix_ms: world_ms.saturating_add_signed(self.clock_offset_ms),
            mono_ms: world_ms - self.booted_ms,
        }
    }

    /// Until when the process is stopped.
    pub(crate) fn paused(&self, world_ms: u64) -> Option<u64> {
        (world_ms < self.paused_until_ms && self.core.is_some()).then_some(self.paused_until_ms)
    }

    /// By the world's clock.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        let core = self.core.as_ref()?;
        let unix = core.next_deadline().map(|at_ms| at_ms.saturating_add_signed(-self.clock_offset_ms));
        let mono = core.pair_deadline().map(|at_ms| at_ms + self.booted_ms);
        unix.into_iter().chain(mono).min().map(|at_ms| at_ms.max(self.paused_until_ms))
    }
}

impl World {
    /// A process starts on what the disk holds.
    pub(crate) fn restart(&mut self, node: usize) {
        if self.pair.is_some() {
            return self.restart_member(node);
        }
        let (state, tail) = match self.nodes[node].disk.recover() {
            Ok(found) => found,
            Err(error) => return self.violated(format!("I12: the checkpoint does not load: {error}")),
        };
        self.note(|| format!("start, {} entries behind the checkpoint", tail.len()));
        let mut core = match Core::restore(self.plan.core.clone(), state, tail) {
            Ok(core) => core,
            Err(error) => return self.violated(format!("I12: the log does not load: {error}")),
        };
        self.check(restored::state(core.state(), &self.truth));
        self.check(restored::events(&self.nodes[node].disk, &self.truth));
        core.start(self.nodes[node].now(self.now_ms).unix_ms, &tenants());
        self.nodes[node].core = Some(core);
        self.carry_out(node);
    }

    /// The process dies and loses a part of what was not synced; another one follows after a while.
    pub(crate) fn crash(&mut self, node: usize, down_ms: u64) {
        if self.nodes[node].core.is_none() {
            return;
        }
        self.figures.crashes += 1;
        let unsynced = self.nodes[node].disk.unsynced() as u64;
        let kept = self.rng.below(unsynced + 1) as usize;
        self.note(|| format!("crash of {node}, {kept} of {unsynced} unsynced writes survive"));
        let reports = self.nodes[node].disk.crash(kept);
        self.absorb(&reports);
        self.end_process(node);
        self.later(down_ms, Happening::Restart(node, self.nodes[node].process));
    }

    /// Nothing of the process is left but its disk.
    pub(crate) fn end_process(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        this.core = None;
        this.process += 1;
        (this.read_only, this.reserve_used, this.stall_ms, this.sick) = (false, false, 0, false);
        (this.paused_until_ms, this.told_role, this.told_commit, this.admits) = (0, None, 0, false);
        this.waiting.clear();
        let links = self.links.iter().filter(|(_, link)| link.node == node).map(|(id, _)| *id);
        for link in links.collect::<Vec<LinkId>>() {
            self.server_is_gone(link);
        }
        self.peer_process_ended(node);
        self.forget_orders(node);
    }

    pub(crate) fn begin_barrier(&mut self, node: usize) {
        let this = &mut self.nodes[node];
        // A full disk writes nothing; one that still has its reserve writes what was taken before.
        let writes = !(this.read_only && this.reserve_used) && this.core.is_some();
        if writes && this.disk.begin_barrier() {
            let stall_ms = std::mem::take(&mut this.stall_ms);
            let process = this.process;
            let in_ms = self.rng.between(self.plan.commit_ms) + stall_ms;
            self.later(in_ms, Happening::BarrierDone(node, process));
            self.watch_barrier(node, in_ms);
        }
    }

    pub(crate) fn barrier_done(&mut self, node: usize, process: u32) {
        if process != self.nodes[node].process {
            return;
        }
        self.nodes[node].sick = self.nodes[node].stall_ms > 2_000;
        let reports = self.nodes[node].disk.end_barrier();
        self.absorb(&reports);
        // A barrier without an entry says all the same that the disk works.
        let silent = !matches!(reports.last(), Some(Report::Durable { .. }));
        let works = Report::Durable { upto: self.nodes[node].disk.durable(), entries: Vec::new() };
        for report in reports.into_iter().chain(silent.then_some(works)) {
            if self.nodes[node].process != process {
                return;
            }
            match report {
                Report::Durable { upto, .. } => self.tell(node, Input::Persisted { upto }),
                Report::Truncated => self.tell(node, Input::Pair(PairFact::Truncated)),
                Report::Epoch(epoch) => self.tell(node, Input::Pair(PairFact::EpochSaved(epoch))),
            }
        }
        self.begin_barrier(node);
    }

    /// With one node, what is durable is acknowledged.
    fn absorb(&mut self, reports: &[Report]) {
        if self.pair.is_some() {
            return;
        }
        for report in reports {
            let Report::Durable { entries, .. } = report else { continue };
            for bytes in entries {
                if self.violation.is_none() {
                    let absorbed = self.truth.absorb(bytes);
                    self.check(absorbed);
                }
            }
        }
    }

    /// By the clock of whoever would accept a token.
    pub(crate) fn token_ms(&self) -> u64 {
        let ahead = self.nodes.iter().map(|node| node.now(self.now_ms).unix_ms);
        ahead.max().unwrap_or(self.now_ms)
    }
}

/// The tenants of the configuration.
pub(crate) fn tenants() -> [TenantName; 2] {
    TENANTS.map(|tenant| TenantName::parse(tenant).expect("a tenant's name"))
}

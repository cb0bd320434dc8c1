//! Two nodes: the drivers of their replicas, which carry out what a replica wants on the fake disks, the fake peer link and
//! the fake arbiter.

use crate::{
    arbiter::Arbiter,
    disk::Disk,
    peer::{PeerLinks, Stream},
    process::{Node, tenants},
    witness::Witness,
    world::{Happening, World},
};
use bytes::Bytes;
use duet::core::{
    Answer, AskId, Core, Input, LogGone, Nonce, OrderRefused, PairConfig, PairEffect, PairFact, PeerMessage,
    Question, Role, Side, StoreId,
};

/// What two nodes have beyond what each has.
#[derive(Debug, Default)]
pub(crate) struct Pair {
    pub(crate) arbiter: Arbiter,
    pub(crate) peer: PeerLinks,
    pub(crate) witness: Witness,
    /// What nodes exported before they threw their log away.
    pub(crate) lost_and_found: Vec<Bytes>,
    pub(crate) operator: Operator,
}

/// What the operator is about.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    pub(crate) requests: u64,
    /// The promotion that is being waited for: request, node, whether loss was accepted. The other node stays off.
    pub(crate) promoting: Option<(u64, usize, bool)>,
    pub(crate) seen_down: u32,
    /// The epoch of the last reign that was forced.
    pub(crate) forced_epoch: u64,
    /// The switchover that is under way: request and node.
    pub(crate) switching: Option<(u64, usize)>,
    /// Nodes that have lost their disks and were not in sync since: nobody promotes them.
    pub(crate) rebuilt: [bool; 2],
}

/// Something that will happen to a pair. Names a node, and its process where it dies with it.
#[derive(Debug)]
pub(crate) enum PairHappening {
    Say {
        to: usize,
        link: u64,
        message: PeerMessage,
    },
    LinkUp(usize, u32, u64),
    LinkDown(usize, u32, u64),
    Dial,
    /// A question reaches the arbiter.
    Asked(usize, u32, AskId, Question),
    Answered(usize, u32, AskId, Answer),
    LogRead {
        node: usize,
        process: u32,
        from: u64,
        bytes_max: usize,
    },
    Snapshot(usize, u32),
    /// The process begins anew on a disk that has everything.
    Reborn(usize, u32),
    /// The barrier that is under way takes too long.
    Stuck(usize, u32),
    /// The process ends because its disk has failed.
    Dies(usize, u32),
    /// Something breaks at the worst moment.
    Ambush,
    SwitchOver,
    /// A process that has just taken over dies.
    Usurped(usize, u32),
    Operator,
}

impl PairHappening {
    /// The node whose process has to do it.
    pub(crate) fn node(&self) -> Option<usize> {
        match self {
            Self::Say { to: node, .. }
            | Self::LinkUp(node, ..)
            | Self::LinkDown(node, ..)
            | Self::Answered(node, ..)
            | Self::LogRead { node, .. }
            | Self::Snapshot(node, _)
            | Self::Stuck(node, _) => Some(*node),
            Self::Dial
            | Self::Asked(..)
            | Self::Reborn(..)
            | Self::Dies(..)
            | Self::SwitchOver
            | Self::Usurped(..)
            | Self::Ambush
            | Self::Operator => None,
        }
    }
}

impl World {
    /// Two nodes with empty disks start.
    pub(crate) fn begin_pair(&mut self) {
        self.pair = Some(Pair::default());
        for node in 0..2 {
            let store = StoreId(self.rng.bytes());
            let keeps = self.pair_plan().keeps;
            let clock_offset_ms = self.rng.below(3_000) as i64 - 1_500;
            let booted_ms = self.now_ms - self.rng.between((1_000, 100_000_000));
            let disk = Disk::new(store, keeps);
            self.nodes.push(Node { disk, clock_offset_ms, booted_ms, ..Node::default() });
            let soon = self.rng.below(500);
            self.later(soon, Happening::Restart(node, 0));
        }
        self.later(0, Happening::Pair(PairHappening::Dial));
        let soon = self.rng.between(self.pair_plan().operator_ms);
        self.later(soon, Happening::Pair(PairHappening::Operator));
    }

    pub(crate) fn pair_plan(&self) -> &crate::pair_plan::PairPlan {
        self.plan.pair.as_ref().expect("a world with a pair has a plan for it")
    }

    pub(crate) fn pair_mut(&mut self) -> &mut Pair {
        self.pair.as_mut().expect("a world with a pair")
    }

    /// A node of a pair starts on what its disk holds. A damaged log is thrown away: the peer has everything.
    pub(crate) fn restart_member(&mut self, node: usize) {
        if self.is_fenced(node) {
            return self.later(500, Happening::Restart(node, self.nodes[node].process));
        }
        let (damaged, only_last) = self.nodes[node].disk.damage();
        let (state, tail) = match self.nodes[node].disk.recover() {
            Ok(found) => found,
            Err(error) => return self.violated(format!("I12: the checkpoint does not load: {error}")),
        };
        let config = self.member_config(node);
        let mut core_config = self.plan.core.clone();
        core_config.peers = crate::client::endpoints(2).into_iter().skip(1 - node).take(1).collect();
        let restored = Core::restore_member(core_config, config, state, tail);
        if damaged {
            if restored.is_ok() && !only_last {
                return self.violated("P11: a log with a damaged entry inside was taken".into());
            }
            self.note(|| format!("node {node} finds its log damaged"));
            self.wipe(node);
            return self.restart_member(node);
        }
        let mut core = match restored {
            Ok(core) => core,
            Err(error) => return self.violated(format!("I12: the log does not load: {error}")),
        };
        self.note(|| format!("start of {node} as {:?}, commit {}", config.nonce, core.commit_index()));
        let now = self.nodes[node].now(self.now_ms);
        core.join(now, &tenants());
        self.nodes[node].core = Some(core);
        self.check_fold(node);
        self.carry_out(node);
    }

    fn member_config(&mut self, node: usize) -> PairConfig {
        let nonce = Nonce(self.rng.bytes());
        let disk = &self.nodes[node].disk;
        let (store, max_epoch) = (disk.store, disk.epoch);
        let plan = self.pair_plan();
        PairConfig {
            max_epoch,
            policy: plan.policy,
            automatic: plan.automatic,
            mutant: plan.mutant,
            ..PairConfig::new(side(node), plan.cluster, nonce, store)
        }
    }

    /// The store is empty and another one from now on; what a node without an arbiter keeps beside it stays.
    pub(crate) fn wipe(&mut self, node: usize) {
        let store = StoreId(self.rng.bytes());
        self.nodes[node].disk.wipe(store);
        self.pair_mut().operator.rebuilt[node] = true;
    }

    pub(crate) fn carry_out_for_pair(&mut self, node: usize, order: PairEffect) {
        let process = self.nodes[node].process;
        match order {
            PairEffect::Say(message) => self.say_to_peer(node, &message),
            PairEffect::Ask { ask, question } => self.ask(node, ask, question),
            PairEffect::Truncate { .. } | PairEffect::SaveEpoch(_) => {}
            PairEffect::ReadLog { from, bytes_max } => {
                let in_ms = self.rng.between(self.plan.read_ms);
                let bytes_max = if self.rng.chance(500) { bytes_max } else { 600 };
                let read = PairHappening::LogRead { node, process, from, bytes_max };
                self.later(in_ms, Happening::Pair(read));
            }
            PairEffect::SendSnapshot => {
                let in_ms = self.rng.between((20, 1_500));
                self.later(in_ms, Happening::Pair(PairHappening::Snapshot(node, process)));
            }
            PairEffect::Resync { fork } => self.resync(node, fork),
            PairEffect::Adopt(cfg) => self.adopt(node, cfg),
            PairEffect::Role(role) => self.told_role(node, role),
            PairEffect::Restart => {
                self.check_handed_over(node);
                self.note(|| format!("node {node} begins anew"));
                self.end_process(node);
                let in_ms = self.rng.between(self.plan.commit_ms);
                let reborn = PairHappening::Reborn(node, self.nodes[node].process);
                self.later(in_ms, Happening::Pair(reborn));
            }
            PairEffect::SteppedDown => {}
            PairEffect::Told { request, result } => self.told_operator(node, request, result),
        }
    }

    pub(crate) fn happen_in_pair(&mut self, happening: PairHappening) {
        match happening {
            PairHappening::Say { to, link, message } => self.peer_says(to, link, message),
            PairHappening::LinkUp(node, process, link) => self.peer_link_up(node, process, link),
            PairHappening::LinkDown(node, process, link) => self.peer_link_down(node, process, link),
            PairHappening::Dial => self.dial_peer(),
            PairHappening::Asked(node, process, ask, question) => self.asked(node, process, ask, question),
            PairHappening::Answered(node, process, ask, answer) => {
                self.answered(node, process, ask, answer);
            }
            PairHappening::LogRead { node, process, from, bytes_max } => {
                let mut result = self.nodes[node].disk.read_log(from, bytes_max);
                if self.now_ms < self.nodes[node].unreadable_until_ms {
                    result = Err(LogGone::Failed);
                }
                self.tell_process(node, process, PairFact::LogRead { from, result });
            }
            PairHappening::Snapshot(node, process) => self.send_snapshot(node, process),
            PairHappening::Reborn(node, process) => {
                if self.nodes[node].process == process {
                    let all = self.nodes[node].disk.unsynced();
                    self.nodes[node].disk.crash(all);
                    self.restart(node);
                }
            }
            PairHappening::Stuck(node, process) => {
                self.note(|| format!("a barrier of {node} takes too long"));
                self.tell_process(node, process, PairFact::DiskStuck);
            }
            PairHappening::Dies(node, process) => {
                if self.nodes[node].process == process {
                    let down_ms = self.rng.between((100, 3_000));
                    self.crash(node, down_ms);
                }
            }
            PairHappening::Ambush => self.spring_ambush(),
            PairHappening::SwitchOver if self.calm => {}
            PairHappening::SwitchOver => self.switch_over(),
            PairHappening::Usurped(node, process) => self.usurped(node, process),
            PairHappening::Operator => self.operate(),
        }
    }

    /// Tells a node a fact, if its process is still the one that it is for.
    pub(crate) fn tell_process(&mut self, node: usize, process: u32, fact: PairFact) {
        if self.nodes[node].process == process {
            self.tell(node, Input::Pair(fact));
        }
    }

    /// A barrier that takes longer than it may is reported.
    pub(crate) fn watch_barrier(&mut self, node: usize, takes_ms: u64) {
        if self.pair.is_some() && takes_ms > STUCK_MS {
            let stuck = PairHappening::Stuck(node, self.nodes[node].process);
            self.later(STUCK_MS, Happening::Pair(stuck));
        }
    }

    /// What is taken back goes to lost+found: after a forced promotion it may have been acknowledged.
    pub(crate) fn truncate(&mut self, node: usize, after: u64) {
        self.note(|| format!("node {node} takes back what is above {after}"));
        let gone = self.nodes[node].disk.truncate(after);
        self.check_exported(&gone);
        self.pair_mut().lost_and_found.extend(gone);
    }

    fn resync(&mut self, node: usize, fork: Option<u64>) {
        self.note(|| format!("node {node} throws its log away, fork {fork:?}"));
        let unsynced = self.nodes[node].disk.unsynced();
        self.nodes[node].disk.crash(unsynced);
        if let Some(fork) = fork {
            let exported = self.nodes[node].disk.after(fork);
            self.check_exported(&exported);
            self.pair_mut().lost_and_found.extend(exported);
        }
        self.end_process(node);
        self.wipe(node);
        let in_ms = self.rng.between((10, 400));
        self.later(in_ms, Happening::Restart(node, self.nodes[node].process));
    }

    /// The primary's snapshot arrives at the peer, or does not.
    fn send_snapshot(&mut self, node: usize, process: u32) {
        if self.nodes[node].process != process {
            return;
        }
        let peer = 1 - node;
        let follows = matches!(
            self.nodes[peer].core.as_ref().and_then(Core::role),
            Some(Role::Standby { .. } | Role::Joining)
        );
        let awake = self.nodes[peer].paused(self.now_ms).is_none();
        let empty = self.nodes[peer].disk.end() == 0;
        let taken = follows && awake && empty && self.peer_hears(node) && !self.rng.chance(100);
        self.note(|| format!("snapshot of {node}, taken {taken}"));
        if taken {
            self.figures.snapshots += 1;
            let snapshot = self.nodes[node].disk.snapshot();
            self.end_process(peer);
            let all = self.nodes[peer].disk.unsynced();
            self.nodes[peer].disk.crash(all);
            self.nodes[peer].disk.install(snapshot);
            let in_ms = self.rng.between((10, 300));
            self.later(in_ms, Happening::Restart(peer, self.nodes[peer].process));
        }
        self.tell_process(node, process, PairFact::SnapshotDone(taken));
    }

    fn told_operator(&mut self, node: usize, request: u64, result: Result<(), OrderRefused>) {
        self.note(|| format!("node {node} answers the operator {request}: {result:?}"));
        self.check_forced(node);
        let operator = &mut self.pair_mut().operator;
        if operator.promoting.is_some_and(|(awaited, ..)| awaited == request) {
            operator.promoting = None;
        }
        operator.switching = operator.switching.filter(|(awaited, _)| *awaited != request);
    }

    /// Sends a message of a replica, on the stream of its kind.
    fn say_to_peer(&mut self, node: usize, message: &PeerMessage) {
        let stream = match message {
            PeerMessage::Beat(_) | PeerMessage::Echo(_) => Stream::Beats,
            _ => Stream::Bulk,
        };
        self.send_to_peer(node, stream, message);
    }
}

pub(crate) fn side(node: usize) -> Side {
    if node == 0 { Side::A } else { Side::B }
}

/// A barrier that takes longer is reported.
const STUCK_MS: u64 = 3_000;

//! The link between the two nodes: ordered streams, delays, directions that carry nothing for a while, ends that notice
//! late. What was under way on a link that ended is lost; nothing of it comes out of a later one.

use crate::{
    pair::PairHappening,
    world::{Happening, World},
};
use duet::core::{PairFact, PeerMessage};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct PeerLinks {
    /// Number of the newest link.
    newest: u64,
    links: BTreeMap<u64, PeerLink>,
    /// Which link each node's process believes in.
    ends: [Option<u64>; 2],
    /// What each node sends is held until then.
    blocked_until_ms: [u64; 2],
    /// What each node sends takes this much longer until then.
    pub(crate) slow: [(u64, u64); 2],
    /// Whether heartbeats are spared that.
    pub(crate) slow_bulk: bool,
}

#[derive(Debug, Default)]
struct PeerLink {
    /// Whether it is over, though its ends may not have noticed.
    broken: bool,
    /// What would reach a node later than this is lost.
    dead_ms: [Option<u64>; 2],
    /// Whether each end has noticed that it is over.
    ended: [bool; 2],
    /// When the last message of each stream arrives at each node.
    last_ms: [[u64; 2]; 2],
}

/// Each is ordered in itself.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stream {
    Beats,
    Bulk,
}

impl PeerLinks {
    /// What either node sends from now on arrives.
    pub(crate) fn reach_again(&mut self) {
        self.blocked_until_ms = [0; 2];
    }
}

impl World {
    pub(crate) fn send_to_peer(&mut self, from: usize, stream: Stream, message: &PeerMessage) {
        let Some(number) = self.pair_mut().peer.ends[from] else { return };
        let plan = self.pair_plan();
        let (rude, range) = (if self.calm { 0 } else { plan.rude }, plan.peer_ms);
        let bulk_ms = if self.calm || matches!(stream, Stream::Beats) { 0 } else { plan.bulk_ms };
        let mut copies = 1;
        if rude > 0 {
            copies = if self.rng.chance(rude) { 0 } else { 1 + u64::from(self.rng.chance(rude)) };
        }
        self.note(|| format!("node {from} says {message:?}"));
        let to = 1 - from;
        for _ in 0..copies {
            let mut in_ms = self.rng.between(range) + self.rng.below(bulk_ms + 1);
            let overtaken = rude > 0 && self.rng.chance(rude + 15);
            in_ms += if overtaken { self.rng.between((20, 600)) } else { 0 };
            let now_ms = self.now_ms;
            let peer = &mut self.pair_mut().peer;
            let (until_ms, slow_ms) = peer.slow[from];
            let slow = now_ms < until_ms && (!peer.slow_bulk || matches!(stream, Stream::Bulk));
            in_ms += if slow { slow_ms } else { 0 };
            let mut at_ms = now_ms.max(peer.blocked_until_ms[from]) + in_ms;
            let Some(link) = peer.links.get_mut(&number) else { return };
            if !overtaken {
                let last_ms = &mut link.last_ms[to][stream as usize];
                *last_ms = at_ms.max(*last_ms);
                at_ms = *last_ms;
            }
            let said = PairHappening::Say { to, link: number, message: message.clone() };
            self.at(at_ms, Happening::Pair(said));
        }
    }

    pub(crate) fn peer_says(&mut self, to: usize, link: u64, message: PeerMessage) {
        let now_ms = self.now_ms;
        let peer = &self.pair_mut().peer;
        let first = peer.ends[to].is_none_or(|known| known < link);
        if first {
            // Whatever comes on a link shows that it is up.
            let process = self.nodes[to].process;
            self.peer_link_up(to, process, link);
        }
        let peer = &self.pair_mut().peer;
        let dead =
            peer.links.get(&link).is_none_or(|link| link.dead_ms[to].is_some_and(|at_ms| now_ms > at_ms));
        if peer.ends[to] == Some(link) && !dead {
            self.tell(to, duet::core::Input::Pair(PairFact::Peer(message)));
        }
    }

    /// Whether what a node sends would reach the other now.
    pub(crate) fn peer_hears(&mut self, from: usize) -> bool {
        let now_ms = self.now_ms;
        let peer = &self.pair_mut().peer;
        let whole =
            peer.ends[from].and_then(|number| peer.links.get(&number)).is_some_and(|link| !link.broken);
        whole && peer.ends[from] == peer.ends[1 - from] && now_ms >= peer.blocked_until_ms[from]
    }

    /// A new link is made when there is none and both can hear each other.
    pub(crate) fn dial_peer(&mut self) {
        let again_ms = self.rng.between((50, 400));
        self.later(again_ms, Happening::Pair(PairHappening::Dial));
        let now_ms = self.now_ms;
        let awake = |world: &Self, node: usize| {
            world.nodes[node].core.is_some() && world.nodes[node].paused(now_ms).is_none()
        };
        if !awake(self, 0) || !awake(self, 1) {
            return;
        }
        let peer = &mut self.pair_mut().peer;
        let reachable = peer.blocked_until_ms.iter().all(|until_ms| now_ms >= *until_ms);
        let newest = peer.newest;
        let over = peer.links.get(&newest).is_none_or(|link| link.broken && (link.ended[0] || link.ended[1]));
        if !reachable || !over {
            return;
        }
        peer.newest += 1;
        let number = peer.newest;
        peer.links.insert(number, PeerLink::default());
        peer.links.retain(|known, _| known + 4 > number);
        self.note(|| format!("peer link {number}"));
        for node in 0..2 {
            let in_ms = self.rng.below(60);
            let up = PairHappening::LinkUp(node, self.nodes[node].process, number);
            self.later(in_ms, Happening::Pair(up));
        }
    }

    pub(crate) fn peer_link_up(&mut self, node: usize, process: u32, number: u64) {
        if self.nodes[node].process != process {
            return;
        }
        let peer = &mut self.pair_mut().peer;
        if peer.links.get(&number).is_none_or(|link| link.ended[node]) {
            return;
        }
        match peer.ends[node] {
            Some(known) if known >= number => return,
            Some(_) => self.tell_process(node, process, PairFact::LinkDown),
            None => {}
        }
        self.pair_mut().peer.ends[node] = Some(number);
        self.tell_process(node, process, PairFact::LinkUp);
    }

    pub(crate) fn peer_link_down(&mut self, node: usize, process: u32, number: u64) {
        let peer = &mut self.pair_mut().peer;
        if let Some(link) = peer.links.get_mut(&number) {
            link.ended[node] = true;
        }
        if peer.ends[node] == Some(number) {
            peer.ends[node] = None;
            self.tell_process(node, process, PairFact::LinkDown);
        }
    }

    /// The link ends; each end notices in its time.
    pub(crate) fn break_peer_link(&mut self, dead_ms: [u64; 2], notice_ms: [u64; 2]) {
        let now_ms = self.now_ms;
        let peer = &mut self.pair_mut().peer;
        let number = peer.newest;
        let Some(link) = peer.links.get_mut(&number).filter(|link| !link.broken) else { return };
        link.broken = true;
        link.dead_ms = [Some(now_ms + dead_ms[0]), Some(now_ms + dead_ms[1])];
        self.note(|| format!("peer link {number} is broken, noticed in {notice_ms:?}"));
        for (node, in_ms) in notice_ms.into_iter().enumerate() {
            let down = PairHappening::LinkDown(node, self.nodes[node].process, number);
            self.later(in_ms, Happening::Pair(down));
        }
    }

    /// A process is gone: what it sent may still arrive for a while.
    pub(crate) fn peer_process_ended(&mut self, node: usize) {
        if self.pair.is_none() {
            return;
        }
        let (late_ms, notice_ms) = (self.rng.below(4_000), self.rng.below(3_000));
        let mut dead_ms = [0; 2];
        dead_ms[1 - node] = if self.rng.chance(300) { 0 } else { late_ms };
        let mut notices_ms = [0; 2];
        notices_ms[1 - node] = notice_ms;
        self.break_peer_link(dead_ms, notices_ms);
        let peer = &mut self.pair_mut().peer;
        peer.ends[node] = None;
        for link in peer.links.values_mut() {
            link.ended[node] = true;
        }
    }

    /// Nothing that the nodes in `from` send arrives for so long; a link that is silent for too long ends.
    pub(crate) fn partition(&mut self, from: [bool; 2], ms: u64) {
        self.note(|| format!("nothing of {from:?} arrives for {ms} ms"));
        let (now_ms, idle_ms) = (self.now_ms, self.pair_plan().idle_ms);
        for (node, _) in from.iter().enumerate().filter(|(_, cut)| **cut) {
            let until_ms = &mut self.pair_mut().peer.blocked_until_ms[node];
            *until_ms = (*until_ms).max(now_ms + ms);
        }
        if ms > idle_ms {
            // Who hears nothing gives up first; the other one hears nothing from then on.
            let blind = |node: usize| from[1 - node];
            let notice = |world: &mut Self, node: usize| {
                let more_ms = if blind(node) { world.rng.below(300) } else { world.rng.below(idle_ms) };
                idle_ms + more_ms
            };
            let notice_ms = [notice(self, 0), notice(self, 1)];
            let dead_ms = [notice_ms[1], notice_ms[0]].map(|at_ms| at_ms.min(idle_ms));
            let dead_ms = [0, 1].map(|node| if blind(node) { 0 } else { dead_ms[node] });
            self.break_peer_link(dead_ms, notice_ms);
        }
    }

    /// Everything carries again, at once.
    pub(crate) fn heal_peer_link(&mut self) {
        let peer = &mut self.pair_mut().peer;
        (peer.blocked_until_ms, peer.slow) = ([0; 2], [(0, 0); 2]);
        if self.pair_plan().rude > 0 {
            // A real link loses nothing: what was lost for good is said again on a new one.
            self.break_peer_link([0; 2], [0; 2]);
        }
    }
}

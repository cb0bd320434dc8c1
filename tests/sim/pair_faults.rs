//! What goes wrong with a pair: either node or both die, are stopped, lose or damage their disks; the link between them and
//! the way to the arbiter break in one direction or both; operators plan switchovers.

use crate::{
    pair::{PairHappening, side},
    world::{Happening, World},
};
use duet::core::Cfg;

impl World {
    pub(crate) fn fault_of_pair(&mut self) {
        let node = self.rng.below(2) as usize;
        match self.rng.below(24) {
            0..4 => {
                let down_ms = self.rng.between((20, 6_000));
                self.crash(node, down_ms);
            }
            4 => {
                for node in 0..2 {
                    let down_ms = self.rng.between((20, 6_000));
                    self.crash(node, down_ms);
                }
            }
            5..8 => {
                let from =
                    *self.rng.pick(&[[true, true], [true, false], [false, true]]).unwrap_or(&[true; 2]);
                let ms = self.rng.between((100, 9_000));
                self.partition(from, ms);
            }
            8 | 9 => {
                let notice_ms = [self.rng.below(400), self.rng.below(400)];
                let dead_ms = [self.rng.below(30), self.rng.below(30)];
                self.break_peer_link(dead_ms, notice_ms);
            }
            10 | 11 => {
                let until_ms = self.now_ms + self.rng.between((200, 5_000));
                let slow_ms = self.rng.between((50, 4_000));
                let bulk = self.rng.chance(500);
                let peer = &mut self.pair_mut().peer;
                (peer.slow[node], peer.slow_bulk) = ((until_ms, slow_ms), bulk);
            }
            12..15 => {
                // Often about as long as a standby waits before it asks to reign.
                let ms = *self
                    .rng
                    .pick(&[(100, 1_500), (1_000, 5_000), (1_400, 2_200)])
                    .unwrap_or(&(1_000, 5_000));
                let ms = self.rng.between(ms);
                self.pause(node, ms);
            }
            15 => {
                let ms = self.rng.between((500, 8_000));
                if ms < 2_000 || self.can_do_without(node) {
                    self.nodes[node].stall_ms = ms;
                    self.nodes[node].sick |= ms > 2_000;
                }
            }
            16 => self.arbiter_fault(node),
            17 | 18 => self.switch_over(),
            19 | 20 => self.lose_disk(node),
            21 | 22 => self.damage_disk(node),
            _ => {
                let ms = self.rng.between((1_000, 3_000));
                self.disk_fails(node, ms);
            }
        }
    }

    /// The register has just changed: the moment at which a fault hurts most.
    pub(crate) fn ambush(&mut self) {
        let chance = self.pair_plan().ambush;
        if !self.calm && self.rng.chance(chance) {
            let in_ms = self.rng.below(250);
            self.later(in_ms, Happening::Pair(PairHappening::Ambush));
        }
    }

    /// A standby has just taken over. In some worlds it dies young and comes back while nobody can tell it what became of its
    /// reign, to an old primary that has not heard of it either.
    pub(crate) fn usurp(&mut self, old: Option<Cfg>, new: Option<Cfg>) {
        let (Some(old), Some(new)) = (old, new) else { return };
        let alone = new.in_sync.store(new.primary.other()).is_none();
        let chance = self.pair_plan().usurper;
        if self.calm || old.primary == new.primary || !alone || !self.rng.chance(chance) {
            return;
        }
        let node = usize::from(new.primary == side(1));
        let in_ms = *self.rng.pick(&[(1, 60), (20, 300), (200, 2_000)]).unwrap_or(&(1, 60));
        let in_ms = self.rng.between(in_ms);
        let (until_ms, refuses) =
            (self.now_ms + in_ms + self.rng.between((300, 4_000)), self.rng.chance(400));
        self.note(|| format!("node {node} will die in {in_ms} ms, and nobody can be asked"));
        let pair = self.pair_mut();
        (pair.arbiter.down_until_ms, pair.arbiter.refuses) = (until_ms, refuses);
        let process = self.nodes[node].process;
        let dies = PairHappening::Usurped(node, process);
        self.partition([true; 2], in_ms);
        self.later(in_ms, Happening::Pair(dies));
    }

    /// The new primary dies, and the old one hears and is heard again.
    pub(crate) fn usurped(&mut self, node: usize, process: u32) {
        if self.calm || self.nodes[node].process != process {
            return;
        }
        let down_ms = self.rng.between((10, 250));
        self.crash(node, down_ms);
        self.pair_mut().peer.reach_again();
        let other = &mut self.nodes[1 - node];
        other.paused_until_ms = other.paused_until_ms.min(self.now_ms);
    }

    pub(crate) fn spring_ambush(&mut self) {
        if self.calm {
            return;
        }
        let node = self.rng.below(2) as usize;
        match self.rng.below(6) {
            0..3 => {
                let down_ms = self.rng.between((10, 700));
                self.crash(node, down_ms);
            }
            3 => {
                let ms = self.rng.between((200, 2_200));
                self.pause(node, ms);
            }
            4 => {
                let (from, ms) = ([node == 0, node == 1], self.rng.between((100, 3_000)));
                self.partition(from, ms);
            }
            _ => self.switch_over(),
        }
    }

    /// The process is stopped, as by SIGSTOP.
    fn pause(&mut self, node: usize, ms: u64) {
        if self.nodes[node].core.is_none() {
            return;
        }
        self.note(|| format!("node {node} is stopped for {ms} ms"));
        let until_ms = &mut self.nodes[node].paused_until_ms;
        *until_ms = (*until_ms).max(self.now_ms + ms);
        let idle_ms = self.pair_plan().idle_ms;
        if ms > idle_ms {
            let mut notice_ms = [idle_ms; 2];
            notice_ms[node] = ms;
            self.break_peer_link([ms; 2], notice_ms);
        }
    }

    fn arbiter_fault(&mut self, node: usize) {
        let until_ms = self.now_ms + self.rng.between((200, 8_000));
        if self.rng.chance(350) {
            self.note(|| "the arbiter is sluggish".into());
            self.pair_mut().arbiter.sluggish_until_ms = until_ms;
            if self.rng.chance(500) {
                let in_ms = self.rng.below(2_000);
                self.later(in_ms, Happening::Pair(PairHappening::SwitchOver));
            }
            return;
        }
        let (refuses, whole) = (self.rng.chance(400), self.rng.chance(600));
        self.note(|| format!("the arbiter is away, whole {whole}"));
        let arbiter = &mut self.pair_mut().arbiter;
        if whole {
            (arbiter.down_until_ms, arbiter.refuses) = (until_ms, refuses);
        } else {
            arbiter.cut_until_ms[node] = until_ms;
        }
    }

    /// Whether nothing that was acknowledged is on this disk alone, and the other node can go on without it: two faults at
    /// once may leave a pair that only an operator can bring back.
    pub(crate) fn can_do_without(&self, node: usize) -> bool {
        let (Some(pair), Some(cfg)) = (&self.pair, self.newest_cfg()) else { return false };
        let other = &self.nodes[1 - node].disk;
        let end = self.truth.end();
        cfg.in_sync.holds(side(1 - node), other.store)
            && !self.is_astray(node)
            && pair.arbiter.swaps_in_flight == 0
            && pair.operator.promoting.is_none()
            && !other.damage().0
            && !self.nodes[1 - node].sick
            && !self.nodes[1 - node].read_only
            && end > 0
            && self.truth.chain(end).is_some_and(|chain| other.holds(end, chain))
    }

    fn lose_disk(&mut self, node: usize) {
        if !self.can_do_without(node) || self.nodes[node].core.is_none() {
            return;
        }
        self.note(|| format!("node {node} loses its disk"));
        let down_ms = self.rng.between((100, 4_000));
        self.crash(node, down_ms);
        self.wipe(node);
        self.nodes[node].disk.register = None;
    }

    fn damage_disk(&mut self, node: usize) {
        if !self.can_do_without(node) || self.nodes[node].core.is_none() {
            return;
        }
        let down_ms = self.rng.between((100, 4_000));
        self.crash(node, down_ms);
        let pick = self.rng.next();
        let flipped = self.nodes[node].disk.flip_bit(pick);
        self.note(|| format!("a bit on the disk of {node} turns: {flipped}"));
    }

    /// A barrier fails: the node says so, and its process ends after a while.
    fn disk_fails(&mut self, node: usize, ms: u64) {
        let stopped = self.nodes[node].core.is_none() || self.nodes[node].paused(self.now_ms).is_some();
        if stopped || !self.can_do_without(node) {
            return;
        }
        self.note(|| format!("the disk of {node} fails"));
        (self.nodes[node].stall_ms, self.nodes[node].sick) = (60_000, true);
        let process = self.nodes[node].process;
        self.tell_process(node, process, duet::core::PairFact::DiskStuck);
        let dies = PairHappening::Dies(node, process);
        self.later(ms, Happening::Pair(dies));
    }
}

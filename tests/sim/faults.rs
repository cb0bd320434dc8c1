//! What goes wrong: processes die, connections break with and without a word, disks stall and fill up, clocks jump.

use crate::world::{Happening, World};

impl World {
    /// One thing goes wrong; the next one is planned.
    pub(crate) fn fault(&mut self) {
        if self.calm {
            return;
        }
        let in_ms = self.rng.between(self.plan.fault_every_ms);
        self.later(in_ms, Happening::Fault);
        if self.pair.is_some() && self.rng.chance(600) {
            return self.fault_of_pair();
        }
        let node = if self.nodes.len() > 1 { self.rng.below(2) as usize } else { 0 };
        let links: Vec<u64> = self.links.keys().copied().collect();
        let device = self.rng.below(self.devices.len() as u64) as usize;
        match self.rng.below(16) {
            0..3 => {
                let down_ms = self.rng.between((20, 3_000));
                self.crash(node, down_ms);
            }
            3..6 => {
                if let Some(id) = self.rng.pick(&links).copied() {
                    let silently = self.rng.chance(250);
                    self.cut(id, silently);
                }
            }
            6..9 => {
                if let Some(id) = self.rng.pick(&links).copied() {
                    let lanes =
                        self.links.get(&id).map(|l| l.subscriptions.keys().copied().collect::<Vec<_>>());
                    if let Some(lane) = lanes.and_then(|lanes| self.rng.pick(&lanes).copied()) {
                        self.reset_lane(id, lane);
                    }
                }
            }
            9 => {
                let ms = self.rng.between((500, 15_000));
                self.devices[device].offline_until_ms = self.now_ms + ms;
                let gone: Vec<u64> = self.devices[device].links.values().copied().collect();
                for id in gone {
                    self.cut(id, true);
                }
            }
            10 | 11 => {
                let ms = self.rng.between((500, 8_000));
                self.devices[device].slow_until_ms = self.now_ms + ms;
            }
            12 => {
                let longest_ms = if self.pair.is_some() { 1_900 } else { 3_000 };
                self.nodes[node].stall_ms = self.rng.between((200, longest_ms));
            }
            13 => self.nodes[node].unreadable_until_ms = self.now_ms + self.rng.between((50, 2_000)),
            14 => {
                let process = self.nodes[node].process;
                let alone = self.pair.is_none() || self.can_do_without(node);
                if alone && self.nodes[node].paused(self.now_ms).is_none() {
                    self.read_only(node, process, true);
                    let ms = self.rng.between((100, 4_000));
                    self.later(ms, Happening::ReadOnly(node, process, false));
                }
            }
            _ => self.jump(node),
        }
    }

    /// A server's clock jumps; rarely by more than a day, and then it does not come back.
    fn jump(&mut self, node: usize) {
        if !self.plan.clock_jumps {
            return;
        }
        let ms = match self.rng.below(8) {
            0 => self.rng.between((3_600_000, 100_000_000)) as i64,
            1..=4 => self.rng.between((100, 60_000)) as i64,
            _ => -(self.rng.between((100, 5_000)) as i64),
        };
        self.note(|| format!("the clock of {node} jumps by {ms} ms"));
        self.nodes[node].clock_offset_ms += ms;
    }
}

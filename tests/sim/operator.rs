//! The operator of a pair: plans switchovers, and without an arbiter makes the node primary that is left, after making sure
//! that the other one is off.

use crate::{
    pair::PairHappening,
    world::{Happening, World},
};
use duet::core::{Core, PairFact, PairOrder, Role};

impl World {
    /// Whether an operator keeps a node off.
    pub(crate) fn is_fenced(&self, node: usize) -> bool {
        let promoting = self.pair.as_ref().and_then(|pair| pair.operator.promoting);
        promoting.is_some_and(|(_, promoted, _)| promoted != node)
    }

    /// The operator looks at both nodes.
    pub(crate) fn operate(&mut self) {
        let again_ms = self.rng.between(self.pair_plan().operator_ms);
        self.later(again_ms, Happening::Pair(PairHappening::Operator));
        if self.pair_plan().automatic || self.pair_mut().operator.promoting.is_some() {
            return;
        }
        let role = |world: &Self, node: usize| world.nodes[node].core.as_ref().and_then(Core::role);
        let roles = [role(self, 0), role(self, 1)];
        if roles.iter().any(|role| matches!(role, Some(Role::Primary { .. }))) {
            self.pair_mut().operator.seen_down = 0;
            return;
        }
        self.pair_mut().operator.seen_down += 1;
        let alive = |world: &Self, node: usize| {
            world.nodes[node].core.is_some() && world.nodes[node].paused(world.now_ms).is_none()
        };
        // A node that is off may come back by itself; after the second look the operator does not wait any longer.
        let down = self.pair_mut().operator.seen_down;
        let chosen = match (alive(self, 0), alive(self, 1)) {
            (true, false) if down > 1 => 0,
            (false, true) if down > 1 => 1,
            (true, true) if down > 3 => {
                let better = [0, 1].map(|node| self.has_the_better_log(node));
                let either = self.rng.below(2) as usize;
                if better[0] == better[1] { either } else { usize::from(better[1]) }
            }
            _ => return,
        };
        if !self.has_the_better_log(chosen) {
            return;
        }
        // Loss was accepted before in favour of the other node, and this one has not heard of it: it is not the one to go on.
        let forced = self.pair_mut().operator.forced_epoch;
        if self.nodes[chosen].disk.register.map_or(0, |cfg| cfg.epoch) < forced {
            return;
        }
        // Once in a life: whoever accepts loss in favour of one node and then of the other has two histories to mend by hand.
        let accepts = self.pair_plan().accepts_loss && forced == 0;
        let accept_data_loss = down > 2 && (accepts || self.calm);
        self.promote(chosen, accept_data_loss);
    }

    /// Whether an operator who compares the two would choose this one: nobody promotes a node that lost its disk and has not
    /// been in sync since, unless the other is no better.
    fn has_the_better_log(&self, node: usize) -> bool {
        let Some(pair) = &self.pair else { return false };
        let log = |node: usize| (!pair.operator.rebuilt[node], self.nodes[node].disk.durable());
        !pair.operator.rebuilt[node] || log(node) >= log(1 - node)
    }

    fn promote(&mut self, node: usize, accept_data_loss: bool) {
        let operator = &mut self.pair_mut().operator;
        operator.requests += 1;
        let request = operator.requests;
        operator.promoting = Some((request, node, accept_data_loss));
        self.note(|| format!("the operator promotes {node}, accepting loss: {accept_data_loss}"));
        // The operator says that the other one is off, and sees to it.
        self.crash(1 - node, 500);
        let order = PairOrder::Promote { accept_data_loss };
        let process = self.nodes[node].process;
        self.tell_process(node, process, PairFact::Operator { request, order });
    }

    /// A planned switchover.
    pub(crate) fn switch_over(&mut self) {
        let leads = |node: &crate::process::Node| {
            matches!(node.core.as_ref().and_then(Core::role), Some(Role::Primary { .. }))
        };
        let Some(node) = self.nodes.iter().position(leads) else { return };
        if self.nodes[node].paused(self.now_ms).is_some() {
            return;
        }
        let operator = &mut self.pair_mut().operator;
        operator.requests += 1;
        let request = operator.requests;
        operator.switching.get_or_insert((request, node));
        self.note(|| format!("the operator orders a switchover of {node}"));
        let process = self.nodes[node].process;
        let order = PairFact::Operator { request, order: PairOrder::Switchover };
        self.tell_process(node, process, order);
    }

    /// An order dies with its process.
    pub(crate) fn forget_orders(&mut self, node: usize) {
        let Some(pair) = &mut self.pair else { return };
        let operator = &mut pair.operator;
        operator.promoting = operator.promoting.filter(|(_, promoted, _)| *promoted != node);
        operator.switching = operator.switching.filter(|(_, switched)| *switched != node);
    }
}

//! The checkers of a pair: they see both nodes, both disks and the register at once, which nobody in the world can.
//!
//! What a primary takes for committed is acknowledged from then on (I1): it never changes (I4, I5), every disk that counts
//! as in sync has it (I7), and what clients are told of it is compared with it as with one node.

use crate::{link::LinkId, node::whole, pair::side, restored, wire::tenant_id, world::World};
use bytes::Bytes;
use duet::core::{ConversationKey, Effect, Policy, Role};
use duet_protocol::{Delivery, delivery::Published};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Witness {
    /// Which process held each epoch.
    holders: BTreeMap<u64, (usize, u32)>,
    /// The highest epoch that anybody served in.
    served_epoch: u64,
    /// Entries that an operator gave up, and the disks that clients were told of.
    given_up: Vec<(Bytes, u8)>,
    /// Their indices and the chains after them.
    given_up_places: BTreeSet<(u64, u64)>,
}

impl World {
    /// A node has handled something: what it takes for committed is looked at before it speaks.
    pub(crate) fn witness(&mut self, node: usize) {
        if self.pair.is_some() {
            self.check_forced(node);
        }
        let Some(core) = self.nodes[node].core.as_ref().filter(|_| self.pair.is_some()) else { return };
        let (commit, role) = (core.commit_index(), core.role());
        let told = std::mem::replace(&mut self.nodes[node].told_commit, commit);
        self.nodes[node].commits = commit > told;
        if commit < told {
            return self
                .violated(format!("I9: the commit index of {node} went from {told} back to {commit}"));
        }
        if commit == told || told == 0 && self.is_astray(node) {
            return;
        }
        let leads = matches!(role, Some(Role::Primary { .. }));
        if commit > self.truth.end() && !leads {
            let end = self.truth.end();
            return self.violated(format!("I5: {node} takes {commit} for committed and follows, {end} is"));
        }
        let news = commit > self.truth.end();
        while self.truth.end() < commit && self.violation.is_none() {
            let index = self.truth.end() + 1;
            let Some((bytes, _)) = self.nodes[node].disk.entry(index) else {
                return self.violated(format!("I1: {node} commits {index}, which it has not written"));
            };
            let absorbed = self.truth.absorb(&bytes.clone());
            self.check(absorbed.map_err(|what| format!("{what}, says {node}")));
            // What was given up may be acknowledged again by a node that still had it.
            let place = (index, self.truth.chain(index).unwrap_or_default());
            self.pair_mut().witness.given_up_places.remove(&place);
        }
        self.check_commit(node, commit);
        if news {
            self.check_members();
        }
    }

    /// What a node takes for committed is what was acknowledged.
    fn check_commit(&mut self, node: usize, commit: u64) {
        let Some(chain) = self.truth.chain(commit) else { return };
        if self.nodes[node].disk.entry(commit).is_some_and(|(_, own)| own != chain) {
            self.violated(format!("I5: entry {commit} was acknowledged, and {node} has another one there"));
        }
    }

    /// Every store in the set holds every acknowledged entry, durably.
    pub(crate) fn check_members(&mut self) {
        let Some(cfg) = self.newest_cfg() else { return };
        let end = self.truth.end();
        let chain = self.truth.chain(end).unwrap_or_default();
        for node in 0..2 {
            let disk = &self.nodes[node].disk;
            if cfg.in_sync.holds(side(node), disk.store) && !disk.holds(end, chain) {
                let durable = disk.durable();
                return self.violated(format!(
                    "I7: {node} counts as in sync and has {durable} of {end} acknowledged entries, or others"
                ));
            }
        }
    }

    /// A node says what it is.
    pub(crate) fn told_role(&mut self, node: usize, role: Role) {
        self.note(|| format!("node {node} is {role:?}"));
        if matches!(role, Role::Standby { in_sync: true, .. } | Role::Primary { .. }) {
            self.pair_mut().operator.rebuilt[node] = false;
        }
        let epoch_of = |role: Role| match role {
            Role::Joining => 0,
            Role::Primary { epoch, .. } | Role::Standby { epoch, .. } => epoch,
        };
        let before = self.nodes[node].told_role.replace(role);
        if before.is_some_and(|before| epoch_of(before) > epoch_of(role)) {
            return self.violated(format!("I9: the epoch of {node} went back: {before:?}, {role:?}"));
        }
        let Role::Primary { epoch, serving, .. } = role else { return };
        self.check_forced(node);
        let process = (node, self.nodes[node].process);
        let witness = &mut self.pair_mut().witness;
        let holder = *witness.holders.entry(epoch).or_insert(process);
        if holder != process {
            return self.violated(format!("I3: epoch {epoch} is held by {holder:?} and by {process:?}"));
        }
        if serving {
            witness.served_epoch = witness.served_epoch.max(epoch);
        }
        let reigns = witness.holders.len() as u64;
        self.figures.reigns = reigns;
    }

    /// A node is about to do something: what clients would be told by it is looked at.
    pub(crate) fn overhear(&mut self, node: usize, effect: &Effect) {
        if self.pair.is_none() {
            return;
        }
        let speaks = matches!(
            effect,
            Effect::Send { .. } | Effect::Deliver { .. } | Effect::Cast { .. } | Effect::Signal { .. }
        );
        if !speaks {
            return;
        }
        let reign = |role: Option<Role>| match role {
            Some(Role::Primary { epoch, .. }) => Some(epoch),
            _ => None,
        };
        let now = self.nodes[node].core.as_ref().and_then(duet::core::Core::role);
        let Some(epoch) = reign(self.nodes[node].told_role).max(reign(now)) else {
            return self.violated(format!("I11: {node} does not reign and speaks to clients"));
        };
        let served = self.pair_mut().witness.served_epoch;
        // What a commit releases was decided while the lease held, and both nodes have it: that is no stale read.
        let releases =
            self.nodes[node].commits && matches!(effect, Effect::Send { .. } | Effect::Deliver { .. });
        if epoch < served && !releases {
            self.note(|| format!("node {node} does {effect:?}"));
            return self
                .violated(format!("I11: {node} serves in epoch {epoch}, another node did in {served}"));
        }
        if let Effect::Send { connection, lane, frame } = effect
            && frame.len() < 200
            && let Ok(Some(Delivery::Published(published))) = Delivery::decode(&whole(frame))
            && published.seq > 0
        {
            self.acknowledges(node, connection.0, lane.0, published, now);
        }
    }

    /// A message is acknowledged on so many disks.
    fn acknowledges(&mut self, node: usize, id: LinkId, lane: u32, said: Published, role: Option<Role>) {
        let Some(link) = self.links.get(&id) else { return };
        let Some(subscription) = link.subscriptions.get(&lane) else { return };
        let Ok(tenant) = tenant_id(&self.truth, self.devices[link.device].plan.tenant) else { return };
        let key = ConversationKey { tenant, conversation: subscription.conversation };
        let Some(index) = self.truth.entry_of(key, said.seq) else {
            return self.violated(format!("I1: {node} acknowledges {} of {key:?}, uncommitted", said.seq));
        };
        let chain = self.truth.chain(index).unwrap_or_default();
        let everywhere = self.nodes.iter().all(|node| node.disk.has_held(index, chain));
        if said.replicas >= 2 && !everywhere {
            return self.violated(format!("I10: entry {index} is said to be on two disks and is not"));
        }
        let in_sync = matches!(role, Some(Role::Primary { in_sync: true, .. }));
        if said.replicas < 2 && in_sync && !said.duplicate {
            return self
                .violated(format!("I10: entry {index} is said to be on one disk while both are in sync"));
        }
        if said.replicas < 2 && self.pair_plan().policy == Policy::Block {
            return self.violated(format!(
                "P5: entry {index} is acknowledged on one disk, which the policy forbids"
            ));
        }
        self.truth.promise(index, said.replicas);
    }

    /// A primary begins anew, and what it appended may be taken back. Not at a planned switchover (P15): it drained before it
    /// handed over, and nobody's message waited for more than that.
    pub(crate) fn check_handed_over(&mut self, node: usize) {
        let Some(cfg) = self.newest_cfg() else { return };
        let switching = self.pair_mut().operator.switching.is_some_and(|(_, switched)| switched == node);
        let both = cfg.in_sync.a.is_some() && cfg.in_sync.b.is_some();
        if switching && cfg.primary == side(1 - node) && both {
            self.violated(format!("P15: {node} handed over and had not drained"));
        }
    }

    /// A node's fold is a function of the log (I12), and of what was acknowledged as far as that goes.
    pub(crate) fn check_fold(&mut self, node: usize) {
        if self.is_astray(node) {
            return;
        }
        let Some(core) = self.nodes[node].core.as_ref() else { return };
        let (tip, commit) = (core.state().tip, core.commit_index());
        let end = self.truth.end();
        if commit > end {
            return self.violated(format!("I5: {node} starts with {commit} committed, {end} are"));
        }
        let shared = tip.index.min(end);
        let disk = &self.nodes[node].disk;
        let own = (end + 1..=tip.index).filter_map(|index| disk.entry(index)).map(|(bytes, _)| bytes);
        let folded = self.truth.fold(shared, own);
        let checked = folded.and_then(|wanted| restored::fold(core.state(), &wanted));
        self.check(checked.map_err(|what| format!("node {node}: {what}")));
        self.nodes[node].told_commit = commit;
    }

    /// An operator made a node primary that may lack what was acknowledged: that is given up, if it was said to be on one
    /// disk only.
    pub(crate) fn check_forced(&mut self, node: usize) {
        let accepted =
            self.pair_mut().operator.promoting.is_some_and(|(_, which, accepted)| accepted && which == node);
        let role = self.nodes[node].core.as_ref().and_then(duet::core::Core::role);
        if !accepted || !matches!(role, Some(Role::Primary { .. })) {
            return;
        }
        if let Some(Role::Primary { epoch, .. }) = role {
            self.pair_mut().operator.forced_epoch = epoch;
        }
        // What only waits for the disk is not kept yet: it counts again when it is committed again.
        let mut shared = self.truth.end().min(self.nodes[node].disk.durable());
        let differs = |world: &Self, index: u64| {
            let own = world.nodes[node].disk.entry(index).map(|(_, chain)| chain);
            own.is_some_and(|own| Some(own) != world.truth.chain(index))
        };
        while shared > 0 && differs(self, shared) {
            shared -= 1;
        }
        if shared == self.truth.end() {
            return;
        }
        self.note(|| format!("the operator gives up everything above {shared}"));
        for index in shared + 1..=self.truth.end() {
            let promised = self.truth.promised(index);
            if promised >= 2 {
                return self
                    .violated(format!("I1: entry {index} was said to be on two disks and is given up"));
            }
            let Some((bytes, chain)) = self.truth.log.get(index as usize - 1).cloned() else { continue };
            let witness = &mut self.pair_mut().witness;
            witness.given_up.push((bytes, promised));
            witness.given_up_places.insert((index, chain));
        }
        let cut = self.truth.cut(shared);
        self.check(cut);
        for device in 0..self.devices.len() {
            self.begin_anew(device);
        }
    }

    /// Whether a node still has what an operator gave up: until it knows, it takes it for committed.
    pub(crate) fn is_astray(&self, node: usize) -> bool {
        let disk = &self.nodes[node].disk;
        let places = self.pair.as_ref().map(|pair| &pair.witness.given_up_places);
        places.is_some_and(|places| places.iter().any(|(index, chain)| disk.chain(*index) == Some(*chain)))
    }

    /// What a node exports before it throws its log away was not promised to be on two disks.
    pub(crate) fn check_exported(&mut self, exported: &[Bytes]) {
        for bytes in exported {
            let kept = self.truth.log.iter().position(|(known, _)| known == bytes);
            if let Some(at) = kept {
                return self.violated(format!("I1: acknowledged entry {} is put into lost+found", at + 1));
            }
        }
    }

    /// What was given up and acknowledged to somebody is in lost+found, or is acknowledged again: the operator may have gone
    /// back to the node that had it.
    pub(crate) fn check_given_up(&mut self) {
        let Some(pair) = &self.pair else { return };
        let kept = |bytes: &Bytes| {
            pair.lost_and_found.contains(bytes) || self.truth.log.iter().any(|(known, _)| known == bytes)
        };
        let missing = pair.witness.given_up.iter().find(|(bytes, promised)| *promised > 0 && !kept(bytes));
        if missing.is_some() {
            self.violated("P9: an acknowledged entry was given up and is not in lost+found".into());
        }
    }
}

//! When a primary may serve: within a second of having sent what its peer answered, or, while nobody else could promote
//! itself, what the arbiter answered (rule P8). No acknowledgement depends on it: a lease bounds stale reads, nothing else.

use super::{
    config::Policy,
    leading::Leading,
    mutant::PairMutant,
    replica::{Outcome, Replica},
};

impl Leading {
    pub(super) fn lease_until(&self, replica: &Replica) -> u64 {
        let since_ms = if replica.requires_peer(self) {
            self.peer_lease_ms
        } else {
            self.peer_lease_ms.max(self.arbiter_lease_ms)
        };
        since_ms.map_or(0, |since_ms| since_ms + replica.config.lease_ms)
    }

    pub(super) fn may_serve(&self, replica: &Replica) -> bool {
        let side = replica.config.side;
        let hands_over = replica.pending.iter().any(|pending| pending.next.primary != side);
        let leased = !replica.config.automatic || replica.now_ms < self.lease_until(replica);
        (leased || replica.has_mutant(PairMutant::NoLease)) && !hands_over && self.is_remembered(replica)
    }

    /// Whether this node still knows of the reign after a crash. One that it forgot it would have to have kept to itself: it
    /// would follow an older one, and take back what that one does not have.
    pub(super) fn is_remembered(&self, replica: &Replica) -> bool {
        replica.saved_epoch >= self.epoch || replica.has_mutant(PairMutant::ServeBeforeSaved)
    }

    /// Whether the lease comes from the arbiter: nobody else could promote itself.
    pub(super) fn leans_on_arbiter(&self, replica: &Replica) -> bool {
        !replica.requires_peer(self)
    }

    /// The register named this process at some moment after `asked_ms`.
    pub(super) fn seen_holding(&mut self, asked_ms: u64) {
        self.arbiter_lease_ms = self.arbiter_lease_ms.max(Some(asked_ms));
    }
}

impl Replica {
    pub(super) fn watch_lease(&mut self, leading: &mut Leading) {
        let serves = leading.may_serve(self);
        if serves != leading.serves {
            leading.serves = serves;
            leading.lapsed_ms = (!serves).then_some(self.now_ms);
            leading.dismissed = false;
            self.outcome(Outcome::Serve(serves));
        }
        if let Some(lapsed_ms) = leading.lapsed_ms
            && !leading.dismissed
            && self.now_ms >= lapsed_ms + self.config.linger_ms
        {
            leading.dismissed = true;
            self.outcome(Outcome::Dismiss);
        }
    }

    /// Under the policy `block` a silent peer stops everything that has to be stored; reads go on while the lease allows.
    pub(super) fn watch_stall(&mut self, leading: &mut Leading) {
        let stuck = self.now_ms >= leading.progress_ms + self.config.disk_stuck_ms;
        let stalled = self.config.policy == Policy::Block && (stuck || !leading.hears(self));
        if stalled != leading.stalled {
            leading.stalled = stalled;
            self.outcome(Outcome::Stall(stalled));
        }
    }
}

//! How a role changes: because a value of the register was seen, and for no other reason.

use super::{
    cfg::{Cfg, Question},
    config::PairConfig,
    fact::{OrderRefused, PairEffect, PairOrder},
    leading::Leading,
    mutant::PairMutant,
    replica::{Duty, Order, Outcome, Replica},
};

impl Replica {
    /// Takes in a value of the register, whoever told it.
    pub(super) fn learn(&mut self, cfg: Cfg) {
        let known = self.cfg.map_or((0, 0), |known| (known.epoch, known.ver));
        if cfg.cluster != self.config.cluster || (cfg.epoch, cfg.ver) <= known {
            return;
        }
        self.cfg = Some(cfg);
        self.pending.retain(|pending| pending.next.ver > cfg.ver);
        if !self.config.automatic {
            self.effect(PairEffect::Adopt(cfg));
        }
        self.see_epoch(cfg.epoch);
        let mine = cfg.primary == self.config.side && cfg.holder == self.config.nonce;
        let mine = mine || self.has_mutant(PairMutant::OwnByEpoch) && self.proposed(cfg.epoch);
        let leading = match &self.duty {
            Duty::Leading(leading) => Some(leading.epoch),
            _ => None,
        };
        match leading {
            Some(epoch) if !mine || epoch != cfg.epoch => self.step_down(),
            Some(_) => {}
            None if mine => self.reign(cfg),
            None => {}
        }
        self.tell_register();
    }

    /// Remembers that an epoch was begun.
    pub(super) fn see_epoch(&mut self, epoch: u64) {
        if epoch > self.max_epoch {
            self.max_epoch = epoch;
            self.effect(PairEffect::SaveEpoch(epoch));
            if let Duty::Following(following) = &mut self.duty {
                following.new_epoch();
            }
        }
    }

    fn proposed(&self, epoch: u64) -> bool {
        self.asked.is_some_and(|asked| matches!(asked.question, Question::Swap(next) if next.epoch == epoch))
            || self.pending.iter().any(|pending| pending.next.epoch == epoch)
    }

    fn reign(&mut self, cfg: Cfg) {
        // What is not known to be committed stays in memory, for the peer.
        let inherited: Vec<_> = self.log.all().collect();
        for bytes in inherited {
            self.outcome(Outcome::Fold { bytes, committed: false });
        }
        let mut leading = Leading::new(cfg.epoch, self.now_ms, self.log.base().index, self.log.end().index);
        if let Some(asked_ms) = self.learning_since_ms {
            leading.seen_holding(asked_ms);
        }
        self.duty = Duty::Leading(Box::new(leading));
        self.outcome(Outcome::Reign { epoch: cfg.epoch });
        if matches!(self.order, Some(Order { order: PairOrder::Promote { .. }, .. })) {
            self.order_done(Ok(()));
        }
    }

    fn step_down(&mut self) {
        let Duty::Leading(leading) = &self.duty else { return };
        let everything = self.log.end().index;
        if leading.commit == everything && self.log.durable_index() == everything {
            while self.log.pop_first().is_some() {}
            self.begin_to_follow();
            self.outcome(Outcome::StepDown);
        } else {
            self.duty = Duty::Over;
            self.effect(PairEffect::Restart);
        }
        match self.order {
            Some(Order { order: PairOrder::Switchover, .. }) if self.cfg_is_peers() => {
                self.order_done(Ok(()));
            }
            Some(_) => self.order_done(Err(OrderRefused::NotPrimary)),
            None => {}
        }
    }

    fn cfg_is_peers(&self) -> bool {
        self.cfg.is_some_and(|cfg| cfg.primary == self.config.side.other())
    }

    /// Whether this node's store is named by the newest value that it knows.
    pub(super) fn counts_as_in_sync(&self) -> bool {
        let PairConfig { side, store, .. } = self.config;
        let trusts = self.has_mutant(PairMutant::TrustLostDisk);
        self.cfg
            .is_some_and(|cfg| cfg.in_sync.holds(side, store) || trusts && cfg.in_sync.store(side).is_some())
    }
}

//! What a node asks of the arbiter, and what it makes of the answers.
//!
//! One question at a time. A swap without a clear answer stays *pending*: only a version above the one it was proposed against
//! settles it (rule P2), so until then this node reckons with both outcomes.

use super::{
    cfg::{Answer, AskId, Cfg, InSync, Question, Side},
    config::PairConfig,
    fact::{OrderRefused, PairEffect, PairOrder},
    message::Position,
    mutant::PairMutant,
    replica::{Asked, Duty, Order, Pending, Replica},
};

impl Replica {
    /// A value that makes this process primary of the next epoch.
    pub(super) fn claim(&self, in_sync: InSync) -> Cfg {
        let known = self.cfg.map_or((0, 0), |cfg| (cfg.ver, cfg.epoch));
        let PairConfig { side, cluster, nonce, .. } = self.config;
        let mut epoch = known.1.max(self.max_epoch) + 1;
        // Without an arbiter neither knows for sure what the other counted: they take turns, so that no epoch is held twice.
        let turn = if side == Side::A { 1 } else { 0 };
        if !self.config.automatic && epoch % 2 != turn {
            epoch += 1;
        }
        Cfg { ver: known.0 + 1, epoch, primary: side, in_sync, holder: nonce, cluster }
    }

    pub(super) fn ask_what_is_due(&mut self) {
        if self.asked.is_some() || self.now_ms < self.ask_after_ms {
            return;
        }
        let question = if self.cfg.is_none() && !self.may_found() && self.order.is_none() {
            Question::Read
        } else if let Some(next) = self.wanted().filter(|next| self.may_pend(next)) {
            Question::Swap(next)
        } else if self.reads_now() {
            Question::Read
        } else {
            return;
        };
        let ask = AskId(self.next_ask);
        self.next_ask += 1;
        self.reads_at_once = false;
        self.asked = Some(Asked { ask, question, at_ms: self.now_ms });
        self.ask_after_ms = self.now_ms + ASK_AGAIN_MS;
        if let Question::Swap(next) = question {
            if self.pending.len() < PENDING_MAX {
                self.pending.push(Pending { ask, next });
            }
            if let Duty::Leading(leading) = &mut self.duty {
                leading.proposes(&next);
            }
            // Whoever hands over says nothing more, from this moment on.
            self.with_leading(Self::watch_lease);
        }
        self.effect(PairEffect::Ask { ask, question });
    }

    /// The value that this node wants the register to have.
    fn wanted(&self) -> Option<Cfg> {
        if self.disk_stuck && !matches!(self.duty, Duty::Leading(_)) {
            return None;
        }
        let wanted = match &self.duty {
            Duty::Leading(leading) => leading.wanted(self),
            Duty::Following(following) => following.wanted(self),
            Duty::Joining => self.wanted_on_joining(),
            Duty::Over => None,
        };
        wanted.or_else(|| self.cancels())
    }

    /// Something of unknown outcome is no longer wanted: a version above it settles it, whose content is what holds already.
    fn cancels(&self) -> Option<Cfg> {
        let cfg = self.cfg.filter(|_| !self.pending.is_empty())?;
        Some(Cfg { ver: cfg.ver + 1, ..cfg })
    }

    /// Whether a swap may be begun. What is pending already may be asked for again: it makes nothing less certain.
    fn may_pend(&self, next: &Cfg) -> bool {
        self.pending.len() < PENDING_MAX || self.pending.iter().any(|pending| pending.next == *next)
    }

    fn wanted_on_joining(&self) -> Option<Cfg> {
        if let Some(forced) = self.forced() {
            return Some(forced);
        }
        if self.may_found() {
            return Some(self.claim(InSync::alone(self.config.side, self.config.store)));
        }
        let cfg = self.cfg?;
        // Without an arbiter the peer may have been promoted meanwhile: it has to be heard first.
        let sure = self.config.automatic || self.peer_told;
        if !sure || cfg.primary != self.config.side || !self.counts_as_in_sync() {
            return None;
        }
        let claim = self.claim(cfg.in_sync);
        Some(if self.has_mutant(PairMutant::SameEpochOnRestart) {
            Cfg { epoch: cfg.epoch, ..claim }
        } else {
            claim
        })
    }

    /// Whether this node may begin a pair: the register was seen empty, and so is this log.
    fn may_found(&self) -> bool {
        let empty = self.log.end() == Position::default() && self.max_epoch == 0;
        let sure = self.config.automatic || self.peer_told;
        self.cfg.is_none() && self.register_empty && empty && sure && self.config.side == Side::A
    }

    /// The value that an operator forces, whatever is lost.
    pub(super) fn forced(&self) -> Option<Cfg> {
        let PairOrder::Promote { accept_data_loss } = self.order?.order else { return None };
        let mut next = self.claim(InSync::alone(self.config.side, self.config.store));
        if accept_data_loss && !self.config.automatic {
            // The peer may have begun reigns that nobody here has heard of; this one has to be above them.
            next.epoch += FORCED_EPOCHS;
        }
        Some(next)
    }

    fn reads_now(&self) -> bool {
        let every_ms = match &self.duty {
            Duty::Leading(leading) if leading.leans_on_arbiter(self) => LEASE_READ_MS,
            Duty::Joining => ASK_AGAIN_MS,
            _ if !self.pending.is_empty() => ASK_AGAIN_MS,
            _ => WATCH_READ_MS,
        };
        self.reads_at_once || self.now_ms + ASK_AGAIN_MS >= self.ask_after_ms + every_ms
    }

    pub(super) fn answered(&mut self, ask: AskId, answer: Answer) {
        let asked = self.asked.filter(|asked| asked.ask == ask);
        self.learning_since_ms = asked.map(|asked| asked.at_ms);
        let swapped = self.pending.iter().find(|pending| pending.ask == ask).map(|pending| pending.next);
        match answer {
            Answer::Swapped => match swapped {
                Some(next) => self.learn(next),
                None => self.reads_at_once = true,
            },
            Answer::Value(value) => {
                self.pending.retain(|pending| pending.ask != ask);
                let stale = value.map_or(0, |cfg| cfg.ver);
                if self.has_mutant(PairMutant::SettleOnStaleRead) {
                    self.pending.retain(|pending| pending.next.ver <= stale);
                }
                self.register_empty = value.is_none();
                let first = !std::mem::replace(&mut self.register_read, true);
                if let Some(cfg) = value {
                    self.learn(cfg);
                    let newest = self.cfg == Some(cfg) && cfg.holder == self.config.nonce;
                    if let (Duty::Leading(leading), Some(asked)) = (&mut self.duty, asked)
                        && newest
                    {
                        leading.seen_holding(asked.at_ms);
                    }
                }
                if first && !self.config.automatic {
                    self.tell_register();
                }
                if swapped.is_some()
                    && matches!(self.order, Some(Order { order: PairOrder::Promote { .. }, .. }))
                {
                    self.order_done(Err(OrderRefused::Arbiter));
                }
            }
            Answer::NotSent => self.pending.retain(|pending| pending.ask != ask),
            Answer::Unknown => {
                if self.has_mutant(PairMutant::SettleOnTimeout) {
                    self.pending.retain(|pending| pending.ask != ask);
                }
            }
        }
        self.learning_since_ms = None;
        if asked.is_some() {
            self.asked = None;
        }
    }
}

/// More swaps of unknown outcome than these are not begun.
const PENDING_MAX: usize = 64;

/// What a promotion adds to the epoch that accepts loss without an arbiter. Even, because the nodes take turns.
const FORCED_EPOCHS: u64 = 1_000_000;

/// How soon the arbiter is asked again.
const ASK_AGAIN_MS: u64 = 100;
/// How often a primary whose lease comes from the arbiter reads it.
const LEASE_READ_MS: u64 = 300;
/// How often everyone else looks whether something changed.
const WATCH_READ_MS: u64 = 1_000;

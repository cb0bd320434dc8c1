//! The standby's part: takes entries of the newest epoch, acknowledges what is verified and on its disk, folds what is
//! committed, and asks to reign when the primary is silent.
//!
//! An entry is *verified* when it follows, link by link of the chain, from a position that both logs have: then the whole
//! log up to it is the primary's. The end of the log says nothing of the kind.

use super::{
    cfg::{Cfg, InSync, Nonce},
    fact::PairEffect,
    log::Logged,
    message::{Acked, AppendEntries, Beat, Echo, PeerMessage},
    mutant::PairMutant,
    replica::{Duty, Outcome, Replica},
};
use crate::core::record::Entry;
use bytes::Bytes;

/// A standby's view of the reign that it follows.
#[derive(Debug)]
pub(super) struct Following {
    /// When the primary was heard last, or when following began.
    heard_ms: u64,
    heard: bool,
    /// The process that reigns in the highest epoch.
    holder: Option<Nonce>,
    /// Entries up to here are the primary's, in the highest epoch.
    verified: u64,
    /// What was acknowledged last.
    acked: u64,
    /// Entries up to here are committed, as the primary says.
    commit: u64,
    /// The primary was told that its entries do not join on; it is told once.
    rewound: bool,
    /// The primary was told that this process stops: it hears nothing more.
    leaving: bool,
}

impl Following {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            heard_ms: now_ms,
            heard: false,
            holder: None,
            verified: 0,
            acked: 0,
            commit: 0,
            rewound: false,
            leaving: false,
        }
    }

    /// Another reign: nothing is verified in it yet.
    pub(super) fn new_epoch(&mut self) {
        (self.holder, self.verified, self.acked, self.rewound) = (None, 0, 0, false);
    }

    /// Whether the primary was heard a moment ago.
    pub(super) fn hears_primary(&self, replica: &Replica) -> bool {
        self.heard && replica.now_ms < self.heard_ms + replica.config.promote_after_ms
    }

    /// The value that this standby wants the register to have.
    pub(super) fn wanted(&self, replica: &Replica) -> Option<Cfg> {
        if let Some(forced) = replica.forced() {
            return Some(forced);
        }
        let cfg = replica.cfg?;
        let config = &replica.config;
        let in_sync = replica.counts_as_in_sync() || replica.has_mutant(PairMutant::PromoteOutOfSync);
        if cfg.primary == config.side {
            // The peer made an earlier process of this node primary.
            let sure = config.automatic || replica.peer_told;
            // The other one may serve for as long as the last answer to its heartbeat lets it.
            let over = !self.heard || replica.now_ms >= self.heard_ms + config.lease_ms;
            return (sure && in_sync && over).then(|| replica.claim(cfg.in_sync));
        }
        let silent = replica.now_ms >= self.heard_ms + config.promote_after_ms;
        let alone = InSync::alone(config.side, config.store);
        (config.automatic && silent && in_sync && !self.leaving).then(|| replica.claim(alone))
    }
}

impl Replica {
    /// What a standby does whenever something is new.
    pub(super) fn follow(&mut self) {
        let upto = self.with_following(|replica, following| {
            if replica.has_mutant(PairMutant::ApplyUncommitted) {
                following.verified
            } else {
                following.commit.min(following.verified)
            }
        });
        while self.log.base().index < upto.unwrap_or(0) {
            let Some(entry) = self.log.pop_first() else { return };
            self.outcome(Outcome::Fold { bytes: entry.bytes, committed: true });
        }
    }

    pub(super) fn heard_beat(&mut self, beat: &Beat) {
        if !self.admits(beat.epoch, Some(beat.holder)) {
            return;
        }
        self.learn(beat.cfg);
        let echo = self.with_following(|replica, following| {
            (following.heard_ms, following.heard) = (replica.now_ms, true);
            following.commit = following.commit.max(beat.commit);
            // Whoever asks to reign does not prolong the reign of another.
            let asks = !replica.pending.is_empty() && !replica.has_mutant(PairMutant::EchoWhilePromoting);
            (!asks && !following.leaving && replica.saved_epoch == replica.max_epoch)
                .then(|| replica.echo(following, beat.sent_ms))
        });
        if let Some(echo) = echo.flatten() {
            self.say(PeerMessage::Echo(echo));
        }
    }

    pub(super) fn heard_append(&mut self, append: &AppendEntries) {
        if !self.admits(append.epoch, None) || self.saved_epoch != self.max_epoch {
            return;
        }
        let joined = self.with_following(|replica, following| {
            (following.heard_ms, following.heard) = (replica.now_ms, true);
            following.commit = following.commit.max(append.commit);
            match replica.take(append) {
                Some(verified) => {
                    following.verified = following.verified.max(verified);
                    following.rewound = false;
                    None
                }
                None if following.rewound => None,
                None => {
                    following.rewound = true;
                    Some(replica.echo(following, 0))
                }
            }
        });
        if let Some(echo) = joined.flatten() {
            self.say(PeerMessage::Rewind(echo));
        }
        self.acknowledge();
    }

    /// This process stops on purpose: the primary need not wait until it is silent.
    pub(super) fn leave(&mut self) {
        if self.with_following(|_, following| following.leaving = true).is_some() {
            self.say(PeerMessage::Leaving(self.config.nonce));
        }
    }

    pub(super) fn heard_resync(&mut self, epoch: u64, reigns: Vec<(u64, u64)>) {
        // A node in sync has everything that was acknowledged: whoever tells it to begin anew is the one who lacks something.
        let may = !self.counts_as_in_sync() && self.pending.is_empty();
        if matches!(self.duty, Duty::Following(_)) && epoch == self.max_epoch && may {
            self.end();
            self.outcome(Outcome::Resync { reigns });
        }
    }

    /// Tells the primary what is verified and durable by now, if that is news.
    pub(super) fn acknowledge(&mut self) {
        let acked = self.with_following(|replica, following| {
            let upto = replica.acknowledged(following);
            let quiet =
                following.leaving || !replica.pending.is_empty() || replica.saved_epoch != replica.max_epoch;
            (upto > following.acked && !quiet).then(|| following.acked = upto)
        });
        if acked.flatten().is_some() {
            let upto = self.with_following(|_, following| following.acked).unwrap_or(0);
            let (epoch, nonce) = (self.max_epoch, self.config.nonce);
            self.say(PeerMessage::Acked(Acked { epoch, nonce, upto }));
        }
    }

    fn acknowledged(&self, following: &Following) -> u64 {
        let verified =
            if self.has_mutant(PairMutant::AckLogEnd) { self.log.end().index } else { following.verified };
        let durable = if self.has_mutant(PairMutant::AckBeforePeerDisk) {
            self.log.end().index
        } else {
            self.log.durable_index()
        };
        verified.min(durable)
    }

    /// Whether something of a reign is to be taken in; brings this node into that reign.
    fn admits(&mut self, epoch: u64, holder: Option<Nonce>) -> bool {
        if epoch < self.max_epoch && !self.has_mutant(PairMutant::NoFence) {
            self.say(PeerMessage::Stale { max_epoch: self.max_epoch });
            return false;
        }
        self.see_epoch(epoch);
        if let Duty::Leading(leading) = &self.duty
            && epoch > leading.epoch
        {
            // Another reign has begun; the register tells.
            self.read_soon();
            return false;
        }
        if matches!(self.duty, Duty::Joining) {
            self.begin_to_follow();
        }
        let Duty::Following(following) = &mut self.duty else { return false };
        match (following.holder, holder) {
            (Some(known), Some(holder)) => known == holder,
            (None, Some(holder)) => {
                following.holder = Some(holder);
                true
            }
            // Entries say nothing of their process: the reign's first heartbeat does.
            (known, None) => known.is_some(),
        }
    }

    /// Writes what is new of the entries; answers up to where this log is the primary's, or not at all if it is unknown.
    fn take(&mut self, append: &AppendEntries) -> Option<u64> {
        let by_index = self.has_mutant(PairMutant::PrefixByIndex);
        let base = self.log.base();
        let ours = self.log.position(append.prev.index);
        let joins = ours.is_some_and(|ours| ours.chain == append.prev.chain || by_index);
        if !joins && append.prev.index >= base.index {
            return None;
        }
        let mut at = append.prev;
        for bytes in &append.entries {
            let entry = Entry::decode(bytes).ok()?;
            let next = Logged::of(&entry, bytes.clone());
            let follows = next.at.index == at.index + 1 && (entry.chain_before == at.chain || by_index);
            if !follows || next.at.epoch > append.epoch {
                return None;
            }
            at = next.at;
            match at.index.cmp(&base.index) {
                std::cmp::Ordering::Less => {}
                // What is folded is committed: another history has no place here.
                std::cmp::Ordering::Equal if at != base => return None,
                std::cmp::Ordering::Equal => {}
                std::cmp::Ordering::Greater => self.write(entry, bytes, next),
            }
        }
        (at.index >= base.index).then_some(at.index)
    }

    fn write(&mut self, entry: Entry, bytes: &Bytes, next: Logged) {
        match self.log.position(next.at.index) {
            Some(ours) if ours == next.at => return,
            Some(_) if self.has_mutant(PairMutant::NoTruncate) => return,
            Some(_) => self.truncate(next.at.index - 1),
            None => {}
        }
        self.log.push(next);
        self.outcome(Outcome::Write(entry, bytes.clone()));
    }

    fn truncate(&mut self, after: u64) {
        let keeps_durable = self.has_mutant(PairMutant::DurableOverTruncate);
        self.log.cut(after, keeps_durable);
        self.effect(PairEffect::Truncate { after });
    }

    fn echo(&self, following: &Following, sent_ms: u64) -> Echo {
        Echo {
            epoch: self.max_epoch,
            nonce: self.config.nonce,
            store: self.config.store,
            sent_ms,
            acked: self.acknowledged(following),
            applied: self.log.base(),
            end: self.log.end(),
        }
    }

    fn with_following<T>(&mut self, what: impl FnOnce(&mut Self, &mut Following) -> T) -> Option<T> {
        let duty = std::mem::replace(&mut self.duty, Duty::Over);
        let Duty::Following(mut following) = duty else {
            self.duty = duty;
            return None;
        };
        let value = what(self, &mut following);
        self.duty = Duty::Following(following);
        Some(value)
    }
}

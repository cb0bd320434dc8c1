//! One node's part in the pair, for the life of one process.
//!
//! ```text
//!             register names me,           swap to epoch + 1
//!             another process of mine      with my nonce won
//!  Joining ─┬──────────────────────────► (claim) ─────────────► Leading ◄──────────────────┐
//!           │ register names the peer                             │ register names another │
//!           └──────────────────────────► Following ◄──────────────┘ holder: all acknowledged│
//!                                          │                        (otherwise: Restart)   │
//!                                          │ silence, in sync: swap with my nonce won      │
//!                                          ├───────────────────────────────────────────────┘
//!                                          └─ the primary cannot continue my log: Resync (the end of this core)
//! ```
//!
//! Every change of role follows from a value of the register that was *seen* ([`Replica::learn`]), never from a reply's
//! absence. What the core must do about it is left in [`Replica::poll`], in order.

use super::{
    cfg::{AskId, Cfg, Question},
    config::PairConfig,
    fact::{PairEffect, PairFact, PairOrder, Role},
    following::Following,
    leading::Leading,
    log::{LogEnd, Logged},
    message::{PeerMessage, Position},
    mutant::PairMutant,
};
use crate::core::record::Entry;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// One node's part in the pair.
#[derive(Debug)]
pub(in crate::core) struct Replica {
    pub(super) config: PairConfig,
    /// Boot clock of the input that is being handled, milliseconds.
    pub(super) now_ms: u64,
    pub(super) log: LogEnd,
    /// The newest value of the register that was seen.
    pub(super) cfg: Option<Cfg>,
    pub(super) max_epoch: u64,
    pub(super) saved_epoch: u64,
    /// Swaps whose outcome is unknown. Bounded: at most [`PENDING_MAX`] are outstanding before only reads are asked.
    pub(super) pending: Vec<Pending>,
    pub(super) asked: Option<Asked>,
    pub(super) next_ask: u64,
    /// When the arbiter may be asked again.
    pub(super) ask_after_ms: u64,
    /// Something suggests that the register has a newer value.
    pub(super) reads_at_once: bool,
    /// The arbiter said that it holds nothing.
    pub(super) register_empty: bool,
    /// Whether the register was read: without an arbiter, what it holds is this node's alone to tell.
    pub(super) register_read: bool,
    /// When the question was asked whose answer is being taken in.
    pub(super) learning_since_ms: Option<u64>,
    pub(super) link: bool,
    /// Whether the peer has said on this link what it knows of the register.
    pub(super) peer_told: bool,
    pub(super) disk_stuck: bool,
    /// The peer, in sync, holds committed entries that this log does not have.
    pub(super) lacks_entries: bool,
    pub(super) order: Option<Order>,
    pub(super) duty: Duty,
    told_role: Option<Role>,
    out: VecDeque<Outcome>,
}

/// What a node does.
#[derive(Debug)]
pub(super) enum Duty {
    Joining,
    Leading(Box<Leading>),
    Following(Following),
    /// This core has ended; the driver makes another one.
    Over,
}

/// A swap whose outcome is unknown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) ask: AskId,
    pub(super) next: Cfg,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) ask: AskId,
    pub(super) question: Question,
    pub(super) at_ms: u64,
}

/// An operator's order that is being carried out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    pub(super) request: u64,
    pub(super) order: PairOrder,
    pub(super) since_ms: u64,
}

/// What the core has to do, in order.
#[derive(Debug)]
pub(in crate::core) enum Outcome {
    /// Hand it to the driver.
    Effect(PairEffect),
    /// Write this entry of the primary; its encoding follows.
    Write(Entry, Bytes),
    /// Fold this entry: it is committed, or this node is about to reign.
    Fold { bytes: Bytes, committed: bool },
    /// Everything is folded; reign.
    Reign {
        /// The reign.
        epoch: u64,
    },
    /// Release what waits for entries up to `upto`; they are on so many disks.
    Commit { upto: u64, replicas: u8 },
    /// Serve again, or no more.
    Serve(bool),
    /// Acknowledge nothing for now because the policy forbids to go on alone, or again.
    Stall(bool),
    /// Send the clients to the peer.
    Dismiss,
    /// Follow from now on; everything that was appended is committed.
    StepDown,
    /// Tell the standby that it has to begin anew, and where the reigns of this log began.
    DemandResync { epoch: u64 },
    /// Begin anew: this log cannot go on where the primary's reigns began so.
    Resync { reigns: Vec<(u64, u64)> },
}

impl Replica {
    /// A node whose disk holds `entries` behind `base`, which is committed.
    pub(in crate::core) fn new(config: PairConfig, base: Position, entries: Vec<(Entry, Bytes)>) -> Self {
        let entries = entries.into_iter().map(|(entry, bytes)| Logged::of(&entry, bytes));
        let log = LogEnd::durable(base, entries);
        let forgets = cfg!(feature = "mutants") && config.mutant == Some(PairMutant::ForgetMaxEpoch);
        let max_epoch = if forgets { log.end().epoch } else { config.max_epoch.max(log.end().epoch) };
        Self {
            config,
            now_ms: 0,
            log,
            cfg: None,
            max_epoch,
            saved_epoch: max_epoch,
            pending: Vec::new(),
            asked: None,
            next_ask: 0,
            ask_after_ms: 0,
            reads_at_once: false,
            register_empty: false,
            register_read: false,
            learning_since_ms: None,
            link: false,
            peer_told: false,
            disk_stuck: false,
            lacks_entries: false,
            order: None,
            duty: Duty::Joining,
            told_role: None,
            out: VecDeque::new(),
        }
    }

    /// What is to be done next.
    pub(in crate::core) fn poll(&mut self) -> Option<Outcome> {
        self.out.pop_front()
    }

    /// Time passes. Everything that time alone causes happens here.
    pub(in crate::core) fn tick(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.step();
    }

    /// When [`Replica::tick`] is due.
    pub(in crate::core) fn deadline(&self) -> Option<u64> {
        let next = match &self.duty {
            Duty::Over => return None,
            Duty::Leading(leading) => leading.deadline(self),
            Duty::Joining | Duty::Following(_) => self.now_ms + self.config.beat_every_ms,
        };
        Some(next.max(self.now_ms + 1))
    }

    /// Where every reign of this log began; `folded` are those of the entries that are folded.
    pub(in crate::core) fn reigns(&self, mut folded: BTreeMap<u64, u64>) -> BTreeMap<u64, u64> {
        for at in self.log.positions() {
            folded.entry(at.epoch).or_insert(at.index);
        }
        folded
    }

    /// A fact about the pair.
    pub(in crate::core) fn fact(&mut self, fact: PairFact) {
        match fact {
            PairFact::LinkUp => {
                self.link = true;
                self.peer_told = false;
                self.tell_register();
                if let Duty::Leading(leading) = &mut self.duty {
                    leading.begin_again();
                }
            }
            PairFact::LinkDown => self.link = false,
            PairFact::Peer(message) => self.hear(message),
            PairFact::Answered { ask, answer } => self.answered(ask, answer),
            PairFact::EpochSaved(epoch) => self.saved_epoch = self.saved_epoch.max(epoch),
            PairFact::Truncated => self.log.truncated(),
            PairFact::LogRead { from, result } => self.log_read(from, result),
            PairFact::Operator { request, order } => self.operator(request, order),
            PairFact::DiskStuck => self.set_disk_stuck(true),
            PairFact::Stopping => self.leave(),
            PairFact::SnapshotDone(taken) => self.snapshot_done(taken),
        }
        self.step();
    }

    /// Entries up to here are on this node's disk.
    pub(in crate::core) fn persisted(&mut self, upto: u64) {
        let believes_all = self.has_mutant(PairMutant::DurableOverTruncate);
        self.log.persisted(upto, believes_all);
        self.disk_stuck = false;
        self.acknowledge();
        self.step();
    }

    /// The disk takes nothing, or does again.
    pub(in crate::core) fn set_disk_stuck(&mut self, stuck: bool) {
        self.disk_stuck = stuck;
        self.step();
    }

    /// The end of this node's log.
    pub(in crate::core) fn log_end(&self) -> u64 {
        self.log.end().index
    }

    /// Up to where the peer's disk is known to hold this primary's log.
    pub(in crate::core) fn peer_matched(&self) -> Option<u64> {
        match &self.duty {
            Duty::Leading(leading) => Some(leading.peer.map_or(0, |peer| peer.matched)),
            _ => None,
        }
    }

    /// Whether clients may be served at this moment.
    pub(in crate::core) fn serving(&self) -> bool {
        matches!(&self.duty, Duty::Leading(leading) if leading.serves)
    }

    /// Whether clients were sent away because the lease is over.
    pub(in crate::core) fn has_dismissed(&self) -> bool {
        matches!(&self.duty, Duty::Leading(leading) if leading.dismissed)
    }

    /// Whether commands may be taken: not while a switchover drains.
    pub(in crate::core) fn takes_commands(&self) -> bool {
        self.serving() && self.order.is_none_or(|order| order.order != PairOrder::Switchover)
    }

    /// Whether an acknowledgement means two disks at the moment.
    pub(in crate::core) fn in_sync(&self) -> bool {
        let held = |cfg: Cfg| cfg.in_sync.a.is_some() && cfg.in_sync.b.is_some();
        self.cfg.is_some_and(held)
    }

    /// Whether this core is at its end.
    pub(in crate::core) fn is_over(&self) -> bool {
        matches!(self.duty, Duty::Over)
    }

    /// What the node is.
    pub(in crate::core) fn role(&self) -> Role {
        match &self.duty {
            Duty::Joining | Duty::Over => Role::Joining,
            Duty::Leading(leading) => {
                Role::Primary { epoch: leading.epoch, in_sync: self.in_sync(), serving: leading.serves }
            }
            Duty::Following(_) => Role::Standby {
                epoch: self.max_epoch,
                in_sync: self.counts_as_in_sync(),
                primary: self.cfg.map_or(self.config.side.other(), |cfg| cfg.primary),
            },
        }
    }

    /// Everything that follows from what is known, until nothing more does.
    pub(super) fn step(&mut self) {
        match self.duty {
            Duty::Over => return,
            Duty::Joining => self.join(),
            Duty::Leading(_) => self.lead(),
            Duty::Following(_) => self.follow(),
        }
        self.expire_order();
        self.ask_what_is_due();
        let role = self.role();
        if self.told_role != Some(role) {
            self.told_role = Some(role);
            self.effect(PairEffect::Role(role));
        }
    }

    fn join(&mut self) {
        let Some(cfg) = self.cfg else { return };
        if cfg.primary != self.config.side || !self.counts_as_in_sync() {
            self.begin_to_follow();
        }
    }

    pub(super) fn begin_to_follow(&mut self) {
        self.duty = Duty::Following(Following::new(self.now_ms));
    }

    fn hear(&mut self, message: PeerMessage) {
        match message {
            PeerMessage::Told(cfg) => {
                self.peer_told = true;
                if let Some(cfg) = cfg {
                    self.learn(cfg);
                }
            }
            PeerMessage::Stale { max_epoch } => {
                self.reads_at_once |= max_epoch > self.max_epoch;
            }
            PeerMessage::Beat(beat) => self.heard_beat(&beat),
            PeerMessage::Append(append) => self.heard_append(&append),
            PeerMessage::Resync { epoch, reigns } => self.heard_resync(epoch, reigns),
            PeerMessage::Echo(echo) => self.heard_echo(&echo),
            PeerMessage::Rewind(echo) => self.heard_rewind(&echo),
            PeerMessage::Acked(acked) => self.heard_acked(acked),
            PeerMessage::Leaving(nonce) => self.heard_leaving(nonce),
        }
    }

    /// Tells the peer what is known of the register; without an arbiter not before this node's own was read.
    pub(super) fn tell_register(&mut self) {
        if self.config.automatic || self.register_read {
            self.say(PeerMessage::Told(self.cfg));
        }
    }

    /// Something suggests that the register has a newer value.
    pub(super) fn read_soon(&mut self) {
        self.reads_at_once = true;
    }

    pub(super) fn say(&mut self, message: PeerMessage) {
        if self.link {
            self.effect(PairEffect::Say(message));
        }
    }

    pub(super) fn effect(&mut self, effect: PairEffect) {
        self.out.push_back(Outcome::Effect(effect));
    }

    pub(super) fn outcome(&mut self, outcome: Outcome) {
        self.out.push_back(outcome);
    }

    pub(super) fn end(&mut self) {
        self.duty = Duty::Over;
    }

    pub(super) fn has_mutant(&self, mutant: PairMutant) -> bool {
        let own = self.config.mutant;
        cfg!(feature = "mutants") && own.is_some_and(|own| own == mutant || own.parts().contains(&mutant))
    }
}

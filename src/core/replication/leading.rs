//! The primary's part: how far the peer is, what is committed, whether the lease holds, who is in sync.
//!
//! ```text
//!   stream to the standby:   Unknown ──echo──► Checking(end) ──joins on──► Live
//!                               ▲                  │ no                      │ rewind, no progress, new link
//!                               │                  ▼                         │
//!                               │             Checking(applied) ─no─► Hopeless (Resync, then a snapshot)
//!                               └────────────────────────────────────────────┘
//!   in-sync set:   {self} ──caught up: both required──► expanding ──swap──► {a, b} ──silence: swap──► {self}
//! ```
//!
//! Both are required from before the swap that says so until after the swap that takes it back ([`Replica::requires_peer`]).

use super::{
    cfg::{Cfg, InSync, Nonce, StoreId},
    config::Policy,
    fact::{OrderRefused, PairOrder},
    log::Logged,
    message::{Acked, Beat, Echo, PeerMessage, Position},
    mutant::PairMutant,
    replica::{Duty, Outcome, Replica},
};
use crate::core::record::Entry;
use bytes::Bytes;
use std::collections::VecDeque;

/// A reign.
#[derive(Debug)]
pub(super) struct Leading {
    pub(super) epoch: u64,
    pub(super) commit: u64,
    /// The end of the log when the reign began: entries up to here may be acknowledged, whatever `commit` says yet.
    inherited: u64,
    pub(super) serves: bool,
    /// When the last heartbeat was sent that the peer answered.
    pub(super) peer_lease_ms: Option<u64>,
    /// When the arbiter was asked last that named this process; counts as long as nobody else is in sync.
    pub(super) arbiter_lease_ms: Option<u64>,
    /// Since when nothing is served.
    pub(super) lapsed_ms: Option<u64>,
    pub(super) dismissed: bool,
    /// Nothing is acknowledged because the policy forbids to go on alone.
    pub(super) stalled: bool,
    beat_ms: u64,
    /// When the peer was heard last in this reign.
    heard_ms: u64,
    /// When the peer's acknowledged index moved last, or nothing was outstanding.
    pub(super) progress_ms: u64,
    expanding: bool,
    /// The peer's process stops on purpose: it is as good as silent.
    leaving: Option<Nonce>,
    pub(super) peer: Option<Peer>,
    pub(super) stream: Stream,
    /// Batches on their way: last index and bytes.
    pub(super) in_flight: VecDeque<(u64, usize)>,
    pub(super) in_flight_bytes: usize,
}

/// The standby as it was last heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer {
    nonce: Nonce,
    pub(super) store: StoreId,
    pub(super) matched: u64,
    pub(super) echo: Echo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// The next echo says where to begin.
    Unknown,
    /// Whether this position of the standby's lies in our log is being read.
    Checking { place: Position, fallback: bool },
    /// Entries after `prev` are sent; `reading` while they come from the disk.
    Live { prev: Position, reading: bool },
    /// The standby has to begin anew.
    Hopeless,
    /// A snapshot is under way.
    Snapshot,
}

impl Leading {
    pub(super) fn new(epoch: u64, now_ms: u64, commit: u64, inherited: u64) -> Self {
        Self {
            epoch,
            commit,
            inherited,
            serves: false,
            peer_lease_ms: None,
            arbiter_lease_ms: None,
            lapsed_ms: None,
            dismissed: false,
            stalled: false,
            beat_ms: 0,
            heard_ms: now_ms,
            progress_ms: now_ms,
            expanding: false,
            leaving: None,
            peer: None,
            stream: Stream::Unknown,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
        }
    }

    /// A new link: what was sent on the old one may be lost.
    pub(super) fn begin_again(&mut self) {
        if self.stream != Stream::Snapshot {
            self.stream = Stream::Unknown;
        }
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.beat_ms = 0;
    }

    /// A swap is about to be asked for.
    pub(super) fn proposes(&mut self, next: &Cfg) {
        if next.in_sync.a.is_some() && next.in_sync.b.is_some() {
            self.expanding = false;
        }
    }

    pub(super) fn deadline(&self, replica: &Replica) -> u64 {
        let mut next = self.beat_ms + replica.config.beat_every_ms;
        if self.serves && replica.config.automatic {
            next = next.min(self.lease_until(replica));
        }
        if let Some(lapsed_ms) = self.lapsed_ms.filter(|_| !self.dismissed) {
            next = next.min(lapsed_ms + replica.config.linger_ms);
        }
        next
    }

    /// The value that this primary wants the register to have.
    pub(super) fn wanted(&self, replica: &Replica) -> Option<Cfg> {
        let cfg = replica.cfg?;
        let config = &replica.config;
        let other = config.side.other();
        let next = Cfg { ver: cfg.ver + 1, ..cfg };
        let listed = cfg.in_sync.store(other);
        let peer = self.peer.as_ref();
        if let Some(handed) = self.handed_over(replica, &next) {
            return Some(handed);
        }
        if let Some(store) = listed {
            let stranger = peer.is_some_and(|peer| peer.store != store);
            let stuck = replica.now_ms >= self.progress_ms + config.disk_stuck_ms;
            let left = self.leaving.is_some() && self.leaving == peer.map(|peer| peer.nonce);
            let silent = left || replica.now_ms >= self.heard_ms + config.silent_after_ms;
            let alone = (silent || stuck) && config.policy == Policy::Solo || stranger;
            let in_sync = InSync::alone(config.side, config.store);
            return alone.then_some(Cfg { in_sync, ..next });
        }
        let hasty = replica.has_mutant(PairMutant::ExpandBeforeCaughtUp);
        let acknowledged = self.commit.max(self.inherited);
        let peer = peer.filter(|peer| self.expanding && (peer.matched >= acknowledged || hasty))?;
        Some(Cfg { in_sync: cfg.in_sync.with(other, peer.store), ..next })
    }

    /// The value that makes the peer primary: an operator wants it, or this disk is stuck.
    fn handed_over(&self, replica: &Replica, next: &Cfg) -> Option<Cfg> {
        let side = replica.config.side;
        let other = side.other();
        let peer = self.peer.as_ref()?;
        let stays = self.leaving != Some(peer.nonce);
        let able = stays && next.in_sync.holds(other, peer.store) && self.hears(replica);
        let ordered = replica.order.is_some_and(|order| order.order == PairOrder::Switchover);
        let drained = replica.log.end().index == self.commit && peer.matched >= self.commit
            || replica.has_mutant(PairMutant::SwitchoverWithoutDrain);
        let handed = Cfg { epoch: next.epoch + 1, primary: other, holder: peer.nonce, ..*next };
        if able && (replica.disk_stuck || replica.lacks_entries) {
            return Some(Cfg { in_sync: InSync::alone(other, peer.store), ..handed });
        }
        (able && ordered && drained).then_some(handed)
    }

    pub(super) fn hears(&self, replica: &Replica) -> bool {
        replica.now_ms < self.heard_ms + replica.config.silent_after_ms
    }
}

impl Replica {
    /// Whether an entry has to be on the peer's disk before it is committed: the set REQUIRED of rule P1.
    pub(super) fn requires_peer(&self, leading: &Leading) -> bool {
        let other = self.config.side.other();
        let listed = self.cfg.is_some_and(|cfg| cfg.in_sync.store(other).is_some());
        if self.has_mutant(PairMutant::RequireAfterExpand) {
            return listed;
        }
        let shrinks = self.pending.iter().any(|pending| pending.next.in_sync.store(other).is_none());
        if shrinks && self.has_mutant(PairMutant::SoloBeforeSwap) {
            return false;
        }
        let maybe = self.pending.iter().any(|pending| pending.next.in_sync.store(other).is_some());
        listed || maybe || leading.expanding || self.config.policy == Policy::Block
    }

    /// The core appended an entry.
    pub(in crate::core) fn appended(&mut self, entry: &Entry, bytes: Bytes) {
        self.log.push(Logged::of(entry, bytes));
        self.with_leading(|replica, leading| {
            if leading
                .peer
                .is_none_or(|peer| peer.matched >= leading.commit && peer.matched + 1 == entry.index)
            {
                leading.progress_ms = replica.now_ms;
            }
            replica.pump(leading);
        });
    }

    /// What a primary does whenever something is new.
    pub(super) fn lead(&mut self) {
        self.with_leading(|replica, leading| {
            replica.beat(leading);
            replica.watch_peer(leading);
            replica.pump(leading);
            replica.advance(leading);
            replica.watch_lease(leading);
            replica.watch_stall(leading);
        });
    }

    pub(super) fn refuse_switchover(&self) -> Option<OrderRefused> {
        let Duty::Leading(leading) = &self.duty else { return Some(OrderRefused::NotPrimary) };
        let other = self.config.side.other();
        let listed = |store| self.cfg.is_some_and(|cfg| cfg.in_sync.holds(other, store));
        let stays = |nonce| leading.leaving != Some(nonce);
        let ready = leading.peer.is_some_and(|peer| listed(peer.store) && stays(peer.nonce));
        let ready = ready && leading.hears(self);
        (!ready).then_some(OrderRefused::PeerNotInSync)
    }

    pub(super) fn heard_echo(&mut self, echo: &Echo) {
        self.with_leading(|replica, leading| replica.take_echo(leading, echo));
    }

    pub(super) fn heard_rewind(&mut self, echo: &Echo) {
        self.with_leading(|replica, leading| {
            if echo.epoch == leading.epoch || replica.has_mutant(PairMutant::IgnoreEpochs) {
                leading.begin_again();
                replica.take_echo(leading, echo);
            }
        });
    }

    pub(super) fn heard_acked(&mut self, acked: Acked) {
        self.with_leading(|replica, leading| {
            let known = leading.peer.is_some_and(|peer| peer.nonce == acked.nonce);
            let current = acked.epoch == leading.epoch || replica.has_mutant(PairMutant::AckOfOldEpoch);
            if known && current {
                leading.heard_ms = replica.now_ms;
                replica.matched(leading, acked.upto);
            }
        });
    }

    pub(super) fn heard_leaving(&mut self, nonce: Nonce) {
        self.with_leading(|_, leading| leading.leaving = Some(nonce));
    }

    pub(super) fn snapshot_done(&mut self, _taken: bool) {
        self.with_leading(|_, leading| {
            if leading.stream == Stream::Snapshot {
                leading.stream = Stream::Unknown;
            }
        });
    }

    pub(super) fn with_leading(&mut self, what: impl FnOnce(&mut Self, &mut Leading)) {
        let duty = std::mem::replace(&mut self.duty, Duty::Over);
        let Duty::Leading(mut leading) = duty else {
            self.duty = duty;
            return;
        };
        what(self, &mut leading);
        self.duty = Duty::Leading(leading);
    }

    fn beat(&mut self, leading: &mut Leading) {
        let Some(cfg) = self.cfg else { return };
        if !self.link || self.now_ms < leading.beat_ms + self.config.beat_every_ms && leading.beat_ms != 0 {
            return;
        }
        leading.beat_ms = self.now_ms;
        self.say(PeerMessage::Beat(Beat {
            epoch: leading.epoch,
            holder: self.config.nonce,
            commit: leading.commit,
            end: self.log.end().index,
            sent_ms: self.now_ms,
            cfg,
        }));
    }

    fn take_echo(&mut self, leading: &mut Leading, echo: &Echo) {
        if echo.epoch != leading.epoch && !self.has_mutant(PairMutant::IgnoreEpochs) {
            return;
        }
        leading.heard_ms = self.now_ms;
        let sent_ms = if self.has_mutant(PairMutant::LeaseFromReceipt) { self.now_ms } else { echo.sent_ms };
        leading.peer_lease_ms = leading.peer_lease_ms.max(Some(sent_ms.min(self.now_ms)));
        let same = leading.peer.filter(|peer| peer.nonce == echo.nonce);
        let matched = same.map_or(0, |peer| peer.matched);
        if same.is_none() {
            leading.begin_again();
            leading.progress_ms = self.now_ms;
        }
        leading.peer = Some(Peer { nonce: echo.nonce, store: echo.store, matched, echo: *echo });
        self.matched(leading, echo.acked);
        self.guide(leading, echo);
    }

    pub(super) fn matched(&mut self, leading: &mut Leading, upto: u64) {
        let upto = upto.min(self.log.end().index);
        let Some(peer) = &mut leading.peer else { return };
        if upto > peer.matched {
            peer.matched = upto;
            leading.progress_ms = self.now_ms;
        }
        let matched = peer.matched;
        while let Some((_, bytes)) = leading.in_flight.pop_front_if(|(last, _)| *last <= matched) {
            leading.in_flight_bytes -= bytes;
        }
        if matched >= self.log.end().index {
            leading.progress_ms = self.now_ms;
        }
        self.pump(leading);
        self.advance(leading);
    }

    /// Begins or gives up the peer's way back into the set.
    fn watch_peer(&mut self, leading: &mut Leading) {
        let (Some(cfg), Some(peer)) = (self.cfg, leading.peer) else { return };
        if cfg.in_sync.store(self.config.side.other()).is_some() {
            leading.expanding = false;
            return;
        }
        let hears = leading.hears(self) && self.now_ms < leading.progress_ms + self.config.disk_stuck_ms;
        let close = peer.matched + CLOSE_ENTRIES >= self.log.end().index;
        let live = matches!(leading.stream, Stream::Live { .. });
        let hasty = self.has_mutant(PairMutant::ExpandBeforeCaughtUp);
        let stays = leading.leaving != Some(peer.nonce);
        leading.expanding =
            stays && hears && live && (close || leading.expanding || hasty) && self.pending.is_empty();
    }

    /// Commits what everyone has who must have it.
    fn advance(&mut self, leading: &mut Leading) {
        if !leading.is_remembered(self) {
            return;
        }
        let requires = self.requires_peer(leading);
        let own =
            if self.has_mutant(PairMutant::AckBeforeOwnDisk) { u64::MAX } else { self.log.durable_index() };
        let matched = leading.peer.map_or(0, |peer| peer.matched);
        let theirs = if requires && !self.has_mutant(PairMutant::CommitAlone) { matched } else { u64::MAX };
        let upto = own.min(theirs).min(self.log.end().index);
        if upto > leading.commit {
            leading.commit = upto;
            let two = requires || self.has_mutant(PairMutant::AlwaysTwoReplicas);
            self.outcome(Outcome::Commit { upto, replicas: 1 + u8::from(two) });
            self.log.shed(leading.commit, KEEP_BYTES);
        }
    }
}

/// Bytes of committed entries that stay in memory for a standby that lags a little.
const KEEP_BYTES: usize = 8 * 1024 * 1024;
/// A standby that lacks no more than so many entries is taken back.
const CLOSE_ENTRIES: u64 = 256;

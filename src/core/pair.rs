//! A node of a pair: what the replica decides becomes folding, reigning, serving and releasing.
//!
//! While this node may not serve (its lease is over, a switchover is under way) what clients want waits; when it does not
//! reign, clients are sent to the peer. Facts of the disk and of the pair are always taken.

use super::revoking::RevokeRefused;
use super::{
    Append, BadLog, Core, CoreConfig, Effect, EventRow, Input, PairConfig, PairEffect, PeerMessage, Position,
    Role, State,
    calls::Switchboard,
    hub::Hub,
    presence::Board,
    record::Entry,
    replication::{Outcome, Replica, shared_end},
    timers::Timer,
};
use bytes::Bytes;
use duet_protocol::{Code, Delivery, Frame, TenantName};
use std::collections::VecDeque;

/// The moment of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Unix milliseconds: for people, and for the log.
    pub unix_ms: u64,
    /// Milliseconds of a clock that never jumps and counts sleep (`CLOCK_BOOTTIME`): for leases and silences.
    pub mono_ms: u64,
}

impl From<u64> for Now {
    /// One clock for both; right only for a node without a peer.
    fn from(ms: u64) -> Self {
        Self { unix_ms: ms, mono_ms: ms }
    }
}

/// The part of a core that only a node of a pair has.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) replica: Replica,
    tenants: Vec<TenantName>,
    /// What came while this primary could not serve. Bounded by [`WAITING_MAX`]: beyond it the clients are sent away.
    waiting: VecDeque<Input>,
    /// Whether this disk takes no writes.
    disk_full: bool,
    /// Whether the policy forbids to acknowledge anything now.
    stalled: bool,
}

impl Core {
    /// A core of a pair. What lies behind the checkpoint is durable here and not known to be committed.
    ///
    /// # Errors
    /// [`BadLog`]: this log must not be used; the node has to begin anew from its peer.
    pub fn restore_member(
        config: CoreConfig,
        pair: PairConfig,
        state: State,
        tail: impl IntoIterator<Item = Bytes>,
    ) -> Result<Self, BadLog> {
        let tip = state.tip;
        let base = Position { epoch: tip.epoch, index: tip.index, chain: tip.chain };
        let (mut entries, mut at) = (Vec::new(), tip);
        for bytes in tail {
            let after = at.index;
            let entry = Entry::decode(&bytes).map_err(|error| BadLog::Damaged { after, error })?;
            let next = entry.tip_after(&bytes);
            if !entry.follows(&at) {
                return Err(BadLog::Broken { index: entry.index });
            }
            at = next;
            entries.push((entry, bytes));
        }
        let mut core = Self::restore(config, state, [])?;
        let replica = Replica::new(pair, base, entries);
        core.pair = Some(Pair {
            replica,
            tenants: Vec::new(),
            waiting: VecDeque::new(),
            disk_full: false,
            stalled: false,
        });
        Ok(core)
    }

    /// Begins to take part in the pair. `tenants` are those that the configuration names.
    pub fn join(&mut self, now: Now, tenants: &[TenantName]) {
        if let Some(pair) = &mut self.pair {
            pair.tenants = tenants.to_vec();
        }
        self.timers.set(now.unix_ms + self.config.checkpoint_after_ms, Timer::Checkpoint);
        self.handle(now, Input::Tick);
    }

    /// What this node of a pair is; `None` for a node without a peer.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.pair.as_ref().map(|pair| pair.replica.role())
    }

    /// When to send [`Input::Tick`] for the pair's sake, in milliseconds of [`Now::mono_ms`].
    #[must_use]
    pub fn pair_deadline(&self) -> Option<u64> {
        self.pair.as_ref().and_then(|pair| pair.replica.deadline())
    }

    /// The end of the log, folded or not.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        self.pair.as_ref().map_or(self.state.tip.index, |pair| pair.replica.log_end())
    }

    /// Up to which entry the peer's disk is known to hold this primary's log.
    #[must_use]
    pub fn peer_matched(&self) -> Option<u64> {
        self.pair.as_ref().and_then(|pair| pair.replica.peer_matched())
    }

    /// Whether a snapshot of the peer's is wanted: this node follows, and has nothing.
    #[must_use]
    pub fn wants_snapshot(&self) -> bool {
        matches!(self.role(), Some(Role::Standby { .. })) && self.log_end() == 0
    }

    /// Whether clients may be served now.
    pub(super) fn serves(&self) -> bool {
        self.pair.as_ref().is_none_or(|pair| pair.replica.serving())
    }

    /// Whether commands wait although this node reigns. Not once its clients were sent away: then whoever comes is told
    /// at once, and finds the other node.
    pub(super) fn holds_commands_back(&self) -> bool {
        let leads = matches!(self.role(), Some(Role::Primary { .. }));
        let waits = |replica: &Replica| !replica.takes_commands() && !replica.has_dismissed();
        leads && self.pair.as_ref().is_some_and(|pair| waits(&pair.replica))
    }

    /// On how many disks an entry is that is committed now.
    pub(super) fn replicas(&self) -> u8 {
        self.replicas
    }

    /// Whether a message can be had on two disks.
    pub(super) fn mirrors(&self) -> bool {
        self.pair.as_ref().is_some_and(|pair| pair.replica.in_sync())
    }

    /// Takes in a fact on a node of a pair.
    pub(super) fn handle_in_pair(&mut self, now: Now, now_ms: u64, input: Input) {
        let Some(pair) = &mut self.pair else { return };
        if pair.replica.is_over() {
            return;
        }
        pair.replica.tick(now.mono_ms);
        self.settle(now_ms);
        let Some(pair) = &mut self.pair else { return };
        match input {
            Input::Pair(fact) => pair.replica.fact(fact),
            Input::Persisted { upto } => pair.replica.persisted(upto),
            Input::ReadOnly(read_only) => {
                pair.replica.set_disk_stuck(read_only);
                pair.disk_full = read_only;
                self.refuse_writes(now_ms);
            }
            Input::Tick => {}
            input => self.take_from_clients(now_ms, input),
        }
        self.settle(now_ms);
        if self.serves() || !matches!(self.role(), Some(Role::Primary { .. })) {
            self.run_timers(now_ms);
            self.settle(now_ms);
        }
    }

    fn take_from_clients(&mut self, now_ms: u64, input: Input) {
        let Some(Role::Primary { serving, .. }) = self.role() else { return self.refuse_client(&input) };
        if serving {
            self.run_timers(now_ms);
            return self.take_input(now_ms, input);
        }
        let Some(pair) = &mut self.pair else { return };
        if pair.replica.has_dismissed() {
            return self.refuse_client(&input);
        }
        pair.waiting.push_back(input);
        if pair.waiting.len() > WAITING_MAX {
            self.dismiss(now_ms);
        }
    }

    fn refuse_client(&mut self, input: &Input) {
        if let Input::Hello { connection, .. } = input {
            self.disconnect(*connection, Code::NOT_PRIMARY, Code::NOT_PRIMARY.sentence());
        }
        if let Input::Revoke { ask, .. } = input {
            self.refuse_revocation(*ask, RevokeRefused::NotPrimary);
        }
    }

    /// Carries out what the replica decided, until nothing is left.
    fn settle(&mut self, now_ms: u64) {
        while let Some(outcome) = self.pair.as_mut().and_then(|pair| pair.replica.poll()) {
            match outcome {
                Outcome::Effect(effect) => self.effects.push_back(Effect::Pair(effect)),
                Outcome::Write(entry, bytes) => {
                    let events = event_rows(&entry).into_iter().map(|(row, _)| row).collect();
                    let Entry { epoch, index, .. } = entry;
                    self.effects.push_back(Effect::Append(Append { index, epoch, bytes, events }));
                }
                Outcome::Fold { bytes, committed } => self.fold(now_ms, &bytes, committed),
                Outcome::Reign { epoch } => self.reign(now_ms, epoch),
                Outcome::Commit { upto, replicas } => {
                    self.replicas = replicas;
                    self.advance_commit(upto);
                }
                Outcome::Serve(serves) => self.serve(now_ms, serves),
                Outcome::Stall(stalled) => self.stall(now_ms, stalled),
                Outcome::Dismiss => self.dismiss(now_ms),
                Outcome::StepDown => self.step_down(now_ms),
                Outcome::DemandResync { epoch } => {
                    let reigns = self.state.reigns.iter().map(|(epoch, first)| (*epoch, *first)).collect();
                    let demand = PairEffect::Say(PeerMessage::Resync { epoch, reigns });
                    self.effects.push_back(Effect::Pair(demand));
                }
                Outcome::Resync { reigns } => self.resync(&reigns),
            }
        }
    }

    fn fold(&mut self, now_ms: u64, bytes: &Bytes, committed: bool) {
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            Err(error) => unreachable!("an entry that was verified does not decode: {error}"),
        };
        self.state.apply(&entry, bytes, self.config.dedup_bounds());
        if committed {
            self.commit = entry.index;
        }
        self.plan_checkpoint(now_ms);
    }

    fn reign(&mut self, now_ms: u64, epoch: u64) {
        let tenants = self.pair.as_ref().map(|pair| pair.tenants.clone()).unwrap_or_default();
        self.begin_reign(now_ms, epoch, &tenants);
    }

    fn resync(&mut self, theirs: &[(u64, u64)]) {
        let Some(pair) = &self.pair else { return };
        let (ours, end) = (pair.replica.reigns(self.state.reigns.clone()), pair.replica.log_end());
        let shared = shared_end(&ours, end, theirs);
        let resync = PairEffect::Resync { fork: (shared < end).then_some(shared) };
        self.effects.push_back(Effect::Pair(resync));
    }

    fn serve(&mut self, now_ms: u64, serves: bool) {
        while serves && let Some(input) = self.pair.as_mut().and_then(|pair| pair.waiting.pop_front()) {
            self.take_input(now_ms, input);
        }
    }

    /// Refuses what has to be stored while the policy forbids to acknowledge it, as on a full disk.
    fn stall(&mut self, now_ms: u64, stalled: bool) {
        let Some(pair) = &mut self.pair else { return };
        pair.stalled = stalled;
        self.refuse_writes(now_ms);
    }

    /// Refuses what has to be stored while disk or policy does, or takes it again.
    fn refuse_writes(&mut self, now_ms: u64) {
        let refuses = self.pair.as_ref().is_some_and(|pair| pair.disk_full || pair.stalled);
        self.set_read_only(now_ms, refuses);
    }

    /// Sends every client to the peer.
    fn dismiss(&mut self, now_ms: u64) {
        let waiting = self.pair.as_mut().map(|pair| std::mem::take(&mut pair.waiting));
        for input in waiting.into_iter().flatten() {
            self.refuse_client(&input);
        }
        // Nobody who is sent away hears of the others' leaving: it would be news of a node that may not tell any.
        self.hub = Hub::default();
        self.staff_inboxes.clear();
        self.board.unwatch_all();
        self.counted.clear();
        self.calls = Switchboard::default();
        self.lists.clear();
        let all: Vec<_> = self.connections.keys().copied().collect();
        for connection in all {
            self.disconnect(connection, Code::NOT_PRIMARY, Code::NOT_PRIMARY.sentence());
            self.drop_connection(now_ms, connection, true);
        }
    }

    /// Follows from now on. Everything is committed, so nothing is held; what clients meant here is gone.
    fn step_down(&mut self, now_ms: u64) {
        self.dismiss(now_ms);
        assert!(self.held.is_empty(), "something waits for an entry although all are committed");
        self.sessions.clear();
        self.board = Board::default();
        self.reads.clear();
        self.stall(now_ms, false);
        self.timers.keep(|timer| matches!(timer, Timer::Checkpoint));
        self.effects.push_back(Effect::Pair(PairEffect::SteppedDown));
    }
}

/// The events of an entry: as rows, and as frames.
pub(super) fn event_rows(entry: &Entry) -> Vec<(EventRow, Bytes)> {
    let row = |(key, event): (super::ConversationKey, duet_protocol::Event)| {
        let seq = event.seq;
        let frame = Delivery::Event(event).encode();
        let bytes = Frame::split(&frame).1.slice(1..);
        (EventRow { conversation: key, seq, bytes }, frame)
    };
    entry.record.events(entry.at_ms).into_iter().map(row).collect()
}

/// Inputs that wait for the lease at most.
const WAITING_MAX: usize = 4_096;

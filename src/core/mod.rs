//! The core: every rule of Duet and no I/O. No clock, no random numbers, no sockets, no tasks, no hash maps.
//!
//! One door: [`Core::handle`] takes a fact, [`Core::poll_effect`] gives orders, [`Core::next_deadline`] says when time
//! itself becomes a fact. Same inputs, same outputs, on any machine: that is what the simulator stands on.
//!
//! ```text
//!  Command ─► decide ─► Record ─► apply ─► Append ────► (disk) ────► Persisted ─► commit ─► release
//!               │                   │                                                        │
//!               └► Reject           └► held: replies and deliveries that depend on the entry ┘
//! ```
//!
//! Nothing that depends on an entry leaves before the entry is committed: whatever is computed right after `apply` is
//! held under that entry's index. With one node, committed means persisted here; on a node of a pair [`replication`] says
//! when, and whether this node may serve at all.

mod adding;
#[cfg(test)]
mod adding_laws;
#[cfg(test)]
mod adding_rig;
mod addition;
#[cfg(test)]
mod broadcast_laws;
#[cfg(test)]
mod call_laws;
mod calls;
mod catch_up;
mod commands;
mod config;
mod connection;
mod conversation;
mod decide;
mod decide_adding;
mod dedup;
mod effect;
mod full_disk;
#[cfg(test)]
mod full_disk_laws;
mod hub;
mod identify;
#[cfg(test)]
mod identify_laws;
mod inbox;
mod input;
#[cfg(test)]
mod lane_laws;
mod lists;
mod marks;
mod mutant;
mod pair;
#[cfg(test)]
mod pair_laws;
#[cfg(test)]
mod pair_rig;
#[cfg(test)]
mod permission_laws;
mod presence;
#[cfg(test)]
mod presence_laws;
mod record;
mod reject;
mod release;
mod replication;
mod revoking;
#[cfg(test)]
mod revoking_laws;
#[cfg(test)]
mod rig;
mod rows;
#[cfg(test)]
mod session_laws;
mod sessions;
mod shares;
mod signals;
mod standing;
mod state;
mod timers;
mod tokens;
mod veil;
mod watching;

pub use addition::Addition;
pub use config::CoreConfig;
pub use conversation::{Conversation, Head, Member};
pub use effect::{Append, Effect, EventRow, Row, Target};
pub use identify::is_anonymous;
pub use input::{ConnectionId, Identity, Input, Lane, ReadFailed, ReadId};
pub use mutant::Mutant;
pub use pair::Now;
pub use record::{ConversationKey, Entry, NewMember, Record, TenantId, UserKey};
pub use replication::{
    Acked, Answer, AppendEntries, AskId, Beat, Cfg, ClusterId, Echo, InSync, LogGone, Nonce, OrderRefused,
    PairConfig, PairEffect, PairFact, PairMutant, PairOrder, PeerMessage, Policy, Position, Question, Role,
    Side, StoreId,
};
pub use revoking::{Revoke, RevokeRefused};
pub use rows::BadRow;
pub use standing::{Identification, Revocation, TokenMark};
pub use state::{DedupBounds, REIGNS_MAX, Session, State, Tip, User};

use catch_up::Reading;
use connection::{Connection, Whereabouts};
use duet_protocol::{CodecError, Delivery, SessionId, TenantName};
use hub::Hub;
use pair::Pair;
use presence::Board;
use release::Held;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use timers::{Timer, Timers};
use watching::LastCount;

/// The rules of one node.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    /// Of the first process that began this reign.
    epoch: u64,
    state: State,
    /// Entries up to here are as safe as the policy wants.
    commit: u64,
    /// The time of the input that is being handled, Unix milliseconds.
    now_ms: u64,
    /// What waits for the commit of an entry: bounded by `in_flight_max` entries.
    held: BTreeMap<(u64, u64), Held>,
    held_serial: u64,
    effects: VecDeque<Effect>,
    connections: BTreeMap<ConnectionId, Connection>,
    sessions: BTreeMap<SessionId, Whereabouts>,
    hub: Hub,
    board: Board,
    /// What was counted of large conversations that somebody follows.
    counted: BTreeMap<ConversationKey, LastCount>,
    staff_inboxes: BTreeMap<TenantId, BTreeSet<ConnectionId>>,
    reads: BTreeMap<ReadId, Reading>,
    next_read: u64,
    /// Commands that wait for the target of a change: bounded for each connection, and gone with their lane.
    waiting: BTreeMap<(ConnectionId, Lane), adding::Waiting>,
    calls: calls::Switchboard,
    /// Conversations whose lists wait to be told, and how far that has come.
    lists: BTreeMap<ConversationKey, lists::Walk>,
    timers: Timers,
    checkpoint_index: u64,
    read_only: bool,
    /// Sessions whose opening is not committed yet, and its entry.
    opening: BTreeMap<SessionId, u64>,
    /// The entry with which this reign began; nobody is welcome before it is committed.
    reign_index: u64,
    typing_version: u64,
    /// On how many disks an entry is that is committed now.
    replicas: u8,
    /// Only on a node of a pair.
    pair: Option<Pair>,
}

/// Why a log cannot be replayed: it is damaged or not the one that belongs to the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadLog {
    /// An entry does not decode.
    #[error("log entry after {after} is damaged: {error}")]
    Damaged {
        /// The last good index.
        after: u64,
        /// What the decoder says.
        error: CodecError,
    },
    /// An entry does not follow from the one before.
    #[error("log entry {index} does not follow the one before it")]
    Broken {
        /// The entry.
        index: u64,
    },
}

impl Core {
    /// A core that goes on where rows and log end. Everything given here is durable, hence committed.
    ///
    /// # Errors
    /// [`BadLog`]: the node must not serve.
    pub fn restore(
        config: CoreConfig,
        mut state: State,
        tail: impl IntoIterator<Item = bytes::Bytes>,
    ) -> Result<Self, BadLog> {
        let checkpoint_index = state.tip.index;
        for bytes in tail {
            let after = state.tip.index;
            let entry = Entry::decode(&bytes).map_err(|error| BadLog::Damaged { after, error })?;
            if !entry.follows(&state.tip) {
                return Err(BadLog::Broken { index: entry.index });
            }
            state.apply(&entry, &bytes, config.dedup_bounds());
        }
        let commit = state.tip.index;
        Ok(Self {
            epoch: state.tip.epoch,
            config,
            state,
            commit,
            now_ms: 0,
            held: BTreeMap::new(),
            held_serial: 0,
            effects: VecDeque::new(),
            connections: BTreeMap::new(),
            sessions: BTreeMap::new(),
            hub: Hub::default(),
            board: Board::default(),
            counted: BTreeMap::new(),
            staff_inboxes: BTreeMap::new(),
            reads: BTreeMap::new(),
            next_read: 0,
            waiting: BTreeMap::new(),
            calls: calls::Switchboard::default(),
            lists: BTreeMap::new(),
            timers: Timers::default(),
            checkpoint_index,
            read_only: false,
            opening: BTreeMap::new(),
            reign_index: 0,
            typing_version: 0,
            replicas: 1,
            pair: None,
        })
    }

    /// Begins a reign: a new epoch, the tenants that the configuration names, and everyone who had a session is expected
    /// back. For a node without a peer; one of a pair [joins](Self::join).
    pub fn start(&mut self, now_ms: u64, tenants: &[TenantName]) {
        let now_ms = now_ms.max(self.state.tip.at_ms);
        let kept = self.has_mutant(Mutant::EpochKept);
        self.begin_reign(now_ms, if kept { self.epoch } else { self.state.tip.epoch + 1 }, tenants);
        // The entries that were found behind the checkpoint wait no longer than new ones.
        self.timers.set(now_ms + self.config.checkpoint_after_ms, Timer::Checkpoint);
    }

    fn begin_reign(&mut self, now_ms: u64, epoch: u64, tenants: &[TenantName]) {
        (self.epoch, self.now_ms) = (epoch, now_ms);
        self.reign_index = self.append(now_ms, Record::EpochBegan);
        for name in tenants {
            if self.state.tenant_id(name).is_none() {
                let last = self.state.tenants.keys().next_back().map_or(0, |id| id.0);
                let record = Record::TenantRegistered { tenant: TenantId(last + 1), name: name.clone() };
                self.append(now_ms, record);
            }
        }
        self.expect_sessions(now_ms);
    }

    /// Takes in a fact. A clock that goes back is held at the log's time.
    pub fn handle(&mut self, now: impl Into<Now>, input: Input) {
        let now = now.into();
        let now_ms = now.unix_ms.max(self.state.tip.at_ms);
        self.now_ms = now_ms;
        if self.pair.is_some() {
            self.handle_in_pair(now, now_ms, input);
        } else {
            self.run_timers(now_ms);
            self.take_input(now_ms, input);
        }
    }

    fn take_input(&mut self, now_ms: u64, input: Input) {
        match input {
            Input::Hello { connection, identity, hello, entropy } => {
                self.hello(now_ms, connection, identity, &hello, &entropy);
            }
            Input::Reauthenticated { connection, request, identity } => {
                self.reauthenticated(now_ms, connection, request, &identity);
            }
            Input::Identified { connection, request, identity } => {
                self.identified(now_ms, connection, request, &identity);
            }
            Input::Revoke { ask, revoke } => self.revoke(now_ms, ask, &revoke),
            Input::Command { connection, lane, command } => self.command(now_ms, connection, lane, command),
            Input::LaneClosed { connection, lane } => {
                self.lane_closed(connection, lane);
                self.effects.push_back(Effect::CloseLane { connection, lane });
            }
            Input::Disconnected { connection } => self.drop_connection(now_ms, connection, true),
            Input::Lost { connection, silent_ms } => {
                self.lose_connection(now_ms, connection, now_ms.saturating_sub(silent_ms), true);
            }
            Input::Overflowed { target, seq } => self.overflowed(target, seq),
            Input::Writable { connection } => self.writable(connection),
            Input::Persisted { upto } => self.advance_commit(upto),
            Input::EventsRead { read, result } => self.events_read(now_ms, read, result),
            Input::ReadOnly(read_only) => self.set_read_only(now_ms, read_only),
            Input::Pair(_) | Input::Tick => {}
        }
    }

    /// The next order, in the order in which they must be carried out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to send [`Input::Tick`], Unix milliseconds.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        let stands_still = matches!(self.role(), Some(Role::Primary { serving: false, .. }));
        self.timers.next_ms().filter(|_| !stands_still)
    }

    /// Whether so much is on its way to the disk that commands should wait. Not while the disk takes nothing: then no command
    /// adds to it, and each is answered.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        let full = self.state.tip.index - self.commit >= self.config.in_flight_max;
        !self.read_only && full || self.holds_commands_back()
    }

    /// The fold, for checks and figures. Entries beyond [`Core::commit_index`] are in it as well.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Entries up to here are as safe as the policy wants.
    #[must_use]
    pub fn commit_index(&self) -> u64 {
        self.commit
    }

    /// How many connections said hello.
    #[must_use]
    pub fn connection_count(&self) -> usize {
        self.connections.len()
    }

    /// Appends a record, applies it at once, and holds its events until it is committed.
    fn append(&mut self, now_ms: u64, record: Record) -> u64 {
        let Tip { index, at_ms, chain, .. } = self.state.tip;
        let at_ms = now_ms.max(at_ms);
        let entry = Entry { epoch: self.epoch, index: index + 1, at_ms, chain_before: chain, record };
        let bytes = entry.encode();
        self.state.apply(&entry, &bytes, self.config.dedup_bounds());
        let mut events = Vec::new();
        let private = entry.record.is_private();
        for (row, frame) in pair::event_rows(&entry) {
            let withheld = private.then(|| Delivery::Event(veil::withheld(row.seq)).encode());
            self.hold(entry.index, Held::Event { key: row.conversation, seq: row.seq, frame, withheld });
            events.push(row);
        }
        let Entry { epoch, index, .. } = entry;
        self.effects.push_back(Effect::Append(Append { index, epoch, bytes: bytes.clone(), events }));
        if let Some(pair) = &mut self.pair {
            pair.replica.appended(&entry, bytes);
        }
        if self.has_mutant(Mutant::ReleaseBeforeDurable) {
            self.advance_commit(index);
        }
        self.plan_checkpoint(at_ms);
        index
    }

    fn plan_checkpoint(&mut self, now_ms: u64) {
        let behind = self.state.tip.index - self.checkpoint_index;
        if behind >= self.config.checkpoint_every {
            self.take_checkpoint();
        } else if behind == 1 {
            self.timers.set(now_ms + self.config.checkpoint_after_ms, Timer::Checkpoint);
        }
    }

    fn take_checkpoint(&mut self) {
        let index = self.state.tip.index;
        if index > self.checkpoint_index {
            self.checkpoint_index = index;
            let mut rows = self.state.take_dirty_rows();
            if self.has_mutant(Mutant::CheckpointWithoutDedup) {
                rows.retain(|(key, _)| key.first() != Some(&rows::DEDUP));
            }
            self.hold(index, Held::Checkpoint { index, rows });
        }
    }

    fn run_timers(&mut self, now_ms: u64) {
        while let Some(timer) = self.timers.due(now_ms) {
            match timer {
                Timer::Grace(key) => self.grace_ended(now_ms, &key),
                Timer::Presence(key) => self.presence_due(&key),
                Timer::Counts(key) => self.count_due(key),
                Timer::Session(session) => self.session_expired(now_ms, session),
                Timer::Token(connection) => self.token_expired(now_ms, connection),
                Timer::Checkpoint => self.take_checkpoint(),
                Timer::Call(call) => self.call_expired(call),
                Timer::Lists(key) => self.tell_members(now_ms, key),
                Timer::Unanswered => self.answer_the_waiting(now_ms),
            }
        }
    }

    fn has_mutant(&self, mutant: Mutant) -> bool {
        self.config.has_mutant(mutant)
    }
}

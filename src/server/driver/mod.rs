//! The driver: the one task that owns the core. It tells the core what happened and carries out what the core wants.
//!
//! ```text
//! connections ──Arrival──► ┌────────┐ ──Job──────► store thread
//!                          │ driver │ ──ReadJob──► readers
//! store, readers ──Fact──► └────────┘ ──frames───► outboxes
//! ```
//!
//! Facts come first, because they free memory and release replies. While more entries are on their way to the disk than
//! the core wants, no arrivals are taken: connections wait, and flow control tells the clients. A panic in here ends the
//! process: a core that was interrupted in the middle of an input must not go on.

mod pair;

use super::{
    clock::{Clock, boot_ms},
    outlets::{Outlets, Peer},
    pair::{Aside, Line, Port, Reply, role_name},
    progress::Progress,
    queues::{EventsJob, Job, ReadJob},
    revoking,
};
use crate::{
    admin::{
        health::{BEAT_EVERY, Health, Phase},
        metrics as name,
        pair::Wish,
    },
    core::{ConnectionId, Core, Effect, Input, Now, PairFact, ReadFailed, ReadId, Revoke, Role},
};
use bytes::Bytes;
use duet_protocol::Code;
use metrics::{counter, gauge};
use std::{
    collections::VecDeque,
    sync::{
        Arc,
        mpsc::{SyncSender, TrySendError},
    },
    time::{Duration, Instant},
};
use tokio::sync::{mpsc::Receiver, oneshot};

/// What a connection tells the driver.
#[derive(Debug)]
pub(super) enum Arrival {
    /// It is there; frames for it go into this outbox. Always the first.
    Opened(ConnectionId, Peer),
    /// Something happened on it.
    Input(Input),
}

/// What a thread, or the drain, tells the driver.
#[derive(Debug)]
pub(super) enum Fact {
    /// Entries up to this index are on the disk.
    Persisted { upto: u64 },
    /// A page was read.
    EventsRead { read: ReadId, result: Result<Vec<(u64, Bytes)>, ReadFailed> },
    /// The disk takes no more writes, or does again.
    ReadOnly(bool),
    /// Something about the pair.
    Pair(PairFact),
    /// The link to the peer is up.
    LinkUp(Box<Line>),
    /// It is gone.
    LinkDown,
    /// The peer sends a snapshot; the answer says whether it is wanted.
    SnapshotOffered(oneshot::Sender<bool>),
    /// It lies in its place, whole.
    SnapshotArrived,
    /// An operator takes something back.
    Revoke(Revoke, revoking::Reply),
    /// An operator wants something of the pair.
    Wish(Wish, Reply),
    /// Finish what is on its way to the disk, close every connection, stop at the deadline.
    Drain(Instant),
}

/// Owns the core.
pub(super) struct Driver {
    core: Core,
    clock: Clock,
    outlets: Outlets,
    jobs: SyncSender<Job>,
    readers: Vec<SyncSender<ReadJob>>,
    health: Arc<Health>,
    progress: Progress,
    /// Jobs that found no room yet; arrivals wait until it is empty.
    backlog: VecDeque<Job>,
    /// Only on a node of a pair.
    port: Option<Port>,
    /// Operators who take something back and wait for the answer.
    revokers: revoking::Waiting,
    /// The process is to begin anew.
    again: Option<Aside>,
}

/// Why the driver stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It was asked to, and everything accepted is with the store.
    Drained,
    /// The store thread is gone.
    StoreGone,
    /// The process has to begin anew, after this is done.
    Again(Aside),
}

impl Driver {
    /// Takes a core whose log ends, on the disk, at `last_index`.
    pub(super) fn new(
        core: Core,
        last_index: u64,
        jobs: SyncSender<Job>,
        readers: Vec<SyncSender<ReadJob>>,
        health: Arc<Health>,
        port: Option<Port>,
        elsewhere: Option<String>,
    ) -> Self {
        let (clock, outlets, backlog) = (Clock::start(), Outlets::new(elsewhere), VecDeque::new());
        let (progress, revokers, again) = (Progress::from(last_index), revoking::Waiting::default(), None);
        Self { core, clock, outlets, jobs, readers, health, progress, backlog, port, revokers, again }
    }

    /// Drives until it is told to drain or the store is gone.
    pub(super) async fn run(mut self, mut arrivals: Receiver<Arrival>, mut facts: Receiver<Fact>) -> Stopped {
        let mut batch = Vec::with_capacity(BATCH);
        let mut drain: Option<Drain> = None;
        self.tick();
        loop {
            self.beat(arrivals.len());
            if drain.as_mut().is_some_and(|drain| self.step(drain)) {
                return Stopped::Drained;
            }
            // While the disk takes nothing, commands add nothing to what waits for it, and each is answered.
            let open = self.core.is_read_only() || (self.backlog.is_empty() && !self.core.is_saturated());
            let wake = self.next_wake(drain.as_ref());
            tokio::select! {
                biased;
                fact = facts.recv() => match fact {
                    Some(Fact::Drain(deadline)) => {
                        self.health.enter(Phase::Draining);
                        let left = deadline.saturating_duration_since(Instant::now());
                        drain = Some(Drain { tell_at: Instant::now() + left / 2, deadline, told: false, left: None });
                        self.hand_over();
                    }
                    Some(fact) => self.take_fact(fact),
                    None => return Stopped::StoreGone,
                },
                taken = arrivals.recv_many(&mut batch, BATCH), if open => {
                    if taken == 0 {
                        // Nobody can connect any more: the listeners are gone without a drain.
                        return Stopped::Drained;
                    }
                    for arrival in batch.drain(..) {
                        self.take_arrival(arrival, drain.is_some());
                    }
                }
                () = tokio::time::sleep_until(wake.into()) => self.tick(),
            }
            if self.push_jobs().is_err() {
                return Stopped::StoreGone;
            }
            if let Some(aside) = self.again {
                self.outlets.disconnect_all(Code::NOT_PRIMARY);
                return Stopped::Again(aside);
            }
        }
    }

    /// Goes on with stopping; true when it is done. Replies to what was accepted go out before clients are told.
    fn step(&mut self, drain: &mut Drain) -> bool {
        let now = Instant::now();
        let leads = matches!(self.core.role(), Some(Role::Primary { in_sync: true, .. }));
        let settled = self.progress.in_flight() == 0 && self.backlog.is_empty() && !leads;
        if !drain.told && (settled || now >= drain.tell_at) {
            drain.told = true;
            self.outlets.shut_down(drain.deadline.saturating_duration_since(now));
        }
        let done = settled && drain.told && self.outlets.is_empty();
        now >= drain.deadline || (done && self.has_left(drain, now))
    }

    fn take_arrival(&mut self, arrival: Arrival, draining: bool) {
        match arrival {
            Arrival::Opened(connection, peer) if draining => peer.turn_away(connection),
            Arrival::Opened(connection, peer) => self.outlets.open(connection, peer),
            Arrival::Input(input) => {
                match &input {
                    Input::Disconnected { connection } | Input::Lost { connection, .. } => {
                        self.outlets.closed(*connection);
                    }
                    Input::Command { command, .. } => {
                        let kind = command_name(command.kind());
                        counter!(name::COMMANDS, "kind" => kind).increment(1);
                        if draining {
                            return;
                        }
                        self.progress.publish_begins(command);
                    }
                    _ => {}
                }
                self.handle(input);
            }
        }
    }

    fn take_fact(&mut self, fact: Fact) {
        match fact {
            Fact::Persisted { upto } => {
                self.handle(Input::Persisted { upto });
                self.progress.persisted(upto);
            }
            Fact::EventsRead { read, result } => self.handle(Input::EventsRead { read, result }),
            Fact::ReadOnly(read_only) => {
                self.health.enter(if read_only { Phase::ReadOnly } else { Phase::Ready });
                self.handle(Input::ReadOnly(read_only));
            }
            Fact::Pair(fact) => {
                if let (PairFact::Answered { answer, .. }, Some(port)) = (&fact, &self.port) {
                    port.answered(*answer);
                }
                self.handle(Input::Pair(fact));
            }
            Fact::LinkUp(line) => self.about_pair(|port| port.link_up(*line)),
            Fact::LinkDown => self.about_pair(Port::link_down),
            Fact::Revoke(revoke, reply) => {
                if let Some(input) = self.revokers.ask(revoke, reply) {
                    self.handle(input);
                }
            }
            Fact::Wish(Wish::Order(order), reply) => self.about_pair(|port| port.order(order, reply)),
            Fact::Wish(Wish::Rejoin, reply) => self.rejoin(reply),
            Fact::SnapshotOffered(wanted) => {
                // Who offered it has gone if it does not wait.
                let _ = wanted.send(self.core.wants_snapshot());
            }
            Fact::SnapshotArrived => self.again = Some(Aside::Nothing),
            Fact::Drain(_) => {}
        }
    }

    fn tick(&mut self) {
        self.handle(Input::Tick);
    }

    /// One input, and everything that follows from it.
    fn handle(&mut self, input: Input) {
        let mut next = VecDeque::from([input]);
        while let Some(input) = next.pop_front() {
            let unix_ms = self.clock.now_ms(self.core.state().tip.at_ms);
            let input = by_our_clock(input, self.clock.ahead_ms());
            self.core.handle(Now { unix_ms, mono_ms: boot_ms() }, input);
            while let Some(effect) = self.core.poll_effect() {
                self.carry_out(effect, &mut next);
            }
        }
        self.progress.input_done();
        self.progress.released(self.core.commit_index());
    }

    fn carry_out(&mut self, effect: Effect, next: &mut VecDeque<Input>) {
        match effect {
            Effect::Append(append) => {
                self.progress.appended(append.index);
                self.backlog.push_back(Job::Append(append));
            }
            Effect::Checkpoint { index, rows } => self.backlog.push_back(Job::Checkpoint { index, rows }),
            Effect::Read { read, conversation, after, upto, bytes_max, latest } => {
                let job = EventsJob { read, conversation, after, upto, bytes_max, latest };
                if self.read(read.0, ReadJob::Events(job)).is_err() {
                    counter!(name::READS_FAILED).increment(1);
                    next.push_back(Input::EventsRead { read, result: Err(ReadFailed) });
                }
            }
            Effect::Send { connection, lane, frame } => self.outlets.send(connection, lane, frame),
            Effect::Deliver { seq, frame, targets } => {
                for target in targets {
                    next.extend(self.outlets.deliver(target, seq, &frame));
                }
            }
            Effect::Cast { frame, targets } => self.outlets.cast(&frame, &targets),
            Effect::Signal { frame, connections } => self.outlets.signal(&frame, &connections),
            Effect::Revoked { ask, result } => self.revokers.answered(ask, result),
            Effect::Pair(effect) => {
                let todo = self.port.as_mut().and_then(|port| port.carry_out(effect));
                self.do_for_pair(todo, next);
            }
            Effect::CloseLane { connection, lane } => self.outlets.close_lane(connection, lane),
            Effect::Disconnect { connection, code, reason } => {
                self.outlets.disconnect(connection, code, &reason);
            }
        }
    }

    /// Hands a read to one of the readers; reads of one number keep their order.
    fn read(&self, number: u64, job: ReadJob) -> Result<(), TrySendError<ReadJob>> {
        let reader = usize::try_from(number).unwrap_or(0) % self.readers.len();
        self.readers[reader].try_send(job)
    }

    /// Hands over what the store has room for, in order.
    fn push_jobs(&mut self) -> Result<(), ()> {
        while let Some(job) = self.backlog.pop_front() {
            match self.jobs.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => {
                    self.backlog.push_front(job);
                    return Ok(());
                }
                Err(TrySendError::Disconnected(_)) => return Err(()),
            }
        }
        Ok(())
    }

    fn next_wake(&self, drain: Option<&Drain>) -> Instant {
        let beat = Instant::now() + BEAT_EVERY;
        let timer = self.core.next_deadline().map_or(beat, |at_ms| self.clock.instant(at_ms));
        let pair = self
            .core
            .pair_deadline()
            .map_or(beat, |at_ms| Instant::now() + Duration::from_millis(at_ms.saturating_sub(boot_ms())));
        let backlog = if self.backlog.is_empty() { beat } else { Instant::now() + BACKLOG_RETRY };
        timer
            .min(beat)
            .min(pair)
            .min(backlog)
            .min(drain.map_or(beat, |drain| if drain.told { drain.deadline } else { drain.tell_at }))
    }

    fn beat(&mut self, waiting: usize) {
        self.watch_disk();
        if let Some(port) = &mut self.port {
            port.report(&self.core);
        }
        let progress = &self.progress;
        let role = self.core.role();
        let serves = role.is_none_or(|role| matches!(role, Role::Primary { serving: true, .. }));
        self.health.take_role(role.map_or("primary", role_name), serves);
        self.health.beat(self.core.state().tip.epoch, progress.durable());
        gauge!(name::EPOCH).set(self.core.state().tip.epoch as f64);
        gauge!(name::SESSIONS).set(self.core.state().sessions.len() as f64);
        gauge!(name::CONVERSATIONS).set(self.core.state().conversations.len() as f64);
        gauge!(name::IN_FLIGHT).set(progress.in_flight() as f64);
        gauge!(name::DRIVER_QUEUE).set(waiting as f64);
    }
}

/// How far stopping has come.
struct Drain {
    /// Clients are told at the latest now, even if entries are still on their way to the disk.
    tell_at: Instant,
    deadline: Instant,
    told: bool,
    /// When the peer was told that this process stops.
    left: Option<Instant>,
}

/// Arrivals that are taken at once.
const BATCH: usize = 128;

/// How soon a full queue of the store is tried again, should it report nothing before.
const BACKLOG_RETRY: Duration = Duration::from_millis(5);

/// The end of a token by our clock, which may be ahead of the one by which it was verified.
fn by_our_clock(mut input: Input, ahead_ms: u64) -> Input {
    if let Input::Hello { identity: Some(identity), .. }
    | Input::Reauthenticated { identity, .. }
    | Input::Identified { identity, .. } = &mut input
        && identity.expires_ms != 0
    {
        identity.expires_ms = identity.expires_ms.saturating_add(ahead_ms);
    }
    input
}

fn command_name(kind: u8) -> &'static str {
    duet_protocol::Command::KINDS.iter().find(|row| row.0 == kind).map_or("unknown", |row| row.1)
}

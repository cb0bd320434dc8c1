//! The one task that owns the machine: brings it facts and orders of the application, carries out what it wants.
//!
//! It never waits for anybody: links take orders or are given up, readers of events lag, tokens are brought by a
//! task of their own.

use super::options::{Storage, TokenSource, ask};
use crate::{
    link::{Dialer, Facts, Link, Order, Transport},
    machine::{
        Answer, Call, ClientError, ConnectionId, Event, Input, LinkEvent, Machine, Me, Message, NewMessage,
        OutboxEntry, Output, RequestId, State, Token, TokenError, TokenReason,
    },
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, DisplayName, Position, amend::Change, command::Durability,
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
    time,
};

/// Orders of the application that wait. Full: the caller waits.
pub(super) const ORDERS_MAX: usize = 256;
/// Facts of the links that wait. Full: the links stop reading.
const FACTS_MAX: usize = 256;
/// Facts taken in one turn, so that the rest gets its own.
const FACTS_PER_TURN: usize = 64;

/// What the application wants.
pub(super) enum Wish {
    Input(Input),
    Send(ConversationId, NewMessage, oneshot::Sender<Result<Message, ClientError>>),
    Note(ConversationId, NewMessage, oneshot::Sender<Result<Message, ClientError>>),
    Amend(ConversationId, Change, Durability, oneshot::Sender<Result<ClientMessageId, ClientError>>),
    Retry(ClientMessageId, oneshot::Sender<Result<Message, ClientError>>),
    Call(Call, oneshot::Sender<Result<Answer, ClientError>>),
    NewConversationId(oneshot::Sender<ConversationId>),
    Outbox(oneshot::Sender<Vec<OutboxEntry>>),
    Position(ConversationId, oneshot::Sender<Option<Position>>),
}

/// What can be read without asking the task.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct View {
    pub(super) state: State,
    /// Why the client ended or is not connected.
    pub(super) error: Option<ClientError>,
    pub(super) me: Option<Me>,
    pub(super) epoch: u64,
    pub(super) replicas: Option<u8>,
    pub(super) endpoint: Option<String>,
    pub(super) node: Option<DisplayName>,
    pub(super) rtt: Option<Duration>,
    pub(super) transport: Option<Transport>,
    /// Whether a connection that was told to close has not ended yet.
    pub(super) leaving: bool,
}

impl View {
    pub(super) fn begin() -> Self {
        Self {
            state: State::Disconnected,
            error: None,
            me: None,
            epoch: 0,
            replicas: None,
            endpoint: None,
            node: None,
            rtt: None,
            transport: None,
            leaving: false,
        }
    }
}

/// The task's state.
pub(super) struct Driver {
    machine: Machine,
    dialer: Dialer,
    tokens: Arc<dyn TokenSource>,
    storage: Option<Arc<dyn Storage>>,
    clock: Clock,
    links: BTreeMap<ConnectionId, Link>,
    facts: (Facts, mpsc::Receiver<(ConnectionId, LinkEvent)>),
    asking: JoinSet<Result<Token, TokenError>>,
    /// Connections that were told to close and have not ended yet; each has a deadline of its own.
    leaving: JoinSet<()>,
    calls: BTreeMap<RequestId, oneshot::Sender<Result<Answer, ClientError>>>,
    events: broadcast::Sender<Event>,
    view: watch::Sender<View>,
}

impl Driver {
    pub(super) fn new(
        machine: Machine,
        dialer: Dialer,
        tokens: Arc<dyn TokenSource>,
        storage: Option<Arc<dyn Storage>>,
        events: broadcast::Sender<Event>,
        view: watch::Sender<View>,
    ) -> Self {
        Self {
            machine,
            dialer,
            tokens,
            storage,
            clock: Clock::new(),
            links: BTreeMap::new(),
            facts: mpsc::channel(FACTS_MAX),
            asking: JoinSet::new(),
            leaving: JoinSet::new(),
            calls: BTreeMap::new(),
            events,
            view,
        }
    }

    /// Runs until nobody holds a handle any more. The session stays resumable unless it was closed.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        if let Some(storage) = &self.storage {
            let saved = storage.load();
            self.input(Input::Restore(saved));
        }
        self.input(Input::Connect);
        loop {
            let deadline = self.machine.next_deadline().map(|at_ms| self.clock.instant(at_ms));
            let sleep = async {
                match deadline {
                    Some(at) => time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                wish = wishes.recv() => match wish {
                    Some(wish) => self.wish(wish),
                    None => return,
                },
                Some(fact) = self.facts.1.recv() => self.take_facts(fact),
                Some(asked) = self.asking.join_next() => {
                    let lost = |_| Err(TokenError::Unavailable("the token provider panicked".into()));
                    self.input(Input::Token(asked.unwrap_or_else(lost)));
                }
                Some(_) = self.leaving.join_next() => {}
                () = sleep => self.input(Input::Tick),
            }
            self.show();
        }
    }

    fn take_facts(&mut self, first: (ConnectionId, LinkEvent)) {
        self.take_fact(first);
        for _ in 1..FACTS_PER_TURN {
            let Ok(fact) = self.facts.1.try_recv() else { return };
            self.take_fact(fact);
        }
    }

    fn take_fact(&mut self, (connection, event): (ConnectionId, LinkEvent)) {
        if matches!(event, LinkEvent::Disconnected { .. }) {
            self.links.remove(&connection);
        }
        self.input(Input::Link(connection, event));
    }

    fn wish(&mut self, wish: Wish) {
        let now_ms = self.clock.now_ms();
        // Whoever asked may have stopped waiting; then the answer is for nobody.
        match wish {
            Wish::Input(input) => self.machine.handle(now_ms, input),
            // The storage has it before the caller is told so.
            Wish::Send(conversation, message, reply) => {
                let sent = self.machine.send(now_ms, conversation, message);
                self.take_outputs();
                let _ = reply.send(sent);
            }
            Wish::Note(conversation, note, reply) => {
                let _ = reply.send(self.machine.note(now_ms, conversation, note));
            }
            Wish::Amend(conversation, change, durability, reply) => {
                let _ = reply.send(self.machine.amend(now_ms, conversation, change, durability));
            }
            Wish::Retry(id, reply) => {
                let sent = self.machine.retry(now_ms, id);
                self.take_outputs();
                let _ = reply.send(sent);
            }
            Wish::Call(call, reply) => {
                let request = self.machine.call(now_ms, call);
                self.calls.insert(request, reply);
            }
            Wish::NewConversationId(reply) => {
                let _ = reply.send(self.machine.new_conversation_id(now_ms));
            }
            Wish::Outbox(reply) => {
                let _ = reply.send(self.machine.outbox());
            }
            Wish::Position(conversation, reply) => {
                let _ = reply.send(self.machine.position(conversation));
            }
        }
        self.take_outputs();
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(self.clock.now_ms(), input);
        self.take_outputs();
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { connection, endpoint } => {
                    tracing::debug!(connection = connection.0, endpoint, "dialing");
                    let link = self.dialer.dial(connection, endpoint, self.facts.0.clone());
                    self.links.insert(connection, link);
                }
                Output::OpenLane { connection, lane, carrier } => {
                    self.order(connection, Order::OpenLane(lane, carrier));
                }
                Output::Send { connection, lane, command } => {
                    self.order(connection, Order::Send(lane, encode(&command)));
                }
                Output::FinishLane { connection, lane } => self.order(connection, Order::FinishLane(lane)),
                Output::Datagram { connection, command } => {
                    self.order(connection, Order::Datagram(encode(&command)));
                }
                Output::Disconnect { connection, code } => {
                    self.order(connection, Order::Close(code));
                    if let Some(link) = self.links.remove(&connection) {
                        self.leaving.spawn(link.ended());
                    }
                }
                Output::Rebind { .. } => {
                    if let Err(error) = self.dialer.rebind() {
                        tracing::warn!(%error, "no new socket for the new network");
                    }
                }
                Output::NeedToken { reason } => self.ask_token(reason),
                Output::Persist(change) => {
                    if let Some(storage) = &self.storage {
                        storage.save(change);
                    }
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    /// A link that does not take orders any more will report its end, or is stuck: dropping it ends it.
    fn order(&mut self, connection: ConnectionId, order: Order) {
        let Some(link) = self.links.get(&connection) else { return };
        if !link.order(order) {
            self.links.remove(&connection);
        }
    }

    fn ask_token(&mut self, reason: TokenReason) {
        // A question that the machine has given up is not waited for.
        self.asking.abort_all();
        self.asking = JoinSet::new();
        self.asking.spawn(ask(Arc::clone(&self.tokens), reason));
    }

    fn event(&mut self, event: Event) {
        match &event {
            Event::Answered { request, result } => {
                if let Some(reply) = self.calls.remove(request) {
                    // Whoever asked may have stopped waiting.
                    let _ = reply.send(result.clone());
                }
                return;
            }
            Event::StateChanged(change) => {
                tracing::info!(state = ?change.current, code = ?change.code, reason = change.reason, "connection");
                let leaving = !self.leaving.is_empty();
                let error = change.code.map(|code| ClientError::new(code, &change.reason));
                self.view.send_modify(|view| {
                    view.state = change.current;
                    view.leaving = leaving;
                    view.error = error;
                    view.endpoint.clone_from(&change.endpoint);
                    view.node.clone_from(&change.node);
                });
            }
            _ => {}
        }
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// Brings what can be read from outside up to date.
    fn show(&mut self) {
        let link = self.links.last_key_value().map(|(_, link)| link);
        let (rtt, transport) = (link.and_then(Link::rtt), link.and_then(Link::transport));
        let (me, epoch, leaving) = (self.machine.me(), self.machine.epoch(), !self.leaving.is_empty());
        let replicas = self.machine.replicas();
        self.view.send_if_modified(|view| {
            let changed = view.rtt != rtt
                || view.transport != transport
                || view.epoch != epoch
                || view.replicas != replicas
                || view.leaving != leaving
                || view.me.as_ref() != me;
            if changed {
                (view.rtt, view.epoch, view.leaving, view.me) = (rtt, epoch, leaving, me.cloned());
                (view.replicas, view.transport) = (replicas, transport);
            }
            changed
        });
    }
}

fn encode(command: &Command) -> bytes::Bytes {
    command.encode()
}

/// A clock that does not go back and began at the system's time.
struct Clock {
    began: Instant,
    began_ms: u64,
}

impl Clock {
    fn new() -> Self {
        // A clock before 1970 counts as 1970: message ids are corrected by the server's time anyway.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began: Instant::now(), began_ms: u64::try_from(unix.as_millis()).unwrap_or(0) }
    }

    fn now_ms(&self) -> u64 {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.began_ms.saturating_add(passed)
    }

    /// When the clock will show `at_ms`; one millisecond later, so that it has been reached.
    fn instant(&self, at_ms: u64) -> Instant {
        let wait = Duration::from_millis(at_ms.saturating_sub(self.began_ms));
        self.began.checked_add(wait).unwrap_or_else(|| self.began + Duration::from_secs(86_400))
    }
}

/// The code with which calls fail when the task is gone.
pub(super) fn ended() -> ClientError {
    ClientError::from_code(Code::CLOSED_BY_USER)
}

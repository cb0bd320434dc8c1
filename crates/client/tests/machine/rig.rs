//! The rig: one machine, one model server, a connection made of two queues that can be cut anywhere.

use crate::server::{Lanes, Server};
use duet_client::machine::{
    Config, ConnectionId, Event, Input, LaneId, LinkEvent, LinkTraits, Machine, NewMessage, Output, Persist,
    State, StateChange, Token, TokenReason,
};
use duet_protocol::{ClientMessageId, Code, Command, ConversationId, Delivery, DeviceId};
use std::collections::{BTreeMap, VecDeque};

pub(crate) const START_MS: u64 = 1_763_000_000_000;

pub(crate) struct Rig {
    pub(crate) machine: Machine,
    pub(crate) server: Server,
    pub(crate) now_ms: u64,
    pub(crate) reachable: bool,
    pub(crate) traits: LinkTraits,
    pub(crate) events: Vec<Event>,
    /// What an application that persists would hold.
    pub(crate) persisted: BTreeMap<ClientMessageId, duet_client::machine::OutboxEntry>,
    pub(crate) session: Option<duet_client::machine::SavedSession>,
    pub(crate) asked: Vec<TokenReason>,
    pub(crate) dialed: Vec<String>,
    /// All commands that the machine sent, with their lanes.
    pub(crate) sent: Vec<(LaneId, Command)>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) tokens: bool,
    link: Option<Link>,
}

struct Link {
    connection: ConnectionId,
    lanes: Lanes,
    up: VecDeque<(LaneId, Command)>,
    down: VecDeque<LinkEvent>,
}

impl Rig {
    pub(crate) fn new(seed: u8) -> Self {
        Self::with(|_| {}, seed)
    }

    pub(crate) fn with(change: impl FnOnce(&mut Config), seed: u8) -> Self {
        let device = DeviceId::parse("device").unwrap();
        let mut config = Config::new(vec!["a:1".into()], device, [seed; 16]);
        change(&mut config);
        Self {
            machine: Machine::new(config),
            server: Server::new(),
            now_ms: START_MS,
            reachable: true,
            traits: LinkTraits { datagrams: false, keep_alive: true },
            events: vec![],
            persisted: BTreeMap::new(),
            session: None,
            asked: vec![],
            dialed: vec![],
            sent: vec![],
            outputs: vec![],
            tokens: true,
            link: None,
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle(self.now_ms, input);
        self.take_outputs();
    }

    pub(crate) fn say(&mut self, id: ConversationId, text: &str) -> ClientMessageId {
        let message = self.machine.send(self.now_ms, id, NewMessage::text(text)).unwrap();
        self.take_outputs();
        message.id
    }

    /// Somebody else says something.
    pub(crate) fn hear(&mut self, id: ConversationId, text: &str) {
        let none = Lanes::default();
        let lanes = self.link.as_ref().map_or(&none, |link| &link.lanes);
        let deliveries = self.server.say(lanes, id, text);
        self.queue(deliveries);
    }

    pub(crate) fn queue(&mut self, deliveries: Vec<(LaneId, Delivery)>) {
        if let Some(link) = &mut self.link {
            link.down
                .extend(deliveries.into_iter().map(|(lane, delivery)| LinkEvent::Delivery(lane, delivery)));
        }
    }

    /// A delivery on the lane of a conversation, now.
    pub(crate) fn deliver_on(&mut self, id: ConversationId, delivery: Delivery) {
        let lane = self.lane_of(id);
        self.link_event(LinkEvent::Delivery(lane, delivery));
    }

    pub(crate) fn link_event(&mut self, event: LinkEvent) {
        if let Some(connection) = self.link.as_ref().map(|link| link.connection) {
            self.input(Input::Link(connection, event));
        }
    }

    pub(crate) fn lane_of(&self, id: ConversationId) -> LaneId {
        let lanes = &self.link.as_ref().expect("a link").lanes.0;
        lanes.iter().find(|(_, open)| **open == id).map(|(lane, _)| *lane).expect("a lane")
    }

    /// The lanes on which the server holds a conversation open.
    pub(crate) fn subscribed(&self, id: ConversationId) -> Vec<LaneId> {
        let lanes = self.link.iter().flat_map(|link| &link.lanes.0);
        lanes.filter(|(_, open)| **open == id).map(|(lane, _)| *lane).collect()
    }

    /// Lets at most so many frames travel each way.
    pub(crate) fn carry(&mut self, up: usize, down: usize) {
        for _ in 0..up {
            let Some(link) = &mut self.link else { return };
            let Some((lane, command)) = link.up.pop_front() else { break };
            self.server.now_ms = self.now_ms;
            let answers = self.server.take(&mut link.lanes, lane, command);
            self.queue(answers);
        }
        for _ in 0..down {
            let Some(event) = self.link.as_mut().and_then(|link| link.down.pop_front()) else { break };
            self.link_event(event);
        }
    }

    /// What the machine sent is lost on the way, or answered by the test itself.
    pub(crate) fn swallow(&mut self) {
        self.input(Input::Tick);
        if let Some(link) = &mut self.link {
            link.up.clear();
        }
    }

    /// The connection breaks: what has not travelled is gone.
    pub(crate) fn cut(&mut self) {
        self.close_with(Code::TRANSPORT_CLOSED);
    }

    pub(crate) fn close_with(&mut self, code: Code) {
        if let Some(link) = self.link.take() {
            let event = LinkEvent::Disconnected { code, reason: String::new() };
            self.input(Input::Link(link.connection, event));
        }
    }

    /// The lane of a conversation breaks.
    pub(crate) fn reset_lane(&mut self, id: ConversationId) {
        let Some(link) = &mut self.link else { return };
        let Some(lane) = link.lanes.0.iter().find(|(_, open)| **open == id).map(|(lane, _)| *lane) else {
            return;
        };
        link.lanes.0.remove(&lane);
        link.up.retain(|(on, _)| *on != lane);
        link.down.retain(|event| !matches!(event, LinkEvent::Delivery(on, _) if *on == lane));
        self.link_event(LinkEvent::LaneClosed(lane, None));
    }

    /// Time passes; what is due happens at its time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while let Some(at) = self.machine.next_deadline().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.input(Input::Tick);
        }
        self.now_ms = end;
    }

    /// Everything travels and time passes until nothing is left to do; panics when that takes two hours.
    pub(crate) fn heal(&mut self) {
        self.reachable = true;
        for _ in 0..7_200 {
            for _ in 0..50 {
                self.carry(usize::MAX, usize::MAX);
            }
            let waiting = self.machine.outbox().iter().any(|entry| entry.failed.is_none());
            if self.machine.state() == State::Connected && !waiting && self.is_quiet() {
                return self.pass(2_000);
            }
            self.pass(1_000);
        }
        panic!("it never came to rest: {:?}", self.machine.state());
    }

    pub(crate) fn online(&mut self) {
        self.input(Input::Connect);
        self.heal();
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.up.is_empty() && link.down.is_empty())
    }

    pub(crate) fn states(&self) -> Vec<StateChange> {
        let changes = self.events.iter().filter_map(|event| match event {
            Event::StateChanged(change) => Some(change.clone()),
            _ => None,
        });
        changes.collect()
    }

    /// The last message about the state.
    pub(crate) fn last_state(&self) -> StateChange {
        self.states().pop().expect("a change of state")
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            self.outputs.push(output.clone());
            self.take_output(output);
        }
    }

    fn take_output(&mut self, output: Output) {
        match output {
            Output::Connect { connection, endpoint } => {
                self.dialed.push(endpoint);
                let first = if self.reachable {
                    LinkEvent::Connected(self.traits)
                } else {
                    LinkEvent::Disconnected { code: Code::UNREACHABLE, reason: String::new() }
                };
                let (lanes, up) = (Lanes::default(), VecDeque::new());
                self.link = Some(Link { connection, lanes, up, down: VecDeque::from([first]) });
                if !self.reachable {
                    self.carry(0, 1);
                }
            }
            Output::Send { connection, lane, command } => {
                self.sent.push((lane, command.clone()));
                if let Some(link) = self.link.as_mut().filter(|link| link.connection == connection) {
                    link.up.push_back((lane, command));
                }
            }
            Output::FinishLane { lane, .. } => {
                if let Some(link) = &mut self.link {
                    link.lanes.0.remove(&lane);
                }
            }
            Output::Disconnect { connection, .. } => {
                self.link = self.link.take().filter(|link| link.connection != connection);
            }
            Output::NeedToken { reason } => {
                self.asked.push(reason);
                if self.tokens {
                    let token = Token(format!("token-{}", self.asked.len()));
                    self.machine.handle(self.now_ms, Input::Token(Ok(token)));
                }
            }
            Output::Persist(Persist::Put(entry)) => {
                self.persisted.insert(entry.id, entry);
            }
            Output::Persist(Persist::Remove(id)) => {
                self.persisted.remove(&id);
            }
            Output::Persist(Persist::Session(session)) => self.session = session,
            Output::Event(event) => self.events.push(event),
            Output::OpenLane { .. } | Output::Datagram { .. } | Output::Rebind { .. } => {}
        }
    }
}

pub(crate) fn conversation(n: u8) -> ConversationId {
    ConversationId([n; 16])
}

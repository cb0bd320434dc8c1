//! A client between two nodes: virtual time, a network in which each node can be up, gone, or swallowed, and one log
//! that both nodes hold. Every frame takes ten milliseconds.

use crate::{
    rig::START_MS,
    server::{Lanes, Server, message_id},
};
use duet_client::machine::{
    Config, ConnectionId, Event, From, Input, LaneId, LinkEvent, LinkTraits, Machine, NewMessage, Output,
    Persist, SavedSession, State, StateChange, Token,
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, DeviceId, DisplayName, Hello,
    delivery::{Closing, Draining},
};
use std::collections::BTreeMap;

pub(crate) const A: &str = "a:1";
pub(crate) const B: &str = "b:1";
const LATENCY_MS: u64 = 10;

/// What a node does with who comes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// It reigns.
    Primary,
    /// Another one reigns, perhaps this one.
    Standby(Option<&'static str>),
    /// It believes that it reigns, in this epoch.
    Stale(u64),
    /// Nobody listens: dials fail at once.
    Gone,
    /// What is sent to it vanishes.
    Swallowed,
    /// The carrier stands, and what is sent there waits until it is something else.
    Mute,
}

pub(crate) struct Pair {
    pub(crate) machine: Machine,
    /// The log and the sessions, which both nodes hold.
    pub(crate) server: Server,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) peers: Vec<String>,
    pub(crate) now_ms: u64,
    pub(crate) events: Vec<Event>,
    pub(crate) dialed: Vec<(u64, String)>,
    pub(crate) hellos: Vec<(u64, String, Hello)>,
    pub(crate) closed: Vec<(String, Code)>,
    pub(crate) session: Option<SavedSession>,
    /// How many answers to publishes are lost on the way.
    pub(crate) lose_answers: usize,
    links: BTreeMap<ConnectionId, Link>,
    queue: BTreeMap<(u64, u64), Travel>,
    order: u64,
}

struct Link {
    endpoint: String,
    lanes: Lanes,
    up: bool,
}

enum Travel {
    Up(ConnectionId, LaneId, Command),
    Down(ConnectionId, LinkEvent),
}

impl Pair {
    /// A client of `endpoints`, node A reigning and B following.
    pub(crate) fn new(seed: u8, endpoints: &[&str]) -> Self {
        let device = DeviceId::parse("device").unwrap();
        let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
        let nodes = [(A.to_owned(), Node::Primary), (B.to_owned(), Node::Standby(Some(A)))];
        Self {
            machine: Machine::new(Config::new(endpoints, device, [seed; 16])),
            server: Server::new(),
            nodes: BTreeMap::from(nodes),
            peers: vec![],
            now_ms: START_MS,
            events: vec![],
            dialed: vec![],
            hellos: vec![],
            closed: vec![],
            session: None,
            lose_answers: 0,
            links: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
        }
    }

    /// The same, connected and showing `room`.
    pub(crate) fn showing(seed: u8, room: ConversationId) -> Self {
        let mut pair = Self::new(seed, &[A, B]);
        pair.input(Input::Connect);
        pair.input(Input::Subscribe(room, From::Default));
        pair.pass(1_000);
        assert_eq!((pair.machine.state(), pair.here()), (State::Connected, Some(A.to_owned())));
        pair
    }

    pub(crate) fn set(&mut self, node: &str, to: Node) {
        self.nodes.insert(node.to_owned(), to);
    }

    /// B reigns from now on, in the next epoch.
    pub(crate) fn promote_b(&mut self) {
        self.server.epoch += 1;
        self.set(B, Node::Primary);
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.machine.handle(self.now_ms, input);
        self.take_outputs();
    }

    pub(crate) fn say(&mut self, room: ConversationId, text: &str) -> ClientMessageId {
        let message = self.machine.send(self.now_ms, room, NewMessage::text(text)).unwrap();
        self.take_outputs();
        message.id
    }

    /// The reigning node tells the client something on lane 0.
    pub(crate) fn tell(&mut self, delivery: Delivery) {
        let link = self.links.iter().find(|(_, link)| Some(&link.endpoint) == self.here().as_ref());
        let connection = *link.expect("a connection").0;
        self.down(connection, LinkEvent::Delivery(LaneId::CONTROL, delivery));
    }

    /// The node of the connection in use ends it with this code.
    pub(crate) fn close(&mut self, code: Code, endpoint: Option<&str>) {
        let endpoint = endpoint.map(str::to_owned);
        let closing = Closing { code, reason: String::new(), retry_after_ms: 0, endpoint };
        self.tell(Delivery::Closing(closing));
    }

    pub(crate) fn drain(&mut self, endpoint: Option<&str>) {
        let endpoint = endpoint.map(str::to_owned);
        self.tell(Delivery::Draining(Draining { move_after_ms: 50, deadline_ms: 5_000, endpoint }));
    }

    /// Every connection breaks, and the client hears of it.
    pub(crate) fn cut(&mut self) {
        for connection in self.links.keys().copied().collect::<Vec<_>>() {
            self.lost(connection, Code::TRANSPORT_CLOSED);
        }
    }

    /// Time passes; what is due happens at its time.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            let travel = self.queue.first_key_value().map(|(at, _)| at.0);
            let deadline = self.machine.next_deadline();
            let Some(at) = travel.into_iter().chain(deadline).min().filter(|at| *at <= end) else { break };
            self.now_ms = self.now_ms.max(at);
            if travel == Some(at) {
                let (_, travel) = self.queue.pop_first().unwrap();
                self.arrive(travel);
            } else {
                self.input(Input::Tick);
            }
        }
        self.now_ms = end;
    }

    /// Lets time pass until `done`; how long that took.
    pub(crate) fn until(&mut self, at_most_ms: u64, done: impl Fn(&Self) -> bool) -> u64 {
        let begun = self.now_ms;
        while !done(self) {
            assert!(
                self.now_ms < begun + at_most_ms,
                "not within {at_most_ms} ms: {:?}",
                self.states().last()
            );
            self.pass(5);
        }
        self.now_ms - begun
    }

    pub(crate) fn states(&self) -> Vec<StateChange> {
        let changes = self.events.iter().filter_map(|event| match event {
            Event::StateChanged(change) => Some(change.clone()),
            _ => None,
        });
        changes.collect()
    }

    /// Where the session is.
    pub(crate) fn here(&self) -> Option<String> {
        self.states().pop().and_then(|change| change.endpoint)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.events.iter().map(Event::name).collect()
    }

    /// The messages that the application was shown, in order.
    pub(crate) fn shown(&self) -> Vec<ClientMessageId> {
        let shown = self.events.iter().filter_map(|event| match event {
            Event::MessageCreated { message, .. } => Some(message.id),
            _ => None,
        });
        shown.collect()
    }

    /// The messages of the log, in order.
    pub(crate) fn logged(&self, room: ConversationId) -> Vec<ClientMessageId> {
        let log = self.server.logs.get(&room).into_iter().flatten();
        log.filter(|event| event.kind == 1).map(message_id).collect()
    }

    fn node(&self, endpoint: &str) -> Node {
        self.nodes.get(endpoint).cloned().unwrap_or(Node::Gone)
    }

    fn travel(&mut self, travel: Travel) {
        self.order += 1;
        self.queue.insert((self.now_ms + LATENCY_MS, self.order), travel);
    }

    fn down(&mut self, connection: ConnectionId, event: LinkEvent) {
        self.travel(Travel::Down(connection, event));
    }

    fn lost(&mut self, connection: ConnectionId, code: Code) {
        if self.links.remove(&connection).is_some() {
            let event = LinkEvent::Disconnected { code, reason: String::new() };
            self.input(Input::Link(connection, event));
        }
    }

    fn arrive(&mut self, travel: Travel) {
        match travel {
            Travel::Down(connection, event) => {
                let Some(link) = self.links.get_mut(&connection) else { return };
                link.up = true;
                let over = matches!(event, LinkEvent::Disconnected { .. });
                self.input(Input::Link(connection, event));
                if over {
                    self.links.remove(&connection);
                }
            }
            Travel::Up(connection, lane, command) => {
                let Some(link) = self.links.get(&connection) else { return };
                let endpoint = link.endpoint.clone();
                match self.node(&endpoint) {
                    Node::Primary => self.reign(connection, lane, command, None),
                    Node::Stale(epoch) => self.reign(connection, lane, command, Some(epoch)),
                    Node::Standby(named) => self.refuse(connection, named),
                    Node::Mute => self.travel(Travel::Up(connection, lane, command)),
                    Node::Gone | Node::Swallowed => {}
                }
            }
        }
    }

    fn refuse(&mut self, connection: ConnectionId, named: Option<&str>) {
        let endpoint = named.map(str::to_owned);
        let closing = Closing { code: Code::NOT_PRIMARY, reason: String::new(), retry_after_ms: 0, endpoint };
        self.down(connection, LinkEvent::Delivery(LaneId::CONTROL, Delivery::Closing(closing)));
    }

    fn reign(&mut self, connection: ConnectionId, lane: LaneId, command: Command, stale: Option<u64>) {
        let link = self.links.get_mut(&connection).unwrap();
        if let Command::Hello(hello) = &command {
            self.hellos.push((self.now_ms, link.endpoint.clone(), hello.clone()));
        }
        self.server.now_ms = self.now_ms;
        let answers = self.server.take(&mut link.lanes, lane, command);
        let node = DisplayName::parse(&format!("node-{}", &link.endpoint[..1])).unwrap();
        for (lane, mut answer) in answers {
            match &mut answer {
                Delivery::Welcome(welcome) => {
                    welcome.node = node.clone();
                    welcome.peers = self.peers.clone();
                    welcome.epoch = stale.unwrap_or(welcome.epoch);
                }
                Delivery::Published(_) | Delivery::Event(_) if self.lose_answers > 0 => {
                    self.lose_answers -= 1;
                    continue;
                }
                _ => {}
            }
            self.down(connection, LinkEvent::Delivery(lane, answer));
        }
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Connect { connection, endpoint } => self.dial(connection, endpoint),
                Output::Send { connection, lane, command } => {
                    self.travel(Travel::Up(connection, lane, command));
                }
                Output::FinishLane { connection, lane } => {
                    if let Some(link) = self.links.get_mut(&connection) {
                        link.lanes.0.remove(&lane);
                    }
                }
                Output::Disconnect { connection, code } => {
                    if let Some(link) = self.links.remove(&connection) {
                        self.closed.push((link.endpoint, code));
                    }
                }
                Output::NeedToken { .. } => {
                    self.machine.handle(self.now_ms, Input::Token(Ok(Token("token".into()))));
                }
                Output::Persist(Persist::Session(session)) => self.session = session,
                Output::Event(event) => self.events.push(event),
                Output::Persist(_)
                | Output::OpenLane { .. }
                | Output::Datagram { .. }
                | Output::Rebind { .. } => {}
            }
        }
    }

    fn dial(&mut self, connection: ConnectionId, endpoint: String) {
        self.dialed.push((self.now_ms, endpoint.clone()));
        let node = self.node(&endpoint);
        self.links.insert(connection, Link { endpoint, lanes: Lanes::default(), up: false });
        match node {
            Node::Swallowed => {}
            Node::Gone => {
                let event = LinkEvent::Disconnected { code: Code::UNREACHABLE, reason: String::new() };
                self.down(connection, event);
            }
            _ => {
                let traits = LinkTraits { datagrams: false, keep_alive: true };
                self.down(connection, LinkEvent::Connected(traits));
            }
        }
    }
}

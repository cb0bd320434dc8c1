//! The client's machine against any server and any application.
//!
//! The input is a script: one byte chooses what happens next, the following ones fill in its numbers. Some steps are
//! well-formed (a welcome, an event with a small number), so that a short script gets deep; others carry raw frames.

use crate::script::Script;
use duet_client::machine::{
    Call, Config, ConnectionId, Event, From, Input, LaneId, LinkEvent, LinkTraits, Machine, NewMessage,
    Output, Token, TokenError,
};
use duet_protocol::command::{Durability, Page};
use duet_protocol::delivery::{CaughtUp, ConversationKind, Opened, Published, Status, Unsubscribed};
use duet_protocol::event::{Content, Message};
use duet_protocol::hello::Role;
use duet_protocol::{
    ClientMessageId, Code, ConversationId, Delivery, DeviceId, DisplayName, EventBody, Frame, Limits,
    Position, Resumed, SessionId, TenantName, UserId, Welcome,
};
use std::collections::BTreeSet;

const START_MS: u64 = 1_763_000_000_000;
const OUTPUTS_MAX: usize = 5_000;
const OUTBOX_MAX: usize = 8;
const ROUNDS_MAX: usize = 20;

/// Whatever the server says: the machine ends every call, does not spin on a deadline, speaks only on connections and
/// lanes that it holds, and tells a message once.
pub fn client(input: &[u8]) {
    let Some(mut world) = World::new() else { return };
    let mut script = Script::new(input);
    while let Some(step) = script.byte() {
        world.step(step, &mut script);
    }
}

struct World {
    machine: Machine,
    now_ms: u64,
    /// Of which the next facts tell; during a move there are two.
    connection: ConnectionId,
    other: ConnectionId,
    newest: ConnectionId,
    lanes: BTreeSet<(ConnectionId, LaneId)>,
    ended: BTreeSet<ConnectionId>,
    told: BTreeSet<(ConversationId, u64)>,
}

impl World {
    fn new() -> Option<Self> {
        let device = DeviceId::parse("fuzz").ok()?;
        let mut config = Config::new(vec!["a:1".into(), "b:1".into()], device, [7; 16]);
        config.outbox_messages_max = OUTBOX_MAX;
        config.publishes_in_flight = 2;
        Some(Self {
            machine: Machine::new(config),
            now_ms: START_MS,
            connection: ConnectionId(0),
            other: ConnectionId(0),
            newest: ConnectionId(0),
            lanes: BTreeSet::new(),
            ended: BTreeSet::new(),
            told: BTreeSet::new(),
        })
    }

    fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step % 25 {
            0 => self.pass(script.small() * 10),
            1 => self.pass(script.small() * 10_000),
            2 => self.handle(Input::Connect),
            3 => self.handle(Input::Close),
            4 => self.handle(Input::NetworkChanged),
            5 => self.handle(Input::Token(Ok(Token("fuzz".into())))),
            6 => self.handle(Input::Token(Err(TokenError::Unavailable("later".into())))),
            7 => self.connected(script.small()),
            8 => self.link(LinkEvent::Disconnected { code: code(script), reason: String::new() }),
            9 => self.frame(script),
            10 => self.link(LinkEvent::Datagram(script.bytes())),
            11 => self.link(LinkEvent::LaneClosed(lane(script), Some(code(script)))),
            12 => self.link(LinkEvent::LaneClosed(lane(script), None)),
            13 => self.welcome(script),
            14 => self.opened(script),
            15 => self.event(script),
            16 => self.deliver(script, |script| Delivery::CaughtUp(CaughtUp { seq: script.number() })),
            17 => self.published(script),
            18 => self.deliver(script, |script| {
                Delivery::Unsubscribed(Unsubscribed { code: code(script), reason: String::new() })
            }),
            19 => self.subscribe(script),
            20 => self.send(script),
            21 => self.handle(Input::MarkRead(conversation(script), script.number())),
            22 => self.handle(Input::Keystroke(conversation(script))),
            23 => self.call(script),
            _ => std::mem::swap(&mut self.connection, &mut self.other),
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.handle(Input::Tick);
    }

    fn link(&mut self, event: LinkEvent) {
        self.handle(Input::Link(self.connection, event));
    }

    fn connected(&mut self, traits: u64) {
        let traits = LinkTraits { datagrams: traits & 1 == 1, keep_alive: traits & 2 == 2 };
        self.link(LinkEvent::Connected(traits));
    }

    fn frame(&mut self, script: &mut Script<'_>) {
        let (lane, kind, body) = (lane(script), script.byte().unwrap_or(0), script.bytes());
        self.link(LinkEvent::Frame(lane, Frame { kind, body }));
    }

    fn deliver(&mut self, script: &mut Script<'_>, delivery: impl FnOnce(&mut Script<'_>) -> Delivery) {
        let lane = lane(script);
        let delivery = delivery(script);
        self.link(LinkEvent::Delivery(lane, delivery));
    }

    fn welcome(&mut self, script: &mut Script<'_>) {
        let (Ok(tenant), Ok(user)) = (TenantName::parse("demo"), UserId::parse("alice")) else { return };
        let Ok(name) = DisplayName::parse("Alice") else { return };
        let welcome = Welcome {
            version: 1,
            session: SessionId([1; 16]),
            resume: vec![1],
            resumed: [Resumed::New, Resumed::Full, Resumed::None][script.small() as usize % 3],
            tenant,
            user,
            name: name.clone(),
            role: Role::Agent,
            node: name,
            epoch: script.number(),
            peers: vec!["c:1".into()],
            server_time_ms: START_MS.wrapping_add(script.number()),
            token_expires_ms: script.number().wrapping_mul(1_000) % (1 << 50),
            capabilities: script.number(),
            limits: Limits {
                message_bytes_max: 1_000,
                lanes_max: script.small() as u32,
                streams_max: script.small() as u32 % 4,
                ping_every_ms: script.number() as u32,
                idle_timeout_ms: script.number() as u32,
                presence_grace_ms: 30_000,
                resume_window_ms: script.number() as u32,
                dedup_window_ms: script.number() as u32,
                typing_ttl_ms: script.number() as u32,
            },
        };
        self.link(LinkEvent::Delivery(LaneId::CONTROL, Delivery::Welcome(welcome)));
    }

    fn opened(&mut self, script: &mut Script<'_>) {
        self.deliver(script, |script| {
            Delivery::Opened(Opened {
                conversation: conversation(script),
                kind: ConversationKind::Group,
                status: Status::Active,
                subject: None,
                assignee: None,
                head: position(script),
                first_seq: script.number(),
                after: script.number(),
                complete: script.small() % 2 == 0,
                members: Vec::new(),
                member_count: 2,
            })
        });
    }

    fn event(&mut self, script: &mut Script<'_>) {
        self.deliver(script, |script| {
            let seq = script.number();
            let id = ClientMessageId::new(START_MS, [script.small() as u8; 10]);
            let message = Message { id, content: Content::text("hello"), reply_to: None };
            let (kind, body) = EventBody::Message(message).encode();
            let author =
                ["alice", "bob"].get(script.small() as usize % 3).and_then(|name| UserId::parse(name).ok());
            Delivery::Event(duet_protocol::Event { seq, at_ms: script.number(), author, kind, body })
        });
    }

    /// Answers one of the messages that wait, or one that never was.
    fn published(&mut self, script: &mut Script<'_>) {
        let waiting = self.machine.outbox();
        let id = waiting
            .get(script.small() as usize % 8)
            .map_or_else(|| ClientMessageId::new(START_MS, [9; 10]), |entry| entry.id);
        self.deliver(script, |script| {
            Delivery::Published(Published {
                id,
                seq: script.number(),
                at_ms: script.number(),
                durability: Durability::Accepted,
                replicas: script.small() as u8,
                duplicate: script.small() % 2 == 0,
            })
        });
    }

    fn subscribe(&mut self, script: &mut Script<'_>) {
        let conversation = conversation(script);
        let from = match script.small() % 4 {
            0 => From::Default,
            1 => From::Latest(script.small() as u16),
            2 => From::After(position(script)),
            _ => return self.unsubscribe(conversation),
        };
        self.forget(Some(conversation));
        self.handle(Input::Subscribe(conversation, from));
    }

    fn unsubscribe(&mut self, conversation: ConversationId) {
        self.forget(Some(conversation));
        self.handle(Input::Unsubscribe(conversation));
    }

    fn send(&mut self, script: &mut Script<'_>) {
        let sent = self.machine.send(self.now_ms, conversation(script), NewMessage::text("hello"));
        if let Ok(message) = sent {
            assert!(self.machine.outbox().iter().any(|entry| entry.id == message.id), "an echo of nothing");
        }
        self.settle();
    }

    fn call(&mut self, script: &mut Script<'_>) {
        let conversation = conversation(script);
        let call = match script.small() % 4 {
            0 => Call::WatchInbox(true),
            1 => Call::History(conversation, Page::Before(script.number()), script.small() as u16),
            2 => Call::SetStatus(conversation, Status::Closed),
            _ => Call::CreateConversation {
                conversation,
                kind: ConversationKind::Group,
                subject: None,
                members: Vec::new(),
            },
        };
        self.machine.call(self.now_ms, call);
        self.settle();
    }

    fn handle(&mut self, input: Input) {
        self.machine.handle(self.now_ms, input);
        self.settle();
    }

    /// Takes what the machine wants and judges it; lets what is due at this moment happen, which must come to an end.
    fn settle(&mut self) {
        for round in 0.. {
            self.take();
            if self.machine.next_deadline().is_none_or(|deadline| deadline > self.now_ms) {
                break;
            }
            assert!(
                round < ROUNDS_MAX,
                "a deadline that is reached again and again: whoever drives this spins"
            );
            self.machine.handle(self.now_ms, Input::Tick);
        }
        assert!(self.machine.outbox().len() <= OUTBOX_MAX, "the outbox outgrew its bound");
    }

    fn take(&mut self) {
        for count in 0.. {
            let Some(output) = self.machine.poll_output() else { break };
            assert!(count < OUTPUTS_MAX, "outputs without end");
            self.judge(output);
        }
    }

    fn judge(&mut self, output: Output) {
        match output {
            Output::Connect { connection, .. } => {
                assert!(connection > self.newest || self.newest.0 == 0, "a connection's name was used twice");
                (self.other, self.connection, self.newest) = (self.connection, connection, connection);
                self.lanes.insert((connection, LaneId::CONTROL));
            }
            Output::OpenLane { connection, lane, .. } => {
                self.open(connection);
                assert!(self.lanes.insert((connection, lane)), "a lane was opened twice");
            }
            Output::Send { connection, lane, .. } => {
                self.open(connection);
                assert!(
                    self.lanes.contains(&(connection, lane)),
                    "something was said on a lane that is not open"
                );
            }
            Output::FinishLane { connection, lane } => {
                assert!(self.lanes.remove(&(connection, lane)), "a lane was finished that is not open");
            }
            Output::Datagram { connection, .. } | Output::Rebind { connection } => self.open(connection),
            Output::Disconnect { connection, .. } => {
                self.ended.insert(connection);
            }
            Output::Event(Event::MessageCreated { message, .. }) => {
                if let Some(seq) = message.seq {
                    assert!(self.told.insert((message.conversation, seq)), "a message was told twice");
                }
            }
            Output::Event(Event::Discontinuity { conversation, .. }) => self.forget(conversation),
            Output::NeedToken { .. } | Output::Persist(_) | Output::Event(_) => {}
        }
    }

    fn open(&self, connection: ConnectionId) {
        assert!(!self.ended.contains(&connection), "an order for a connection that was ended");
    }

    fn forget(&mut self, conversation: Option<ConversationId>) {
        self.told.retain(|(told, _)| conversation.is_some_and(|gone| gone != *told));
    }
}

fn conversation(script: &mut Script<'_>) -> ConversationId {
    ConversationId([script.small() as u8 % 3; 16])
}

fn lane(script: &mut Script<'_>) -> LaneId {
    LaneId(script.small() as u32 % 6)
}

fn position(script: &mut Script<'_>) -> Position {
    Position { epoch: script.number(), seq: script.number() }
}

/// One of the known codes, or one of nobody's.
fn code(script: &mut Script<'_>) -> Code {
    let chosen = script.small() as usize;
    Code::ALL.get(chosen).map_or(Code(chosen as u16 * 16), |(number, ..)| Code(*number))
}

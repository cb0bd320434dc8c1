//! The core against any clients, any disk and any order of the world's answers. What it wants done is carried out and
//! judged in [`crate::ledger`].

use crate::ledger::Ledger;
use crate::script::Script;
use duet::core::{ConnectionId, Core, CoreConfig, Identity, Input, Lane, ReadFailed, State};
use duet_protocol::command::{
    AddMembers, Assign, Close, CreateConversation, Durability, Goodbye, HistoryRequest, Open, Page, Ping,
    Publish, Receipt, RemoveMember, SetAvailability, SetStatus, Start, WatchInbox, WatchPresence,
};
use duet_protocol::delivery::{Availability, ConversationKind, Status};
use duet_protocol::event::Content;
use duet_protocol::hello::Role;
use duet_protocol::signal::{IdleSignal, TypingSignal};
use duet_protocol::{
    ClientMessageId, Command, ConversationId, DeviceId, DisplayName, Frame, Hello, Position, TenantName,
    UserId,
};

const START_MS: u64 = 1_763_000_000_000;
const ROUNDS_MAX: usize = 20;
const PEOPLE: [(&str, &str, Role); 5] = [
    ("demo", "alice", Role::Agent),
    ("demo", "bob", Role::Visitor),
    ("demo", "carol", Role::Supervisor),
    ("demo", "dora", Role::Service),
    ("other", "alice", Role::Agent),
];

/// Whatever clients and disk do: nothing is released before it is durable, nothing crosses tenants, every subscription
/// is fed without gaps, and the log folds to the same state again, also when its end was lost.
pub fn operations(input: &[u8]) {
    let Some(mut world) = World::new() else { return };
    let mut script = Script::new(input);
    while let Some(step) = script.byte() {
        if world.step(step, &mut script).is_none() {
            return;
        }
    }
    world.ledger.folds_to(world.core.state(), &config());
}

struct World {
    core: Core,
    ledger: Ledger,
    now_ms: u64,
    connections: u64,
    entropy: u8,
}

/// Small numbers, so that short scripts reach the limits.
fn config() -> CoreConfig {
    CoreConfig {
        dedup_entries_max: 4,
        user_sessions_max: 2,
        members_max: 3,
        user_conversations_max: 2,
        checkpoint_every: 8,
        in_flight_max: 6,
        ..CoreConfig::default()
    }
}

impl World {
    fn new() -> Option<Self> {
        let core = Core::restore(config(), State::default(), []).ok()?;
        let mut world =
            Self { core, ledger: Ledger::default(), now_ms: START_MS, connections: 0, entropy: 0 };
        world.begin()?;
        Some(world)
    }

    fn begin(&mut self) -> Option<()> {
        self.core.start(self.now_ms, &[TenantName::parse("demo").ok()?, TenantName::parse("other").ok()?]);
        self.settle();
        Some(())
    }

    /// `None` ends the script.
    fn step(&mut self, step: u8, script: &mut Script<'_>) -> Option<()> {
        match step % 16 {
            0 => self.now_ms += script.small() * 10,
            1 => self.now_ms += script.small() * 100_000,
            2 => self.hello(script)?,
            3 => self.handle(Input::Disconnected { connection: connection(script) }),
            4 => self.handle(Input::LaneClosed { connection: connection(script), lane: lane(script) }),
            5 => self.persist(script.small()),
            6 => self.read(script),
            7 => self.ledger.fill(connection(script)),
            8 => self.drain(connection(script)),
            9 => self.handle(Input::ReadOnly(script.small() % 2 == 1)),
            10 => self.crash(script.small())?,
            11 => self.raw(script),
            _ => {
                let (connection, lane) = (connection(script), lane(script));
                let command = command(script)?;
                self.handle(Input::Command { connection, lane, command });
            }
        }
        self.handle(Input::Tick);
        Some(())
    }

    fn hello(&mut self, script: &mut Script<'_>) -> Option<()> {
        self.connections += 1;
        self.entropy = self.entropy.wrapping_add(1);
        let connection = ConnectionId(self.connections);
        let (tenant, user, role) = script.pick(&PEOPLE);
        let identity = Identity {
            tenant: TenantName::parse(tenant).ok()?,
            user: UserId::parse(user).ok()?,
            name: DisplayName::parse(user).ok()?,
            role,
            expires_ms: script.pick(&[0, 0, 0, self.now_ms + 1_000]),
            made_ms: self.now_ms,
            token: None,
        };
        let hello = Hello {
            versions: vec![script.pick(&[1, 1, 1, 1, 9])],
            token: None,
            resume: self.ledger.resume_token(script.small()),
            device: DeviceId::parse("fuzz").ok()?,
            sdk: DisplayName::parse("fuzz").ok()?,
            epoch_seen: script.pick(&[0, 0, 0, 1, 9]),
            capabilities: script.small(),
        };
        let identity = script.pick(&[Some(identity), None]);
        self.handle(Input::Hello { connection, identity, hello, entropy: [self.entropy; 48] });
        Some(())
    }

    /// Some of what waits for the disk is on it.
    fn persist(&mut self, entries: u64) {
        let upto = self.ledger.persist(entries);
        self.handle(Input::Persisted { upto });
    }

    fn read(&mut self, script: &mut Script<'_>) {
        let Some((read, found)) = self.ledger.next_read() else { return };
        let result = if script.small() % 8 == 7 { Err(ReadFailed) } else { Ok(found) };
        self.handle(Input::EventsRead { read, result });
    }

    fn drain(&mut self, connection: ConnectionId) {
        if self.ledger.drain(connection) {
            self.handle(Input::Writable { connection });
        }
    }

    /// The process dies: what was not on the disk is gone, and so are the connections.
    fn crash(&mut self, kept: u64) -> Option<()> {
        let (state, tail) = self.ledger.crash(kept);
        self.core = match Core::restore(config(), state, tail) {
            Ok(core) => core,
            Err(error) => panic!("the core cannot read its own log: {error}"),
        };
        self.begin()
    }

    /// Whatever a client may write.
    fn raw(&mut self, script: &mut Script<'_>) {
        let (connection, lane) = (connection(script), lane(script));
        let frame = Frame { kind: script.byte().unwrap_or(0), body: script.bytes() };
        if let Ok(Some(command)) = Command::decode(&frame) {
            self.handle(Input::Command { connection, lane, command });
        }
    }

    fn handle(&mut self, input: Input) {
        self.core.handle(self.now_ms, input);
        self.settle();
    }

    /// Carries out what the core wants; lets what is due at this moment happen, which must come to an end.
    fn settle(&mut self) {
        for round in 0.. {
            while let Some(effect) = self.core.poll_effect() {
                if let Some(input) = self.ledger.carry_out(effect) {
                    self.core.handle(self.now_ms, input);
                }
            }
            let now_ms = self.now_ms.max(self.core.state().tip.at_ms);
            if self.core.next_deadline().is_none_or(|deadline| deadline > now_ms) {
                break;
            }
            assert!(round < ROUNDS_MAX, "a deadline that is reached again and again: the driver would spin");
            self.core.handle(self.now_ms, Input::Tick);
        }
    }
}

fn connection(script: &mut Script<'_>) -> ConnectionId {
    ConnectionId(script.small() % 8)
}

fn lane(script: &mut Script<'_>) -> Lane {
    Lane(script.small() as u32 % 4)
}

fn conversation(script: &mut Script<'_>) -> ConversationId {
    ConversationId(ClientMessageId::new(START_MS, [script.small() as u8 % 3; 10]).0)
}

fn user(script: &mut Script<'_>) -> Option<UserId> {
    UserId::parse(script.pick(&["alice", "bob", "carol", "nobody"])).ok()
}

fn command(script: &mut Script<'_>) -> Option<Command> {
    let request = script.small() as u32;
    let statuses = [Status::Queued, Status::Active, Status::Resolved, Status::Closed];
    let availabilities =
        [Availability::Online, Availability::Busy, Availability::Away, Availability::Offline];
    Some(match script.small() % 20 {
        0 => Command::Ping(Ping { nonce: script.number() }),
        1 => {
            Command::SetAvailability(SetAvailability { request, availability: script.pick(&availabilities) })
        }
        2 => Command::WatchPresence(WatchPresence { request, users: vec![user(script)?] }),
        3 => Command::WatchInbox(WatchInbox { request, on: script.small() % 4 != 3 }),
        4 | 5 => Command::CreateConversation(CreateConversation {
            request,
            conversation: conversation(script),
            kind: script.pick(&[
                ConversationKind::Direct,
                ConversationKind::Group,
                ConversationKind::Support,
            ]),
            subject: None,
            members: {
                let members = [user(script)?, user(script)?];
                members[..script.pick(&[0, 1, 2])].to_vec()
            },
        }),
        6 => Command::AddMembers(AddMembers {
            request,
            conversation: conversation(script),
            users: vec![user(script)?],
        }),
        7 => Command::RemoveMember(RemoveMember {
            request,
            conversation: conversation(script),
            user: user(script)?,
        }),
        8 => {
            let named = user(script);
            let agent = script.pick(&[None, named]);
            Command::Assign(Assign { request, conversation: conversation(script), agent })
        }
        9 => Command::SetStatus(SetStatus {
            request,
            conversation: conversation(script),
            status: script.pick(&statuses),
        }),
        10 => Command::Goodbye(Goodbye {}),
        11 | 12 => {
            let start = match script.small() % 2 {
                0 => Start::Latest(script.number() as u16),
                _ => Start::After(Position { epoch: script.number(), seq: script.number() }),
            };
            Command::Open(Open { conversation: conversation(script), start })
        }
        13..=15 => Command::Publish(publish(script)),
        16 => Command::Receipt(Receipt { received: script.number(), read: script.number() }),
        17 => Command::Close(Close {}),
        18 => Command::HistoryRequest(HistoryRequest {
            request,
            conversation: conversation(script),
            page: script.pick(&[
                Page::Before(u64::MAX),
                Page::Before(3),
                Page::After(0),
                Page::After(u64::MAX),
            ]),
            limit: script.number() as u16,
        }),
        _ => match script.small() % 2 {
            0 => Command::Typing(TypingSignal {
                conversation: conversation(script),
                version: script.number(),
                active: script.small() % 2 == 0,
            }),
            _ => Command::Idle(IdleSignal { version: script.number(), idle: script.small() % 2 == 0 }),
        },
    })
}

/// Few ids and few texts, so that repetitions, true and false, are common.
fn publish(script: &mut Script<'_>) -> Publish {
    let stamp_ms = START_MS + script.pick(&[0, 0, 0, 1_000, 90_000_000]);
    Publish {
        id: ClientMessageId::new(stamp_ms, [script.small() as u8 % 8; 10]),
        content: Content::text(script.pick(&["hello", "goodbye", ""])),
        reply_to: script.pick(&[None, None, Some(1), Some(u64::MAX)]),
        durability: script.pick(&[
            Durability::Accepted,
            Durability::Accepted,
            Durability::Ephemeral,
            Durability::Mirrored,
        ]),
    }
}

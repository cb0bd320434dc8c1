//! A core under test: one tenant, a clock that the test moves, and a disk that is as fast as thought until it is full.

use super::{Append, ConnectionId, Core, CoreConfig, Effect, EventRow, Identity, Input, Lane, State};
use duet_protocol::{
    ClientMessageId, Command, ConversationId, Delivery, DeviceId, DisplayName, FrameDecoder, Hello,
    TenantName, UserId, Welcome,
    command::{CreateConversation, Durability, Open, Publish, Start},
    delivery::ConversationKind,
    event::Content,
    hello::Role,
};

pub(super) const NOW_MS: u64 = 1_800_000_000_000;
pub(super) const CONVERSATION: ConversationId = ConversationId([7; 16]);
pub(super) const VISITOR: ConnectionId = ConnectionId(1);
pub(super) const AGENT: ConnectionId = ConnectionId(2);

/// A core, its clock, and what it stored.
pub(super) struct Node {
    pub(super) core: Core,
    pub(super) now_ms: u64,
    pub(super) rows: Vec<EventRow>,
    /// Entries in the order of the log, on the disk or on their way.
    pub(super) log: Vec<bytes::Bytes>,
    /// Nothing reaches the disk while this is set.
    pub(super) full: bool,
    /// Whether reads of events are answered.
    pub(super) serves_reads: bool,
    /// The rows of checkpoints.
    pub(super) checkpoint: std::collections::BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Message ids that were given out.
    pub(super) ids: u64,
}

impl Node {
    /// A node without users.
    pub(super) fn new() -> Self {
        Self::with(CoreConfig::default(), Vec::new())
    }

    /// A node that starts on a log.
    pub(super) fn with(config: CoreConfig, log: Vec<bytes::Bytes>) -> Self {
        let core = Core::restore(config, State::default(), log.clone()).expect("a good log");
        let mut node = Self::around(core);
        node.log = log;
        node.core.start(NOW_MS, &[TenantName::parse("acme").expect("a name")]);
        node.settle();
        node
    }

    /// A node that has done nothing yet.
    pub(super) fn around(core: Core) -> Self {
        let (rows, log, checkpoint) = (Vec::new(), Vec::new(), std::collections::BTreeMap::new());
        Self { core, now_ms: NOW_MS, rows, log, full: false, serves_reads: false, checkpoint, ids: 0 }
    }

    /// A visitor with a support conversation, and an agent.
    pub(super) fn with_a_conversation() -> Self {
        let mut node = Self::new();
        node.hello(VISITOR, "vera", Role::Visitor);
        node.hello(AGENT, "adam", Role::Agent);
        node.create(VISITOR, CONVERSATION, ConversationKind::Support, &[]);
        node
    }

    pub(super) fn hello(&mut self, connection: ConnectionId, user: &str, role: Role) -> Vec<Effect> {
        self.greet(connection, Some(identity(user, role, 0)), None, "device")
    }

    /// A hello with a resume token or without, from this device.
    pub(super) fn greet(
        &mut self,
        connection: ConnectionId,
        identity: Option<Identity>,
        resume: Option<Vec<u8>>,
        device: &str,
    ) -> Vec<Effect> {
        let hello = Hello {
            versions: vec![1],
            token: None,
            resume,
            device: DeviceId::parse(device).expect("a name"),
            sdk: DisplayName::parse("test").expect("a name"),
            epoch_seen: 0,
            capabilities: 0,
        };
        let mut entropy = [0; 48];
        entropy[..8].copy_from_slice(&connection.0.to_be_bytes());
        self.tell(Input::Hello { connection, identity, hello, entropy })
    }

    pub(super) fn create(
        &mut self,
        connection: ConnectionId,
        conversation: ConversationId,
        kind: ConversationKind,
        members: &[&str],
    ) -> Vec<Effect> {
        let members = members.iter().map(|user| UserId::parse(user).expect("a name")).collect();
        let create = CreateConversation { request: 1, conversation, kind, subject: None, members };
        self.say(connection, Lane::CONTROL, Command::CreateConversation(create))
    }

    pub(super) fn say(&mut self, connection: ConnectionId, lane: Lane, command: Command) -> Vec<Effect> {
        self.tell(Input::Command { connection, lane, command })
    }

    pub(super) fn tell(&mut self, input: Input) -> Vec<Effect> {
        self.core.handle(self.now_ms, input);
        self.settle()
    }

    /// Time passes.
    pub(super) fn pass(&mut self, ms: u64) -> Vec<Effect> {
        self.now_ms += ms;
        self.tell(Input::Tick)
    }

    /// The disk is full, or has space again; then everything that waited is written.
    pub(super) fn fill_up(&mut self, full: bool) -> Vec<Effect> {
        self.full = full;
        let mut effects = self.tell(Input::ReadOnly(full));
        if !full {
            self.core.handle(self.now_ms, Input::Persisted { upto: self.core.state().tip.index });
            effects.extend(self.settle());
        }
        effects
    }

    /// What the core wants, once everything that it appended is on the disk, if that has space.
    pub(super) fn settle(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(effect) = self.core.poll_effect() {
            if let Effect::Append(Append { index, events, bytes, .. }) = effect {
                self.rows.extend(events);
                self.log.push(bytes);
                if !self.full {
                    self.core.handle(self.now_ms, Input::Persisted { upto: index });
                }
            } else {
                if let Effect::Checkpoint { rows, .. } = &effect {
                    self.checkpoint.extend(rows.iter().cloned());
                }
                if self.serves_reads && self.read(&effect) {
                    continue;
                }
                effects.push(effect);
            }
        }
        effects
    }

    /// Answers the reads among these, and goes on.
    pub(super) fn serve(&mut self, asked: Vec<Effect>) -> Vec<Effect> {
        for effect in asked {
            self.read(&effect);
        }
        self.settle()
    }

    /// Answers a read out of the rows. `false` when this is none.
    fn read(&mut self, effect: &Effect) -> bool {
        let Effect::Read { read, conversation, after, upto, .. } = effect else { return false };
        let asked = self.rows.iter().filter(|row| row.conversation == *conversation);
        let asked = asked.filter(|row| (after + 1..=*upto).contains(&row.seq));
        let found = asked.map(|row| (row.seq, row.bytes.clone())).collect();
        self.core.handle(self.now_ms, Input::EventsRead { read: *read, result: Ok(found) });
        true
    }
}

pub(super) fn identity(user: &str, role: Role, expires_ms: u64) -> Identity {
    let (tenant, user) = (TenantName::parse("acme").expect("a name"), UserId::parse(user).expect("a name"));
    let name = DisplayName::parse(user.as_str()).expect("a name");
    Identity { tenant, user, name, role, expires_ms, made_ms: NOW_MS, token: None }
}

pub(super) fn open(conversation: ConversationId, start: Start) -> Command {
    Command::Open(Open { conversation, start })
}

pub(super) fn publish(n: u8) -> Command {
    let (id, durability) = (ClientMessageId::new(NOW_MS, [n; 10]), Durability::Accepted);
    Command::Publish(Publish { id, content: Content::text("Hello"), reply_to: None, durability })
}

/// The frames that clients are sent, in order.
pub(super) fn told(effects: &[Effect]) -> Vec<Delivery> {
    let frames = effects.iter().filter_map(|effect| match effect {
        Effect::Send { frame, .. } | Effect::Deliver { frame, .. } | Effect::Cast { frame, .. } => {
            Some(frame)
        }
        _ => None,
    });
    let decode = |frame: &bytes::Bytes| {
        let mut decoder = FrameDecoder::default();
        decoder.push(frame);
        let frame = decoder.next().expect("a frame").expect("a whole frame");
        Delivery::decode(&frame).expect("a delivery").expect("a known kind")
    };
    frames.map(decode).collect()
}

/// The first welcome among the frames.
pub(super) fn welcome(effects: &[Effect]) -> Option<Welcome> {
    told(effects).into_iter().find_map(|frame| match frame {
        Delivery::Welcome(welcome) => Some(welcome),
        _ => None,
    })
}

/// The code with which a connection is closed, if it is.
pub(super) fn closed(effects: &[Effect], closed: ConnectionId) -> Option<duet_protocol::Code> {
    effects.iter().find_map(|effect| match effect {
        Effect::Disconnect { connection, code, .. } if *connection == closed => Some(*code),
        _ => None,
    })
}

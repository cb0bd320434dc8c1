//! A conversation in which messages are changed, and words to say what is done in it and what comes of it.

use super::{
    ConnectionId, Core, CoreConfig, Effect, Input, Lane, State,
    rig::{AGENT, CONVERSATION, NOW_MS, Node, VISITOR, identity, open, publish, told},
};
use duet_protocol::{
    ClientMessageId, Code, Command, Delivery, Event, EventBody,
    amend::{Amend, Change, Delete, Edit, Note, PostSystem, React},
    codec,
    command::{Assign, Durability, HistoryRequest, Page, Start},
    delivery::{InboxEntry, Published},
    event::{Content, Tombstone},
    hello::Role,
    ids::{Emoji, Label},
};

pub(super) const SUE: ConnectionId = ConnectionId(3);
pub(super) const ROBOT: ConnectionId = ConnectionId(4);
pub(super) const LANE: Lane = Lane(1);

/// A visitor's conversation with an agent, a supervisor and a service looking on, and its one message.
pub(super) fn with_a_message() -> (Node, u64) {
    let mut node = Node::with_a_conversation();
    node.serves_reads = true;
    node.hello(SUE, "sue", Role::Supervisor);
    node.hello(ROBOT, "robot", Role::Service);
    node.say(
        AGENT,
        Lane::CONTROL,
        Command::Assign(Assign { request: 1, conversation: CONVERSATION, agent: None }),
    );
    for connection in [VISITOR, AGENT, SUE, ROBOT] {
        node.say(connection, LANE, open(CONVERSATION, Start::Latest(0)));
    }
    let id = node.id();
    let said = published(&node.write(VISITOR, message(id, "secret one"))).seq;
    (node, said)
}

impl Node {
    pub(super) fn write(&mut self, connection: ConnectionId, command: Command) -> Vec<Effect> {
        self.say(connection, LANE, command)
    }

    pub(super) fn change(
        &mut self,
        connection: ConnectionId,
        id: ClientMessageId,
        change: Change,
    ) -> Vec<Effect> {
        self.write(connection, amend(id, change))
    }

    pub(super) fn change_now(&mut self, connection: ConnectionId, change: Change) -> Vec<Effect> {
        let id = self.id();
        self.change(connection, id, change)
    }

    pub(super) fn id(&mut self) -> ClientMessageId {
        self.ids += 1;
        let mut random = [0; 10];
        random[2..].copy_from_slice(&self.ids.to_be_bytes());
        ClientMessageId::new(NOW_MS, random)
    }

    pub(super) fn seq(&self) -> u64 {
        self.core.state().conversations.values().next().expect("a conversation").head.seq
    }

    pub(super) fn close(&mut self) {
        let (request, status) = (1, duet_protocol::delivery::Status::Closed);
        let close = duet_protocol::command::SetStatus { request, conversation: CONVERSATION, status };
        assert_eq!(refused(&self.say(AGENT, Lane::CONTROL, Command::SetStatus(close))), None);
    }

    pub(super) fn page(&mut self, reader: ConnectionId) -> Vec<Event> {
        let effects = self.say(reader, Lane(9), history());
        events(&effects)
    }

    pub(super) fn backlog(&mut self, reader: ConnectionId) -> Vec<Event> {
        let effects = self.say(reader, Lane(8), open(CONVERSATION, Start::Latest(500)));
        self.tell(Input::LaneClosed { connection: reader, lane: Lane(8) });
        told(&effects).into_iter().filter_map(event).collect()
    }

    /// The same node after a restart on its log alone.
    pub(super) fn replayed(&self) -> Node {
        self.again(State::default(), self.log.clone())
    }

    /// The same node after a restart on a checkpoint of everything.
    pub(super) fn restored(&mut self) -> Node {
        self.pass(600_000);
        let rows = self.checkpoint.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?)));
        self.again(State::from_rows(rows).expect("good rows"), Vec::new())
    }

    pub(super) fn again(&self, state: State, log: Vec<bytes::Bytes>) -> Node {
        let core = Core::restore(CoreConfig::default(), state, log).expect("a good log");
        let mut node = Node::around(core);
        node.serves_reads = true;
        (node.now_ms, node.rows, node.log, node.ids) =
            (self.now_ms, self.rows.clone(), self.log.clone(), self.ids + 1_000);
        node.core.start(node.now_ms, &[]);
        node.settle();
        for (connection, user, role) in [
            (VISITOR, "vera", Role::Visitor),
            (AGENT, "adam", Role::Agent),
            (SUE, "sue", Role::Supervisor),
            (ROBOT, "robot", Role::Service),
        ] {
            node.greet(connection, Some(identity(user, role, 0)), None, "again");
            node.say(connection, LANE, open(CONVERSATION, Start::Latest(0)));
        }
        node
    }
}

pub(super) fn amend(id: ClientMessageId, change: Change) -> Command {
    Command::Amend(Amend { id, change, durability: Durability::Accepted })
}

pub(super) fn edit(target: u64, text: &str) -> Change {
    Change::Edit(Edit { target, content: Content::text(text) })
}

pub(super) fn delete(target: u64) -> Change {
    Change::Delete(Delete { target })
}

pub(super) fn react(target: u64, emoji: &str, on: bool) -> Change {
    Change::React(React { target, emoji: Emoji::parse(emoji).expect("an emoji"), on })
}

pub(super) fn note(id: ClientMessageId, text: &str) -> Command {
    let (content, durability) = (Content::text(text), Durability::Accepted);
    Command::Note(Note { id, content, reply_to: None, durability })
}

pub(super) fn system(id: ClientMessageId) -> Command {
    let (content, durability) = (Content::text("Shipped."), Durability::Accepted);
    Command::PostSystem(PostSystem { id, name: Label::parse("order").expect("a label"), content, durability })
}

pub(super) fn message(id: ClientMessageId, text: &str) -> Command {
    let Command::Publish(publish) = publish(1) else { unreachable!("a message") };
    Command::Publish(duet_protocol::command::Publish { id, content: Content::text(text), ..publish })
}

pub(super) fn history() -> Command {
    let page = Page::Before(u64::MAX);
    Command::HistoryRequest(HistoryRequest { request: 1, conversation: CONVERSATION, page, limit: 500 })
}

pub(super) fn event(frame: Delivery) -> Option<Event> {
    if let Delivery::Event(event) = frame { Some(event) } else { None }
}

pub(super) fn events(effects: &[Effect]) -> Vec<Event> {
    let pages = told(effects).into_iter().filter_map(|frame| match frame {
        Delivery::HistoryPage(page) => Some(page.events),
        _ => None,
    });
    pages.flatten().collect()
}

pub(super) fn tombstone(event: &Event) -> Option<Tombstone> {
    match event.decode_body() {
        Ok(Some(EventBody::Tombstone(stone))) => Some(stone),
        _ => None,
    }
}

/// What a visitor sees of a private event.
pub(super) fn nothing(seq: u64) -> Event {
    Event { seq, at_ms: 0, author: None, kind: 13, body: Vec::new() }
}

/// All bytes of events as text.
pub(super) fn shown(events: &[Event]) -> String {
    events.iter().map(|event| String::from_utf8_lossy(&codec::encode(event)).into_owned()).collect()
}

pub(super) fn hex(text: &str) -> String {
    format!("{:?}", text.as_bytes()).trim_matches(['[', ']']).to_owned()
}

pub(super) fn seqs(upto: u64) -> Vec<u64> {
    (1..=upto).collect()
}

pub(super) fn published(effects: &[Effect]) -> Published {
    let answer = told(effects).into_iter().find_map(|frame| match frame {
        Delivery::Published(published) => Some(published),
        _ => None,
    });
    answer.unwrap_or_else(|| panic!("no answer: {:?}", told(effects)))
}

pub(super) fn refused(effects: &[Effect]) -> Option<Code> {
    told(effects).into_iter().find_map(|frame| match frame {
        Delivery::Refused(refusal) => Some(refusal.code),
        _ => None,
    })
}

pub(super) fn refusal(effects: &[Effect]) -> Code {
    refused(effects).unwrap_or_else(|| panic!("not refused: {:?}", told(effects)))
}

pub(super) fn sent_to(effects: &[Effect], connection: ConnectionId) -> Vec<Delivery> {
    let here = |effect: &&Effect| match effect {
        Effect::Deliver { targets, .. } => targets.iter().any(|target| target.connection == connection),
        Effect::Send { connection: other, .. } => *other == connection,
        _ => false,
    };
    told(&effects.iter().filter(here).cloned().collect::<Vec<_>>())
}

pub(super) fn entries(effects: &[Effect]) -> Vec<InboxEntry> {
    entries_of(effects).into_iter().map(|(_, entry)| entry).collect()
}

pub(super) fn entries_of(effects: &[Effect]) -> Vec<(ConnectionId, InboxEntry)> {
    let each = effects.iter().filter_map(|effect| match effect {
        Effect::Send { connection, .. } => Some((*connection, told(std::slice::from_ref(effect)))),
        _ => None,
    });
    each.flat_map(|(connection, frames)| frames.into_iter().map(move |frame| (connection, frame)))
        .filter_map(|(connection, frame)| match frame {
            Delivery::InboxEntry(entry) => Some((connection, entry)),
            _ => None,
        })
        .collect()
}

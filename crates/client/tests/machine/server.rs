//! A model of a server: logs in memory, messages known by their ids, subscriptions per lane. Answers in order and
//! at once; everything that goes wrong is done to it from outside.

use duet_client::machine::LaneId;
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, DisplayName, Event, EventBody, Limits,
    Position, Refusal, Resumed, SessionId, Subject, TenantName, UserId, Welcome,
    amend::{Amend, Change, Delete, Edit, Note, React},
    command::{Durability, Open, Page, Publish, Start},
    delivery::{
        Authenticated, Availability, CaughtUp, Connectivity, ConversationKind, Created, Done, HistoryPage,
        Member, Opened, Pong, Presence, Published, Status, Unsubscribed,
    },
    event::{Content, Deleted, Edited, Message, Private, Reacted},
    hello::Role,
};
use std::collections::BTreeMap;

/// What outlives connections.
pub(crate) struct Server {
    pub(crate) epoch: u64,
    pub(crate) logs: BTreeMap<ConversationId, Vec<Event>>,
    pub(crate) known: BTreeMap<ClientMessageId, (ConversationId, u64)>,
    pub(crate) sessions: u64,
    pub(crate) session_lives: bool,
    pub(crate) status: Status,
    pub(crate) limits: Limits,
    pub(crate) now_ms: u64,
    /// The next publishes are refused with this, as often as it says.
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) token_expires_ms: u64,
    pub(crate) capabilities: u64,
    /// Tokens that came with hellos and authentications.
    pub(crate) tokens: Vec<Option<String>>,
    /// Events before this seq are no longer kept.
    pub(crate) first_seq: u64,
    pub(crate) others: Vec<Member>,
}

/// Subscriptions of one connection.
#[derive(Default)]
pub(crate) struct Lanes(pub(crate) BTreeMap<LaneId, ConversationId>);

pub(crate) const ME: &str = "ann";
pub(crate) const OTHER: &str = "bob";

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            epoch: 1,
            logs: BTreeMap::new(),
            known: BTreeMap::new(),
            sessions: 0,
            session_lives: false,
            status: Status::Active,
            limits: limits(),
            now_ms: 0,
            refusals: Vec::new(),
            token_expires_ms: 0,
            capabilities: 0,
            tokens: Vec::new(),
            first_seq: 1,
            others: vec![member(OTHER, 0, 0)],
        }
    }

    /// The answers to one command, each with its lane.
    pub(crate) fn take(
        &mut self,
        lanes: &mut Lanes,
        lane: LaneId,
        command: Command,
    ) -> Vec<(LaneId, Delivery)> {
        let answers = match command {
            Command::Hello(hello) => {
                self.tokens.push(hello.token);
                vec![self.welcome(hello.resume.is_some())]
            }
            Command::Ping(ping) => {
                vec![Delivery::Pong(Pong { nonce: ping.nonce, server_time_ms: self.now_ms })]
            }
            Command::Authenticate(a) => {
                self.tokens.push(Some(a.token));
                let expires_ms = self.token_expires_ms;
                vec![Delivery::Authenticated(Authenticated { request: a.request, expires_ms })]
            }
            Command::CreateConversation(c) => {
                self.logs.entry(c.conversation).or_default();
                vec![Delivery::Created(Created { request: c.request, conversation: c.conversation })]
            }
            Command::WatchPresence(w) => vec![Delivery::Done(Done { request: w.request })],
            Command::WatchInbox(w) => vec![Delivery::Done(Done { request: w.request })],
            Command::SetAvailability(s) => vec![Delivery::Done(Done { request: s.request })],
            Command::Assign(a) => vec![Delivery::Done(Done { request: a.request })],
            Command::Open(open) => self.open(lanes, lane, &open),
            Command::Publish(Publish { id, content, reply_to, .. }) => {
                let body = EventBody::Message(Message { id, content, reply_to });
                return self.publish(lanes, lane, id, &body);
            }
            Command::Note(note) => {
                let Note { id, content, reply_to, .. } = note;
                let (kind, body) = EventBody::Message(Message { id, content, reply_to }).encode();
                return self.publish(lanes, lane, id, &EventBody::Private(Private { kind, body }));
            }
            Command::Amend(Amend { id, change, .. }) => {
                return self.publish(lanes, lane, id, &changed(id, change));
            }
            Command::HistoryRequest(h) => {
                let log = self.logs.entry(h.conversation).or_default();
                let before = match h.page {
                    Page::Before(seq) => seq,
                    Page::After(_) => u64::MAX,
                };
                let mut events: Vec<Event> = log.iter().filter(|e| e.seq < before).cloned().collect();
                let more = events.len() > usize::from(h.limit);
                events = events.split_off(events.len().saturating_sub(usize::from(h.limit)));
                let page = HistoryPage { request: h.request, conversation: h.conversation, events, more };
                vec![Delivery::HistoryPage(page)]
            }
            Command::Close(_) => {
                lanes.0.remove(&lane);
                vec![Delivery::Unsubscribed(Unsubscribed { code: Code::UNSUBSCRIBED, reason: String::new() })]
            }
            _ => vec![],
        };
        answers.into_iter().map(|answer| (lane, answer)).collect()
    }

    /// Somebody else says something; what the subscribers of one connection get.
    pub(crate) fn say(&mut self, lanes: &Lanes, id: ConversationId, text: &str) -> Vec<(LaneId, Delivery)> {
        let number = self.logs.get(&id).map_or(0, Vec::len) as u64;
        let message = ClientMessageId::new(number, *b"0123456789");
        let body = Message { id: message, content: Content::text(text), reply_to: None };
        let event = self.append(id, OTHER, &EventBody::Message(body));
        subscribers(lanes, id).map(|lane| (lane, Delivery::Event(event.clone()))).collect()
    }

    /// Something that is no message happens, while nobody is connected.
    pub(crate) fn happen(&mut self, id: ConversationId, body: &EventBody) {
        let (kind, body) = body.encode();
        let log = self.logs.entry(id).or_default();
        log.push(Event { seq: log.len() as u64 + 1, at_ms: self.now_ms, author: None, kind, body });
    }

    /// The ids of all messages of `ME` in a log, in order.
    pub(crate) fn mine(&self, id: ConversationId) -> Vec<ClientMessageId> {
        let log = self.logs.get(&id).into_iter().flatten();
        log.filter(|event| event.author.as_ref().map(UserId::as_str) == Some(ME)).map(message_id).collect()
    }

    fn welcome(&mut self, resuming: bool) -> Delivery {
        let resumed = match (resuming, self.session_lives) {
            (false, _) => Resumed::New,
            (true, true) => Resumed::Full,
            (true, false) => Resumed::None,
        };
        self.sessions += u64::from(resumed != Resumed::Full);
        self.session_lives = true;
        Delivery::Welcome(Welcome {
            version: 1,
            session: SessionId([self.sessions as u8; 16]),
            resume: vec![self.sessions as u8],
            resumed,
            tenant: TenantName::parse("demo").unwrap(),
            user: UserId::parse(ME).unwrap(),
            name: DisplayName::parse("Ann").unwrap(),
            role: Role::Visitor,
            node: DisplayName::parse("a").unwrap(),
            epoch: self.epoch,
            peers: vec![],
            server_time_ms: self.now_ms,
            token_expires_ms: self.token_expires_ms,
            capabilities: self.capabilities,
            limits: self.limits,
        })
    }

    fn open(&mut self, lanes: &mut Lanes, lane: LaneId, open: &Open) -> Vec<Delivery> {
        let id = open.conversation;
        lanes.0.insert(lane, id);
        let log = self.logs.entry(id).or_default();
        let head = log.len() as u64;
        let (after, complete) = match open.start {
            Start::Latest(most) => (head.saturating_sub(u64::from(most)).max(self.first_seq - 1), true),
            Start::After(p) if p.seq <= head && p.seq + 1 >= self.first_seq => (p.seq, true),
            Start::After(_) => (self.first_seq - 1, false),
        };
        let opened = Opened {
            conversation: id,
            kind: ConversationKind::Support,
            status: self.status,
            subject: None,
            assignee: None,
            head: Position { epoch: self.epoch, seq: head },
            first_seq: self.first_seq,
            after,
            complete,
            members: self.others.clone(),
            member_count: 2,
        };
        let backlog = log.iter().filter(|event| event.seq > after).cloned().map(Delivery::Event);
        let mut answers = vec![Delivery::Opened(opened)];
        answers.extend(backlog);
        answers.push(Delivery::CaughtUp(CaughtUp { seq: head }));
        answers
    }

    fn publish(
        &mut self,
        lanes: &Lanes,
        lane: LaneId,
        said: ClientMessageId,
        body: &EventBody,
    ) -> Vec<(LaneId, Delivery)> {
        if let Some(mut refusal) = self.refusals.pop() {
            refusal.subject = Subject::Message(said);
            return vec![(lane, Delivery::Refused(refusal))];
        }
        let Some(id) = lanes.0.get(&lane).copied() else { return vec![] };
        let published = |seq, duplicate| {
            Delivery::Published(Published {
                id: said,
                seq,
                at_ms: self.now_ms,
                durability: Durability::Accepted,
                replicas: 1,
                duplicate,
            })
        };
        if let Some((_, seq)) = self.known.get(&said) {
            return vec![(lane, published(*seq, true))];
        }
        let seq = self.logs.get(&id).map_or(0, Vec::len) as u64 + 1;
        let answer = published(seq, false);
        let event = self.append(id, ME, body);
        self.known.insert(said, (id, seq));
        // Both orders of answer and event are allowed; the number decides which this one takes.
        let mut out: Vec<_> = subscribers(lanes, id).map(|to| (to, Delivery::Event(event.clone()))).collect();
        let at = if seq.is_multiple_of(2) { 0 } else { out.len() };
        out.insert(at, (lane, answer));
        out
    }

    fn append(&mut self, id: ConversationId, author: &str, body: &EventBody) -> Event {
        let log = self.logs.entry(id).or_default();
        let (kind, body) = body.encode();
        let author = Some(UserId::parse(author).unwrap());
        let event = Event { seq: log.len() as u64 + 1, at_ms: self.now_ms, author, kind, body };
        log.push(event.clone());
        event
    }
}

fn changed(id: ClientMessageId, change: Change) -> EventBody {
    match change {
        Change::Edit(Edit { target, content }) => EventBody::Edited(Edited { id, target, content }),
        Change::Delete(Delete { target }) => EventBody::Deleted(Deleted { id, target }),
        Change::React(React { target, emoji, on }) => EventBody::Reacted(Reacted { id, target, emoji, on }),
    }
}

pub(crate) fn message_id(event: &Event) -> ClientMessageId {
    match event.decode_body() {
        Ok(Some(EventBody::Message(message))) => message.id,
        other => panic!("no message: {other:?}"),
    }
}

pub(crate) fn member(user: &str, received: u64, read: u64) -> Member {
    let id = UserId::parse(user).unwrap();
    Member {
        user: id.clone(),
        name: DisplayName::parse(user).unwrap(),
        role: Role::Agent,
        received,
        read,
        presence: Presence {
            user: id,
            availability: Availability::Online,
            connectivity: Connectivity::Connected,
            last_seen_ms: 0,
            version: 1,
        },
    }
}

fn limits() -> Limits {
    Limits {
        message_bytes_max: 16_384,
        lanes_max: 32,
        streams_max: 2,
        ping_every_ms: 25_000,
        idle_timeout_ms: 30_000,
        presence_grace_ms: 30_000,
        resume_window_ms: 120_000,
        dedup_window_ms: 86_400_000,
        typing_ttl_ms: 6_000,
    }
}

fn subscribers(lanes: &Lanes, id: ConversationId) -> impl Iterator<Item = LaneId> {
    lanes.0.iter().filter(move |(_, open)| **open == id).map(|(lane, _)| *lane)
}

//! The world around the core under fuzz: a disk that is slow and loses its end, connections that run full, and the
//! judge of everything that leaves.

use bytes::Bytes;
use duet::core::{
    Append, ConnectionId, ConversationKey, Core, CoreConfig, Effect, Entry, Input, Lane, ReadId, Record,
    State, Target, TenantId,
};
use duet_protocol::{ClientMessageId, Delivery, EventBody, Frame, FrameDecoder, UserId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Kind of the frame that carries an event.
const EVENT: u8 = 0x51;

/// A read as the core asked for it.
#[derive(Debug)]
struct Read {
    read: ReadId,
    conversation: ConversationKey,
    after: u64,
    upto: u64,
    latest: bool,
}

/// One stored event: its bytes, the entry that made it, and the message id if it is a message.
#[derive(Debug)]
struct Stored {
    bytes: Bytes,
    index: u64,
    message: Option<ClientMessageId>,
}

/// What was appended, what of it is durable, and who has been told what.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    log: Vec<Append>,
    durable: u64,
    epoch: u64,
    messages: BTreeMap<(TenantId, UserId, ClientMessageId), u64>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    events: BTreeMap<(ConversationKey, u64), Stored>,
    reads: VecDeque<Read>,
    full: BTreeSet<ConnectionId>,
    gone: BTreeSet<ConnectionId>,
    tenants: BTreeMap<ConnectionId, TenantId>,
    told: BTreeMap<Target, u64>,
    resume_tokens: Vec<Vec<u8>>,
}

impl Ledger {
    /// Does what the core wants; sometimes the world answers at once.
    pub(crate) fn carry_out(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Pair(order) => panic!("a node without a peer gave an order to one: {order:?}"),
            Effect::Revoked { .. } => panic!("a revocation was answered, and nobody asked for one"),
            Effect::Append(append) => self.append(append),
            Effect::Checkpoint { index, rows } => {
                assert!(index <= self.durable, "a checkpoint of what is not on the disk");
                for (key, value) in rows {
                    match value {
                        Some(value) => self.rows.insert(key, value),
                        None => self.rows.remove(&key),
                    };
                }
            }
            Effect::Send { connection, lane, frame } => self.send(connection, lane, &frame),
            Effect::Deliver { seq, frame, targets } => return self.deliver(seq, &frame, &targets),
            Effect::Cast { targets, .. } => {
                targets.iter().for_each(|target| self.must_be_there(target.connection))
            }
            Effect::Signal { connections, .. } => connections.iter().for_each(|id| self.must_be_there(*id)),
            Effect::Read { read, conversation, after, upto, latest, .. } => {
                self.reads.push_back(Read { read, conversation, after, upto, latest });
            }
            Effect::CloseLane { connection, lane } => {
                self.told.retain(|target, _| (target.connection, target.lane) != (connection, lane));
            }
            Effect::Disconnect { connection, .. } => {
                self.gone.insert(connection);
            }
        }
        None
    }

    /// So many more entries reach the disk; the new durable index.
    pub(crate) fn persist(&mut self, entries: u64) -> u64 {
        self.durable = (self.durable + entries).min(self.log.len() as u64);
        self.durable
    }

    /// The oldest read that waits, with what the disk holds of it.
    pub(crate) fn next_read(&mut self) -> Option<(ReadId, Vec<(u64, Bytes)>)> {
        let Read { read, conversation, after, upto, latest } = self.reads.pop_front()?;
        if after >= upto {
            return Some((read, Vec::new()));
        }
        let range = (conversation, after.saturating_add(1))..=(conversation, upto);
        let found = self.events.range(range).map(|((_, seq), stored)| {
            assert!(stored.index <= self.durable, "history was asked for that is not on the disk");
            (*seq, stored.bytes.clone())
        });
        let mut found: Vec<_> = found.collect();
        // Two events fit into a page.
        if latest {
            found.drain(..found.len().saturating_sub(2));
        } else {
            found.truncate(2);
        }
        Some((read, found))
    }

    pub(crate) fn fill(&mut self, connection: ConnectionId) {
        self.full.insert(connection);
    }

    pub(crate) fn drain(&mut self, connection: ConnectionId) -> bool {
        self.full.remove(&connection)
    }

    pub(crate) fn resume_token(&self, choice: u64) -> Option<Vec<u8>> {
        let tokens = self.resume_tokens.len() + 3;
        self.resume_tokens.get(choice as usize % tokens).cloned()
    }

    /// The process dies. What is durable stays, and some entries of the rest happen to have reached the disk as well.
    /// What the next process starts from: the checkpoint or nothing, and the entries after it.
    pub(crate) fn crash(&mut self, kept: u64) -> (State, Vec<Bytes>) {
        let durable = self.persist(kept % 4);
        self.log.truncate(durable as usize);
        self.events.retain(|_, stored| stored.index <= durable);
        self.messages.retain(|_, index| *index <= durable);
        self.epoch = self.log.last().map_or(0, |append| append.epoch);
        self.gone.extend(self.tenants.keys());
        self.reads.clear();
        self.full.clear();
        self.told.clear();
        let state = match State::from_rows(if kept < 128 { self.rows.clone() } else { BTreeMap::new() }) {
            Ok(state) => state,
            Err(error) => panic!("the core cannot read its own rows: {error}"),
        };
        let tail = self.log[state.tip.index as usize..].iter().map(|append| append.bytes.clone()).collect();
        (state, tail)
    }

    /// The same log gives the same state.
    pub(crate) fn folds_to(&self, state: &State, config: &CoreConfig) {
        let log = self.log.iter().map(|append| append.bytes.clone());
        let again = match Core::restore(config.clone(), State::default(), log) {
            Ok(core) => core,
            Err(error) => panic!("the core cannot read its own log: {error}"),
        };
        let mut states = [state.clone(), again.state().clone()];
        for state in &mut states {
            state.dirty.clear();
        }
        assert_eq!(format!("{:?}", states[0]), format!("{:?}", states[1]), "the log folds to another state");
    }

    fn append(&mut self, append: Append) {
        assert_eq!(append.index, self.log.len() as u64 + 1, "the log has a hole");
        let entry = match Entry::decode(&append.bytes) {
            Ok(entry) => entry,
            Err(error) => panic!("an entry that cannot be read back: {error}"),
        };
        match entry.record {
            Record::EpochBegan => assert!(entry.epoch > self.epoch, "a reign began under an old epoch"),
            _ => assert_eq!(entry.epoch, self.epoch, "an entry of another reign"),
        }
        self.epoch = entry.epoch;
        if let Record::MessagePublished { key, author, id, .. } = &entry.record {
            let once = self.messages.insert((key.tenant, author.clone(), *id), append.index).is_none();
            assert!(once, "a message was accepted twice");
        }
        for row in &append.events {
            let message = message_in(&row.bytes);
            let stored = Stored { bytes: row.bytes.clone(), index: append.index, message };
            assert!(
                row.seq == 1 || self.events.contains_key(&(row.conversation, row.seq - 1)),
                "a conversation has a gap"
            );
            assert!(
                self.events.insert((row.conversation, row.seq), stored).is_none(),
                "a position was used twice"
            );
        }
        self.log.push(append);
    }

    fn send(&mut self, connection: ConnectionId, lane: Lane, frame: &Bytes) {
        self.must_be_there(connection);
        match Delivery::decode(&only(frame)) {
            Ok(Some(Delivery::Welcome(welcome))) => {
                assert_eq!(lane, Lane::CONTROL, "a welcome belongs on the control stream");
                let tenant = if welcome.tenant.as_str() == "demo" { TenantId(1) } else { TenantId(2) };
                self.tenants.insert(connection, tenant);
                if self.resume_tokens.len() < 8 {
                    self.resume_tokens.push(welcome.resume);
                }
            }
            Ok(Some(Delivery::Published(published))) if published.seq > 0 => {
                let is_it =
                    |stored: &Stored| stored.message == Some(published.id) && stored.index <= self.durable;
                let found =
                    self.events.iter().any(|((_, seq), stored)| *seq == published.seq && is_it(stored));
                assert!(found, "a message was acknowledged that is not on the disk");
            }
            Ok(Some(_)) => {}
            other => panic!("a frame that is no delivery: {other:?}"),
        }
    }

    /// What travels in order with a subscription. An event must be durable, of the reader's own tenant, and the next
    /// one of its run; a presence or a receipt stands between events and has the position of the next one.
    fn deliver(&mut self, seq: u64, frame: &Bytes, targets: &[Target]) -> Option<Input> {
        let Frame { kind, body } = only(frame);
        let mut overflow = None;
        for target in targets {
            self.must_be_there(target.connection);
            if kind == EVENT {
                assert!(
                    self.is_readable(target.connection, seq, &body),
                    "a reader got what it may not read, or not yet"
                );
            }
            if self.full.contains(&target.connection) {
                overflow = overflow.or(Some(Input::Overflowed { target: *target, seq }));
            } else if kind == EVENT
                && let Some(last) = self.told.insert(*target, seq)
            {
                assert_eq!(seq, last + 1, "a subscription was fed with a gap or twice");
            }
        }
        overflow
    }

    /// Before its welcome is released nobody here knows to which tenant a connection belongs.
    fn is_readable(&self, reader: ConnectionId, seq: u64, body: &Bytes) -> bool {
        let own = |tenant| self.tenants.get(&reader).is_none_or(|reader| *reader == tenant);
        let mut events = self.events.iter().filter(|((key, at), _)| *at == seq && own(key.tenant));
        events.any(|(_, stored)| stored.bytes == body && stored.index <= self.durable)
    }

    fn must_be_there(&self, connection: ConnectionId) {
        assert!(!self.gone.contains(&connection), "something was sent to a connection that was ended");
    }
}

fn message_in(event: &[u8]) -> Option<ClientMessageId> {
    let event: duet_protocol::Event = duet_protocol::codec::decode(event).ok()?;
    match event.decode_body() {
        Ok(Some(EventBody::Message(message))) => Some(message.id),
        _ => None,
    }
}

fn only(encoded: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.push(encoded);
    match decoder.next() {
        Ok(Some(frame)) => frame,
        other => panic!("the core made {other:?}"),
    }
}

//! Reading events from the store: for who subscribes, who resumes, who fell behind, and who leafs through the past.

use super::{
    Core,
    connection::LaneUse,
    conversation::Head,
    effect::{Effect, Target},
    hub::Mode,
    input::{ConnectionId, Lane, ReadFailed, ReadId},
    mutant::Mutant,
    record::{ConversationKey, UserKey},
    reject::Reject,
    release::Held,
};
use bytes::Bytes;
use duet_protocol::{
    Code, Delivery, Event, Frame, Position, Subject, codec,
    command::{HistoryRequest, Open, Page, Start},
    delivery::{CaughtUp, HistoryPage, Member, Opened, ReceiptUpdated},
};

/// A read under way, and what for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// The next events of a listener.
    Backlog { key: ConversationKey, target: Target, upto: u64 },
    /// A page.
    History { connection: ConnectionId, lane: Lane, request: HistoryRequest, head: u64 },
    /// The message that the first change on a lane is about.
    Target { connection: ConnectionId, lane: Lane },
}

impl Core {
    /// Subscribes a lane.
    pub(super) fn open(&mut self, id: ConnectionId, lane: Lane, open: &Open) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let user = connection.actor.key.user.clone();
        let key = ConversationKey { tenant: connection.actor.key.tenant, conversation: open.conversation };
        let conversation = self.decider(connection).visible(key)?;
        let head = conversation.head.clone();
        let latest = |count: u64| head.seq - head.seq.min(count);
        let (after, complete) = match open.start {
            Start::Latest(count) => (latest(u64::from(count.min(LATEST_MAX))), true),
            Start::After(position) if self.has(&head, position, FIRST_SEQ) => (position.seq, true),
            Start::After(_) => (latest(LATEST_AFTER_LOSS), false),
        };
        let shown = if conversation.shows_members() { usize::MAX } else { 0 };
        let members = conversation.members.iter().take(shown).map(|(user, member)| {
            let user_key = UserKey { tenant: key.tenant, user: user.clone() };
            Member {
                user: user.clone(),
                name: member.name.clone(),
                role: member.role,
                received: member.received,
                read: member.read,
                presence: self.presence_of(&user_key),
            }
        });
        let opened = Opened {
            conversation: open.conversation,
            kind: head.kind,
            status: head.status,
            subject: head.subject.clone(),
            assignee: head.assignee.clone(),
            head: Position { epoch: self.epoch, seq: head.seq },
            first_seq: FIRST_SEQ,
            after,
            complete,
            members: members.collect(),
            member_count: u32::try_from(conversation.members.len()).unwrap_or(u32::MAX),
        };
        let frame = Delivery::Opened(opened).encode();
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.lanes.insert(lane, LaneUse::Conversation(key));
        }
        let target = self.hub.listen(key, id, lane, user, after);
        let opened = Held::Opened { key, target, head: head.seq, frame };
        self.hold(head.index, opened);
        Ok(())
    }

    /// Whether everything up to a client's position is in this log as the client saw it, and everything behind it is still
    /// kept: events before `first_seq` are not.
    pub(super) fn has(&self, head: &Head, position: Position, first_seq: u64) -> bool {
        if position.seq.saturating_add(1) < first_seq {
            return false;
        }
        let held = self.state.has_reign(position.epoch) && head.shares.agree(position);
        position.seq == 0 || (held && position.seq <= head.seq)
    }

    /// Brings a listener on: live when nothing is missing, else by the next read.
    pub(super) fn catch_up(&mut self, key: ConversationKey, connection: ConnectionId, lane: Lane) {
        let Some(released) = self.hub.room(key).map(|room| room.released) else { return };
        let Some(listener) = self.hub.listener_mut(key, connection, lane) else { return };
        if listener.sent >= released {
            listener.mode = Mode::Live;
            let (target, fell_behind) = (listener.target, std::mem::take(&mut listener.fell_behind));
            let frame = Delivery::CaughtUp(CaughtUp { seq: released }).encode();
            self.effects.push_back(Effect::Deliver { seq: released + 1, frame, targets: vec![target] });
            if fell_behind {
                self.retell(key, target);
            }
            self.tell_counts(key, target, released + 1);
            return;
        }
        listener.mode = Mode::Reading;
        let (target, after, upto) = (listener.target, listener.sent, released);
        let read = self.next_read(Reading::Backlog { key, target, upto });
        let (conversation, bytes_max, latest) = (key, BACKLOG_BYTES, false);
        self.effects.push_back(Effect::Read { read, conversation, after, upto, bytes_max, latest });
    }

    /// A page of the past.
    pub(super) fn history(
        &mut self,
        id: ConnectionId,
        lane: Lane,
        request: HistoryRequest,
    ) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if connection.history_reads >= HISTORY_READS_MAX {
            return Err(Reject::later(Code::RATE_LIMITED, "Too many pages at once.", 200));
        }
        if !(1..=LATEST_MAX).contains(&request.limit) {
            return Err(Reject::new(Code::BAD_REQUEST, "A page has 1 to 500 events."));
        }
        let key = ConversationKey { tenant: connection.actor.key.tenant, conversation: request.conversation };
        let conversation = self.decider(connection).visible(key)?;
        let (head, mut index) = (conversation.head.seq, conversation.head.index);
        if self.has_mutant(Mutant::HistoryBeyondCommit) {
            index = self.commit;
        }
        let limit = u64::from(request.limit);
        let (after, upto, latest) = match request.page {
            Page::Before(before) => {
                let upto = before.saturating_sub(1).min(head);
                (upto.saturating_sub(limit), upto, true)
            }
            Page::After(after) => (after.min(head), after.saturating_add(limit).min(head), false),
        };
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.history_reads += 1;
        }
        let read = self.next_read(Reading::History { connection: id, lane, request, head });
        if after == upto {
            self.history_read(read, Ok(Vec::new()), after == upto);
            return Ok(());
        }
        let bytes_max = PAGE_BYTES;
        let effect = Effect::Read { read, conversation: key, after, upto, bytes_max, latest };
        self.hold(index, Held::Read { read, effect });
        Ok(())
    }

    /// The store answers.
    pub(super) fn events_read(
        &mut self,
        now_ms: u64,
        read: ReadId,
        result: Result<Vec<(u64, Bytes)>, ReadFailed>,
    ) {
        match self.reads.get(&read) {
            Some(Reading::Backlog { key, target, upto }) => {
                let (key, target, upto) = (*key, *target, *upto);
                self.reads.remove(&read);
                self.backlog_read(key, target, upto, result);
            }
            Some(Reading::History { .. }) => self.history_read(read, result, false),
            Some(Reading::Target { connection, lane }) => {
                let (connection, lane) = (*connection, *lane);
                self.reads.remove(&read);
                self.target_read(now_ms, connection, lane, result);
            }
            None => {}
        }
    }

    fn backlog_read(
        &mut self,
        key: ConversationKey,
        target: Target,
        upto: u64,
        result: Result<Vec<(u64, Bytes)>, ReadFailed>,
    ) {
        let Target { connection, lane, run } = target;
        let Some(listener) = self.hub.listener_mut(key, connection, lane) else { return };
        if listener.mode != Mode::Reading || listener.target.run != run {
            return;
        }
        let after = listener.sent;
        // A read that failed found nothing, which is not whole.
        let events = result.unwrap_or_default();
        let whole = !events.is_empty()
            && events.iter().map(|(seq, _)| *seq).eq(after + 1..=after + events.len() as u64);
        if !whole {
            return self.unsubscribe(key, connection, lane, Code::INSUFFICIENT_STATE);
        }
        listener.sent = after + events.len() as u64;
        for (seq, bytes) in self.veiled(key, connection, events) {
            let frame = Frame::encode(EVENT_KIND, &bytes);
            self.effects.push_back(Effect::Deliver { seq, frame, targets: vec![target] });
        }
        if self.has_mutant(Mutant::LiveTooEarly)
            && let Some(listener) = self.hub.listener_mut(key, connection, lane)
            && listener.sent == upto
        {
            listener.mode = Mode::Live;
            return;
        }
        self.catch_up(key, connection, lane);
    }

    fn history_read(&mut self, read: ReadId, result: Result<Vec<(u64, Bytes)>, ReadFailed>, empty: bool) {
        let Some(Reading::History { connection, lane, request, head, .. }) = self.reads.remove(&read) else {
            return;
        };
        let Some(state) = self.connections.get_mut(&connection) else { return };
        state.history_reads -= 1;
        if !state.lanes.contains_key(&lane) {
            return;
        }
        let decoded = result.ok().and_then(|rows| {
            rows.iter().map(|(_, bytes)| codec::decode::<Event>(bytes).ok()).collect::<Option<Vec<_>>>()
        });
        let Some(mut events) = decoded.filter(|events| empty || !events.is_empty()) else {
            let reject = Reject::later(Code::UNAVAILABLE, Code::UNAVAILABLE.sentence(), 1_000);
            return self.refuse(connection, lane, Subject::Request(request.request), reject);
        };
        let more = match request.page {
            Page::Before(_) => events.first().is_some_and(|first| first.seq > 1),
            Page::After(_) => events.last().is_some_and(|last| last.seq < head),
        };
        let HistoryRequest { request, conversation, .. } = request;
        let tenant = self.connections.get(&connection).map(|c| c.actor.key.tenant);
        if let Some(tenant) = tenant {
            self.veil_page(ConversationKey { tenant, conversation }, connection, &mut events);
        }
        let page = HistoryPage { request, conversation, events, more };
        self.send(connection, lane, &Delivery::HistoryPage(page));
    }

    /// An event found no room: the run is broken before it.
    pub(super) fn overflowed(&mut self, target: Target, seq: u64) {
        let Target { connection, lane, .. } = target;
        let lanes = self.connections.get(&connection).map(|c| &c.lanes);
        let Some(LaneUse::Conversation(key)) = lanes.and_then(|lanes| lanes.get(&lane)).copied() else {
            return;
        };
        if self.has_mutant(Mutant::OverflowIgnored) {
            return;
        }
        self.hub.pause(key, target, seq);
    }

    /// A connection has room again: its paused listeners read on.
    pub(super) fn writable(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let lanes: Vec<_> = connection.lanes.iter().map(|(lane, usage)| (*lane, *usage)).collect();
        for (lane, usage) in lanes {
            if let LaneUse::Conversation(key) = usage
                && self.hub.listener_mut(key, id, lane).is_some_and(|listener| listener.mode == Mode::Paused)
            {
                self.catch_up(key, id, lane);
            }
        }
    }

    /// Who fell behind missed watermarks and presence as well: tell them whole, as of the log's end.
    fn retell(&mut self, key: ConversationKey, target: Target) {
        if !self.members_shown(key) {
            return;
        }
        let Some(conversation) = self.state.conversations.get(&key) else { return };
        let index = conversation.head.index;
        let mut frames = Vec::new();
        for (user, member) in &conversation.members {
            let (received, read) = (member.received, member.read);
            let user_key = UserKey { tenant: key.tenant, user: user.clone() };
            frames.push(Delivery::ReceiptUpdated(ReceiptUpdated { user: user.clone(), received, read }));
            frames.push(Delivery::Presence(self.presence_of(&user_key)));
        }
        for frame in frames {
            self.hold(index, Held::Tell { key, target, frame: frame.encode() });
        }
    }

    pub(super) fn next_read(&mut self, reading: Reading) -> ReadId {
        self.next_read += 1;
        let read = ReadId(self.next_read);
        self.reads.insert(read, reading);
        read
    }
}

/// Most events of a page, and of a subscription's first backlog.
const LATEST_MAX: u16 = 500;

/// The first event that is kept of every conversation: all are.
const FIRST_SEQ: u64 = 1;
/// What a client gets whose position the log does not have.
const LATEST_AFTER_LOSS: u64 = 200;
/// A backlog is read in pieces of this size.
const BACKLOG_BYTES: usize = 64 * 1024;
/// A history page fits one frame.
const PAGE_BYTES: usize = 44 * 1024;
/// Pages that one connection may ask for at a time.
const HISTORY_READS_MAX: u32 = 4;
/// Kind of the `Event` frame.
const EVENT_KIND: u8 = 0x51;

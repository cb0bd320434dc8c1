//! A conversation's log as it arrives: the snapshot, the backlog, live events; each event shown once, in order,
//! without a hole.

use super::{
    Event, LogEntry, Machine, Message, MessageStatus, StatusChange, Timer,
    conversation::{Lane, Marks, Verdict},
    event::ConversationInfo,
    input::LaneId,
};
use duet_protocol::{
    ConversationId, EventBody, Position, UserId,
    delivery::{Ephemeral, Opened, ReceiptUpdated, Status},
    event,
};

impl Machine {
    /// The subscription stands.
    pub(super) fn opened(&mut self, id: ConversationId, lane: LaneId, opened: Opened) {
        let me = self.session.me.as_ref().map(|me| me.user.clone());
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.lane != Lane::Opening(lane) {
            return;
        }
        conversation.status = Some(opened.status);
        conversation.head = opened.head.seq;
        conversation.set_members(&opened.members, me.as_ref());
        if conversation.shown.is_none() {
            conversation.lane = Lane::Live(lane);
            conversation.tries = 0;
            return self.flush_opened(id);
        }
        conversation.lane = Lane::Backlog(lane);
        let start = Position { epoch: opened.head.epoch, seq: opened.after };
        let broken = match conversation.position {
            Some(position) => !opened.complete || opened.after > position.seq,
            None => false,
        };
        if broken {
            conversation.restart(start);
        } else if conversation.position.is_none() {
            conversation.start(start);
        }
        if broken {
            let reason = "events were missed that are no longer kept".into();
            self.emit(Event::Discontinuity { conversation: Some(id), reason });
            self.echo_waiting(id);
        }
        self.emit(Event::ConversationOpened(ConversationInfo {
            conversation: id,
            kind: opened.kind,
            status: opened.status,
            subject: opened.subject,
            assignee: opened.assignee,
            head: opened.head.seq,
            first_seq: opened.first_seq,
            after: opened.after,
            members: opened.members,
            member_count: opened.member_count,
        }));
        self.tell_progress(id);
        self.flush_opened(id);
    }

    /// An entry of the log.
    pub(super) fn event(&mut self, id: ConversationId, event: event::Event) {
        let epoch = self.session.epoch;
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let lane = conversation.lane;
        if lane.standing().is_none() {
            return;
        }
        if conversation.shown.is_some() {
            match conversation.advance(event.seq, epoch) {
                Verdict::Duplicate => return,
                Verdict::Gap => return self.reopen(id, 0),
                Verdict::Next => {}
            }
        }
        let body = event.decode_body().unwrap_or(None);
        let entry = LogEntry { seq: event.seq, at_ms: event.at_ms, author: event.author, body };
        self.entry(id, entry, matches!(lane, Lane::Live(_)));
    }

    /// The backlog is delivered. Comes again when the client had fallen behind and is level once more.
    pub(super) fn caught_up(&mut self, id: ConversationId, seq: u64) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(position) = conversation.position.filter(|_| conversation.shown.is_some()) else { return };
        if seq > position.seq && conversation.lane.standing().is_some() {
            return self.reopen(id, 0);
        }
        let Lane::Backlog(lane) = conversation.lane else { return };
        conversation.lane = Lane::Live(lane);
        conversation.tries = 0;
        self.emit(Event::ConversationReady { conversation: id, position });
        self.schedule_receipt(id);
    }

    /// A member's watermarks moved.
    pub(super) fn receipt_updated(&mut self, id: ConversationId, receipt: ReceiptUpdated) {
        let own = self.is_me(Some(&receipt.user));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let ReceiptUpdated { user, received, read } = receipt;
        if own {
            // Another device of the same user has read.
            conversation.receipts.read = conversation.receipts.read.max(read);
            let told = &mut conversation.receipts.told;
            *told = Marks { received: told.received.max(received), read: told.read.max(read) };
        } else if !conversation.set_marks(&user, Marks { received, read }) {
            return;
        }
        if conversation.shown.is_some() {
            self.emit(Event::ReceiptUpdated { conversation: id, user, received, read });
        }
        self.tell_progress(id);
    }

    pub(super) fn ephemeral(&mut self, id: ConversationId, said: Ephemeral) {
        if self.conversations.get(&id).is_some_and(|conversation| conversation.shown.is_some()) {
            let Ephemeral { author, content } = said;
            self.emit(Event::EphemeralReceived { conversation: id, author, content });
        }
    }

    /// Own messages may have come further.
    pub(super) fn tell_progress(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        for (seq, own) in conversation.own_progress() {
            self.emit(Event::MessageStatus(StatusChange {
                conversation: id,
                id: own.id,
                status: own.status,
                seq: Some(seq),
                at_ms: None,
                replicas: None,
                error: None,
            }));
        }
    }

    fn entry(&mut self, id: ConversationId, entry: LogEntry, live: bool) {
        let own = self.is_me(entry.author.as_ref());
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let shown = conversation.shown.is_some();
        if !own && shown {
            conversation.receipts.received = entry.seq;
        }
        let news = entry.seq > conversation.head;
        if news {
            match &entry.body {
                Some(EventBody::StatusChanged(change)) => conversation.status = Some(change.status),
                Some(EventBody::Assigned(_)) => conversation.status = Some(Status::Active),
                Some(EventBody::MemberLeft(left)) => conversation.member_left(&left.user),
                Some(EventBody::MemberIdentified(known)) => {
                    conversation.member_identified(&known.before, &known.user);
                }
                _ => {}
            }
        }
        if let Some(author) = entry.author.clone().filter(|_| shown && !own) {
            self.said_something(id, &author);
            self.schedule_receipt(id);
        }
        let seq = entry.seq;
        let present = match &entry.body {
            Some(EventBody::MemberJoined(joined)) => Some(joined.user.clone()),
            _ => said(&entry).map(|(author, ..)| author),
        };
        self.fold(id, &entry);
        match said(&entry) {
            Some((author, message, private)) => {
                let LogEntry { seq, at_ms, .. } = entry;
                self.message(id, Stored { seq, at_ms, author, own, private }, message, live && shown);
            }
            None if shown => self.emit(Event::ConversationUpdated { conversation: id, entry }),
            _ => {}
        }
        if let Some(user) = present.filter(|_| news) {
            self.reached(id, user, seq);
        }
    }

    fn message(&mut self, id: ConversationId, stored: Stored, message: event::Message, live: bool) {
        let Stored { seq, at_ms, author, own, private } = stored;
        if own && self.settle_message(id, message.id, (seq, at_ms), MessageStatus::Accepted, None) {
            return;
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.shown.is_none() || conversation.own_at(seq).is_some() {
            return;
        }
        let accepted = MessageStatus::Accepted;
        let status = if own { conversation.own_stored(seq, message.id, accepted) } else { accepted };
        let event::Message { id: message_id, content, reply_to } = message;
        let message = Message {
            id: message_id,
            conversation: id,
            seq: Some(seq),
            at_ms,
            author: Some(author),
            own,
            content,
            reply_to,
            private,
            status,
        };
        self.emit(Event::MessageCreated { message, live });
    }

    /// Who writes or joins has seen everything up to there: the event itself says so, no receipt does.
    fn reached(&mut self, id: ConversationId, user: UserId, seq: u64) {
        if self.is_me(Some(&user)) {
            return;
        }
        let (received, read) = (seq, seq);
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.set_marks(&user, Marks { received, read }) {
            if conversation.shown.is_some() {
                self.emit(Event::ReceiptUpdated { conversation: id, user, received, read });
            }
            self.tell_progress(id);
        }
    }

    /// Receipts leave together, a moment after the first reason.
    pub(super) fn schedule_receipt(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get(&id) else { return };
        if conversation.due_receipt().is_some() {
            let soon_ms = self.now_ms + self.config.receipt_delay_ms;
            let last_ms = conversation.receipts.sent_at_ms.map(|at_ms| at_ms + self.config.receipt_every_ms);
            self.timers.set_if_idle(Timer::Receipt(id), soon_ms.max(last_ms.unwrap_or(0)));
        }
    }
}

/// Where and by whom a message was stored.
struct Stored {
    seq: u64,
    at_ms: u64,
    author: UserId,
    own: bool,
    private: bool,
}

/// Who said what in an entry, and whether it is a note; `None` when it is no message.
fn said(entry: &LogEntry) -> Option<(UserId, event::Message, bool)> {
    let author = entry.author.clone()?;
    match entry.body.as_ref()? {
        EventBody::Message(message) => Some((author, message.clone(), false)),
        EventBody::Private(private) => match private.decode_body() {
            Ok(Some(EventBody::Message(message))) => Some((author, message, true)),
            _ => None,
        },
        _ => None,
    }
}

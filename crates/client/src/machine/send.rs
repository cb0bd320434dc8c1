//! Sending: into the outbox with a local echo, out of it in order, again after every loss, until accepted, refused
//! or too old.

use super::{
    ClientError, Event, Machine, Message, MessageStatus, NewMessage, OutboxEntry, Output, Persist, Purpose,
    State, StatusChange, Timer,
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId,
    amend::{Amend, Note},
    command::{Durability, Publish},
    delivery::Status,
    event::Content,
};

/// The longest content that fits a frame whatever else it carries; the server's own limit counts once it is known.
const CONTENT_BYTES_MAX: u32 = 60_000;

impl Machine {
    pub(super) fn queue_message(
        &mut self,
        conversation: ConversationId,
        message: NewMessage,
    ) -> Result<Message, ClientError> {
        self.check_open()?;
        self.check_content(&message.content)?;
        let NewMessage { content, reply_to, durability } = message;
        let entry = self.new_entry(conversation, content, reply_to, durability);
        self.stop_typing(conversation);
        if durability == Durability::Ephemeral {
            return self.send_ephemeral(&entry);
        }
        self.put_message(entry)
    }

    pub(super) fn queue_note(
        &mut self,
        conversation: ConversationId,
        note: NewMessage,
    ) -> Result<Message, ClientError> {
        self.check_open()?;
        self.check_content(&note.content)?;
        let NewMessage { content, reply_to, durability } = note;
        if durability == Durability::Ephemeral {
            return Err(ClientError::new(Code::BAD_REQUEST, "Only messages may be ephemeral."));
        }
        let entry = self.new_entry(conversation, content, reply_to, durability);
        self.put_message(OutboxEntry { purpose: Purpose::Note, wakes: true, ..entry })
    }

    /// An entry for a message that is said now.
    pub(super) fn new_entry(
        &mut self,
        conversation: ConversationId,
        content: Content,
        reply_to: Option<u64>,
        durability: Durability,
    ) -> OutboxEntry {
        let random = self.entropy.bytes();
        let queued_at_ms = self.server_now_ms();
        let id = ClientMessageId::new(queued_at_ms, random);
        let status = self.conversations.get(&conversation).and_then(|known| known.status);
        let wakes = !matches!(status, Some(Status::Active | Status::Queued));
        let (purpose, order) = (Purpose::Message, self.outbox.next_order());
        let failed = None;
        OutboxEntry {
            id,
            conversation,
            content,
            reply_to,
            purpose,
            durability,
            order,
            queued_at_ms,
            wakes,
            failed,
        }
    }

    pub(super) fn retry_message(&mut self, id: ClientMessageId) -> Result<Message, ClientError> {
        self.check_open()?;
        let failed = self.outbox.get(id).and_then(|entry| entry.failed);
        let Some(code) = failed else {
            return Err(ClientError::new(Code::NOT_FOUND, "no failed message has this id"));
        };
        let Some(mut entry) = self.outbox.remove(id) else {
            return Err(ClientError::from_code(Code::NOT_FOUND));
        };
        entry.failed = None;
        entry.wakes = true;
        let changes = entry.purpose.target().is_some();
        // Behind what was said since.
        entry.order = self.outbox.next_order();
        if needs_new_id(code) && !changes {
            self.outputs.push_back(Output::Persist(Persist::Remove(id)));
            entry.queued_at_ms = self.server_now_ms();
            entry.id = ClientMessageId::new(entry.queued_at_ms, self.entropy.bytes());
            return self.put_message(entry);
        }
        self.outputs.push_back(Output::Persist(Persist::Put(entry.clone())));
        let message = self.echo(&entry);
        self.outbox.push(entry, true)?;
        self.tell_status(message.conversation, id, MessageStatus::Queued, None);
        self.schedule_outbox();
        self.flush(message.conversation);
        Ok(message)
    }

    pub(super) fn discard(&mut self, id: ClientMessageId) {
        if self.outbox.get(id).is_some_and(|entry| entry.failed.is_some()) {
            self.outbox.remove(id);
            self.outputs.push_back(Output::Persist(Persist::Remove(id)));
        }
    }

    /// An entry of an earlier process. It may have reached the server; what does not fit any more is told and kept
    /// by whoever persisted it.
    pub(super) fn restore_message(&mut self, entry: OutboxEntry) {
        if self.outbox.get(entry.id).is_some() {
            return;
        }
        let message = self.echo(&entry);
        let changes = entry.purpose.target().is_some();
        match self.outbox.push(entry, true) {
            Ok(()) if changes => {}
            Ok(()) => self.emit(Event::MessageCreated { message, live: false }),
            Err(error) => self.report(error),
        }
    }

    /// Shows what still waits for a conversation, after a discontinuity.
    pub(super) fn echo_waiting(&mut self, id: ConversationId) {
        let waiting: Vec<OutboxEntry> = self.outbox.queue(id).map(|slot| slot.entry.clone()).collect();
        for entry in waiting.into_iter().filter(|entry| entry.purpose.target().is_none()) {
            let message = self.echo(&entry);
            self.emit(Event::MessageCreated { message, live: false });
        }
    }

    /// The lane stands: what waits may leave, unless the conversation was resolved meanwhile and must not be woken.
    pub(super) fn flush_opened(&mut self, id: ConversationId) {
        let resolved =
            self.conversations.get(&id).is_some_and(|known| known.status == Some(Status::Resolved));
        if resolved {
            let asleep = self.outbox.queue(id).filter(|slot| !slot.tried && !slot.entry.wakes);
            for message in asleep.map(|slot| slot.entry.id).collect::<Vec<_>>() {
                let sentence = "The conversation was resolved meanwhile; send again to reopen it.";
                self.fail_message(message, ClientError::new(Code::CONFLICT, sentence));
            }
        }
        self.flush(id);
    }

    /// Sends what may be sent now, in order.
    pub(super) fn flush(&mut self, id: ConversationId) {
        let Some(lane) = self.conversations.get(&id).and_then(|known| known.lane.standing()) else { return };
        if self.timers.is_set(&Timer::Resend(id)) {
            return;
        }
        let Some(online) = self.life.online() else { return };
        let Some(queue) = self.outbox.queue_mut(id) else { return };
        let mut room = self.config.publishes_in_flight.max(1);
        for slot in queue.iter_mut() {
            if room == 0 {
                break;
            }
            room -= 1;
            if slot.in_flight {
                continue;
            }
            (slot.in_flight, slot.tried) = (true, true);
            let command = publish(&slot.entry);
            self.outputs.push_back(Output::Send { connection: online.connection, lane, command });
        }
        let patience_ms =
            if self.has_other_node() { self.patience_ms() } else { self.config.publish_timeout_ms };
        self.timers.set_if_idle(Timer::Publish(id), self.now_ms + patience_ms);
    }

    /// A message became too old to be sent safely: the server may have forgotten its id.
    pub(super) fn expire_outbox(&mut self) {
        let upto_ms = self.server_now_ms().saturating_sub(self.config.outbox_ttl_ms);
        for id in self.outbox.older_than(upto_ms) {
            self.fail_message(id, ClientError::from_code(Code::OUTBOX_EXPIRED));
        }
        self.schedule_outbox();
    }

    pub(super) fn schedule_outbox(&mut self) {
        let Some(oldest_ms) = self.outbox.oldest_ms() else { return self.timers.clear(&Timer::Outbox) };
        let left_ms =
            (oldest_ms.saturating_add(self.config.outbox_ttl_ms)).saturating_sub(self.server_now_ms());
        self.timers.set(Timer::Outbox, self.now_ms.saturating_add(left_ms));
    }

    pub(super) fn fail_message(&mut self, id: ClientMessageId, error: ClientError) {
        if let Some(entry) = self.outbox.fail(id, error.code) {
            let conversation = entry.conversation;
            self.outputs.push_back(Output::Persist(Persist::Put(entry.clone())));
            self.tell_status(conversation, id, MessageStatus::Failed, Some(error));
            self.tell_change(&entry);
        }
    }

    pub(super) fn tell_status(
        &mut self,
        conversation: ConversationId,
        id: ClientMessageId,
        status: MessageStatus,
        error: Option<ClientError>,
    ) {
        let change = StatusChange { conversation, id, status, seq: None, at_ms: None, replicas: None, error };
        self.emit(Event::MessageStatus(change));
    }

    pub(super) fn check_open(&self) -> Result<(), ClientError> {
        match self.state() {
            State::Closed | State::Failed => Err(ClientError::from_code(Code::CLOSED_BY_USER)),
            _ => Ok(()),
        }
    }

    pub(super) fn check_content(&self, content: &Content) -> Result<(), ClientError> {
        if content.body.is_empty() {
            return Err(ClientError::new(Code::BAD_REQUEST, "A message must not be empty."));
        }
        let limit = self.session.limits.map_or(CONTENT_BYTES_MAX, |limits| limits.message_bytes_max);
        if content.body.len() > limit.min(CONTENT_BYTES_MAX) as usize {
            return Err(ClientError::from_code(Code::TOO_LARGE));
        }
        Ok(())
    }

    fn put_message(&mut self, entry: OutboxEntry) -> Result<Message, ClientError> {
        self.outbox.push(entry.clone(), false)?;
        let (conversation, message) = (entry.conversation, self.echo(&entry));
        self.outputs.push_back(Output::Persist(Persist::Put(entry)));
        self.emit(Event::MessageCreated { message: message.clone(), live: true });
        self.schedule_outbox();
        self.flush(conversation);
        Ok(message)
    }

    fn send_ephemeral(&mut self, entry: &OutboxEntry) -> Result<Message, ClientError> {
        let lane = self.conversations.get(&entry.conversation).and_then(|known| known.lane.standing());
        let Some(lane) = lane else { return Err(ClientError::from_code(Code::TRANSPORT_CLOSED)) };
        self.on_lane(lane, publish(entry));
        self.outbox.ephemeral_sent(entry.id);
        Ok(self.echo(entry))
    }

    fn echo(&self, entry: &OutboxEntry) -> Message {
        let status = if entry.failed.is_some() { MessageStatus::Failed } else { MessageStatus::Queued };
        Message {
            id: entry.id,
            conversation: entry.conversation,
            seq: None,
            at_ms: entry.queued_at_ms,
            author: self.session.me.as_ref().map(|me| me.user.clone()),
            own: true,
            content: entry.content.clone(),
            reply_to: entry.reply_to,
            private: entry.purpose == Purpose::Note,
            status,
        }
    }
}

fn publish(entry: &OutboxEntry) -> Command {
    let OutboxEntry { id, content, reply_to, purpose, durability, .. } = entry.clone();
    match purpose {
        Purpose::Message => Command::Publish(Publish { id, content, reply_to, durability }),
        Purpose::Note => Command::Note(Note { id, content, reply_to, durability }),
        Purpose::Change(change) => Command::Amend(Amend { id, change, durability }),
    }
}

/// After these codes the old id leads nowhere; nothing was stored under it, or nobody can tell.
fn needs_new_id(code: Code) -> bool {
    matches!(
        code,
        Code::OUTBOX_EXPIRED | Code::DUPLICATE_UNKNOWN | Code::DUPLICATE_DIFFERS | Code::CLOCK_SKEW
    )
}

//! Changing what was said: queued, echoed, sent and repeated like a message, through the same outbox.

use super::{
    ClientError, Event, LogEntry, Machine, MessageState, MessageStatus, OutboxEntry, Output, Persist, Purpose,
};
use duet_protocol::{
    ClientMessageId, Code, ConversationId, EventBody,
    amend::Change,
    command::Durability,
    event::{Content, Deleted, Edited, Reacted, System, format},
};

impl Machine {
    pub(super) fn queue_change(
        &mut self,
        conversation: ConversationId,
        change: Change,
        durability: Durability,
    ) -> Result<ClientMessageId, ClientError> {
        if durability == Durability::Ephemeral {
            return Err(ClientError::new(Code::BAD_REQUEST, "Only messages may be ephemeral."));
        }
        let content = match &change {
            Change::Edit(edit) => edit.content.clone(),
            _ => Content { format: format::BINARY, body: Vec::new() },
        };
        self.check_open()?;
        if let Change::Edit(_) = change {
            self.check_content(&content)?;
        }
        let entry = OutboxEntry {
            purpose: Purpose::Change(change),
            wakes: true,
            ..self.new_entry(conversation, content, None, durability)
        };
        self.outbox.push(entry.clone(), false)?;
        self.outputs.push_back(Output::Persist(Persist::Put(entry.clone())));
        self.tell_change(&entry);
        self.schedule_outbox();
        self.flush(conversation);
        Ok(entry.id)
    }

    /// A change appeared in the outbox, or failed: the message is another one.
    pub(super) fn tell_change(&mut self, entry: &OutboxEntry) {
        if let Some(target) = entry.purpose.target() {
            self.tell_message(entry.conversation, target);
        }
    }

    /// An entry of the log that is shown: what it changes.
    pub(super) fn fold(&mut self, id: ConversationId, entry: &LogEntry) {
        let own = self.is_me(entry.author.as_ref());
        if let Some(change) = entry.body.as_ref().filter(|_| own).and_then(id_of) {
            let place = (entry.seq, entry.at_ms);
            self.settle_message(id, change, place, MessageStatus::Accepted, None);
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if let Some(target) = conversation.changes.take(entry).filter(|_| conversation.shown.is_some()) {
            self.tell_message(id, target);
        }
    }

    /// What a message is now: what the log says, and what of the user's own is on its way.
    fn tell_message(&mut self, id: ConversationId, seq: u64) {
        let me = self.session.me.as_ref().map(|me| me.user.clone());
        let mut state = match self.conversations.get(&id) {
            Some(conversation) => conversation.changes.of(seq),
            None => MessageState::default(),
        };
        for slot in self.outbox.queue(id).filter(|slot| slot.entry.purpose.target() == Some(seq)) {
            if let Purpose::Change(change) = &slot.entry.purpose {
                state.expect(change, me.as_ref(), slot.entry.queued_at_ms);
            }
        }
        self.emit(Event::MessageUpdated { conversation: id, seq, state });
    }
}

/// The id under which a client published what an event says, if it is no message.
fn id_of(body: &EventBody) -> Option<ClientMessageId> {
    match body {
        EventBody::Edited(Edited { id, .. })
        | EventBody::Deleted(Deleted { id, .. })
        | EventBody::Reacted(Reacted { id, .. })
        | EventBody::System(System { id, .. }) => Some(*id),
        EventBody::Private(private) => private.decode_body().ok()?.as_ref().and_then(id_of),
        _ => None,
    }
}

//! Answers to what was published, and what they mean for the rest of the queue.

use super::{
    ClientError, Event, Machine, MessageStatus, Output, Persist, StatusChange, Timer, event::accepted_status,
};
use duet_protocol::{ClientMessageId, Code, ConversationId, delivery::Published};

/// Floor of the wait before a refused publish is sent again, milliseconds.
const RESEND_FLOOR_MS: u64 = 250;

impl Machine {
    /// A message has a position.
    pub(super) fn published(&mut self, conversation: ConversationId, published: Published) {
        let Published { id, seq, at_ms, durability, replicas, .. } = published;
        if seq != 0 {
            self.session.replicas = Some(replicas);
        }
        let status = accepted_status(durability, replicas);
        if !self.settle_message(conversation, id, (seq, at_ms), status, Some(replicas)) {
            if self.outbox.ephemeral_answered(id) {
                self.tell_status(conversation, id, MessageStatus::Accepted, None);
            } else {
                self.tell_safety(conversation, seq, status, replicas);
            }
        }
    }

    /// The server has this message: it leaves the outbox. `false` when it was not there.
    pub(super) fn settle_message(
        &mut self,
        conversation: ConversationId,
        id: ClientMessageId,
        (seq, at_ms): (u64, u64),
        status: MessageStatus,
        replicas: Option<u8>,
    ) -> bool {
        let Some(entry) = self.outbox.get(id).filter(|entry| entry.conversation == conversation) else {
            return false;
        };
        // Who has received or read a change is not followed.
        let followed = entry.purpose.target().is_none();
        self.outbox.remove(id);
        self.outputs.push_back(Output::Persist(Persist::Remove(id)));
        let status = match self.conversations.get_mut(&conversation) {
            Some(known) if followed => known.own_stored(seq, id, status),
            _ => status,
        };
        let (seq, at_ms) = (Some(seq), Some(at_ms));
        let change = StatusChange { conversation, id, status, seq, at_ms, replicas, error: None };
        self.emit(Event::MessageStatus(change));
        self.timers.clear(&Timer::Publish(conversation));
        self.schedule_outbox();
        self.flush(conversation);
        true
    }

    /// A message was refused: for good, or for now.
    pub(super) fn publish_refused(
        &mut self,
        conversation: Option<ConversationId>,
        id: ClientMessageId,
        error: ClientError,
    ) {
        let Some(entry) = self.outbox.get(id).filter(|entry| entry.failed.is_none()) else {
            // An ephemeral message is not in the outbox; any other was settled before.
            if let (true, Some(conversation)) = (self.outbox.ephemeral_answered(id), conversation) {
                self.tell_status(conversation, id, MessageStatus::Failed, Some(error));
            }
            return;
        };
        let conversation = entry.conversation;
        self.timers.clear(&Timer::Publish(conversation));
        // Whether to wait for the second node or to ask for less is the application's choice.
        if !error.retryable() || error.code == Code::NOT_DURABLE_NOW {
            self.fail_message(id, error);
            return self.flush(conversation);
        }
        if error.code == Code::TOKEN_EXPIRED {
            self.renew_token();
        }
        self.send_again(conversation, id, u64::from(error.retry_after_ms));
        self.tell_status(conversation, id, MessageStatus::Queued, Some(error));
    }

    /// The connection answered a probe: publishes that are still unanswered get another span.
    pub(super) fn watch_publishes(&mut self) {
        for id in self.outbox.conversations() {
            if self.outbox.queue(id).any(|slot| slot.in_flight) {
                self.timers.set_if_idle(Timer::Publish(id), self.now_ms + self.config.publish_timeout_ms);
            }
        }
    }

    fn send_again(&mut self, conversation: ConversationId, id: ClientMessageId, retry_after_ms: u64) {
        if let Some(queue) = self.outbox.queue_mut(conversation) {
            for slot in queue.iter_mut().filter(|slot| slot.entry.id == id) {
                slot.in_flight = false;
            }
        }
        let jitter_ms = self.entropy.up_to(self.config.retry_first_ms);
        let delay_ms = retry_after_ms.max(RESEND_FLOOR_MS) + jitter_ms;
        self.timers.set(Timer::Resend(conversation), self.now_ms + delay_ms);
    }

    /// The answer for a message whose event came before it: how safe the message is, at least.
    fn tell_safety(&mut self, conversation: ConversationId, seq: u64, status: MessageStatus, replicas: u8) {
        let Some(known) = self.conversations.get_mut(&conversation) else { return };
        let Some(own) = known.own_at(seq).filter(|own| own.status < status) else { return };
        let id = own.id;
        let status = known.own_stored(seq, id, status);
        let (seq, replicas) = (Some(seq), Some(replicas));
        let change = StatusChange { conversation, id, status, seq, at_ms: None, replicas, error: None };
        self.emit(Event::MessageStatus(change));
    }
}

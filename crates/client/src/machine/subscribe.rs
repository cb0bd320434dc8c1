//! Subscriptions and their lanes: a conversation has a lane while it is shown or has something to send.

use super::{
    ClientError, Event, From, Machine, Output, Timer,
    conversation::{Conversation, Lane},
    input::LaneId,
    lanes::Usage,
    output::Carrier,
};
use duet_protocol::{
    Code, Command, ConversationId,
    command::{Close, Open, Start},
};

impl Machine {
    pub(super) fn subscribe(&mut self, id: ConversationId, from: From) {
        let known = self.conversations.get(&id);
        let shown = known.is_some_and(|conversation| conversation.shown.is_some());
        if shown && !matches!(from, From::After(_)) {
            return;
        }
        self.close_lane(id);
        self.end_typing(id);
        self.conversations.insert(id, Conversation::new(Some(from)));
    }

    pub(super) fn unsubscribe(&mut self, id: ConversationId) {
        if self.conversations.get(&id).is_some_and(|conversation| conversation.shown.is_some()) {
            self.send_receipt(id);
            self.stop_typing(id);
            self.close_lane(id);
            self.end_typing(id);
            self.conversations.remove(&id);
        }
    }

    /// Brings lanes in line with what is wanted; after every input.
    pub(super) fn settle(&mut self) {
        for id in self.outbox.conversations() {
            self.conversations.entry(id).or_insert_with(|| Conversation::new(None));
        }
        let mut idle = Vec::new();
        let mut wanting = Vec::new();
        for (id, conversation) in &self.conversations {
            if conversation.shown.is_none() && !self.outbox.waits_for(*id) {
                idle.push(*id);
            } else if conversation.lane == Lane::Closed {
                wanting.push(*id);
            }
        }
        for id in idle {
            self.close_lane(id);
            self.conversations.remove(&id);
        }
        if self.life.online().is_some() {
            for id in wanting {
                self.open(id);
            }
            self.send_waiting_calls();
        }
    }

    fn open(&mut self, id: ConversationId) {
        if self.is_creating(id) {
            return;
        }
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let Some(online) = self.life.online_mut() else { return };
        let Some((lane, carrier)) = online.lanes.open(Usage::Conversation(id)) else { return };
        let start = match (conversation.shown, conversation.position) {
            (None, _) => Start::Latest(0),
            (Some(_), Some(position)) => Start::After(position),
            (Some(From::Latest(most)), None) => Start::Latest(most),
            (Some(_), None) => Start::Latest(self.config.backlog),
        };
        conversation.lane = Lane::Opening(lane);
        let connection = online.connection;
        self.outputs.push_back(Output::OpenLane { connection, lane, carrier });
        self.on_lane(lane, Command::Open(Open { conversation: id, start }));
    }

    pub(super) fn on_lane(&mut self, lane: LaneId, command: Command) {
        if let Some(online) = self.life.online() {
            let connection = online.connection;
            self.outputs.push_back(Output::Send { connection, lane, command });
        }
    }

    /// The client gives the lane of a conversation back, if it has one.
    pub(super) fn close_lane(&mut self, id: ConversationId) {
        if let Some(lane) = self.conversations.get(&id).and_then(|conversation| conversation.lane.id()) {
            self.release_lane(lane, true);
        }
        self.lane_gone(id);
    }

    /// Closes a lane. `polite`: the server does not know yet.
    pub(super) fn release_lane(&mut self, lane: LaneId, polite: bool) {
        let Some(online) = self.life.online_mut() else { return };
        let Some(carrier) = online.lanes.close(lane) else { return };
        let connection = online.connection;
        if polite && carrier == Carrier::Wrapped {
            self.on_lane(lane, Command::Close(Close {}));
        }
        self.outputs.push_back(Output::FinishLane { connection, lane });
    }

    fn lane_gone(&mut self, id: ConversationId) {
        self.outbox.lane_lost(id);
        for timer in [Timer::Publish(id), Timer::Resend(id), Timer::Reopen(id), Timer::Receipt(id)] {
            self.timers.clear(&timer);
        }
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.lane = Lane::Closed;
        }
    }

    /// Subscribes again from the last position: at once the first time, then with growing waits.
    pub(super) fn reopen(&mut self, id: ConversationId, retry_after_ms: u32) {
        self.close_lane(id);
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let tries = conversation.tries;
        conversation.tries = tries.saturating_add(1);
        let bound = if tries == 0 { 0 } else { super::backoff::bound(&self.config, tries) };
        let delay_ms = u64::from(retry_after_ms) + self.entropy.up_to(bound);
        if delay_ms > 0 {
            conversation.lane = Lane::Waiting;
            self.timers.set(Timer::Reopen(id), self.now_ms + delay_ms);
        }
    }

    pub(super) fn reopen_now(&mut self, id: ConversationId) {
        if let Some(conversation) = self.conversations.get_mut(&id)
            && conversation.lane == Lane::Waiting
        {
            conversation.lane = Lane::Closed;
        }
    }

    /// The server ended a subscription.
    pub(super) fn unsubscribed(&mut self, id: ConversationId, lane: LaneId, code: Code, reason: &str) {
        self.release_lane(lane, false);
        self.end_typing(id);
        if matches!(code.0, 2000..=2499) {
            self.lose(id, ClientError::new(code, reason));
        } else {
            self.reopen(id, 0);
        }
    }

    /// An `Open` was refused. Other commands of a lane are not answered.
    pub(super) fn open_refused(&mut self, id: ConversationId, error: ClientError) {
        let Some(Lane::Opening(lane)) = self.conversations.get(&id).map(|conversation| conversation.lane)
        else {
            return;
        };
        self.release_lane(lane, false);
        // The limit may be reached because the server has not yet seen that another lane was given back.
        if error.retryable() || error.code == Code::LIMIT_REACHED {
            if error.code == Code::TOKEN_EXPIRED {
                self.renew_token();
            }
            self.reopen(id, error.retry_after_ms.max(100));
        } else {
            self.lose(id, error);
        }
    }

    /// The conversation is not for this user, or no longer: what waits for it fails.
    fn lose(&mut self, id: ConversationId, error: ClientError) {
        self.lane_gone(id);
        for entry in self.outbox.queue(id).map(|slot| slot.entry.id).collect::<Vec<_>>() {
            self.fail_message(entry, error.clone());
        }
        let shown = self.conversations.remove(&id).is_some_and(|conversation| conversation.shown.is_some());
        if shown {
            self.emit(Event::ConversationLost { conversation: id, error });
        }
    }
}

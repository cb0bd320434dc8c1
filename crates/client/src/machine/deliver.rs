//! What the server says, handed to the part that it concerns.

use super::{
    ClientError, Machine,
    backoff::Proof,
    input::{ConnectionId, LaneId},
    lanes::Usage,
};
use bytes::Bytes;
use duet_protocol::{Code, ConversationId, Delivery, Frame, Refusal, Subject};

impl Machine {
    pub(super) fn delivered(&mut self, connection: ConnectionId, lane: LaneId, delivery: Delivery) {
        if !self.life.is_online(connection) {
            return self.greeted(connection, delivery);
        }
        self.heard();
        if !self.life.has_lane(lane) {
            return;
        }
        let usage = self.life.online().and_then(|online| online.lanes.usage(lane));
        let proof = Proof::of(&delivery);
        match (usage, delivery) {
            (_, Delivery::Presence(presence)) => self.presence(presence),
            (_, Delivery::Typing(state)) => self.typing(&state),
            (None, delivery) => self.on_control(connection, delivery),
            (Some(Usage::Conversation(id)), delivery) => self.on_conversation(id, lane, delivery),
            (Some(Usage::History(_)), Delivery::HistoryPage(page)) => self.history_page(lane, page),
            (Some(Usage::History(_)), Delivery::Refused(refusal)) => self.refused(None, refusal),
            (Some(Usage::History(request)), Delivery::Unsubscribed(ended)) => {
                self.history_ended(request, lane, ClientError::new(ended.code, &ended.reason));
            }
            (Some(Usage::History(_)), _) => {}
        }
        // After it was taken in: it may have been what the last waiting message waited for.
        if let Some(proof) = proof {
            self.served(proof);
        }
    }

    pub(super) fn datagram(&mut self, connection: ConnectionId, bytes: Bytes) {
        if !self.life.is_online(connection) {
            return;
        }
        // A datagram that cannot be read is one that was lost.
        let Ok(frame) = Frame::from_datagram(bytes) else { return };
        match Delivery::decode(&frame) {
            Ok(Some(Delivery::Typing(state))) => self.typing(&state),
            Ok(Some(Delivery::Presence(presence))) => self.presence(presence),
            _ => {}
        }
    }

    /// The server ended a lane without a word, or with a reset.
    pub(super) fn lane_closed(&mut self, lane: LaneId, code: Option<Code>) {
        let Some(usage) = self.life.online().and_then(|online| online.lanes.usage(lane)) else { return };
        let code = code.unwrap_or(Code::INSUFFICIENT_STATE);
        match usage {
            Usage::Conversation(id) => self.unsubscribed(id, lane, code, code.sentence()),
            Usage::History(request) => self.history_ended(request, lane, ClientError::from_code(code)),
        }
    }

    /// Before the welcome.
    fn greeted(&mut self, connection: ConnectionId, delivery: Delivery) {
        match delivery {
            Delivery::Welcome(welcome) => self.welcome(connection, &welcome),
            Delivery::Closing(closing) => self.closing(connection, closing),
            Delivery::Refused(refusal) => self.hello_refused(connection, &refusal),
            _ => {}
        }
    }

    fn hello_refused(&mut self, connection: ConnectionId, refusal: &Refusal) {
        let code = match refusal.code {
            Code::UNAUTHENTICATED | Code::TOKEN_EXPIRED => Code::INVALID_TOKEN,
            code if code.retryable() => Code::OVERLOADED,
            _ => Code::PROTOCOL_ERROR,
        };
        self.outputs.push_back(super::Output::Disconnect { connection, code: Code::TRANSPORT_CLOSED });
        self.link_lost(connection, code, &refusal.message, refusal.retry_after_ms, None);
    }

    fn on_control(&mut self, connection: ConnectionId, delivery: Delivery) {
        match delivery {
            Delivery::Pong(pong) => self.session.set_clock(pong.server_time_ms, self.now_ms),
            Delivery::Done(done) => self.done(done.request),
            Delivery::Refused(refusal) => self.refused(None, refusal),
            Delivery::Closing(closing) => self.closing(connection, closing),
            Delivery::Draining(draining) => self.draining(draining),
            Delivery::Authenticated(answer) => self.authenticated(answer),
            Delivery::Created(created) => self.created(created),
            Delivery::InboxEntry(entry) => self.inbox_entry(entry),
            Delivery::Answered(answered) => self.answered(answered),
            Delivery::CallAsked(asked) => self.emit(super::Event::CallAsked(asked)),
            Delivery::CallEnded(ended) => self.emit(super::Event::CallEnded { call: ended.call }),
            // Frames of other lanes have no meaning here; skipping them is how the protocol grows.
            _ => {}
        }
    }

    fn on_conversation(&mut self, id: ConversationId, lane: LaneId, delivery: Delivery) {
        match delivery {
            Delivery::Opened(opened) => self.opened(id, lane, opened),
            Delivery::Event(event) => self.event(id, event),
            Delivery::CaughtUp(caught_up) => self.caught_up(id, caught_up.seq),
            Delivery::Published(published) => self.published(id, published),
            Delivery::ReceiptUpdated(receipt) => self.receipt_updated(id, receipt),
            Delivery::Ephemeral(ephemeral) => self.ephemeral(id, ephemeral),
            Delivery::Unsubscribed(ended) => self.unsubscribed(id, lane, ended.code, &ended.reason),
            Delivery::Refused(refusal) => self.refused(Some(id), refusal),
            _ => {}
        }
    }

    fn refused(&mut self, conversation: Option<ConversationId>, refusal: Refusal) {
        match (refusal.subject, conversation) {
            (Subject::Request(request), _) => self.call_refused(request, refusal.into()),
            (Subject::Message(message), _) => self.publish_refused(conversation, message, refusal.into()),
            (Subject::Lane, Some(id)) => self.open_refused(id, refusal.into()),
            // A signal that made no sense; nothing was lost by it.
            (Subject::Lane, None) => {}
        }
    }
}

//! Calls: sent when the connection allows it, sent again when that is harmless, answered always.

use super::{
    Answer, Call, ClientError, Event, HistoryEntries, LogEntry, Machine, MessageStatus, RequestId, Timer,
    input::LaneId,
    lanes::Usage,
    output::Output,
    requests::{Asker, Pending, Stage},
};
use duet_protocol::{
    Code, Command, ConversationId, EventBody,
    call::{self as protocol, Answered, Outcome},
    command::WatchInbox,
    delivery::{Created, HistoryPage},
};

impl Machine {
    pub(super) fn begin_call(&mut self, call: Call) -> RequestId {
        match &call {
            Call::SetAvailability(availability) => self.requests.standing.availability = Some(*availability),
            Call::WatchPresence(users) => self.requests.standing.presence = Some(users.clone()),
            Call::WatchInbox(on) => self.requests.standing.inbox = *on,
            Call::Serve(methods) => {
                self.requests.standing.serves = Some(methods.clone()).filter(|list| !list.is_empty());
            }
            _ => {}
        }
        self.begin(call, Asker::Application)
    }

    fn begin(&mut self, call: Call, asker: Asker) -> RequestId {
        let request = self.requests.next_id();
        // The server answers in time; what comes on top is for the way.
        let wait_ms =
            if let Call::Ask(_, _, timeout_ms) = &call { Some(u64::from(*timeout_ms)) } else { None };
        let refused = match self.life {
            super::Life::Closed | super::Life::Failed => Some(Code::CLOSED_BY_USER),
            _ => (!self.requests.insert(request, call, asker)).then_some(Code::LIMIT_REACHED),
        };
        match refused {
            Some(code) => {
                let result = Err(ClientError::from_code(code));
                self.emit(Event::Answered { request, result });
            }
            None => {
                let wait_ms = wait_ms.unwrap_or(0) + self.config.request_timeout_ms;
                let deadline_ms = self.now_ms + wait_ms;
                self.timers.set(Timer::Request(request), deadline_ms);
            }
        }
        request
    }

    pub(super) fn cancel(&mut self, request: RequestId) {
        if let Some(pending) = self.requests.remove(request) {
            self.over(request, &pending);
        }
    }

    /// Sends what can be sent now.
    pub(super) fn send_waiting_calls(&mut self) {
        for request in self.requests.at(|stage| stage == Stage::Waiting) {
            self.send_call(request);
        }
    }

    pub(super) fn is_creating(&self, id: ConversationId) -> bool {
        self.requests.is_creating(id)
    }

    fn send_call(&mut self, request: RequestId) {
        let Some(pending) = self.requests.get(request) else { return };
        if pending.call.needs().is_some_and(|id| self.requests.is_creating(id)) {
            return;
        }
        if matches!(pending.call, Call::WatchInbox(true)) && self.requests.is_ending_inbox(request) {
            return;
        }
        let command = pending.call.command(request);
        let history = matches!(pending.call, Call::History(..));
        let Some(online) = self.life.online_mut() else { return };
        let connection = online.connection;
        let lane = if history {
            let Some((lane, carrier)) = online.lanes.open(Usage::History(request)) else { return };
            self.outputs.push_back(Output::OpenLane { connection, lane, carrier });
            lane
        } else {
            LaneId::CONTROL
        };
        if let Some(pending) = self.requests.get_mut(request) {
            pending.stage = if history { Stage::OnLane(lane) } else { Stage::Sent };
        }
        if let Command::WatchInbox(WatchInbox { on: true, .. }) = command {
            self.inbox_begins();
        }
        self.outputs.push_back(Output::Send { connection, lane, command });
    }

    /// The connection is gone. What is harmless to repeat waits for the next one; for the rest nobody knows.
    pub(super) fn calls_lost(&mut self) {
        self.requests.forget_authentication();
        for request in self.requests.at(|stage| stage != Stage::Waiting) {
            let Some(pending) = self.requests.get_mut(request) else { continue };
            let stage = std::mem::replace(&mut pending.stage, Stage::Waiting);
            if stage != Stage::Blocked && !pending.call.is_idempotent() {
                let sentence = "The connection broke before the answer came; look at the conversation first.";
                self.answer(request, Err(ClientError::new(Code::TRANSPORT_CLOSED, sentence)));
            }
        }
    }

    /// A new connection stands: what was once asked for is asked for again.
    pub(super) fn resume_calls(&mut self, same_session: bool) {
        let standing = &self.requests.standing;
        let mut again = Vec::new();
        again.extend(standing.availability.filter(|_| !same_session).map(Call::SetAvailability));
        again.extend(standing.presence.clone().map(Call::WatchPresence));
        again.extend(standing.inbox.then_some(Call::WatchInbox(true)));
        again.extend(standing.serves.clone().map(Call::Serve));
        for call in again {
            let kind = std::mem::discriminant(&call);
            if !self.requests.has(|pending| std::mem::discriminant(pending) == kind) {
                self.begin(call, Asker::Machine);
            }
        }
    }

    pub(super) fn fail_calls(&mut self, code: Code) {
        for request in self.requests.at(|_| true) {
            self.answer(request, Err(ClientError::from_code(code)));
        }
        self.requests.standing = super::requests::Standing::default();
    }

    /// A call has waited long enough. What holds for every connection is asked for again, without end.
    pub(super) fn request_expired(&mut self, request: RequestId) {
        let again = self.requests.remove_wish(request, true);
        self.answer(request, Err(ClientError::from_code(Code::TIMEOUT)));
        if let Some(call) = again {
            self.begin(call, Asker::Machine);
        }
    }

    pub(super) fn done(&mut self, request: u32) {
        let request = RequestId(request);
        let call = self.requests.get(request).map(|pending| pending.call.clone());
        self.answer(request, Ok(Answer::Done));
        if matches!(call, Some(Call::WatchInbox(true))) {
            self.inbox_complete();
        }
    }

    /// A service answered.
    pub(super) fn answered(&mut self, answered: Answered) {
        self.answer(RequestId(answered.request), Ok(Answer::Outcome(answered.outcome)));
    }

    /// This service answers. What was asked on a connection that is gone is answered to nobody.
    pub(super) fn answer_call(&mut self, call: u64, outcome: Outcome) {
        if self.life.online().is_some() {
            self.on_lane(LaneId::CONTROL, Command::Answer(protocol::Answer { call, outcome }));
        }
    }

    pub(super) fn created(&mut self, created: Created) {
        self.answer(RequestId(created.request), Ok(Answer::Created(created.conversation)));
    }

    pub(super) fn history_page(&mut self, lane: LaneId, page: HistoryPage) {
        let request = RequestId(page.request);
        if self.requests.get(request).is_none_or(|pending| pending.stage != Stage::OnLane(lane)) {
            return;
        }
        let conversation = page.conversation;
        let mut entries = Vec::with_capacity(page.events.len());
        for event in page.events {
            let body = event.decode_body().unwrap_or(None);
            if let (true, Some(EventBody::Message(message))) = (self.is_me(event.author.as_ref()), &body) {
                // A message whose answer was lost can be found here first.
                self.settle_message(
                    conversation,
                    message.id,
                    (event.seq, event.at_ms),
                    MessageStatus::Accepted,
                    None,
                );
            }
            entries.push(LogEntry { seq: event.seq, at_ms: event.at_ms, author: event.author, body });
        }
        let page = HistoryEntries { conversation, entries, more: page.more };
        self.answer(request, Ok(Answer::History(page)));
    }

    /// The lane of a history request ended without a page.
    pub(super) fn history_ended(&mut self, request: RequestId, lane: LaneId, error: ClientError) {
        self.release_lane(lane, false);
        self.answer(request, Err(error));
    }

    pub(super) fn call_refused(&mut self, request: u32, error: ClientError) {
        if self.take_authentication(request) {
            return self.authentication_refused(error);
        }
        let request = RequestId(request);
        let Some(pending) = self.requests.get_mut(request) else { return };
        let stage = std::mem::replace(&mut pending.stage, Stage::Blocked);
        if let Stage::OnLane(lane) = stage {
            // A refused first frame ends the lane.
            // A read that failed does not: it was let in, and the server still holds the lane.
            self.release_lane(lane, error.code == Code::UNAVAILABLE);
        }
        if error.code == Code::TOKEN_EXPIRED {
            return self.renew_token();
        }
        let again = self.requests.remove_wish(request, error.retryable());
        self.answer(request, Err(error));
        if let Some(call) = again {
            // Asked once more when its time is over.
            let request = self.begin(call, Asker::Machine);
            if let Some(pending) = self.requests.get_mut(request) {
                pending.stage = Stage::Blocked;
            }
        }
    }

    /// A fresh token was accepted: what was refused for want of one is asked again.
    pub(super) fn unblock_calls(&mut self) {
        for request in self.requests.at(|stage| stage == Stage::Blocked) {
            if let Some(pending) = self.requests.get_mut(request) {
                pending.stage = Stage::Waiting;
            }
        }
    }

    pub(super) fn begin_authentication(&mut self) -> u32 {
        self.requests.begin_authentication()
    }

    pub(super) fn take_authentication(&mut self, request: u32) -> bool {
        self.requests.take_authentication(request)
    }

    fn answer(&mut self, request: RequestId, result: Result<Answer, ClientError>) {
        let Some(pending) = self.requests.remove(request) else { return };
        self.over(request, &pending);
        match (pending.asker, result) {
            (Asker::Application, result) => self.emit(Event::Answered { request, result }),
            (Asker::Machine, Err(error)) if !error.retryable() => self.report(error),
            (Asker::Machine, _) => {}
        }
    }

    fn over(&mut self, request: RequestId, pending: &Pending) {
        self.timers.clear(&Timer::Request(request));
        if let Stage::OnLane(lane) = pending.stage {
            self.release_lane(lane, true);
        }
    }
}

//! The SDK's whole behaviour without a clock, a socket or a task: facts go in, orders and events come out.
//!
//! ```text
//!  application, link, token provider ──handle(now, Input)──► Machine ──poll_output()──► link, provider, application
//!                                          clock ◄──next_deadline()──┘
//! ```
//!
//! The same machine runs over QUIC ([`crate::Client`] drives it) and over a simulated network. The same inputs at
//! the same times with the same seed give the same outputs. It never waits and never panics on input.
//!
//! `now_ms` is a clock that does not go back; its zero should be near the Unix epoch, since message ids carry the
//! time until the server's clock is known. Outputs are to be taken until none is left after every call.

mod backoff;
mod call;
mod calls;
mod change;
mod config;
mod connect;
mod conversation;
mod deliver;
mod doubt;
mod endpoints;
mod entropy;
mod error;
mod event;
mod fold;
mod hosts;
mod input;
mod lanes;
mod life;
mod log;
mod lost;
mod outbox;
mod output;
mod publish;
mod reach;
mod requests;
mod round;
mod send;
mod session;
mod signals;
mod subscribe;
mod timer;
mod tokens;

pub use call::{Answer, Call, HistoryEntries, RequestId};
pub use config::Config;
pub use error::ClientError;
pub use event::{
    ConversationInfo, Event, LogEntry, Me, Message, MessageStatus, State, StateChange, StatusChange,
};
pub use fold::{Changes, Deletion, Edit, MessageState, Reaction};
pub use hosts::Hosts;
pub use input::{
    ConnectionId, From, Input, LaneId, LinkEvent, LinkTraits, NewMessage, Saved, SavedSession, Token,
    TokenError,
};
pub use outbox::{OutboxEntry, Purpose};
pub use output::{Carrier, Output, Persist, TokenReason};

use backoff::Backoff;
use conversation::Conversation;
use duet_protocol::{
    ClientMessageId, ConversationId, Limits, Position, UserId, amend::Change, command::Durability,
};
use endpoints::Endpoints;
use entropy::Entropy;
use life::Life;
use outbox::Outbox;
use requests::Requests;
use session::Session;
use signals::Signals;
use std::collections::{BTreeMap, VecDeque};
use timer::{Timer, Timers};
use tokens::Tokens;

/// The machine; see the [module](self).
#[derive(Debug)]
pub struct Machine {
    config: Config,
    entropy: Entropy,
    now_ms: u64,
    timers: Timers,
    life: Life,
    connections: u64,
    endpoints: Endpoints,
    backoff: Backoff,
    tokens: Tokens,
    session: Session,
    conversations: BTreeMap<ConversationId, Conversation>,
    outbox: Outbox,
    requests: Requests,
    signals: Signals,
    /// What the caller has not taken yet; its bound is that the caller takes all after every call.
    outputs: VecDeque<Output>,
}

impl Machine {
    /// A machine that waits for `Connect`.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            entropy: Entropy::new(config.seed),
            now_ms: 0,
            timers: Timers::default(),
            life: Life::Disconnected,
            connections: 0,
            endpoints: Endpoints::new(config.endpoints.clone(), config.hosts.clone()),
            backoff: Backoff::default(),
            tokens: Tokens::default(),
            session: Session::default(),
            conversations: BTreeMap::new(),
            outbox: Outbox::new(&config),
            requests: Requests::default(),
            signals: Signals::default(),
            outputs: VecDeque::new(),
            config,
        }
    }

    /// Takes in a fact. Never fails: what cannot be done is told by an event.
    pub fn handle(&mut self, now_ms: u64, input: Input) {
        self.at(now_ms);
        match input {
            Input::Tick => {}
            Input::Restore(saved) => self.restore(saved),
            Input::Connect => self.connect(),
            Input::Close => self.close(),
            Input::NetworkChanged => self.network_changed(),
            Input::Token(result) => self.token(result),
            Input::Link(connection, event) => self.link(connection, event),
            Input::Subscribe(conversation, from) => self.subscribe(conversation, from),
            Input::Unsubscribe(conversation) => self.unsubscribe(conversation),
            Input::MarkRead(conversation, seq) => self.mark_read(conversation, seq),
            Input::Keystroke(conversation) => self.keystroke(conversation),
            Input::StopTyping(conversation) => self.stop_typing(conversation),
            Input::Idle(idle) => self.idle(idle),
            Input::Cancel(request) => self.cancel(request),
            Input::Discard(id) => self.discard(id),
            Input::AnswerCall(call, outcome) => self.answer_call(call, outcome),
        }
        self.settle();
    }

    /// Queues a message and gives back its local echo, which is also told as an event. Works while disconnected.
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `TOO_LARGE`, `CLOSED_BY_USER`, or `TRANSPORT_CLOSED` for an ephemeral message that cannot be
    /// sent now. Nothing was queued then.
    pub fn send(
        &mut self,
        now_ms: u64,
        conversation: ConversationId,
        message: NewMessage,
    ) -> Result<Message, ClientError> {
        self.at(now_ms);
        let result = self.queue_message(conversation, message);
        self.settle();
        result
    }

    /// Queues a change of a message; its status is told under the id that comes back, and what it makes of the message by
    /// [`Event::MessageUpdated`], at once. Works while disconnected.
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `TOO_LARGE`, `BAD_REQUEST`, `CLOSED_BY_USER`. Nothing was queued then.
    pub fn amend(
        &mut self,
        now_ms: u64,
        conversation: ConversationId,
        change: Change,
        durability: Durability,
    ) -> Result<ClientMessageId, ClientError> {
        self.at(now_ms);
        let result = self.queue_change(conversation, change, durability);
        self.settle();
        result
    }

    /// Queues a private note, as [`send`](Self::send) does a message.
    ///
    /// # Errors
    /// As [`send`](Self::send); `BAD_REQUEST` for an ephemeral one.
    pub fn note(
        &mut self,
        now_ms: u64,
        conversation: ConversationId,
        note: NewMessage,
    ) -> Result<Message, ClientError> {
        self.at(now_ms);
        let result = self.queue_note(conversation, note);
        self.settle();
        result
    }

    /// Sends a failed message again: as the same one where that is safe, else as a new one with a new id.
    ///
    /// # Errors
    /// `NOT_FOUND` when no failed message has this id, else as [`Machine::send`].
    pub fn retry(&mut self, now_ms: u64, id: ClientMessageId) -> Result<Message, ClientError> {
        self.at(now_ms);
        let result = self.retry_message(id);
        self.settle();
        result
    }

    /// Asks for something that has one answer; [`Event::Answered`] names the returned number, always.
    pub fn call(&mut self, now_ms: u64, call: Call) -> RequestId {
        self.at(now_ms);
        let request = self.begin_call(call);
        self.settle();
        request
    }

    /// A fresh id for [`Call::CreateConversation`]: a UUIDv7.
    pub fn new_conversation_id(&mut self, now_ms: u64) -> ConversationId {
        self.at(now_ms);
        let random = self.entropy.bytes();
        ConversationId(ClientMessageId::new(self.server_now_ms(), random).0)
    }

    /// The next order or event, in order; `None` when all is taken.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to feed [`Input::Tick`], by the clock of `now_ms`; `None` when nothing is awaited.
    #[must_use]
    pub fn next_deadline(&self) -> Option<u64> {
        self.timers.next()
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> State {
        self.life.state()
    }

    /// The user, once known.
    #[must_use]
    pub fn me(&self) -> Option<&Me> {
        self.session.me.as_ref()
    }

    /// The numbers that the server set last.
    #[must_use]
    pub fn limits(&self) -> Option<&Limits> {
        self.session.limits.as_ref()
    }

    /// The highest epoch that was seen.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.session.epoch
    }

    /// On how many disks the last acknowledged message was; 1 in a pair means that one node is alone.
    #[must_use]
    pub fn replicas(&self) -> Option<u8> {
        self.session.replicas
    }

    /// Up to where events of a shown conversation were told: those that [`Machine::poll_output`] has not given yet
    /// count as told, so it is to be kept only after all were taken.
    #[must_use]
    pub fn position(&self, conversation: ConversationId) -> Option<Position> {
        let conversation = self.conversations.get(&conversation)?;
        conversation.shown.and(conversation.position)
    }

    /// Everything in the outbox, failed messages included, oldest first.
    #[must_use]
    pub fn outbox(&self) -> Vec<OutboxEntry> {
        self.outbox.entries()
    }

    /// The session, as far as it is worth keeping.
    #[must_use]
    pub fn saved_session(&self) -> Option<SavedSession> {
        self.session.saved(self.endpoints.peers())
    }

    /// The server's clock as far as it is known, Unix milliseconds.
    #[must_use]
    pub fn server_now_ms(&self) -> u64 {
        self.now_ms.saturating_add_signed(self.session.clock_offset_ms)
    }

    /// Moves the clock and lets what is due happen first.
    fn at(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        while let Some(timer) = self.timers.pop_due(self.now_ms) {
            self.fire(timer);
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Attempt | Timer::MoveAttempt => self.round_expired(),
            Timer::NextDial => self.next_dial(),
            Timer::Retry => self.start_attempt(),
            Timer::Suspend => self.suspend(),
            Timer::Stable => self.backoff.reset(),
            Timer::Ping => self.ping(),
            Timer::Silence => self.silence(),
            Timer::Quiet => self.quiet(),
            Timer::Doubt => self.doubt(),
            Timer::Move => self.move_away(),
            Timer::TokenAnswer => self.token_overdue(),
            Timer::TokenRefresh => self.refresh_token(),
            Timer::Outbox => self.expire_outbox(),
            Timer::Request(request) => self.request_expired(request),
            Timer::Publish(_) => self.probe(),
            Timer::Resend(conversation) => self.flush(conversation),
            Timer::Reopen(conversation) => self.reopen_now(conversation),
            Timer::Receipt(conversation) => self.send_receipt(conversation),
            Timer::TypingStop(conversation) => self.stop_typing(conversation),
            Timer::TypingExpire(conversation, user) => self.typing_expired(conversation, &user),
        }
    }

    fn emit(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn is_me(&self, user: Option<&UserId>) -> bool {
        user.is_some() && self.session.me.as_ref().map(|me| &me.user) == user
    }
}

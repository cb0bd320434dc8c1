//! What the machine is told: what the application wants, what the link saw, what the token provider brought.

use super::{call::RequestId, outbox::OutboxEntry};
use bytes::Bytes;
use duet_protocol::{
    ClientMessageId, Code, ConversationId, Delivery, Frame, Position, call::Outcome, command::Durability,
    event::Content,
};
use std::fmt;

/// One attempt to reach a server, and the connection that comes of it. Never used twice by one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One ordered channel of a connection: a stream, or a number on the control stream. Never used twice on one
/// connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId(pub u32);

impl LaneId {
    /// The control stream; it is there as soon as the link is.
    pub const CONTROL: Self = Self(0);
}

/// A fact for [`Machine::handle`](super::Machine::handle).
#[derive(Debug, Clone)]
pub enum Input {
    /// Time has passed; feed it when [`Machine::next_deadline`](super::Machine::next_deadline) is reached.
    Tick,
    /// What an earlier process persisted. Before `Connect`.
    Restore(Saved),
    /// Begin to connect, and keep at it.
    Connect,
    /// End the session: the user is not expected back. Unsent messages stay in the outbox.
    Close,
    /// The network came back, or is another one: try at once, or check that the connection still carries.
    NetworkChanged,
    /// The answer to [`Output::NeedToken`](super::Output::NeedToken).
    Token(Result<Token, TokenError>),
    /// The link of this connection saw something. Facts about connections that the machine has given up are ignored.
    Link(ConnectionId, LinkEvent),
    /// Show a conversation and keep it up to date.
    Subscribe(ConversationId, From),
    /// Stop showing it. What waits to be sent there is still sent.
    Unsubscribe(ConversationId),
    /// The user has seen every event up to this seq. Never goes back.
    MarkRead(ConversationId, u64),
    /// The user pressed a key there. As often as it happens; the machine sends what is needed.
    Keystroke(ConversationId),
    /// The user left the input field there.
    StopTyping(ConversationId),
    /// The user left keyboard and screen alone, or is back.
    Idle(bool),
    /// Forget this request; its answer will be dropped.
    Cancel(RequestId),
    /// Take a failed message out of the outbox.
    Discard(ClientMessageId),
    /// A service's answer to a question that [`Event::CallAsked`](super::Event::CallAsked) told.
    AnswerCall(u64, Outcome),
}

/// What a link reports about one connection.
#[derive(Debug, Clone)]
pub enum LinkEvent {
    /// The carrier stands, and lane 0 with it.
    Connected(LinkTraits),
    /// A frame arrived on a lane.
    Frame(LaneId, Frame),
    /// The same, already decoded; for links that carry values.
    Delivery(LaneId, Delivery),
    /// A datagram arrived: `kind · body`.
    Datagram(Bytes),
    /// The server ended the lane: a finish (no code), a reset, or bytes that are no frames.
    LaneClosed(LaneId, Option<Code>),
    /// The connection is gone, or never came to be. The last event of a connection.
    Disconnected {
        /// The server's code when it gave one, else one of the client's own.
        code: Code,
        /// For people.
        reason: String,
    },
}

/// What a carrier can do by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkTraits {
    /// It carries datagrams.
    pub datagrams: bool,
    /// It keeps itself alive and notices by itself that the other side is gone. Otherwise the machine pings.
    pub keep_alive: bool,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the latest events, as many as [`Config::backlog`](super::Config::backlog) says.
    Default,
    /// With at most so many of the latest events.
    Latest(u16),
    /// Behind a position that the application kept together with its own copy of the events.
    After(Position),
}

/// What an earlier process persisted; see [`Output::Persist`](super::Output::Persist).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The session, if it may still go on.
    pub session: Option<SavedSession>,
    /// The outbox; order does not matter.
    pub outbox: Vec<OutboxEntry>,
}

/// What is needed to go on with a session in another process.
#[derive(Clone, PartialEq, Eq)]
pub struct SavedSession {
    /// Shows the right to the session. Secret.
    pub resume: Vec<u8>,
    /// The highest epoch that was seen.
    pub epoch: u64,
    /// Further endpoints at which the session can be resumed.
    pub peers: Vec<String>,
}

impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// A JWT. Its content never reaches a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There will be none: the user may not connect. The machine goes to `failed`.
    #[error("the user may not connect: {0}")]
    Unauthorized(String),
    /// Not now; the machine asks again later.
    #[error("no token now: {0}")]
    Unavailable(String),
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewMessage {
    /// What is said.
    pub content: Content,
    /// The seq of the message to which it replies.
    pub reply_to: Option<u64>,
    /// How safe it must be before it counts as accepted. `Ephemeral` is sent at once or not at all.
    pub durability: Durability,
}

impl NewMessage {
    /// Plain text, accepted as soon as it is stored.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { content: Content::text(text), reply_to: None, durability: Durability::Accepted }
    }

    /// The same, accepted only when it is on the disks of both nodes. Where that cannot be had now it fails with
    /// `NOT_DURABLE_NOW` (1140); a retry asks again.
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self { durability: Durability::Mirrored, ..self }
    }
}

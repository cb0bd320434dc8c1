//! What the application is told. Events are values, whole in themselves, and come in the order in which things
//! happened.
//!
//! A message is told once by [`Event::MessageCreated`], whatever was sent again or delivered twice, until a
//! [`Event::Discontinuity`] of its conversation says that everything shown there must be discarded.

use super::{call::Answer, call::RequestId, error::ClientError, fold::MessageState};
use duet_protocol::{
    ClientMessageId, Code, ConversationId, DisplayName, Position, TenantName, UserId,
    call::CallAsked,
    command::Durability,
    delivery::{ConversationKind, InboxEntry, Member, Presence, Status},
    event::{Content, EventBody},
    hello::Role,
};

/// Something for the application.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// `state`: the connection's state changed, or another try failed (`previous` = `current`).
    StateChanged(StateChange),
    /// `message.created`: a message, one's own local echo included.
    MessageCreated {
        /// The message.
        message: Message,
        /// `false` for the backlog of a subscription.
        live: bool,
    },
    /// `message.updated`: what a message is now, after an edit, a deletion or a reaction; whole. The application may not
    /// hold the message.
    MessageUpdated {
        /// Where.
        conversation: ConversationId,
        /// Which.
        seq: u64,
        /// What it is, own changes included that are on their way.
        state: MessageState,
    },
    /// `message.status`: an own message came further, or failed.
    MessageStatus(StatusChange),
    /// `message.ephemeral`: somebody said something that is not stored.
    EphemeralReceived {
        /// Where.
        conversation: ConversationId,
        /// Who.
        author: UserId,
        /// What.
        content: Content,
    },
    /// `conversation.opened`: the subscription stands; the backlog follows. Again after every reconnect.
    ConversationOpened(ConversationInfo),
    /// `conversation.ready`: the backlog is delivered; what follows is live.
    ConversationReady {
        /// Where.
        conversation: ConversationId,
        /// Where the client stands now.
        position: Position,
    },
    /// `conversation.updated`: an entry of the log that is no message.
    ConversationUpdated {
        /// Where.
        conversation: ConversationId,
        /// The entry.
        entry: LogEntry,
    },
    /// `conversation.closed`: the subscription ended for good, or was never granted.
    ConversationLost {
        /// Where.
        conversation: ConversationId,
        /// Why.
        error: ClientError,
    },
    /// `receipt.updated`: a member has received or read more.
    ReceiptUpdated {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
        /// Holds every event up to here.
        received: u64,
        /// Has seen every event up to here.
        read: u64,
    },
    /// `typing.started`
    TypingStarted {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// `typing.stopped`
    TypingStopped {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// `presence.updated`
    PresenceUpdated(Presence),
    /// `inbox.updated`: a conversation of the inbox, whole; `gone` when it left.
    InboxUpdated(InboxEntry),
    /// `inbox.ready`: the inbox is complete; what follows is live.
    InboxReady,
    /// The answer to a call.
    Answered {
        /// The call.
        request: RequestId,
        /// Its result.
        result: Result<Answer, ClientError>,
    },
    /// `call.asked`: a question for this service, answered with [`Input::AnswerCall`](super::Input::AnswerCall).
    CallAsked(CallAsked),
    /// `call.ended`: nobody waits for the answer to this question any more.
    CallEnded {
        /// The question's number.
        call: u64,
    },
    /// `discontinuity`: events are missing for good; discard what is shown and begin with what follows.
    Discontinuity {
        /// Where; `None` is the session as a whole.
        conversation: Option<ConversationId>,
        /// For people.
        reason: String,
    },
    /// `token.refreshed`
    TokenRefreshed {
        /// When it ends, Unix milliseconds; 0 for never.
        expires_ms: u64,
    },
    /// `error`: something went wrong that no call can report.
    Error(ClientError),
    /// The reader of events was too slow: so many were dropped before this one. Subscribe again from the last
    /// position. Made by the handle, never by the machine.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl Event {
    /// The event's name, as in every SDK.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::StateChanged(_) => "state",
            Self::MessageCreated { .. } => "message.created",
            Self::MessageUpdated { .. } => "message.updated",
            Self::MessageStatus(_) => "message.status",
            Self::EphemeralReceived { .. } => "message.ephemeral",
            Self::ConversationOpened(_) => "conversation.opened",
            Self::ConversationReady { .. } => "conversation.ready",
            Self::ConversationUpdated { .. } => "conversation.updated",
            Self::ConversationLost { .. } => "conversation.closed",
            Self::ReceiptUpdated { .. } => "receipt.updated",
            Self::TypingStarted { .. } => "typing.started",
            Self::TypingStopped { .. } => "typing.stopped",
            Self::PresenceUpdated(_) => "presence.updated",
            Self::InboxUpdated(_) => "inbox.updated",
            Self::InboxReady => "inbox.ready",
            Self::Answered { .. } => "answered",
            Self::CallAsked(_) => "call.asked",
            Self::CallEnded { .. } => "call.ended",
            Self::Discontinuity { .. } => "discontinuity",
            Self::TokenRefreshed { .. } => "token.refreshed",
            Self::Error(_) => "error",
            Self::Lagged { .. } => "lagged",
        }
    }
}

/// The life of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Not asked to connect yet.
    Disconnected,
    /// Never connected so far; retries by itself.
    Connecting,
    /// Connected.
    Connected,
    /// Was connected; the session can still be resumed.
    Reconnecting,
    /// Gone for longer than the resume window; still retrying.
    Suspended,
    /// By the application.
    Closed,
    /// For good; the last [`StateChange`] says why.
    Failed,
}

/// The state changed, or another try failed.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChange {
    /// Before.
    pub previous: State,
    /// Now.
    pub current: State,
    /// What caused it; `None` when nothing went wrong.
    pub code: Option<Code>,
    /// For people.
    pub reason: String,
    /// Milliseconds until the next try, if one is planned.
    pub retry_in_ms: Option<u64>,
    /// Where the connection leads, or led.
    pub endpoint: Option<String>,
    /// The node's name, while connected.
    pub node: Option<DisplayName>,
    /// The highest reign of a primary that was seen; 0 before the first connection.
    pub epoch: u64,
    /// Whether the session went on where it had stopped.
    pub resumed: bool,
}

/// The user of this client.
#[derive(Debug, Clone, PartialEq)]
pub struct Me {
    /// The tenant.
    pub tenant: TenantName,
    /// The user.
    pub user: UserId,
    /// What others see as the name.
    pub name: DisplayName,
    /// What the user may do.
    pub role: Role,
}

/// A message, one's own or somebody else's.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The author's id of it; never changes, so it is the key of a list.
    pub id: ClientMessageId,
    /// Where.
    pub conversation: ConversationId,
    /// Its place in the log; `None` until it is accepted.
    pub seq: Option<u64>,
    /// When it was accepted; until then, when it was sent. Unix milliseconds by the server's clock.
    pub at_ms: u64,
    /// Who; `None` for an own message while the client does not know its user yet.
    pub author: Option<UserId>,
    /// Whether this client's user wrote it.
    pub own: bool,
    /// What was said.
    pub content: Content,
    /// The seq of the message to which it replies.
    pub reply_to: Option<u64>,
    /// Whether it is a note, which visitors do not see.
    pub private: bool,
    /// How far it has come; `Accepted` for messages of others.
    pub status: MessageStatus,
}

/// How far an own message has come. Goes only forward, except for a retry of a failed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MessageStatus {
    /// Refused, or waited too long; [`StatusChange::error`] says why.
    Failed,
    /// In the outbox.
    Queued,
    /// Stored, in one place at least.
    Accepted,
    /// Stored on both nodes.
    Mirrored,
    /// At least one other member holds it.
    Delivered,
    /// At least one other member has seen it.
    Read,
}

/// An own message came further, or failed.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusChange {
    /// Where.
    pub conversation: ConversationId,
    /// Which.
    pub id: ClientMessageId,
    /// How far.
    pub status: MessageStatus,
    /// Its place in the log, once it has one.
    pub seq: Option<u64>,
    /// When it was accepted, Unix milliseconds, once it was.
    pub at_ms: Option<u64>,
    /// On how many disks it was when the server acknowledged it; `None` where its event came first.
    pub replicas: Option<u8>,
    /// Why it failed, or (`Queued`) why it waits.
    pub error: Option<ClientError>,
}

/// A conversation at the moment of its opening.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationInfo {
    /// The conversation.
    pub conversation: ConversationId,
    /// Its rules.
    pub kind: ConversationKind,
    /// Its stage.
    pub status: Status,
    /// What it is about.
    pub subject: Option<DisplayName>,
    /// The responsible agent.
    pub assignee: Option<UserId>,
    /// The last event.
    pub head: u64,
    /// The first event still kept.
    pub first_seq: u64,
    /// What follows is told from behind this event on. An own message whose place is at or before it lies in history, and
    /// what is between the two as well: they are had by asking for it.
    pub after: u64,
    /// The members with their watermarks; empty for large groups.
    pub members: Vec<Member>,
    /// How many members there are.
    pub member_count: u32,
}

/// An entry of a conversation's log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// Its position.
    pub seq: u64,
    /// When it was accepted, Unix milliseconds.
    pub at_ms: u64,
    /// Who caused it; `None` is the system.
    pub author: Option<UserId>,
    /// What happened; `None` when this SDK does not know the kind.
    pub body: Option<EventBody>,
}

/// The level that a status stands for, as the server reported it.
pub(crate) fn accepted_status(durability: Durability, replicas: u8) -> MessageStatus {
    if durability == Durability::Mirrored || replicas >= 2 {
        MessageStatus::Mirrored
    } else {
        MessageStatus::Accepted
    }
}

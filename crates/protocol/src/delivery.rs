//! What the server says: frames of kinds 0x40 to 0x7f.

use crate::{
    call::{Answered, CallAsked, CallEnded},
    codec::{Decode, Encode, open_enum},
    command::Durability,
    event::{Content, Event},
    hello::{Role, Welcome},
    ids::{ClientMessageId, ConversationId, DisplayName, Position, UserId},
    kinds::frames,
    reject::{Code, Refusal},
    signal::TypingState,
};

frames! {
    /// A frame from the server.
    Delivery {
        /// Control: the hello was accepted.
        0x42 Welcome(Welcome),
        /// Control.
        0x43 Pong(Pong),
        /// Control: the request was carried out.
        0x44 Done(Done),
        /// Any lane: the command was refused; nothing changed.
        0x45 Refused(Refusal),
        /// Control, last: the connection ends, and why.
        0x46 Closing(Closing),
        /// Control: the node will stop; resume elsewhere before the deadline.
        0x47 Draining(Draining),
        /// Control: a fresh token was accepted.
        0x48 Authenticated(Authenticated),
        /// Control: a conversation exists.
        0x49 Created(Created),
        /// Control: one conversation of the inbox, whole.
        0x4a InboxEntry(InboxEntry),
        /// Control or conversation: somebody's presence, whole.
        0x4b Presence(Presence),
        /// Control: an anonymous visitor is known from now on.
        0x4c Identified(Identified),
        /// Control or conversation: how many members of a large conversation are there, whole.
        0x4d PresenceCounts(PresenceCounts),
        /// Conversation, first.
        0x50 Opened(Opened),
        /// Conversation.
        0x51 Event(Event),
        /// Conversation: the backlog is delivered; what follows is live.
        0x52 CaughtUp(CaughtUp),
        /// Conversation: the message has a position and is as safe as was asked.
        0x53 Published(Published),
        /// Conversation: a member's watermarks moved.
        0x54 ReceiptUpdated(ReceiptUpdated),
        /// Conversation: an unstored message.
        0x55 Ephemeral(Ephemeral),
        /// Conversation, last: the subscription ended, and why.
        0x56 Unsubscribed(Unsubscribed),
        /// Bulk.
        0x58 HistoryPage(HistoryPage),
        /// Control: a question for this service.
        0x60 CallAsked(CallAsked),
        /// Control: the answer to a call.
        0x61 Answered(Answered),
        /// Control: nobody waits for the answer any more.
        0x62 CallEnded(CallEnded),
        /// Datagram, or lane 0 where there are none.
        0x70 Typing(TypingState),
    }
}

/// Answers a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Pong {
    /// From the ping.
    pub nonce: u64,
    /// The server's clock, Unix milliseconds.
    pub server_time_ms: u64,
}

/// A request without a result of its own was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    /// From the request.
    pub request: u32,
}

/// The connection ends. The carrier is closed with the same code right after.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Closing {
    /// Why; its range says what the client does next.
    pub code: Code,
    /// For people.
    pub reason: String,
    /// Wait at least this long before coming back, milliseconds.
    pub retry_after_ms: u32,
    /// Where to go instead (`host:port`), for codes 34xx.
    pub endpoint: Option<String>,
}

/// The node will stop.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Draining {
    /// This client's slot: move after so many milliseconds.
    pub move_after_ms: u32,
    /// The node stops after so many milliseconds.
    pub deadline_ms: u32,
    /// Where to go (`host:port`), if there is a better place than the usual ones.
    pub endpoint: Option<String>,
}

/// A fresh token was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Authenticated {
    /// From the request.
    pub request: u32,
    /// When the token ends, Unix milliseconds; 0 for never.
    pub expires_ms: u64,
}

/// A conversation exists now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Created {
    /// From the request.
    pub request: u32,
    /// The conversation: for `Direct`, the one that the two users already had, if any.
    pub conversation: ConversationId,
}

/// Which rules a conversation follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub enum ConversationKind {
    /// Two users; there is at most one between any two.
    Direct,
    /// Members who were invited.
    Group,
    /// A visitor and the tenant's staff, with a life cycle.
    Support,
    /// Many who listen to the tenant's staff.
    Broadcast,
}

open_enum!(ConversationKind { Direct, Group, Support, Broadcast } else Group);

/// The stages of a support conversation. Others are always `Active`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub enum Status {
    /// Waits for an agent.
    Queued,
    /// An agent is responsible.
    Active,
    /// Dealt with; the visitor's next message queues it again.
    Resolved,
    /// Over; takes no more messages.
    Closed,
}

open_enum!(Status { Queued, Active, Resolved, Closed } else Active);

/// What a user chose to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub enum Availability {
    /// Ready.
    Online,
    /// At work on something else.
    Busy,
    /// Not at the desk.
    Away,
    /// Invisible or off duty.
    Offline,
}

open_enum!(Availability { Online, Busy, Away, Offline } else Busy);

/// What the server observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub enum Connectivity {
    /// At least one device is connected and in use.
    Connected,
    /// Connected, but idle on every device.
    Idle,
    /// Dropped less than the grace ago.
    Reconnecting,
    /// Gone.
    Offline,
    /// Connected, but in the background on every device that is not idle: not looking, and can be reached.
    Reachable,
}

open_enum!(Connectivity { Connected, Idle, Reconnecting, Offline, Reachable } else Idle);

/// A user's presence, whole.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// What they chose.
    pub availability: Availability,
    /// What the server observes.
    pub connectivity: Connectivity,
    /// When they were last connected, Unix milliseconds; 0 for never.
    pub last_seen_ms: u64,
    /// Grows with every change under one epoch; an older one is stale.
    pub version: u64,
}

/// The anonymous visitor of this connection is a known user from now on, in everything that follows.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Identified {
    /// From the request.
    pub request: u32,
    /// Who the visitor is.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
    /// What they may do.
    pub role: Role,
    /// When the token ends, Unix milliseconds; 0 for never.
    pub expires_ms: u64,
}

/// How many members of a conversation are there, whole: for conversations that do not show each member's presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct PresenceCounts {
    /// The conversation.
    pub conversation: ConversationId,
    /// Connected and in use, and not by choice away or offline.
    pub connected: u32,
    /// There in another way: idle, reachable, reconnecting, or away by choice.
    pub away: u32,
    /// All others.
    pub offline: u32,
    /// Grows with every change under one epoch; an older one is stale.
    pub version: u64,
}

/// A conversation as a list shows it, whole.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct InboxEntry {
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
    /// Position of the last event. Entries of one conversation are ordered by it, then by `read`.
    pub head: u64,
    /// When the last event was accepted, Unix milliseconds.
    pub active_at_ms: u64,
    /// Up to where the user has read.
    pub read: u64,
    /// Messages of others that the user has not read.
    pub unread: u32,
    /// The first members, at most eight: names for the list.
    pub members: Vec<MemberName>,
    /// `true` when the conversation leaves this user's inbox.
    pub gone: bool,
}

/// Who is in a list's line.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MemberName {
    /// Who.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
}

/// The subscription stands; the backlog follows.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Opened {
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
    /// The last event at this moment.
    pub head: Position,
    /// The first event still kept.
    pub first_seq: u64,
    /// The backlog begins after this seq.
    pub after: u64,
    /// `false` when events between the client's position and `after` are no longer kept, or when the position
    /// is one that this log never had: discard and begin anew.
    pub complete: bool,
    /// The members (at most 200; larger groups send none) with their watermarks.
    pub members: Vec<Member>,
    /// How many members there are.
    pub member_count: u32,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
    /// Holds every event up to here.
    pub received: u64,
    /// Has seen every event up to here.
    pub read: u64,
    /// Their presence at this moment.
    pub presence: Presence,
}

/// The backlog is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct CaughtUp {
    /// Up to here.
    pub seq: u64,
}

/// The message has a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Published {
    /// The client's id.
    pub id: ClientMessageId,
    /// The position; 0 for an ephemeral message.
    pub seq: u64,
    /// When it was accepted, Unix milliseconds.
    pub at_ms: u64,
    /// How safe it is.
    pub durability: Durability,
    /// On how many disks it is.
    pub replicas: u8,
    /// Whether this id had been accepted before; `seq` is that of the first time.
    pub duplicate: bool,
}

/// A member's watermarks moved.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct ReceiptUpdated {
    /// Who.
    pub user: UserId,
    /// Holds every event up to here.
    pub received: u64,
    /// Has seen every event up to here.
    pub read: u64,
}

/// An unstored message.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Ephemeral {
    /// Who said it.
    pub author: UserId,
    /// What was said.
    pub content: Content,
}

/// The subscription ended.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Unsubscribed {
    /// Why; 20xx is for good, 25xx means subscribe again.
    pub code: Code,
    /// For people.
    pub reason: String,
}

/// A page of the past.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct HistoryPage {
    /// From the request.
    pub request: u32,
    /// The conversation.
    pub conversation: ConversationId,
    /// Ascending, without gaps.
    pub events: Vec<Event>,
    /// Whether there is more in the direction that was asked for.
    pub more: bool,
}

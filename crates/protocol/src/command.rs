//! What a client says: frames of kinds 0x02 to 0x3f.
//!
//! Frames marked *control* belong on lane 0, *conversation* on a lane that began with [`Open`], *bulk* on a
//! lane that began with [`HistoryRequest`]. A number `request` comes back in the answer.

use crate::{
    amend::{Amend, Note, PostSystem},
    call::{Answer, Call, Serve},
    codec::{Decode, Encode, known_fields},
    delivery::{Availability, ConversationKind},
    event::Content,
    hello::Hello,
    ids::{ClientMessageId, ConversationId, DisplayName, Position, UserId},
    kinds::frames,
    signal::{ActivitySignal, IdleSignal, TypingSignal},
};

frames! {
    /// A frame from a client.
    Command {
        /// Control, first.
        0x02 Hello(Hello),
        /// Control.
        0x03 Ping(Ping),
        /// Control: a fresh token for the same user, before the old one ends.
        0x04 Authenticate(Authenticate),
        /// Control: what the user chose to be.
        0x05 SetAvailability(SetAvailability),
        /// Control: the users whose presence the client wants to know.
        0x06 WatchPresence(WatchPresence),
        /// Control: the list of the user's conversations, kept up to date.
        0x07 WatchInbox(WatchInbox),
        /// Control: a new conversation.
        0x08 CreateConversation(CreateConversation),
        /// Control: more members for a group.
        0x09 AddMembers(AddMembers),
        /// Control: a member leaves or is removed.
        0x0a RemoveMember(RemoveMember),
        /// Control, staff: take a support conversation, or give it to an agent.
        0x0b Assign(Assign),
        /// Control: the next stage of a support conversation's life.
        0x0c SetStatus(SetStatus),
        /// Control: the end of the session; the user is not expected back.
        0x0d Goodbye(Goodbye),
        /// Control, an anonymous visitor: a token of the user that they turned out to be.
        0x0e Identify(Identify),
        /// Conversation, first: subscribe.
        0x10 Open(Open),
        /// Conversation.
        0x11 Publish(Publish),
        /// Conversation: how far the user has received and read.
        0x12 Receipt(Receipt),
        /// Conversation or bulk, on a wrapped lane: its end. A stream is finished instead.
        0x13 Close(Close),
        /// Conversation: a change of a message.
        0x14 Amend(Amend),
        /// Conversation, staff: a message that visitors never see.
        0x15 Note(Note),
        /// Conversation, service: something that happened.
        0x16 PostSystem(PostSystem),
        /// Bulk.
        0x18 HistoryRequest(HistoryRequest),
        /// Control, service: the methods that this connection serves.
        0x20 Serve(Serve),
        /// Control: a question to a service.
        0x21 Call(Call),
        /// Control, service: an answer.
        0x22 Answer(Answer),
        /// Control: the conversations of whose members the client wants to know the presence.
        0x28 WatchMembers(WatchMembers),
        /// Datagram, or lane 0 where there are none.
        0x30 Typing(TypingSignal),
        /// Datagram, or lane 0 where there are none.
        0x31 Idle(IdleSignal),
        /// Datagram, or lane 0 where there are none.
        0x32 Activity(ActivitySignal),
    }
}

/// Asks for a [`Pong`](crate::delivery::Pong).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Ping {
    /// Comes back unchanged.
    pub nonce: u64,
}

/// A fresh token. Answer: [`Authenticated`](crate::delivery::Authenticated).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Authenticate {
    /// Comes back in the answer.
    pub request: u32,
    /// A JWT for the same tenant and user.
    pub token: String,
}

/// The user's chosen availability, for all their devices. Answer: `Done`.
#[derive(Debug, Clone, PartialEq, Encode)]
pub struct SetAvailability {
    /// Comes back in the answer.
    pub request: u32,
    /// The choice.
    pub availability: Availability,
}

known_fields!(SetAvailability { request: any, availability: known });

/// Replaces the list of watched users. Answer: `Done`, then their `Presence`, then changes.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct WatchPresence {
    /// Comes back in the answer.
    pub request: u32,
    /// At most 200 users of the same tenant.
    pub users: Vec<UserId>,
}

/// Starts or ends the inbox. Answer: one `InboxEntry` per conversation, `Done`, then changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct WatchInbox {
    /// Comes back in the answer.
    pub request: u32,
    /// Whether to watch.
    pub on: bool,
}

/// Creates a conversation. Answer: `Created`, also when it was created before by the same call.
#[derive(Debug, Clone, PartialEq, Encode)]
pub struct CreateConversation {
    /// Comes back in the answer.
    pub request: u32,
    /// Chosen by the client; the same id again is the same conversation.
    pub conversation: ConversationId,
    /// Which rules it follows.
    pub kind: ConversationKind,
    /// What it is about.
    pub subject: Option<DisplayName>,
    /// Other members: exactly one for `Direct`, any for `Group` and `Broadcast`, none for `Support`.
    pub members: Vec<UserId>,
}

known_fields!(CreateConversation {
    request: any,
    conversation: any,
    kind: known,
    subject: any,
    members: any
});

/// Adds members to a group. Answer: `Done`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct AddMembers {
    /// Comes back in the answer.
    pub request: u32,
    /// The group.
    pub conversation: ConversationId,
    /// At most 100 at once.
    pub users: Vec<UserId>,
}

/// Takes a member out, or oneself. Answer: `Done`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct RemoveMember {
    /// Comes back in the answer.
    pub request: u32,
    /// The conversation.
    pub conversation: ConversationId,
    /// Who leaves.
    pub user: UserId,
}

/// Makes an agent responsible. Answer: `Done`, or `conflict` when another agent was first.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Assign {
    /// Comes back in the answer.
    pub request: u32,
    /// A support conversation.
    pub conversation: ConversationId,
    /// The agent; `None` is the caller. Only a supervisor may name somebody else or take from somebody.
    pub agent: Option<UserId>,
}

/// Moves a support conversation on. Answer: `Done`, or `conflict` when the life cycle has no such step.
#[derive(Debug, Clone, PartialEq, Encode)]
pub struct SetStatus {
    /// Comes back in the answer.
    pub request: u32,
    /// A support conversation.
    pub conversation: ConversationId,
    /// `Resolved` or `Closed`; a visitor's next message in a resolved one queues it again.
    pub status: crate::delivery::Status,
}

known_fields!(SetStatus { request: any, conversation: any, status: known });

/// Ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Goodbye {}

/// A proof of who an anonymous visitor is. Answer: [`Identified`](crate::delivery::Identified).
///
/// Only for a server that granted [`IDENTIFY`](crate::hello::capability::IDENTIFY).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Identify {
    /// Comes back in the answer.
    pub request: u32,
    /// A JWT of the same tenant, for a visitor who is not anonymous.
    pub token: String,
}

/// Replaces the list of conversations of whose members the presence is wanted. Answer: `Done`, then for each conversation
/// the members' `Presence`, or `PresenceCounts` for a large one, then changes.
///
/// Only for a server that granted [`PRESENCE`](crate::hello::capability::PRESENCE).
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct WatchMembers {
    /// Comes back in the answer.
    pub request: u32,
    /// At most 32 conversations that the user may see.
    pub conversations: Vec<ConversationId>,
}

/// Subscribes the lane to a conversation. Answer: [`Opened`](crate::delivery::Opened), the events after the
/// position in order, `CaughtUp`, then live events.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Open {
    /// The conversation.
    pub conversation: ConversationId,
    /// Where the client stands.
    pub start: Start,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Start {
    /// The latest events, at most so many; history has the rest.
    Latest(u16),
    /// Everything after this position.
    After(Position),
}

/// Appends a message. Answer: [`Published`](crate::delivery::Published), or a refusal that names `id`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Publish {
    /// The client's id: the same id is the same message, however often it is sent.
    pub id: ClientMessageId,
    /// The content.
    pub content: Content,
    /// The message to which this one replies.
    pub reply_to: Option<u64>,
    /// How safe the message must be before it is acknowledged.
    pub durability: Durability,
}

/// How safe a message must be before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Durability {
    /// Not stored at all: delivered to who listens now, without a position.
    Ephemeral,
    /// On as many disks as the node has been configured to require, at least one.
    Accepted,
    /// On the disks of both nodes; refused with `not_durable_now` when that cannot be had.
    Mirrored,
}

/// Watermarks of the user; they never go back. Not answered; others see a `ReceiptUpdated`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Receipt {
    /// The client holds every event up to here.
    pub received: u64,
    /// The user has seen every event up to here.
    pub read: u64,
}

/// Ends a wrapped lane; its number may be used again after the server's `Unsubscribed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Close {}

/// Asks for a page of the past. Answer: [`HistoryPage`](crate::delivery::HistoryPage).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct HistoryRequest {
    /// Comes back in the answer.
    pub request: u32,
    /// The conversation.
    pub conversation: ConversationId,
    /// Which way to read.
    pub page: Page,
    /// Most events wanted, 1 to 500; a page also ends at about 44 KiB.
    pub limit: u16,
}

/// A direction and a bound, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Page {
    /// Events before this seq, the latest ones; in ascending order all the same.
    Before(u64),
    /// Events after this seq.
    After(u64),
}

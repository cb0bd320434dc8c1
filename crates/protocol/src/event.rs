//! Events: the entries of a conversation's log, numbered 1, 2, 3 without gaps, the same for everyone and forever.
//!
//! An event's body is encoded apart and named by a number, so that a client that does not know a kind of event can
//! still count it: it shows nothing and moves on.

use crate::{
    codec::{self, CodecError, Decode, Encode},
    delivery::{ConversationKind, Status},
    hello::Role,
    ids::{ClientMessageId, DisplayName, Emoji, Label, UserId},
};

/// One entry of a conversation's log.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Event {
    /// Its position.
    pub seq: u64,
    /// When the primary accepted it, Unix milliseconds; never goes back within a conversation.
    pub at_ms: u64,
    /// Who caused it; `None` is the system.
    pub author: Option<UserId>,
    /// Which [`EventBody`] `body` encodes.
    pub kind: u16,
    /// The encoded body.
    pub body: Vec<u8>,
}

impl Event {
    /// Reads the body; `None` when the kind is not known here.
    ///
    /// # Errors
    /// [`CodecError`] when the body is not what `kind` says.
    pub fn decode_body(&self) -> Result<Option<EventBody>, CodecError> {
        EventBody::decode(self.kind, &self.body)
    }
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $kind:literal $variant:ident($body:ty)),+ $(,)?) => {
        /// What happened.
        #[derive(Debug, Clone, PartialEq)]
        pub enum EventBody { $($(#[$doc])* $variant($body)),+ }

        impl EventBody {
            /// Every kind number with its name.
            pub const KINDS: &[(u16, &str)] = &[$(($kind, stringify!($variant))),+];

            /// The kind number and the encoded body.
            #[must_use]
            pub fn encode(&self) -> (u16, Vec<u8>) {
                match self { $(Self::$variant(body) => ($kind, codec::encode(body))),+ }
            }

            /// Reads a body; `None` when the kind is not known here.
            ///
            /// # Errors
            /// [`CodecError`] when the bytes are not what `kind` says.
            pub fn decode(kind: u16, bytes: &[u8]) -> Result<Option<Self>, CodecError> {
                Ok(Some(match kind { $($kind => Self::$variant(codec::decode(bytes)?),)+ _ => return Ok(None) }))
            }
        }
    };
}

bodies! {
    /// Somebody said something.
    1 Message(Message),
    /// The first event of every conversation.
    2 Created(Created),
    /// A new member.
    3 MemberJoined(MemberJoined),
    /// A member left.
    4 MemberLeft(MemberLeft),
    /// A support conversation has an agent.
    5 Assigned(Assigned),
    /// A support conversation reached another stage.
    6 StatusChanged(StatusChanged),
    /// A message says something else.
    7 Edited(Edited),
    /// A message is gone.
    8 Deleted(Deleted),
    /// A reaction to a message appeared or went.
    9 Reacted(Reacted),
    /// What was here belonged to a message that is gone.
    10 Tombstone(Tombstone),
    /// Something happened, told by a back end.
    11 System(System),
    /// Staff only: another event inside.
    12 Private(Private),
    /// What is here is for staff only; in place of `Private`.
    13 Withheld(Withheld),
    /// An anonymous visitor is known from now on.
    20 MemberIdentified(MemberIdentified),
}

/// Somebody said something.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Message {
    /// The author's own id of it.
    pub id: ClientMessageId,
    /// What was said.
    pub content: Content,
    /// The message to which this one replies.
    pub reply_to: Option<u64>,
}

/// What was said.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Content {
    /// How to read `body`: [`format`].
    pub format: u16,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Content {
    /// Plain text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self { format: format::TEXT, body: text.as_bytes().to_vec() }
    }

    /// The text, if that is what it is.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        (self.format == format::TEXT).then(|| std::str::from_utf8(&self.body).ok()).flatten()
    }
}

/// Formats of [`Content`]. Numbers of 1024 and more are free for applications.
pub mod format {
    /// UTF-8 text; the server refuses anything that is not.
    pub const TEXT: u16 = 0;
    /// UTF-8 JSON (RFC 8259), its meaning agreed among clients.
    pub const JSON: u16 = 1;
    /// Bytes.
    pub const BINARY: u16 = 2;
    /// UTF-8 JSON of a card: see `docs/protocol.md`.
    pub const CARD: u16 = 3;
}

/// The first event.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Created {
    /// Which rules the conversation follows.
    pub kind: ConversationKind,
    /// What it is about.
    pub subject: Option<DisplayName>,
}

/// A new member.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MemberJoined {
    /// Who.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
}

/// A member left.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MemberLeft {
    /// Who.
    pub user: UserId,
}

/// An agent became responsible.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Assigned {
    /// Who.
    pub agent: UserId,
}

/// A new stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct StatusChanged {
    /// The stage.
    pub status: Status,
}

/// A message says something else.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Edited {
    /// The client's id of the change.
    pub id: ClientMessageId,
    /// Seq of the message.
    pub target: u64,
    /// What it says from now on.
    pub content: Content,
}

/// A message is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Deleted {
    /// The client's id of the change.
    pub id: ClientMessageId,
    /// Seq of the message.
    pub target: u64,
}

/// A reaction to a message appeared or went.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Reacted {
    /// The client's id of the change.
    pub id: ClientMessageId,
    /// Seq of the message.
    pub target: u64,
    /// Which reaction; the event's author reacted.
    pub emoji: Emoji,
    /// Whether it is there from now on.
    pub on: bool,
}

/// In place of a deleted message, or of one of its edits: author and time of the event stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Tombstone {
    /// Seq of the message: of this event itself, or of the one that this event edited.
    pub of: u64,
    /// Seq of the event that deleted it.
    pub deletion: u64,
    /// When, Unix milliseconds.
    pub deleted_at_ms: u64,
}

/// Something happened, told by a back end.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct System {
    /// The client's id of it.
    pub id: ClientMessageId,
    /// What happened, for programs.
    pub name: Label,
    /// What happened, for people or programs: text or JSON.
    pub content: Content,
}

/// An event for staff: a note is a `Message` in here, and what changes it is in here as well.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Private {
    /// Kind of the event inside; not `Private`, not `Withheld`.
    pub kind: u16,
    /// Its encoded body.
    pub body: Vec<u8>,
}

impl Private {
    /// The event inside; `None` when its kind is not known here.
    ///
    /// # Errors
    /// [`CodecError`] when the body is not what `kind` says.
    pub fn decode_body(&self) -> Result<Option<EventBody>, CodecError> {
        EventBody::decode(self.kind, &self.body)
    }
}

/// An event that this user may not see: it counts, and shows nothing. It has no author, and its time is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Withheld {}

/// A member who was an anonymous visitor is known from now on: one member is replaced by another.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct MemberIdentified {
    /// The anonymous user; no longer a member.
    pub before: UserId,
    /// Who they are; a member from now on, if they were not one already.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
}

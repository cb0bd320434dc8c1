//! What a client adds to a conversation besides messages: changes of what was said, private notes, system events.
//!
//! All of them are acknowledged durable writes with a message id, like [`Publish`](crate::command::Publish), and each
//! becomes one event. None of them may be ephemeral.

use crate::{
    codec::{Decode, Encode},
    command::Durability,
    event::Content,
    ids::{ClientMessageId, Emoji, Label},
};

/// Changes a message. Answer: [`Published`](crate::delivery::Published), or a refusal that names `id`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Amend {
    /// The client's id: the same id is the same change, however often it is sent.
    pub id: ClientMessageId,
    /// What changes.
    pub change: Change,
    /// How safe the change must be before it is acknowledged; not `Ephemeral`.
    pub durability: Durability,
}

/// A change of a message.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Change {
    /// Its content is another one.
    Edit(Edit),
    /// It is gone.
    Delete(Delete),
    /// A reaction appears or goes.
    React(React),
}

/// Another content for a message.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Edit {
    /// Seq of the message.
    pub target: u64,
    /// What it says from now on.
    pub content: Content,
}

/// Takes a message away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Delete {
    /// Seq of the message.
    pub target: u64,
}

/// The user's reaction to a message.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct React {
    /// Seq of the message.
    pub target: u64,
    /// Which reaction.
    pub emoji: Emoji,
    /// Whether it is there from now on.
    pub on: bool,
}

/// A message among staff. Answer: `Published`; others get it inside a `Private` event, visitors a `Withheld` one.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Note {
    /// The client's id.
    pub id: ClientMessageId,
    /// The content.
    pub content: Content,
    /// The message to which this one replies.
    pub reply_to: Option<u64>,
    /// How safe it must be before it is acknowledged; not `Ephemeral`.
    pub durability: Durability,
}

/// Something that happened, told by a back end. Answer: `Published`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct PostSystem {
    /// The client's id.
    pub id: ClientMessageId,
    /// What happened, for programs.
    pub name: Label,
    /// What happened, for people or programs: text or JSON.
    pub content: Content,
    /// How safe it must be before it is acknowledged; not `Ephemeral`.
    pub durability: Durability,
}

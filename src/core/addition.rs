//! What is added to a conversation and is no message for everyone: changes of messages, notes, system events.
//!
//! Stored inside [`Record::Added`](super::Record::Added): append variants and never reorder them.

use duet_protocol::{
    ClientMessageId, EventBody,
    amend::{Amend, Change, Delete, Edit, Note, PostSystem, React},
    codec::{self, Decode, Encode},
    event::{Content, Deleted, Edited, Message, Private, Reacted, System},
    ids::{Emoji, Label},
};

/// What is added.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Addition {
    /// Another content for the message at `target`.
    Edit {
        /// Seq of the message.
        target: u64,
        /// What it says from now on.
        content: Content,
    },
    /// The message at `target` is gone.
    Delete {
        /// Seq of the message.
        target: u64,
    },
    /// A reaction to the message at `target` appeared or went.
    React {
        /// Seq of the message.
        target: u64,
        /// Which.
        emoji: Emoji,
        /// Whether it is there from now on.
        on: bool,
    },
    /// A message among staff.
    Note {
        /// What.
        content: Content,
        /// To which message it replies.
        reply_to: Option<u64>,
    },
    /// Something happened.
    System {
        /// What, for programs.
        name: Label,
        /// What, for people or programs.
        content: Content,
    },
}

impl Addition {
    /// The body of its event; a private one is wrapped.
    #[must_use]
    pub fn body(&self, id: ClientMessageId, private: bool) -> EventBody {
        let body = match self.clone() {
            Self::Edit { target, content } => EventBody::Edited(Edited { id, target, content }),
            Self::Delete { target } => EventBody::Deleted(Deleted { id, target }),
            Self::React { target, emoji, on } => EventBody::Reacted(Reacted { id, target, emoji, on }),
            Self::Note { content, reply_to } => EventBody::Message(Message { id, content, reply_to }),
            Self::System { name, content } => EventBody::System(System { id, name, content }),
        };
        if private { wrapped(&body) } else { body }
    }

    /// Tells one addition from another: XXH3-64 over its encoding.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&codec::encode(self))
    }
}

/// An event for staff around another one.
pub(super) fn wrapped(inside: &EventBody) -> EventBody {
    let (kind, body) = inside.encode();
    EventBody::Private(Private { kind, body })
}

impl From<&Amend> for Addition {
    fn from(amend: &Amend) -> Self {
        match amend.change.clone() {
            Change::Edit(Edit { target, content }) => Self::Edit { target, content },
            Change::Delete(Delete { target }) => Self::Delete { target },
            Change::React(React { target, emoji, on }) => Self::React { target, emoji, on },
        }
    }
}

impl From<&Note> for Addition {
    fn from(note: &Note) -> Self {
        Self::Note { content: note.content.clone(), reply_to: note.reply_to }
    }
}

impl From<&PostSystem> for Addition {
    fn from(post: &PostSystem) -> Self {
        Self::System { name: post.name.clone(), content: post.content.clone() }
    }
}

//! What the fold remembers of messages that were changed, and of what visitors do not see.
//!
//! Messages themselves lie in the store. Of a message that nobody deleted or reacted to nothing is kept here.

use super::{
    addition::Addition,
    conversation::Conversation,
    record::ConversationKey,
    rows::RowKey,
    state::{State, Tip},
};
use duet_protocol::{
    UserId,
    codec::{Decode, Encode},
    ids::Emoji,
};
use std::collections::VecDeque;

/// What is known of one message; a row each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Marks {
    /// That it is deleted.
    pub deleted: Option<Deletion>,
    /// Hashes of the different emoji that it ever had, for their bound; forgotten when it is deleted.
    pub emoji: Vec<u32>,
}

/// When and by what a message was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Deletion {
    /// Seq of the event.
    pub seq: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Log index of the entry: what is not committed hides nothing yet.
    pub index: u64,
}

/// What visitors do not see of a conversation; one row, only where there is something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Aside {
    /// The latest runs of notes, first and last position of each, ascending: visitors do not count them.
    pub notes: VecDeque<(u64, u64)>,
    /// When the last event was that visitors see, if a private one followed it; Unix milliseconds.
    pub shown_at_ms: Option<u64>,
}

impl Marks {
    /// Whether one more reaction with this emoji is within the bound.
    #[must_use]
    pub fn takes(&self, emoji: &Emoji) -> bool {
        self.emoji.len() < EMOJI_MAX || self.emoji.contains(&hash(emoji))
    }
}

impl Conversation {
    /// The deletion of the message at `seq`, if there was one.
    #[must_use]
    pub fn deletion(&self, seq: u64) -> Option<&Deletion> {
        self.marks.get(&seq).and_then(|marks| marks.deleted.as_ref())
    }

    /// Puts stored marks back.
    pub(super) fn restore_marks(&mut self, seq: u64, marks: Marks) {
        self.deletions += usize::from(marks.deleted.is_some());
        self.marks.insert(seq, marks);
    }

    /// The message at `target` is gone.
    pub(super) fn delete(&mut self, target: u64, deletion: Deletion) {
        self.marks.insert(target, Marks { deleted: Some(deletion), emoji: Vec::new() });
        self.deletions += 1;
    }

    /// Somebody reacted to the message at `target`. Answers with the message that is forgotten for it, if one is: reactions
    /// to it are counted anew then.
    pub(super) fn react(&mut self, target: u64, emoji: &Emoji) -> Option<u64> {
        let marks = self.marks.entry(target).or_default();
        let hash = hash(emoji);
        if marks.deleted.is_none() && !marks.emoji.contains(&hash) {
            marks.emoji.push(hash);
        }
        if self.marks.len() - self.deletions <= REACTED_MAX {
            return None;
        }
        let oldest = self.marks.iter().find(|(_, marks)| marks.deleted.is_none()).map(|(seq, _)| *seq)?;
        self.marks.remove(&oldest);
        Some(oldest)
    }

    /// The event that was just counted is one that visitors do not see; the last one that they see is of `shown_at_ms`.
    pub(super) fn set_aside(&mut self, shown_at_ms: u64) {
        self.aside.get_or_insert_default().shown_at_ms = Some(shown_at_ms);
    }

    /// The event that was just counted is a note.
    pub(super) fn count_note(&mut self) {
        let seq = self.head.seq;
        let notes = &mut self.aside.get_or_insert_default().notes;
        match notes.back_mut().filter(|run| run.1 + 1 == seq) {
            Some(run) => run.1 = seq,
            None => notes.push_back((seq, seq)),
        }
        if notes.len() > NOTES_MAX {
            notes.pop_front();
        }
    }

    /// Notes after `read`. Exact unless more than 64 runs of notes lie behind `read`.
    #[must_use]
    pub fn notes_after(&self, read: u64) -> u32 {
        let runs = self.aside.iter().flat_map(|aside| &aside.notes).filter(|run| run.1 > read);
        let notes: u64 = runs.map(|run| run.1 - run.0.max(read + 1) + 1).sum();
        u32::try_from(notes).unwrap_or(u32::MAX)
    }

    /// When the last event was that this reader sees, Unix milliseconds.
    #[must_use]
    pub fn active_at_ms(&self, staff: bool) -> u64 {
        let shown_at_ms = self.aside.as_ref().and_then(|aside| aside.shown_at_ms).filter(|_| !staff);
        shown_at_ms.unwrap_or(self.head.active_at_ms)
    }
}

impl State {
    /// Something was added that is no message for everyone.
    pub(super) fn add(&mut self, key: ConversationKey, author: &UserId, addition: &Addition, private: bool) {
        let Tip { index, at_ms, .. } = self.tip;
        let conversation = self.change(key);
        let shown_at_ms = conversation.active_at_ms(false);
        if let Addition::Note { .. } = addition {
            conversation.count_message(at_ms, author);
            conversation.count_note();
        } else {
            conversation.count_silent(at_ms);
        }
        if private {
            conversation.set_aside(shown_at_ms);
        }
        let seq = conversation.head.seq;
        let (marked, forgotten) = match addition {
            Addition::Delete { target } => {
                conversation.delete(*target, Deletion { seq, at_ms, index });
                (Some(*target), None)
            }
            Addition::React { target, emoji, on: true } => {
                (Some(*target), conversation.react(*target, emoji))
            }
            _ => (None, None),
        };
        self.dirty.extend(marked.into_iter().chain(forgotten).map(|seq| RowKey::Marks(key, seq)));
        if private {
            self.dirty.insert(RowKey::Aside(key));
        }
        self.dirty.insert(RowKey::Member(key, author.clone()));
    }
}

/// Different emoji that one message may ever have.
pub const EMOJI_MAX: usize = 32;

/// Messages of one conversation whose emoji are counted; beyond, the oldest is counted anew.
const REACTED_MAX: usize = 1_024;

/// Runs of notes that a conversation remembers.
const NOTES_MAX: usize = 64;

fn hash(emoji: &Emoji) -> u32 {
    // The low half: two emoji that share it count as one, which only makes the bound wider.
    xxhash_rust::xxh3::xxh3_64(emoji.as_str().as_bytes()) as u32
}

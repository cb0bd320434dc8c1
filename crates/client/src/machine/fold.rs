//! What edits, deletions and reactions make of messages: the fold of `docs/protocol.md`, "What an event changes".
//!
//! The outcome does not depend on the order in which entries are taken in, and taking one in twice changes nothing. So an
//! application may fold live events and pages of the past in any order; the machine folds what it shows.

use super::event::LogEntry;
use duet_protocol::{
    EventBody, UserId,
    amend::Change,
    event::{Content, Deleted, Edited, Reacted, Tombstone},
    ids::Emoji,
};
use std::collections::BTreeMap;

/// The changes of one conversation's messages, by seq of the message.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    messages: BTreeMap<u64, Folded>,
}

/// What a message is now, beyond what it said first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MessageState {
    /// It is gone: no content, no reactions.
    pub deleted: Option<Deletion>,
    /// What it says now, if it was edited.
    pub edited: Option<Edit>,
    /// Reactions, in the order in which each emoji appeared first.
    pub reactions: Vec<Reaction>,
}

/// When a message was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Seq of the event; `None` while the server has not answered.
    pub seq: Option<u64>,
    /// When, Unix milliseconds.
    pub at_ms: u64,
}

/// The last edit of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Seq of the event; `None` while the server has not answered.
    pub seq: Option<u64>,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// What the message says.
    pub content: Content,
}

/// One emoji on a message, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reaction {
    /// Which.
    pub emoji: Emoji,
    /// Who reacted with it.
    pub users: Vec<UserId>,
}

#[derive(Debug, Clone, Default)]
struct Folded {
    deleted: Option<(u64, u64)>,
    edited: Option<(u64, u64, Content)>,
    /// By emoji and user: the latest event, and whether the reaction is there.
    reactions: BTreeMap<(Emoji, UserId), (u64, bool)>,
    /// By emoji: the first event.
    first: BTreeMap<Emoji, u64>,
}

impl Changes {
    /// Takes in an entry of the log. The seq of the message that is another one by it, if there is one.
    pub fn take(&mut self, entry: &LogEntry) -> Option<u64> {
        let body = entry.body.as_ref()?;
        let inside = match body {
            EventBody::Private(private) => &private.decode_body().ok()??,
            body => body,
        };
        let (seq, at_ms) = (entry.seq, entry.at_ms);
        let target = match inside {
            EventBody::Edited(Edited { target, .. })
            | EventBody::Deleted(Deleted { target, .. })
            | EventBody::Reacted(Reacted { target, .. }) => Some(*target).filter(|target| *target < seq),
            EventBody::Tombstone(Tombstone { of, .. }) => Some(*of).filter(|of| *of <= seq),
            _ => None,
        }?;
        let message = self.messages.entry(target).or_default();
        match inside {
            EventBody::Deleted(_) => message.delete(seq, at_ms),
            EventBody::Tombstone(stone) => message.delete(stone.deletion, stone.deleted_at_ms),
            EventBody::Edited(edited) => message.edit(seq, at_ms, &edited.content),
            EventBody::Reacted(reacted) => message.react(seq, entry.author.as_ref()?, reacted),
            _ => {}
        }
        while self.messages.len() > CHANGED_MAX {
            self.messages.pop_first();
        }
        Some(target)
    }

    /// What the message at `seq` is now.
    #[must_use]
    pub fn of(&self, seq: u64) -> MessageState {
        self.messages.get(&seq).map(Folded::state).unwrap_or_default()
    }
}

impl MessageState {
    /// What it will be when the server has taken `change` of `user`.
    pub(crate) fn expect(&mut self, change: &Change, user: Option<&UserId>, at_ms: u64) {
        if self.deleted.is_some() {
            return;
        }
        match change {
            Change::Delete(_) => {
                *self = Self { deleted: Some(Deletion { seq: None, at_ms }), ..Self::default() }
            }
            Change::Edit(edit) => {
                self.edited = Some(Edit { seq: None, at_ms, content: edit.content.clone() });
            }
            Change::React(react) => {
                let Some(user) = user else { return };
                if react.on && self.reactions.iter().all(|reaction| reaction.emoji != react.emoji) {
                    self.reactions.push(Reaction { emoji: react.emoji.clone(), users: Vec::new() });
                }
                for reaction in self.reactions.iter_mut().filter(|reaction| reaction.emoji == react.emoji) {
                    reaction.users.retain(|other| other != user);
                    reaction.users.extend(react.on.then(|| user.clone()));
                }
                self.reactions.retain(|reaction| !reaction.users.is_empty());
            }
        }
    }
}

impl Folded {
    fn delete(&mut self, seq: u64, at_ms: u64) {
        *self = Self { deleted: Some((seq, at_ms)), ..Self::default() };
    }

    fn edit(&mut self, seq: u64, at_ms: u64, content: &Content) {
        let newer = self.edited.as_ref().is_none_or(|(known, ..)| *known < seq);
        if self.deleted.is_none() && newer {
            self.edited = Some((seq, at_ms, content.clone()));
        }
    }

    fn react(&mut self, seq: u64, user: &UserId, reacted: &Reacted) {
        if self.deleted.is_some() {
            return;
        }
        let known = self.reactions.entry((reacted.emoji.clone(), user.clone())).or_insert((seq, reacted.on));
        if known.0 < seq {
            *known = (seq, reacted.on);
        }
        if reacted.on {
            let first = self.first.entry(reacted.emoji.clone()).or_insert(seq);
            *first = (*first).min(seq);
        }
    }

    fn state(&self) -> MessageState {
        let deleted = self.deleted.map(|(seq, at_ms)| Deletion { seq: Some(seq), at_ms });
        let edited = self.edited.clone().map(|(seq, at_ms, content)| Edit { seq: Some(seq), at_ms, content });
        let mut emoji: Vec<_> = self.first.iter().map(|(emoji, seq)| (*seq, emoji.clone())).collect();
        emoji.sort();
        let reactions = emoji.into_iter().map(|(_, emoji)| {
            let here = self.reactions.iter().filter(|((other, _), (_, on))| *on && *other == emoji);
            Reaction { users: here.map(|((_, user), _)| user.clone()).collect(), emoji }
        });
        let reactions = reactions.filter(|reaction| !reaction.users.is_empty()).collect();
        MessageState { deleted, edited, reactions }
    }
}

/// Messages of one conversation whose changes are remembered; beyond, those of the oldest are forgotten.
const CHANGED_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use duet_protocol::{ClientMessageId, event::Private};

    const ID: ClientMessageId = ClientMessageId([1; 16]);

    fn entry(seq: u64, author: &str, body: EventBody) -> LogEntry {
        let author = Some(UserId::parse(author).unwrap());
        LogEntry { seq, at_ms: 1_000 + seq, author, body: Some(body) }
    }

    fn edited(seq: u64, text: &str) -> LogEntry {
        entry(seq, "vera", EventBody::Edited(Edited { id: ID, target: 3, content: Content::text(text) }))
    }

    fn reacted(seq: u64, author: &str, emoji: &str, on: bool) -> LogEntry {
        let emoji = Emoji::parse(emoji).unwrap();
        entry(seq, author, EventBody::Reacted(Reacted { id: ID, target: 3, emoji, on }))
    }

    fn folded(entries: &[&LogEntry]) -> MessageState {
        let mut changes = Changes::default();
        for entry in entries {
            changes.take(entry);
        }
        changes.of(3)
    }

    #[test]
    fn whatever_the_order_in_which_changes_are_read_the_message_is_the_same() {
        let log = [
            edited(4, "second"),
            reacted(5, "adam", "👍", true),
            reacted(6, "vera", "🎉", true),
            edited(7, "third"),
            reacted(8, "adam", "👍", false),
            reacted(9, "vera", "👍", true),
        ];
        let in_order: Vec<_> = log.iter().collect();
        let expected = folded(&in_order);
        assert_eq!(expected.edited.as_ref().map(|edit| edit.content.clone()), Some(Content::text("third")));
        let shown: Vec<_> = expected.reactions.iter().map(|r| (r.emoji.as_str(), r.users.len())).collect();
        assert_eq!(shown, [("👍", 1), ("🎉", 1)], "by the first appearance of each");
        for turn in 0..log.len() {
            let mut turned = in_order.clone();
            turned.rotate_left(turn);
            assert_eq!(folded(&turned), expected);
            turned.reverse();
            turned.extend(&in_order);
            assert_eq!(folded(&turned), expected, "also when everything is read twice");
        }
    }

    #[test]
    fn a_deletion_wins_over_everything_whenever_it_is_read() {
        let deleted = entry(6, "vera", EventBody::Deleted(Deleted { id: ID, target: 3 }));
        let stone = EventBody::Tombstone(Tombstone { of: 3, deletion: 6, deleted_at_ms: 1_006 });
        let (own, of_an_edit) = (entry(3, "vera", stone.clone()), entry(4, "vera", stone));
        let (edit, reaction) = (edited(4, "x"), reacted(5, "adam", "👍", true));
        let gone = MessageState {
            deleted: Some(Deletion { seq: Some(6), at_ms: 1_006 }),
            ..MessageState::default()
        };
        for end in [&deleted, &own, &of_an_edit] {
            assert_eq!(folded(&[end, &edit, &reaction]), gone);
            assert_eq!(folded(&[&edit, &reaction, end]), gone);
        }
    }

    #[test]
    fn a_change_of_a_note_counts_and_one_of_what_is_not_before_it_does_not() {
        let (kind, body) = EventBody::Deleted(Deleted { id: ID, target: 3 }).encode();
        let private = |seq| entry(seq, "adam", EventBody::Private(Private { kind, body: body.clone() }));
        assert!(folded(&[&private(4)]).deleted.is_some());
        assert!(folded(&[&private(3)]).deleted.is_none());
        assert!(folded(&[&private(2)]).deleted.is_none());
    }
}

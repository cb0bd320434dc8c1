//! What an application shows: built from the machine's events alone, and checked while it is built.
//!
//! Every entry of a conversation is told once, in order, without a hole; a message that was echoed is placed, not told
//! again; nothing that was shown is ever taken back.

use duet_client::machine::{Event, LogEntry, Message, MessageStatus, RequestId, State, StatusChange};
use duet_protocol::{
    ClientMessageId, ConversationId, EventBody, UserId,
    delivery::{InboxEntry, Presence},
};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct App {
    /// The conversations that are shown.
    pub(crate) views: BTreeMap<ConversationId, View>,
    pub(crate) inbox_on: bool,
    pub(crate) inbox: BTreeMap<ConversationId, InboxEntry>,
    pub(crate) watched: BTreeSet<UserId>,
    /// The last presence of each user and the epoch under which it was told.
    pub(crate) presence: BTreeMap<UserId, (u64, Presence)>,
    /// Own messages without a place yet, and their content.
    pub(crate) pending: BTreeMap<ClientMessageId, (ConversationId, Vec<u8>)>,
    /// The same for messages that failed; one of them may yet be found in the log.
    pub(crate) failed: BTreeMap<ClientMessageId, (ConversationId, Vec<u8>)>,
    /// The conversation with the one partner, under whichever id it came to be.
    pub(crate) direct: Option<ConversationId>,
    pub(crate) creating: BTreeMap<RequestId, ConversationId>,
    pub(crate) created: BTreeSet<ConversationId>,
    /// The last requests for inbox and presence.
    pub(crate) asked_inbox: Option<RequestId>,
    pub(crate) asked_presence: Option<RequestId>,
}

/// A conversation on the screen.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) items: BTreeMap<u64, Item>,
    /// From here on everything is told. An own message may be known to lie before it, with others in between that are not.
    pub(crate) begins: Option<u64>,
    /// The first entry that was told by its place, and the last one.
    pub(crate) first: Option<u64>,
    pub(crate) last: u64,
    pub(crate) marks: BTreeMap<UserId, (u64, u64)>,
    /// The members and their watermarks are known as of this entry.
    known_at: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Message(ClientMessageId, Vec<u8>),
    Other,
}

impl App {
    /// The machine tells something.
    pub(crate) fn take(&mut self, epoch: u64, event: Event) -> Result<(), String> {
        match event {
            Event::MessageCreated { message, .. } => self.message(message),
            Event::MessageStatus(change) => self.status(&change),
            Event::ConversationUpdated { conversation, entry } => self.entry(conversation, &entry),
            Event::ConversationOpened(info) => {
                for member in &info.members {
                    self.see(epoch, member.presence.clone());
                }
                if let Some(view) = self.views.get_mut(&info.conversation) {
                    let marks = |member: &duet_protocol::delivery::Member| {
                        (member.user.clone(), (member.received, member.read))
                    };
                    view.marks = info.members.iter().map(marks).collect();
                    view.known_at = info.head;
                    view.begins.get_or_insert(info.after + 1);
                }
                Ok(())
            }
            Event::ConversationLost { conversation, .. } => {
                self.views.remove(&conversation);
                Ok(())
            }
            Event::ReceiptUpdated { conversation, user, received, read } => {
                if let Some(view) = self.views.get_mut(&conversation) {
                    let marks = view.marks.entry(user).or_default();
                    *marks = (marks.0.max(received), marks.1.max(read));
                }
                Ok(())
            }
            Event::Discontinuity { conversation: Some(conversation), reason } => {
                Err(format!("I4: {conversation} lost what it had shown: {reason}"))
            }
            Event::PresenceUpdated(presence) => {
                self.see(epoch, presence);
                Ok(())
            }
            Event::InboxUpdated(entry) => {
                if entry.gone {
                    self.inbox.remove(&entry.conversation);
                } else {
                    self.inbox.insert(entry.conversation, entry);
                }
                Ok(())
            }
            // What was watched ends with the session, as every SDK has it.
            Event::StateChanged(change) if matches!(change.current, State::Closed | State::Failed) => {
                self.inbox_on = false;
                self.watched.clear();
                Ok(())
            }
            Event::Answered { request, result } => {
                use duet_client::machine::Answer;
                // Whoever is told that a request failed has to ask again.
                if result.is_err() && self.asked_inbox == Some(request) {
                    self.inbox_on = false;
                }
                if result.is_err() && self.asked_presence == Some(request) {
                    self.watched.clear();
                }
                let asked = self.creating.remove(&request);
                if let (Some(asked), Ok(Answer::Created(got))) = (asked, result) {
                    if asked != got || self.direct == Some(asked) {
                        self.direct = Some(got);
                    }
                    self.created.insert(got);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: Message) -> Result<(), String> {
        let Message { id, conversation, seq, content, own, status, .. } = message;
        let Some(seq) = seq else {
            if status == MessageStatus::Failed {
                self.failed.insert(id, (conversation, content.body));
            } else {
                self.pending.insert(id, (conversation, content.body));
            }
            return Ok(());
        };
        if own && self.pending.contains_key(&id) {
            return Err(format!("message {id} was echoed and then told as a new one"));
        }
        self.place(conversation, seq, Item::Message(id, content.body), true)?;
        if let (Some(view), Some(author)) = (self.views.get_mut(&conversation), message.author)
            && seq > view.known_at
        {
            view.marks.insert(author, (seq, seq));
        }
        Ok(())
    }

    fn entry(&mut self, conversation: ConversationId, entry: &LogEntry) -> Result<(), String> {
        self.place(conversation, entry.seq, Item::Other, true)?;
        let view = self.views.get_mut(&conversation).filter(|view| entry.seq > view.known_at);
        let Some(view) = view else { return Ok(()) };
        match &entry.body {
            Some(EventBody::MemberJoined(joined)) => {
                view.marks.insert(joined.user.clone(), (entry.seq, entry.seq));
            }
            Some(EventBody::MemberLeft(left)) => drop(view.marks.remove(&left.user)),
            Some(EventBody::MemberIdentified(known)) => {
                if let Some((received, read)) = view.marks.remove(&known.before) {
                    let marks = view.marks.entry(known.user.clone()).or_default();
                    *marks = (marks.0.max(received), marks.1.max(read));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn status(&mut self, change: &StatusChange) -> Result<(), String> {
        let StatusChange { conversation, id, status, seq, .. } = *change;
        match (status, seq) {
            (MessageStatus::Failed, _) => {
                if let Some(message) = self.pending.remove(&id) {
                    self.failed.insert(id, message);
                }
                Ok(())
            }
            (MessageStatus::Queued, _) | (_, None) => Ok(()),
            (_, Some(seq)) => {
                let waiting = self.pending.remove(&id).or_else(|| self.failed.remove(&id));
                let Some((_, body)) = waiting else {
                    return match self.views.get(&conversation).and_then(|view| view.items.get(&seq)) {
                        Some(Item::Message(shown, _)) if *shown == id => Ok(()),
                        None if !self.views.contains_key(&conversation) => Ok(()),
                        other => Err(format!("message {id} is said to be at {seq}, where {other:?} is")),
                    };
                };
                self.place(conversation, seq, Item::Message(id, body), false)
            }
        }
    }

    fn place(&mut self, id: ConversationId, seq: u64, item: Item, told: bool) -> Result<(), String> {
        let Some(view) = self.views.get_mut(&id) else { return Ok(()) };
        if let Some(known) = view.items.insert(seq, item) {
            return Err(format!("I8: entry {seq} of {id} was shown twice, first as {known:?}"));
        }
        if told {
            let skipped = (view.last + 1..seq).find(|seq| !view.items.contains_key(seq));
            if view.first.is_some() && (seq < view.last || skipped.is_some()) {
                return Err(format!("I8: entry {seq} of {id} was told after {}", view.last));
            }
            view.first.get_or_insert(seq);
            view.last = seq;
        }
        Ok(())
    }

    fn see(&mut self, epoch: u64, presence: Presence) {
        let known = self.presence.get(&presence.user);
        if known.is_none_or(|(seen, known)| (*seen, known.version) < (epoch, presence.version)) {
            self.presence.insert(presence.user.clone(), (epoch, presence));
        }
    }
}

impl View {
    /// Up to where the application itself holds every entry.
    pub(crate) fn whole_upto(&self) -> Option<u64> {
        self.first?;
        (self.last..).find(|seq| !self.items.contains_key(&(seq + 1)))
    }
}

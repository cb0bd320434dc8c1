//! A conversation as the fold knows it: head, stage, members and their watermarks. Its events lie in the store.

use super::{
    marks::{Aside, Marks},
    record::NewMember,
    shares::Shares,
};
use duet_protocol::{
    DisplayName, UserId,
    codec::{Decode, Encode},
    delivery::{ConversationKind, Status},
    hello::Role,
};
use std::collections::{BTreeMap, VecDeque};

/// A live conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversation {
    /// What is stored in one row.
    pub head: Head,
    /// The members; a row each.
    pub members: BTreeMap<UserId, Member>,
    /// Messages that were deleted or have reactions; a row each.
    pub marks: BTreeMap<u64, Marks>,
    /// Derived: how many of them are deleted.
    pub(super) deletions: usize,
    /// What visitors do not see; a row of its own.
    pub aside: Option<Aside>,
}

/// The part of a conversation that changes with every event.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Head {
    /// Its rules.
    pub kind: ConversationKind,
    /// Its stage; always `Active` unless it is a support conversation.
    pub status: Status,
    /// What it is about.
    pub subject: Option<DisplayName>,
    /// Who began it.
    pub creator: UserId,
    /// The responsible agent.
    pub assignee: Option<UserId>,
    /// Position of the last event.
    pub seq: u64,
    /// When the last event was appended, Unix milliseconds.
    pub active_at_ms: u64,
    /// Log index of the last record that changed anything here.
    pub index: u64,
    /// The latest runs of events that are no messages, first and last position of each, ascending; for counting messages.
    pub silent: VecDeque<(u64, u64)>,
    /// Which reign numbered which events.
    pub shares: Shares,
}

/// A member and how far they are.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Member {
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
    /// Holds every event up to here.
    pub received: u64,
    /// Has seen every event up to here.
    pub read: u64,
}

impl Conversation {
    /// A conversation before its first event.
    #[must_use]
    pub fn new(kind: ConversationKind, subject: Option<DisplayName>, creator: UserId) -> Self {
        let status = if kind == ConversationKind::Support { Status::Queued } else { Status::Active };
        let head = Head {
            kind,
            status,
            subject,
            creator,
            assignee: None,
            seq: 0,
            active_at_ms: 0,
            index: 0,
            silent: VecDeque::new(),
            shares: Shares::default(),
        };
        Self::restored(head)
    }

    /// A conversation of which only the head is known yet.
    #[must_use]
    pub fn restored(head: Head) -> Self {
        Self { head, members: BTreeMap::new(), marks: BTreeMap::new(), deletions: 0, aside: None }
    }

    /// Whether anything was ever deleted here.
    #[must_use]
    pub fn has_deletions(&self) -> bool {
        self.deletions > 0
    }

    /// Whether members are told of each other: not in large groups, and not in broadcasts.
    #[must_use]
    pub fn shows_members(&self) -> bool {
        self.members.len() <= MEMBERS_SHOWN_MAX && self.head.kind != ConversationKind::Broadcast
    }

    /// Takes in a member. History before this moment counts as read.
    pub fn join(&mut self, member: &NewMember) {
        let read = self.head.seq;
        self.members.insert(
            member.user.clone(),
            Member { name: member.name.clone(), role: member.role, received: read, read },
        );
    }

    /// What happens from here on happens under this reign.
    pub fn enter_reign(&mut self, epoch: u64) {
        self.head.shares.begin(epoch, self.head.seq + 1);
    }

    /// Counts one event that is no message.
    pub fn count_silent(&mut self, at_ms: u64) {
        self.count(at_ms);
        let seq = self.head.seq;
        match self.head.silent.back_mut().filter(|run| run.1 + 1 == seq) {
            Some(run) => run.1 = seq,
            None => self.head.silent.push_back((seq, seq)),
        }
        if self.head.silent.len() > SILENT_MAX {
            self.head.silent.pop_front();
        }
    }

    /// Counts one message; its author has read it.
    pub fn count_message(&mut self, at_ms: u64, author: &UserId) {
        self.count(at_ms);
        if let Some(member) = self.members.get_mut(author) {
            member.received = self.head.seq;
            member.read = self.head.seq;
        }
    }

    fn count(&mut self, at_ms: u64) {
        self.head.seq += 1;
        self.head.active_at_ms = at_ms;
        if let Some(aside) = &mut self.aside {
            aside.shown_at_ms = None;
        }
    }

    /// Messages after `read`, notes among them. Exact unless more than [`SILENT_MAX`] runs of silent events lie behind `read`.
    #[must_use]
    pub fn messages_after(&self, read: u64) -> u32 {
        let behind = self.head.silent.iter().filter(|run| run.1 > read);
        let silent: u64 = behind.map(|run| run.1 - run.0.max(read + 1) + 1).sum();
        u32::try_from(self.head.seq.saturating_sub(read).saturating_sub(silent)).unwrap_or(u32::MAX)
    }

    /// Moves a member's watermarks forward, never back. `false` when nothing moved.
    pub fn advance(&mut self, user: &UserId, received: u64, read: u64) -> bool {
        let head = self.head.seq;
        let Some(member) = self.members.get_mut(user) else { return false };
        let read = read.min(head).max(member.read);
        let received = received.min(head).max(member.received).max(read);
        let moved = (received, read) != (member.received, member.read);
        (member.received, member.read) = (received, read);
        moved
    }
}

/// Groups above this size show no watermarks and no presence of their members.
const MEMBERS_SHOWN_MAX: usize = 200;

/// How many runs of silent events a conversation remembers.
pub const SILENT_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_of_any_size_begins_without_unread_messages_and_counts_exactly_from_then_on() {
        let name = |text: &str| DisplayName::parse(text).expect("a name");
        let user = |number: u32| UserId::parse(&format!("user-{number}")).expect("a name");
        let mut group = Conversation::new(ConversationKind::Group, None, user(0));
        group.count_silent(1);
        for number in 0..150 {
            group.count_silent(1);
            group.join(&NewMember { user: user(number), name: name("x"), role: Role::Visitor });
        }
        assert!(group.members.values().all(|member| group.messages_after(member.read) == 0));
        group.count_message(2, &user(3));
        group.count_silent(2);
        group.count_message(2, &user(4));
        assert_eq!(
            [user(0), user(3), user(4)].map(|u| group.messages_after(group.members[&u].read)),
            [2, 1, 0]
        );
        assert_eq!(group.messages_after(0), 2);
    }
}

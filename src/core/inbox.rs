//! The inbox: a user's conversations as a list, kept up to date.
//!
//! An entry is computed right after the record that changed it was applied and held until that record is committed, so it
//! never shows what a crash could take back.

use super::{
    Core,
    conversation::Conversation,
    input::{ConnectionId, Lane},
    record::{ConversationKey, TenantId, UserKey},
    reject::Reject,
};
use duet_protocol::{
    Delivery, UserId,
    command::WatchInbox,
    delivery::{ConversationKind, Done, InboxEntry, MemberName, Status},
};
use std::collections::{BTreeMap, BTreeSet};

impl Core {
    /// Starts or ends the inbox of a connection.
    pub(super) fn watch_inbox(&mut self, id: ConnectionId, watch: WatchInbox) -> Result<(), Reject> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        connection.inbox = watch.on;
        let (key, staff) = (connection.actor.key.clone(), connection.actor.role.is_staff());
        self.watch_staff_inbox(key.tenant, id, watch.on && staff);
        let entries = if watch.on { self.inbox_of(&key, staff) } else { Vec::new() };
        // Lists keep their order, so a list waits for the end of the log; on a full disk, when nothing changes, each entry for
        // its own conversation alone.
        let tip = self.state.tip.index;
        let mut last = if self.read_only { 0 } else { tip };
        for (index, entry) in entries {
            let index = if self.read_only { index } else { tip };
            last = last.max(index);
            self.hold_answer(index, id, Lane::CONTROL, &Delivery::InboxEntry(entry));
        }
        self.hold_answer(last, id, Lane::CONTROL, &Delivery::Done(Done { request: watch.request }));
        Ok(())
    }

    /// Whether a connection of staff hears of every support conversation of its tenant.
    pub(super) fn watch_staff_inbox(&mut self, tenant: TenantId, id: ConnectionId, on: bool) {
        let watchers = self.staff_inboxes.entry(tenant).or_default();
        if on {
            watchers.insert(id);
        } else {
            watchers.remove(&id);
        }
        if watchers.is_empty() {
            self.staff_inboxes.remove(&tenant);
        }
    }

    /// A conversation changed: everyone in whose inbox it is hears of it, members of a large group later.
    pub(super) fn touch_inboxes(&mut self, index: u64, key: ConversationKey) {
        self.touch_inboxes_of(index, key, false);
    }

    /// The same; what is `private` changes nothing that visitors are shown.
    pub(super) fn touch_inboxes_of(&mut self, index: u64, key: ConversationKey, private: bool) {
        let Some(conversation) = self.state.conversations.get(&key) else { return };
        let mut readers: BTreeMap<ConnectionId, UserId> = BTreeMap::new();
        let mut large = false;
        if self.members_shown(key) {
            for user in conversation.members.keys() {
                let user_key = UserKey { tenant: key.tenant, user: user.clone() };
                readers.extend(self.board.connections(&user_key).map(|id| (id, user.clone())));
            }
        } else {
            large = true;
        }
        if conversation.head.kind == ConversationKind::Support {
            for id in self.staff_inboxes.get(&key.tenant).into_iter().flatten() {
                if let Some(connection) = self.connections.get(id) {
                    readers.insert(*id, connection.actor.key.user.clone());
                }
            }
        }
        readers.retain(|id, _| self.connections.get(id).is_some_and(|connection| connection.inbox));
        readers.retain(|id, _| !private || self.is_staff(*id));
        let entries: Vec<_> =
            readers.into_iter().map(|(id, user)| (id, entry(key, conversation, &user))).collect();
        for (id, entry) in entries {
            self.hold_answer(index, id, Lane::CONTROL, &Delivery::InboxEntry(entry));
        }
        if large && !private {
            self.plan_lists(key);
        }
    }

    /// A user read on: their own lists hear of it.
    pub(super) fn touch_own_inbox(&mut self, index: u64, key: ConversationKey, user: &UserId) {
        let Some(conversation) = self.state.conversations.get(&key) else { return };
        let changed = entry(key, conversation, user);
        self.tell_lists(index, key.tenant, user, changed);
    }

    /// A user is no longer a member: the conversation leaves their lists.
    pub(super) fn leave_inbox(&mut self, index: u64, key: ConversationKey, user: &UserId) {
        let Some(conversation) = self.state.conversations.get(&key) else { return };
        let gone = InboxEntry { gone: true, ..entry(key, conversation, user) };
        self.tell_lists(index, key.tenant, user, gone);
    }

    fn tell_lists(&mut self, index: u64, tenant: TenantId, user: &UserId, entry: InboxEntry) {
        let user_key = UserKey { tenant, user: user.clone() };
        let listed = |id: &ConnectionId| self.connections.get(id).is_some_and(|c| c.inbox);
        let connections: Vec<_> = self.board.connections(&user_key).filter(listed).collect();
        let entry = Delivery::InboxEntry(entry);
        for id in connections {
            self.hold_answer(index, id, Lane::CONTROL, &entry);
        }
    }

    /// The latest conversations of a user, oldest first, each with the log index that it shows.
    fn inbox_of(&self, key: &UserKey, staff: bool) -> Vec<(u64, InboxEntry)> {
        let mine = self.state.memberships.get(key).into_iter().flatten();
        let support = self.state.support.get(&key.tenant).filter(|_| staff).into_iter().flatten();
        let all: BTreeSet<_> = mine.chain(support).copied().collect();
        let mut entries: Vec<_> = all
            .into_iter()
            .map(|conversation| ConversationKey { tenant: key.tenant, conversation })
            .filter_map(|place| {
                let conversation = self.state.conversations.get(&place)?;
                Some((conversation.head.index, entry(place, conversation, &key.user)))
            })
            .collect();
        entries.sort_by_key(|(_, entry)| entry.active_at_ms);
        entries.split_off(entries.len().saturating_sub(INBOX_MAX))
    }
}

/// Conversations that an inbox begins with.
const INBOX_MAX: usize = 200;
/// Members named in an entry.
const NAMES_MAX: usize = 8;

/// A line of a user's list.
pub(super) fn entry(key: ConversationKey, conversation: &Conversation, user: &UserId) -> InboxEntry {
    let head = &conversation.head;
    let me = conversation.members.get(user);
    let read = me.map_or(0, |member| member.read);
    // Who sees a conversation without being a member of it is staff.
    let staff = me.is_none_or(|member| member.role.is_staff());
    let notes = if staff { 0 } else { conversation.notes_after(read) };
    let names = conversation.members.iter().take(NAMES_MAX).map(|(user, member)| MemberName {
        user: user.clone(),
        name: member.name.clone(),
        role: member.role,
    });
    InboxEntry {
        conversation: key.conversation,
        kind: head.kind,
        status: head.status,
        subject: head.subject.clone(),
        assignee: head.assignee.clone(),
        head: head.seq,
        active_at_ms: conversation.active_at_ms(staff),
        read,
        unread: conversation.messages_after(read).saturating_sub(notes),
        members: names.collect(),
        gone: me.is_none() && head.status == Status::Closed,
    }
}

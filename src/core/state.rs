//! The fold of the log: everything that must survive. [`State::apply`] is the only way in which it changes, on a
//! primary, on a standby and after a restart alike.
//!
//! `apply` is total: what `decide` let through applies, whatever the state. A record that does not fit (a seq that is not
//! the next one) is a defect of this program and stops it: going on would spread the damage.

use super::{
    conversation::Conversation,
    dedup::{Accepted, Dedup, fingerprint},
    record::{ConversationKey, Entry, NewMember, Record, TenantId, UserKey},
    rows::RowKey,
    standing::Standing,
};
use duet_protocol::{
    ConversationId, DeviceId, DisplayName, SessionId, TenantName, UserId,
    codec::{Decode, Encode},
    delivery::{Availability, ConversationKind, Status},
    hello::Role,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything durable.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Where the log stands.
    pub tip: Tip,
    /// The first index of each of the last [`REIGNS_MAX`] reigns, by epoch.
    pub reigns: BTreeMap<u64, u64>,
    /// Tenants by number.
    pub tenants: BTreeMap<TenantId, TenantName>,
    /// Users that were ever seen.
    pub users: BTreeMap<UserKey, User>,
    /// Sessions that have not ended.
    pub sessions: BTreeMap<SessionId, Session>,
    /// Live conversations.
    pub conversations: BTreeMap<ConversationKey, Conversation>,
    /// Message ids that were accepted.
    pub dedup: Dedup,
    /// Who anonymous visitors turned out to be, and what was revoked.
    pub standing: Standing,
    /// Derived: of which conversations a user is a member.
    pub memberships: BTreeMap<UserKey, BTreeSet<ConversationId>>,
    /// Derived: support conversations that are not closed.
    pub support: BTreeMap<TenantId, BTreeSet<ConversationId>>,
    /// Derived: the one direct conversation of two users, the smaller name first.
    pub directs: BTreeMap<(TenantId, UserId, UserId), ConversationId>,
    /// Derived: a user's sessions.
    pub user_sessions: BTreeMap<UserKey, BTreeSet<SessionId>>,
    /// Rows that changed since the last checkpoint.
    pub dirty: BTreeSet<RowKey>,
}

/// The end of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Tip {
    /// The reign.
    pub epoch: u64,
    /// Index of the last entry.
    pub index: u64,
    /// Its time, Unix milliseconds.
    pub at_ms: u64,
    /// The chain after it.
    pub chain: u64,
}

/// A user.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct User {
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
    /// What they chose.
    pub availability: Availability,
    /// When a session of theirs that has ended was last connected, Unix milliseconds.
    pub last_seen_ms: u64,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Session {
    /// Whose.
    pub key: UserKey,
    /// On which installation.
    pub device: DeviceId,
    /// SHA-256 of the secret in its resume token.
    pub secret_hash: [u8; 32],
    /// When the last token that was presented for it ends, Unix milliseconds; 0 for never.
    pub token_expires_ms: u64,
}

/// How long and how many message ids are remembered: part of the fold, so equal on both nodes of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DedupBounds {
    /// Milliseconds of log time.
    pub window_ms: u64,
    /// Entries.
    pub entries_max: usize,
}

impl State {
    /// Takes in the next entry, whose encoding is `bytes`.
    pub fn apply(&mut self, entry: &Entry, bytes: &[u8], bounds: DedupBounds) {
        assert_eq!(entry.index, self.tip.index + 1, "the log has a hole");
        assert_eq!(entry.chain_before, self.tip.chain, "the log is not the one that was applied so far");
        assert!(entry.at_ms >= self.tip.at_ms && entry.epoch >= self.tip.epoch, "log time went back");
        self.tip = entry.tip_after(bytes);
        self.apply_record(&entry.record);
        let forgotten = self.dedup.forget(entry.at_ms, bounds.window_ms, bounds.entries_max);
        self.dirty.extend(forgotten.packs.into_iter().map(RowKey::Dedup));
        self.dirty.extend(forgotten.tenants.into_iter().map(RowKey::DedupFloor));
        self.forget_standing(entry.at_ms);
    }

    fn apply_record(&mut self, record: &Record) {
        match record {
            Record::EpochBegan => self.count_reign(),
            Record::TenantRegistered { tenant, name } => {
                self.tenants.insert(*tenant, name.clone());
                self.dirty.insert(RowKey::Tenant(*tenant));
            }
            Record::UserSeen { key, name, role } => self.see_user(key, name, *role),
            Record::AvailabilitySet { key, availability } => {
                if let Some(user) = self.users.get_mut(key) {
                    user.availability = *availability;
                    self.dirty.insert(RowKey::User(key.clone()));
                }
            }
            Record::SessionOpened { session, key, device, secret_hash, token_expires_ms } => {
                let (secret_hash, token_expires_ms) = (*secret_hash, *token_expires_ms);
                let opened =
                    Session { key: key.clone(), device: device.clone(), secret_hash, token_expires_ms };
                self.put_session(*session, opened);
                self.dirty.insert(RowKey::Session(*session));
            }
            Record::SessionRenewed { session, token_expires_ms } => {
                if let Some(renewed) = self.sessions.get_mut(session) {
                    renewed.token_expires_ms = *token_expires_ms;
                    self.dirty.insert(RowKey::Session(*session));
                }
            }
            Record::SessionEnded { session, seen_ms } => self.end_session(*session, *seen_ms),
            Record::SessionAuthorised { session, token } => self.authorise(*session, *token),
            Record::VisitorIdentified(identification) => self.identify(identification),
            Record::Revoked(revocation) => self.revoke(revocation),
            Record::WatermarkAdvanced { key, user, received, read } => {
                self.change(*key).advance(user, *received, *read);
                self.dirty.insert(RowKey::Member(*key, user.clone()));
            }
            Record::ConversationCreated { key, kind, subject, creator, members } => {
                let mut conversation = Conversation::new(*kind, subject.clone(), creator.clone());
                conversation.head.index = self.tip.index;
                self.put_conversation(*key, conversation);
                let at_ms = self.tip.at_ms;
                self.change(*key).count_silent(at_ms);
                self.join(*key, members);
                self.index_direct(*key);
            }
            Record::MembersAdded { key, seq, members, .. } => {
                self.expect_next(*key, *seq);
                self.join(*key, members);
            }
            Record::MemberRemoved { key, seq, user, queues, .. } => {
                self.expect_next(*key, *seq);
                self.leave(*key, user);
                if *queues {
                    self.set_status(*key, Status::Queued);
                }
            }
            Record::Assigned { key, seq, agent, joins, .. } => {
                self.expect_next(*key, *seq);
                if *joins {
                    self.join(*key, std::slice::from_ref(agent));
                }
                let at_ms = self.tip.at_ms;
                let conversation = self.change(*key);
                conversation.count_silent(at_ms);
                conversation.head.assignee = Some(agent.user.clone());
                conversation.head.status = Status::Active;
                self.index_support(*key);
            }
            Record::StatusSet { key, seq, status, .. } => {
                self.expect_next(*key, *seq);
                self.set_status(*key, *status);
            }
            Record::MessagePublished { key, seq, author, id, content, reply_to } => {
                self.expect_next(*key, *seq);
                let Tip { index, at_ms, .. } = self.tip;
                self.change(*key).count_message(at_ms, author);
                self.dirty.insert(RowKey::Member(*key, author.clone()));
                let fingerprint = fingerprint(content, *reply_to);
                let (key, author, id, seq) = (*key, author.clone(), *id, *seq);
                let accepted = Accepted { key, author, id, seq, index, at_ms, fingerprint };
                let pack = self.dedup.remember(accepted);
                self.dirty.insert(RowKey::Dedup(pack));
            }
            Record::Added { key, seq, author, id, addition, private } => {
                self.expect_next(*key, *seq);
                self.add(*key, author, addition, *private);
                let Tip { index, at_ms, .. } = self.tip;
                let fingerprint = addition.fingerprint();
                let (key, author, id, seq) = (*key, author.clone(), *id, *seq);
                let accepted = Accepted { key, author, id, seq, index, at_ms, fingerprint };
                let pack = self.dedup.remember(accepted);
                self.dirty.insert(RowKey::Dedup(pack));
            }
        }
    }

    /// The user's record, if they were ever seen.
    #[must_use]
    pub fn user(&self, key: &UserKey) -> Option<&User> {
        self.users.get(key)
    }

    /// The number of a tenant.
    #[must_use]
    pub fn tenant_id(&self, name: &TenantName) -> Option<TenantId> {
        self.tenants.iter().find(|(_, known)| *known == name).map(|(id, _)| *id)
    }

    /// Puts a conversation in, with its derived entries.
    pub(super) fn put_conversation(&mut self, key: ConversationKey, conversation: Conversation) {
        for user in conversation.members.keys() {
            self.index_member(key, user);
        }
        self.conversations.insert(key, conversation);
        self.index_support(key);
    }

    /// Puts a stored member back.
    pub(super) fn index_member(&mut self, key: ConversationKey, user: &UserId) {
        let user_key = UserKey { tenant: key.tenant, user: user.clone() };
        self.memberships.entry(user_key).or_default().insert(key.conversation);
    }

    /// Puts a session in, with its derived entry.
    pub(super) fn put_session(&mut self, id: SessionId, session: Session) {
        self.user_sessions.entry(session.key.clone()).or_default().insert(id);
        self.sessions.insert(id, session);
    }

    /// Finds a direct conversation again by its two members.
    pub(super) fn index_direct(&mut self, key: ConversationKey) {
        let Some(conversation) = self.conversations.get(&key) else { return };
        let mut users = conversation.members.keys();
        if let (ConversationKind::Direct, Some(a), Some(b)) =
            (conversation.head.kind, users.next(), users.next())
        {
            // Two of them only after an anonymous visitor was identified: then one of them counts, on every node the same.
            let place = self.directs.entry((key.tenant, a.clone(), b.clone())).or_insert(key.conversation);
            *place = key.conversation.min(*place);
        }
    }

    /// A direct conversation gets another member.
    pub(super) fn forget_direct(&mut self, key: ConversationKey) {
        self.directs.retain(|_, conversation| *conversation != key.conversation);
    }

    /// A user is no longer a member.
    pub(super) fn forget_membership(&mut self, key: ConversationKey, user: &UserId) {
        let user_key = UserKey { tenant: key.tenant, user: user.clone() };
        if let Some(conversations) = self.memberships.get_mut(&user_key) {
            conversations.remove(&key.conversation);
            if conversations.is_empty() {
                self.memberships.remove(&user_key);
            }
        }
    }

    fn count_reign(&mut self) {
        self.reigns.insert(self.tip.epoch, self.tip.index);
        self.dirty.insert(RowKey::Reign(self.tip.epoch));
        while self.reigns.len() > REIGNS_MAX
            && let Some((epoch, _)) = self.reigns.pop_first()
        {
            self.dirty.insert(RowKey::Reign(epoch));
        }
    }

    /// Whether the log holds a reign; those before the oldest that is remembered count as held.
    #[must_use]
    pub fn has_reign(&self, epoch: u64) -> bool {
        let oldest = self.reigns.keys().next().copied().unwrap_or(0);
        self.reigns.contains_key(&epoch) || (1..oldest).contains(&epoch)
    }

    pub(super) fn see_user(&mut self, key: &UserKey, name: &DisplayName, role: Role) {
        let (name, last_seen_ms) = (name.clone(), 0);
        let fresh = User { name: name.clone(), role, availability: Availability::Online, last_seen_ms };
        let user = self.users.entry(key.clone()).or_insert(fresh);
        (user.name, user.role) = (name, role);
        self.dirty.insert(RowKey::User(key.clone()));
    }

    pub(super) fn end_session(&mut self, id: SessionId, seen_ms: u64) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.dirty.insert(RowKey::Session(id));
        if self.standing.sessions.remove(&id).is_some() {
            self.dirty.insert(RowKey::SessionToken(id));
        }
        if let Some(sessions) = self.user_sessions.get_mut(&session.key) {
            sessions.remove(&id);
            if sessions.is_empty() {
                self.user_sessions.remove(&session.key);
            }
        }
        if let Some(user) = self.users.get_mut(&session.key) {
            user.last_seen_ms = user.last_seen_ms.max(seen_ms);
            self.dirty.insert(RowKey::User(session.key));
        }
    }

    fn join(&mut self, key: ConversationKey, members: &[NewMember]) {
        let at_ms = self.tip.at_ms;
        for member in members {
            let conversation = self.change(key);
            conversation.count_silent(at_ms);
            conversation.join(member);
            self.index_member(key, &member.user);
            self.dirty.insert(RowKey::Member(key, member.user.clone()));
        }
    }

    fn leave(&mut self, key: ConversationKey, user: &UserId) {
        let at_ms = self.tip.at_ms;
        let conversation = self.change(key);
        conversation.count_silent(at_ms);
        conversation.members.remove(user);
        if conversation.head.assignee.as_ref() == Some(user) {
            conversation.head.assignee = None;
        }
        self.dirty.insert(RowKey::Member(key, user.clone()));
        self.forget_membership(key, user);
    }

    fn set_status(&mut self, key: ConversationKey, status: Status) {
        let at_ms = self.tip.at_ms;
        let conversation = self.change(key);
        conversation.count_silent(at_ms);
        conversation.head.status = status;
        if status == Status::Queued {
            conversation.head.assignee = None;
        }
        self.index_support(key);
    }

    fn index_support(&mut self, key: ConversationKey) {
        let Some(conversation) = self.conversations.get(&key) else { return };
        if conversation.head.kind == ConversationKind::Support {
            let open = self.support.entry(key.tenant).or_default();
            if conversation.head.status == Status::Closed {
                open.remove(&key.conversation);
            } else {
                open.insert(key.conversation);
            }
        }
    }

    pub(super) fn expect_next(&mut self, key: ConversationKey, seq: u64) {
        assert_eq!(seq, self.change(key).head.seq + 1, "the conversation's events have a hole");
    }

    pub(super) fn change(&mut self, key: ConversationKey) -> &mut Conversation {
        let Tip { index, epoch, .. } = self.tip;
        self.dirty.insert(RowKey::Conversation(key));
        let Some(conversation) = self.conversations.get_mut(&key) else {
            unreachable!("a record names a conversation that was never created: {key:?}")
        };
        if conversation.aside.is_some() {
            self.dirty.insert(RowKey::Aside(key));
        }
        conversation.head.index = index;
        conversation.enter_reign(epoch);
        conversation
    }
}

/// Reigns that are remembered.
pub const REIGNS_MAX: usize = 1_024;

//! What tokens are still worth, beyond their signature: who an anonymous visitor turned out to be, and what was revoked.
//!
//! Every fact holds until a time of the log and is forgotten then, at the same entry on every node: after that no token
//! that it concerns is good any more. So the table is bounded by what was said while tokens live, and by
//! [`REVOCATIONS_MAX`].

use super::{
    conversation::{Conversation, Member},
    dedup::Known,
    record::{ConversationKey, NewMember, TenantId, UserKey},
    rows::RowKey,
    state::State,
};
use duet_protocol::{
    ClientMessageId, ConversationId, Event, EventBody, SessionId, UserId,
    codec::{Decode, Encode},
    event::MemberIdentified,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The id of a token, as far as it has to be recognised: the first 16 bytes of the SHA-256 of its `jti`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct TokenMark(pub [u8; 16]);

impl TokenMark {
    /// The mark of a `jti`.
    #[must_use]
    pub fn of(jti: &str) -> Self {
        let (mut mark, hash) = ([0; 16], Sha256::digest(jti));
        mark.copy_from_slice(&hash[..16]);
        Self(mark)
    }
}

/// An anonymous visitor proved who they are.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Identification {
    /// Their tenant.
    pub tenant: TenantId,
    /// The anonymous user.
    pub before: UserId,
    /// Who they are.
    pub user: NewMember,
    /// The session that goes over; all others of the anonymous user end.
    pub session: SessionId,
    /// When the token that proved it ends, Unix milliseconds; 0 for never.
    pub token_expires_ms: u64,
    /// The conversations that go over, each with the position of its event.
    pub conversations: Vec<(ConversationId, u64)>,
    /// Until when it is remembered, Unix milliseconds.
    pub until_ms: u64,
}

impl Identification {
    /// The events, one in each conversation.
    pub(super) fn events(&self, at_ms: u64) -> Vec<(ConversationKey, Event)> {
        let (before, user, name) = (self.before.clone(), self.user.user.clone(), self.user.name.clone());
        let (kind, body) = EventBody::MemberIdentified(MemberIdentified { before, user, name }).encode();
        let event = |(conversation, seq): &(ConversationId, u64)| {
            let key = ConversationKey { tenant: self.tenant, conversation: *conversation };
            let author = Some(self.user.user.clone());
            (key, Event { seq: *seq, at_ms, author, kind, body: body.clone() })
        };
        self.conversations.iter().map(event).collect()
    }

    /// The anonymous user.
    #[must_use]
    pub fn before_key(&self) -> UserKey {
        UserKey { tenant: self.tenant, user: self.before.clone() }
    }

    /// Who they are.
    #[must_use]
    pub fn user_key(&self) -> UserKey {
        UserKey { tenant: self.tenant, user: self.user.user.clone() }
    }
}

/// What an operator took back. A session that is taken back simply ends.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Revocation {
    /// One token.
    Token {
        /// Whose key signed it.
        tenant: TenantId,
        /// Which.
        token: TokenMark,
        /// When it has ended, Unix milliseconds.
        until_ms: u64,
    },
    /// All tokens of a user that were made up to a time.
    User {
        /// Whose.
        key: UserKey,
        /// The time, Unix milliseconds.
        made_ms: u64,
        /// When the last of them has ended, Unix milliseconds.
        until_ms: u64,
    },
}

/// The facts that hold now.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Who an anonymous user turned out to be.
    pub identified: BTreeMap<UserKey, KnownAs>,
    /// Tokens that were revoked, and until when that is remembered.
    pub tokens: BTreeMap<(TenantId, TokenMark), u64>,
    /// Users whose tokens were.
    pub users: BTreeMap<UserKey, Revoked>,
    /// By which token a session lives, if that has an id.
    pub sessions: BTreeMap<SessionId, TokenMark>,
    /// Derived: the anonymous users that a user was.
    were: BTreeMap<UserKey, BTreeSet<UserId>>,
    /// Derived: what is forgotten when.
    ends: BTreeSet<(u64, RowKey)>,
}

/// Who an anonymous user turned out to be.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct KnownAs {
    /// The user, of the same tenant.
    pub user: UserId,
    /// Until when it is remembered, Unix milliseconds.
    pub until_ms: u64,
}

/// Since when a user's tokens are good again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Revoked {
    /// Those made up to here are not, Unix milliseconds.
    pub made_ms: u64,
    /// Until when it is remembered, Unix milliseconds.
    pub until_ms: u64,
}

impl Standing {
    /// Whether a user's token, made at `made_ms` and with this id, was revoked.
    #[must_use]
    pub fn is_revoked(&self, key: &UserKey, token: Option<TokenMark>, made_ms: u64) -> bool {
        token.is_some_and(|token| self.tokens.contains_key(&(key.tenant, token)))
            || self.users.get(key).is_some_and(|revoked| made_ms <= revoked.made_ms)
    }

    /// How many revocations are remembered.
    #[must_use]
    pub fn revocations(&self) -> usize {
        self.tokens.len() + self.users.len()
    }

    /// Takes a fact in, in place of the one that was known.
    pub(super) fn put(&mut self, fact: Fact) -> RowKey {
        let (row, until_ms, old_ms) = match fact {
            Fact::Identified(key, known) => {
                let user = UserKey { tenant: key.tenant, user: known.user.clone() };
                self.were.entry(user).or_default().insert(key.user.clone());
                let until_ms = known.until_ms;
                let old = self.identified.insert(key.clone(), known);
                (RowKey::Identified(key), until_ms, old.map(|old| old.until_ms))
            }
            Fact::Token(tenant, token, until_ms) => {
                let old = self.tokens.insert((tenant, token), until_ms);
                (RowKey::RevokedToken(tenant, token), until_ms, old)
            }
            Fact::User(key, revoked) => {
                let old = self.users.insert(key.clone(), revoked);
                (RowKey::RevokedUser(key), revoked.until_ms, old.map(|old| old.until_ms))
            }
        };
        if let Some(old_ms) = old_ms {
            self.ends.remove(&(old_ms, row.clone()));
        }
        self.ends.insert((until_ms, row.clone()));
        row
    }

    /// Forgets what has ended by `at_ms`; answers with the rows that are gone.
    fn forget(&mut self, at_ms: u64) -> Vec<RowKey> {
        let mut gone = Vec::new();
        while self.ends.first().is_some_and(|(until_ms, _)| *until_ms <= at_ms) {
            let Some((_, row)) = self.ends.pop_first() else { break };
            match &row {
                RowKey::Identified(key) => self.forget_identified(key),
                RowKey::RevokedToken(tenant, token) => drop(self.tokens.remove(&(*tenant, *token))),
                RowKey::RevokedUser(key) => drop(self.users.remove(key)),
                _ => {}
            }
            gone.push(row);
        }
        gone
    }

    fn forget_identified(&mut self, key: &UserKey) {
        let Some(known) = self.identified.remove(key) else { return };
        let user = UserKey { tenant: key.tenant, user: known.user };
        if let Some(were) = self.were.get_mut(&user) {
            were.remove(&key.user);
            if were.is_empty() {
                self.were.remove(&user);
            }
        }
    }
}

/// A fact as it is stored in a row.
pub(super) enum Fact {
    Identified(UserKey, KnownAs),
    Token(TenantId, TokenMark, u64),
    User(UserKey, Revoked),
}

impl State {
    pub(super) fn forget_standing(&mut self, at_ms: u64) {
        let gone = self.standing.forget(at_ms);
        self.dirty.extend(gone);
    }

    pub(super) fn revoke(&mut self, revocation: &Revocation) {
        let fact = match revocation {
            Revocation::Token { tenant, token, until_ms } => Fact::Token(*tenant, *token, *until_ms),
            Revocation::User { key, made_ms, until_ms } => {
                Fact::User(key.clone(), Revoked { made_ms: *made_ms, until_ms: *until_ms })
            }
        };
        let row = self.standing.put(fact);
        self.dirty.insert(row);
    }

    /// The session lives by this token from now on.
    pub(super) fn authorise(&mut self, session: SessionId, token: Option<TokenMark>) {
        match token.filter(|_| self.sessions.contains_key(&session)) {
            Some(token) => drop(self.standing.sessions.insert(session, token)),
            None => drop(self.standing.sessions.remove(&session)),
        }
        self.dirty.insert(RowKey::SessionToken(session));
    }

    /// Looks a message id up among those of a user, and of the anonymous visitors that they were.
    pub(super) fn look_up(&self, key: &UserKey, id: ClientMessageId, stamp_ms: u64) -> Known {
        let own = self.dedup.look_up(key.tenant, &key.user, id, stamp_ms);
        if matches!(own, Known::Before(_)) {
            return own;
        }
        let were = self.standing.were.get(key).into_iter().flatten();
        let mut found = were.map(|before| self.dedup.look_up(key.tenant, before, id, stamp_ms));
        found.find(|known| matches!(known, Known::Before(_))).unwrap_or(own)
    }

    /// Everything of the anonymous user is the known one's.
    pub(super) fn identify(&mut self, it: &Identification) {
        let (before, key) = (it.before_key(), it.user_key());
        self.see_user(&key, &it.user.name, it.user.role);
        for (conversation, seq) in &it.conversations {
            let place = ConversationKey { tenant: it.tenant, conversation: *conversation };
            self.hand_over(place, *seq, &before, &it.user);
        }
        let others: Vec<_> = self.user_sessions.get(&before).into_iter().flatten().copied().collect();
        let at_ms = self.tip.at_ms;
        for session in others {
            if session != it.session {
                self.end_session(session, at_ms);
            }
        }
        if let Some(mut session) = self.sessions.remove(&it.session) {
            self.user_sessions.remove(&before);
            (session.key, session.token_expires_ms) = (key, it.token_expires_ms);
            self.put_session(it.session, session);
            self.dirty.insert(RowKey::Session(it.session));
        }
        self.users.remove(&before);
        self.dirty.insert(RowKey::User(before.clone()));
        let known = KnownAs { user: it.user.user.clone(), until_ms: it.until_ms };
        let row = self.standing.put(Fact::Identified(before, known));
        self.dirty.insert(row);
    }

    fn hand_over(&mut self, place: ConversationKey, seq: u64, before: &UserKey, user: &NewMember) {
        self.forget_direct(place);
        self.expect_next(place, seq);
        let at_ms = self.tip.at_ms;
        let conversation = self.change(place);
        conversation.count_silent(at_ms);
        conversation.rename(&before.user, user);
        self.dirty.insert(RowKey::Member(place, before.user.clone()));
        self.dirty.insert(RowKey::Member(place, user.user.clone()));
        self.forget_membership(place, &before.user);
        self.index_member(place, &user.user);
        self.index_direct(place);
    }
}

impl Conversation {
    /// One member is another from now on, who may be a member already.
    fn rename(&mut self, before: &UserId, user: &NewMember) {
        let Some(Member { received, read, .. }) = self.members.remove(before) else { return };
        let (name, role) = (user.name.clone(), user.role);
        let fresh = Member { name, role, received: 0, read: 0 };
        let member = self.members.entry(user.user.clone()).or_insert(fresh);
        member.received = member.received.max(received);
        member.read = member.read.max(read);
        if self.head.creator == *before {
            self.head.creator = user.user.clone();
        }
    }
}

/// Revocations that are remembered at most; beyond it none is taken.
pub const REVOCATIONS_MAX: usize = 100_000;

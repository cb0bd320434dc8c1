//! An anonymous visitor proves who they are, and keeps the conversation.
//!
//! One record moves everything at once: conversations with watermarks, the ids of messages, the session that showed the
//! proof. Sessions that showed none end: whoever has them may present a token of the user. From then on a token of the
//! anonymous user is worth nothing, so that nobody comes back as somebody who is known by another name.

use super::{
    Core, Identity,
    connection::LaneUse,
    decide::{Actor, Decider},
    input::{ConnectionId, Lane},
    record::{ConversationKey, NewMember, Record, UserKey},
    reject::Reject,
    release::Held,
    standing::Identification,
    timers::Timer,
};
use duet_protocol::{Code, Delivery, SessionId, Subject, UserId, delivery::Identified, hello::Role};

/// Whether a user is an anonymous visitor: the rule of the protocol's document.
#[must_use]
pub fn is_anonymous(user: &UserId) -> bool {
    user.as_str().starts_with("anon-")
}

impl Core {
    /// A verified token for an anonymous visitor's connection.
    pub(super) fn identified(&mut self, now_ms: u64, id: ConnectionId, request: u32, identity: &Identity) {
        if let Err(reject) = self.identify(now_ms, id, request, identity) {
            self.refuse(id, Lane::CONTROL, Subject::Request(request), reject);
        }
    }

    fn identify(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        request: u32,
        identity: &Identity,
    ) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let session = connection.session;
        let it = self.decider(connection).identify(now_ms, session, identity)?;
        let (before, key) = (it.before_key(), it.user_key());
        if self.read_only {
            return Err(super::full_disk::not_now());
        }
        if let Some(device) = self.state.sessions.get(&session).map(|stored| stored.device.clone()) {
            let full = |_| Reject::new(Code::LIMIT_REACHED, "The user has too many sessions.");
            self.make_room(now_ms, &key, &device).map_err(full)?;
        }
        let others = self.sessions_of(&before, session);
        let rooms: Vec<_> = it.conversations.iter().map(|(conversation, _)| *conversation).collect();
        let answer = Identified {
            request,
            user: key.user.clone(),
            name: identity.name.clone(),
            role: identity.role,
            expires_ms: identity.expires_ms,
        };
        let mut index = self.append(now_ms, Record::VisitorIdentified(it));
        if self.state.standing.sessions.get(&session).copied() != identity.token {
            index = self.append(now_ms, Record::SessionAuthorised { session, token: identity.token });
        }
        let reason = "This visitor has proven who they are: present a token of that user.";
        for other in others {
            self.end_now(now_ms, other, Code::INVALID_TOKEN, reason);
        }
        self.take_name(now_ms, id, &before, &key, identity);
        for conversation in rooms {
            self.touch_inboxes(index, ConversationKey { tenant: key.tenant, conversation });
        }
        self.hold_answer(index, id, Lane::CONTROL, &Delivery::Identified(answer));
        self.hold(index, Held::Renamed { before, key });
        Ok(())
    }

    /// The connection, its lanes and its place among the present are another user's.
    fn take_name(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        before: &UserKey,
        key: &UserKey,
        identity: &Identity,
    ) {
        let (availability, _) = self.stored_presence(key);
        self.board.rename(before, key, id, availability, now_ms);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.actor = Actor { key: key.clone(), role: identity.role };
        (connection.expires_ms, connection.token) = (identity.expires_ms, identity.token);
        for (lane, usage) in &connection.lanes {
            if let LaneUse::Conversation(room) = usage
                && let Some(listener) = self.hub.listener_mut(*room, id, *lane)
            {
                listener.user = key.user.clone();
            }
        }
        if identity.expires_ms == 0 {
            self.timers.cancel(&Timer::Token(id));
        } else {
            let closes_ms = identity.expires_ms + u64::from(self.config.limits.resume_window_ms);
            self.timers.set(closes_ms, Timer::Token(id));
        }
    }

    /// What a hello's identity is worth: nothing if it was revoked; if it is that of an anonymous visitor who is known by now,
    /// only a session of that user counts.
    pub(super) fn weigh(
        &self,
        identity: Option<Identity>,
        session_of: Option<&UserKey>,
    ) -> Result<Option<Identity>, (Code, &'static str)> {
        let Some(identity) = identity else { return Ok(None) };
        let Some(tenant) = self.state.tenant_id(&identity.tenant) else { return Ok(Some(identity)) };
        let key = UserKey { tenant, user: identity.user.clone() };
        if self.state.standing.is_revoked(&key, identity.token, identity.made_ms) {
            return Err((Code::REVOKED, Code::REVOKED.sentence()));
        }
        let Some(known) = self.state.standing.identified.get(&key) else { return Ok(Some(identity)) };
        match session_of {
            Some(owner) if owner.tenant == tenant && owner.user == known.user => Ok(None),
            _ => {
                Err((Code::INVALID_TOKEN, "This visitor has proven who they are: present that user's token."))
            }
        }
    }
}

impl Decider<'_> {
    /// A proof of who an anonymous visitor is.
    ///
    /// # Errors
    /// `NOT_ANONYMOUS`, `UNAUTHENTICATED` for a token of another tenant or a revoked one, `LIMIT_REACHED`.
    pub fn identify(
        &self,
        now_ms: u64,
        session: SessionId,
        identity: &Identity,
    ) -> Result<Identification, Reject> {
        let before = &self.actor.key;
        let known = !is_anonymous(&identity.user) && identity.role == Role::Visitor;
        if !is_anonymous(&before.user) || !known {
            return Err(Reject::new(Code::NOT_ANONYMOUS, Code::NOT_ANONYMOUS.sentence()));
        }
        let key = UserKey { tenant: before.tenant, user: identity.user.clone() };
        let standing = &self.state.standing;
        let revoked = standing.is_revoked(&key, identity.token, identity.made_ms);
        if self.state.tenant_id(&identity.tenant) != Some(before.tenant) || revoked {
            return Err(Reject::new(Code::UNAUTHENTICATED, "The token is of another tenant, or revoked."));
        }
        let count =
            |key: &UserKey| self.state.memberships.get(key).map_or(0, std::collections::BTreeSet::len);
        if count(before) > CONVERSATIONS_MAX
            || count(before) + count(&key) > self.config.user_conversations_max
        {
            return Err(Reject::new(Code::LIMIT_REACHED, "These are too many conversations."));
        }
        let place = |id| ConversationKey { tenant: before.tenant, conversation: id };
        let mine = self.state.memberships.get(before).into_iter().flatten();
        let next = mine.filter_map(|id| Some((*id, self.state.conversations.get(&place(*id))?.head.seq + 1)));
        let sessions = self.state.user_sessions.get(before).into_iter().flatten();
        let ends = sessions.filter_map(|id| self.state.sessions.get(id)).map(|it| it.token_expires_ms);
        let last_ms = ends.map(|ms| if ms == 0 { u64::MAX } else { ms }).max().unwrap_or(0);
        Ok(Identification {
            tenant: before.tenant,
            before: before.user.clone(),
            user: NewMember { user: key.user, name: identity.name.clone(), role: identity.role },
            session,
            token_expires_ms: identity.expires_ms,
            conversations: next.collect(),
            until_ms: last_ms.max(now_ms + u64::from(self.config.limits.dedup_window_ms)),
        })
    }
}

/// Conversations that one anonymous visitor may bring along: they are in one entry of the log.
const CONVERSATIONS_MAX: usize = 200;

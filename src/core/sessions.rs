//! Sessions and connections: hello, resume, tokens, leaving and being gone.

use super::{
    Core, Identity,
    connection::{Connection, LaneUse, Whereabouts},
    decide::{Actor, Decision},
    effect::Effect,
    input::{ConnectionId, Lane},
    record::{Record, UserKey},
    reject::Reject,
    standing::TokenMark,
    state::Session,
    timers::Timer,
};
use duet_protocol::{
    Code, Delivery, DeviceId, DisplayName, Hello, Resumed, SessionId, TenantName, VERSIONS, Welcome,
    delivery::Availability,
};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

impl Core {
    /// A connection's first frame.
    pub(super) fn hello(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        identity: Option<Identity>,
        hello: &Hello,
        entropy: &[u8; 48],
    ) {
        let admitted = self.admit(now_ms, identity, hello, entropy);
        let Admitted { session, actor, token, welcome } = match admitted {
            Ok(admitted) => admitted,
            Err((code, reason)) => return self.disconnect(id, code, reason),
        };
        let old = self.sessions.insert(session, Whereabouts::Here(id));
        self.timers.cancel(&Timer::Session(session));
        let expires_ms = welcome.token_expires_ms;
        if expires_ms != 0 {
            let closes_ms = expires_ms + u64::from(self.config.limits.resume_window_ms);
            self.timers.set(closes_ms.max(now_ms + 1), Timer::Token(id));
        }
        let (availability, last_seen_ms) = self.stored_presence(&actor.key);
        self.board.arrive(&actor.key, id, availability, last_seen_ms.max(now_ms));
        let key = actor.key.clone();
        let connection = Connection {
            session,
            actor,
            expires_ms,
            token,
            lanes: BTreeMap::new(),
            inbox: false,
            watched: BTreeSet::new(),
            watched_rooms: BTreeSet::new(),
            signal_version: 0,
            history_reads: 0,
        };
        self.connections.insert(id, connection);
        if let Some(Whereabouts::Here(old)) = old {
            self.disconnect(old, Code::REPLACED, Code::REPLACED.sentence());
            self.drop_connection(now_ms, old, true);
        }
        // Nothing else in it comes from an entry that may still be on its way to the disk.
        let index = self.opening.get(&session).copied().unwrap_or(self.reign_index);
        self.hold_answer(index, id, Lane::CONTROL, &Delivery::Welcome(welcome));
        self.announce(&key);
    }

    fn admit(
        &mut self,
        now_ms: u64,
        identity: Option<Identity>,
        hello: &Hello,
        entropy: &[u8; 48],
    ) -> Result<Admitted, (Code, &'static str)> {
        let version = hello.versions.iter().copied().find(|version| VERSIONS.contains(version));
        let version = version.ok_or((Code::UNSUPPORTED_VERSION, Code::UNSUPPORTED_VERSION.sentence()))?;
        if hello.epoch_seen > self.epoch {
            return Err((Code::NOT_PRIMARY, "This node's reign is over: the client has seen a later one."));
        }
        let resumable = hello.resume.as_deref().and_then(|token| self.resumable(token));
        let identity = self.weigh(identity, resumable.map(|(_, stored)| &stored.key))?;
        if let Some((session, stored)) = resumable {
            let stored = stored.clone();
            let same = |identity: &Identity| {
                self.state.tenant_id(&identity.tenant) == Some(stored.key.tenant)
                    && identity.user == stored.key.user
            };
            if identity.as_ref().is_some_and(|identity| !same(identity)) {
                return Err((Code::INVALID_TOKEN, "The token and the session are of different users."));
            }
            let known = self.state.user(&stored.key).map(|user| (user.name.clone(), user.role));
            let (name, role) = known.ok_or((Code::INVALID_TOKEN, "The session's user is unknown."))?;
            let role = identity.as_ref().map_or(role, |identity| identity.role);
            if let Some(identity) = &identity {
                self.renew_session(now_ms, session, identity);
            }
            // Without a good token of its own, it lives by that of its session.
            let by = match &identity {
                Some(identity) => identity.token,
                None => self.state.standing.sessions.get(&session).copied(),
            };
            let expires_ms = identity.map_or(stored.token_expires_ms, |identity| identity.expires_ms);
            // It is there: the session was found by it.
            let token = hello.resume.clone().unwrap_or_default();
            let actor = Actor { key: stored.key, role };
            let welcome = self.welcome(now_ms, version, hello, session, token, &actor, name, expires_ms);
            return Ok(Admitted {
                session,
                actor,
                token: by,
                welcome: Welcome { resumed: Resumed::Full, ..welcome },
            });
        }
        let identity = identity.ok_or((Code::INVALID_TOKEN, "The session is gone and there is no token."))?;
        let (session, token, actor) = self.open_session(now_ms, &identity, hello, entropy)?;
        let (name, expires_ms, token_id) = (identity.name, identity.expires_ms, identity.token);
        let resumed = if hello.resume.is_some() { Resumed::None } else { Resumed::New };
        let welcome = self.welcome(now_ms, version, hello, session, token, &actor, name, expires_ms);
        Ok(Admitted { session, actor, token: token_id, welcome: Welcome { resumed, ..welcome } })
    }

    fn open_session(
        &mut self,
        now_ms: u64,
        identity: &Identity,
        hello: &Hello,
        entropy: &[u8; 48],
    ) -> Result<(SessionId, Vec<u8>, Actor), (Code, &'static str)> {
        let tenant = self.state.tenant_id(&identity.tenant);
        let tenant = tenant.ok_or((Code::INVALID_TOKEN, "The token's tenant is unknown here."))?;
        let key = UserKey { tenant, user: identity.user.clone() };
        let actor = Actor { key: key.clone(), role: identity.role };
        let mut session = [0; 16];
        session.copy_from_slice(&entropy[..16]);
        let session = SessionId(session);
        if self.read_only {
            // Readers come in all the same; a session that cannot be stored ends with its connection.
            return Ok((session, entropy.to_vec(), actor));
        }
        self.make_room(now_ms, &key, &hello.device)?;
        self.see_user(now_ms, &key, &identity.name, identity.role);
        let device = hello.device.clone();
        let secret_hash = Sha256::digest(&entropy[16..]).into();
        let token_expires_ms = identity.expires_ms;
        let opened = Record::SessionOpened { session, key, device, secret_hash, token_expires_ms };
        let mut index = self.append(now_ms, opened);
        if identity.token.is_some() {
            index = self.append(now_ms, Record::SessionAuthorised { session, token: identity.token });
        }
        self.opening.insert(session, index);
        Ok((session, entropy.to_vec(), actor))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one frame, each from another place")]
    fn welcome(
        &self,
        now_ms: u64,
        version: u16,
        hello: &Hello,
        session: SessionId,
        resume: Vec<u8>,
        actor: &Actor,
        name: DisplayName,
        token_expires_ms: u64,
    ) -> Welcome {
        let tenant = self.state.tenants.get(&actor.key.tenant).cloned();
        let Some(tenant): Option<TenantName> = tenant else { unreachable!("a session's tenant has a name") };
        Welcome {
            version,
            session,
            resume,
            resumed: Resumed::New,
            tenant,
            user: actor.key.user.clone(),
            name,
            role: actor.role,
            node: self.config.node.clone(),
            epoch: self.epoch,
            peers: self.config.peers.clone(),
            server_time_ms: now_ms,
            token_expires_ms,
            capabilities: hello.capabilities & super::config::GRANTED,
            limits: self.config.limits,
        }
    }

    fn resumable(&self, token: &[u8]) -> Option<(SessionId, &Session)> {
        let (session, secret) = token.split_at_checked(16)?;
        let session = SessionId(session.try_into().ok()?);
        let stored = self.state.sessions.get(&session)?;
        // The hash is compared, not the secret: what its timing tells does not help to find a preimage.
        (<[u8; 32]>::from(Sha256::digest(secret)) == stored.secret_hash).then_some((session, stored))
    }

    /// Makes room for one more session of a user: the one that has been gone longest ends, else the oldest one of the same
    /// device, whose connection is most likely dead without anybody having noticed yet.
    pub(super) fn make_room(
        &mut self,
        now_ms: u64,
        key: &UserKey,
        device: &DeviceId,
    ) -> Result<(), (Code, &'static str)> {
        let sessions = self.state.user_sessions.get(key);
        if sessions.map_or(0, BTreeSet::len) < self.config.user_sessions_max {
            return Ok(());
        }
        let place = |session: &SessionId| match self.sessions.get(session) {
            Some(Whereabouts::Gone(since_ms)) => Some((0, *since_ms, *session)),
            Some(Whereabouts::Here(id)) => {
                let same = self.state.sessions.get(session).is_some_and(|stored| stored.device == *device);
                same.then_some((1, id.0, *session))
            }
            None => None,
        };
        let oldest = sessions.into_iter().flatten().filter_map(place).min();
        let (_, _, oldest) = oldest.ok_or((Code::CONNECTION_LIMIT, Code::CONNECTION_LIMIT.sentence()))?;
        if let Some(Whereabouts::Here(id)) = self.sessions.get(&oldest).copied() {
            self.disconnect(id, Code::CONNECTION_LIMIT, Code::CONNECTION_LIMIT.sentence());
            self.drop_connection(now_ms, id, true);
        }
        self.end_session(now_ms, oldest);
        Ok(())
    }

    pub(super) fn see_user(
        &mut self,
        now_ms: u64,
        key: &UserKey,
        name: &DisplayName,
        role: duet_protocol::hello::Role,
    ) {
        let known = self.state.user(key).is_some_and(|user| user.name == *name && user.role == role);
        if !known {
            self.append(now_ms, Record::UserSeen { key: key.clone(), name: name.clone(), role });
        }
    }

    /// The user leaves on purpose.
    pub(super) fn goodbye(&mut self, now_ms: u64, id: ConnectionId) -> Result<(), Reject> {
        let Some(session) = self.connections.get(&id).map(|connection| connection.session) else {
            return Ok(());
        };
        if self.state.sessions.contains_key(&session) {
            let ended = Record::SessionEnded { session, seen_ms: now_ms };
            self.carry_out(now_ms, Decision::Append(vec![ended]))?;
        }
        self.disconnect(id, Code::CLOSED_BY_USER, Code::CLOSED_BY_USER.sentence());
        self.drop_connection(now_ms, id, false);
        Ok(())
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId, code: Code, reason: &str) {
        self.effects.push_back(Effect::Disconnect { connection, code, reason: reason.into() });
    }

    /// A connection is gone; with `grace` its user may come back.
    pub(super) fn drop_connection(&mut self, now_ms: u64, id: ConnectionId, grace: bool) {
        self.lose_connection(now_ms, id, now_ms, grace);
    }

    /// A connection is gone, and its client was last heard at `seen_ms`: the grace counts from there.
    pub(super) fn lose_connection(&mut self, now_ms: u64, id: ConnectionId, seen_ms: u64, grace: bool) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.timers.cancel(&Timer::Token(id));
        for (lane, usage) in &connection.lanes {
            if let LaneUse::Conversation(key) = usage {
                self.hub.leave(*key, id, *lane);
                self.waiting.remove(&(id, *lane));
            }
        }
        for user in &connection.watched {
            self.board.unwatch(user, id);
        }
        for room in &connection.watched_rooms {
            self.board.unwatch_room(*room, id);
        }
        self.forget_counts();
        self.watch_staff_inbox(connection.actor.key.tenant, id, false);
        self.leave_calls(connection.actor.key.tenant, id);
        let (session, key) = (connection.session, connection.actor.key);
        if self.sessions.get(&session) == Some(&Whereabouts::Here(id)) {
            if self.state.sessions.contains_key(&session) {
                self.gone_since(now_ms, session);
            } else {
                self.sessions.remove(&session);
            }
        }
        self.board.depart(&key, id, seen_ms, grace);
        self.start_grace(&key);
        self.announce(&key);
        self.forget_offline(&key);
    }

    fn gone_since(&mut self, now_ms: u64, session: SessionId) {
        self.sessions.insert(session, Whereabouts::Gone(now_ms));
        self.timers.set(now_ms + self.config.session_ttl_ms, Timer::Session(session));
    }

    fn start_grace(&mut self, key: &UserKey) {
        if let Some(dropped_ms) = self.board.dropped_ms(key) {
            let ends_ms = dropped_ms + u64::from(self.config.limits.presence_grace_ms);
            self.timers.set(ends_ms, Timer::Grace(key.clone()));
        }
    }

    /// After a restart every session may come back.
    pub(super) fn expect_sessions(&mut self, now_ms: u64) {
        let sessions: Vec<_> = self.state.sessions.iter().map(|(id, s)| (*id, s.key.clone())).collect();
        for (session, key) in sessions {
            self.gone_since(now_ms, session);
            let (availability, last_seen_ms) = self.stored_presence(&key);
            self.board.expect(&key, availability, last_seen_ms, now_ms);
            self.start_grace(&key);
        }
    }

    /// The grace of a user who dropped is over, unless they came back.
    pub(super) fn grace_ended(&mut self, now_ms: u64, key: &UserKey) {
        self.board.end_grace(key, now_ms, u64::from(self.config.limits.presence_grace_ms));
        self.announce(key);
        self.forget_offline(key);
    }

    /// A session was without a connection for too long, unless it came back.
    pub(super) fn session_expired(&mut self, now_ms: u64, session: SessionId) {
        if let Some(Whereabouts::Gone(since)) = self.sessions.get(&session)
            && since + self.config.session_ttl_ms <= now_ms
        {
            if self.read_only {
                self.timers.set(now_ms + READ_ONLY_RETRY_MS, Timer::Session(session));
            } else {
                self.end_session(now_ms, session);
            }
        }
    }

    /// Ends a session that is gone. What is observed of its user is told by the log from now on.
    pub(super) fn end_session(&mut self, now_ms: u64, session: SessionId) {
        self.timers.cancel(&Timer::Session(session));
        let seen_ms = match self.sessions.remove(&session) {
            Some(Whereabouts::Gone(since_ms)) => since_ms,
            _ => now_ms,
        };
        if let Some(stored) = self.state.sessions.get(&session) {
            let key = stored.key.clone();
            self.append(now_ms, Record::SessionEnded { session, seen_ms });
            self.forget_offline(&key);
        }
    }

    /// Forgets what is observed of a user who is offline, once the log knows as much: while a session waits, it does not.
    pub(super) fn forget_offline(&mut self, key: &UserKey) {
        if !self.state.user_sessions.contains_key(key) {
            self.board.forget_offline(key);
        }
    }

    /// What the log knows of a user's presence.
    pub(super) fn stored_presence(&self, key: &UserKey) -> (Availability, u64) {
        let user = self.state.user(key);
        user.map_or((Availability::Online, 0), |user| (user.availability, user.last_seen_ms))
    }
}

/// A hello that was accepted.
struct Admitted {
    session: SessionId,
    actor: Actor,
    /// The id of the token by which the connection lives, if it has one.
    token: Option<TokenMark>,
    welcome: Welcome,
}

/// When to try again to write that a session ended.
const READ_ONLY_RETRY_MS: u64 = 60_000;

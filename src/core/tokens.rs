//! Fresh tokens for open connections, and connections whose token ended.

use super::{
    Core, Identity,
    connection::Connection,
    input::{ConnectionId, Lane},
    record::Record,
    reject::Reject,
    timers::Timer,
};
use duet_protocol::{Code, Delivery, SessionId, Subject, delivery::Authenticated};

impl Core {
    /// A verified token for an open connection.
    pub(super) fn reauthenticated(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        request: u32,
        identity: &Identity,
    ) {
        let tenant = self.state.tenant_id(&identity.tenant);
        let Some(connection) = self.connections.get(&id) else { return };
        let revoked = self.state.standing.is_revoked(&connection.actor.key, identity.token, identity.made_ms);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if tenant != Some(connection.actor.key.tenant) || identity.user != connection.actor.key.user {
            let reject = Reject::new(Code::UNAUTHENTICATED, "The token is of another user.");
            return self.refuse(id, Lane::CONTROL, Subject::Request(request), reject);
        }
        if revoked {
            let reject = Reject::new(Code::UNAUTHENTICATED, Code::REVOKED.sentence());
            return self.refuse(id, Lane::CONTROL, Subject::Request(request), reject);
        }
        (connection.expires_ms, connection.token) = (identity.expires_ms, identity.token);
        connection.actor.role = identity.role;
        let (key, session) = (connection.actor.key.clone(), connection.session);
        if identity.expires_ms != 0 {
            let closes_ms = identity.expires_ms + u64::from(self.config.limits.resume_window_ms);
            self.timers.set(closes_ms, Timer::Token(id));
        }
        self.renew_session(now_ms, session, identity);
        if !self.read_only {
            self.see_user(now_ms, &key, &identity.name, identity.role);
        }
        let expires_ms = identity.expires_ms;
        self.send(id, Lane::CONTROL, &Delivery::Authenticated(Authenticated { request, expires_ms }));
    }

    /// A session may be resumed without a token until the latest one that was presented for it ends.
    pub(super) fn renew_session(&mut self, now_ms: u64, session: SessionId, identity: &Identity) {
        let Identity { expires_ms, token, .. } = *identity;
        let lasts = |expires_ms: u64| if expires_ms == 0 { u64::MAX } else { expires_ms };
        let stored = self.state.sessions.get(&session).map(|stored| stored.token_expires_ms);
        if !self.read_only && stored.is_some_and(|stored| lasts(stored) < lasts(expires_ms)) {
            self.append(now_ms, Record::SessionRenewed { session, token_expires_ms: expires_ms });
            if self.state.standing.sessions.get(&session).copied() != token {
                self.append(now_ms, Record::SessionAuthorised { session, token });
            }
        }
    }

    /// A connection's token ended long ago, unless a fresh one came meanwhile.
    pub(super) fn token_expired(&mut self, now_ms: u64, id: ConnectionId) {
        let window = u64::from(self.config.limits.resume_window_ms);
        let ended = |c: &Connection| c.expires_ms != 0 && c.expires_ms + window <= now_ms;
        if self.connections.get(&id).is_some_and(ended) {
            self.disconnect(id, Code::INVALID_TOKEN, "The token ended and no fresh one came.");
            self.drop_connection(now_ms, id, true);
        }
    }
}

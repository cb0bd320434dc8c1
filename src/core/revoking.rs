//! An operator takes back a token, a user's tokens, or a session: at once, and for as long as it matters.

use super::{
    Core,
    connection::Whereabouts,
    effect::Effect,
    record::{Record, UserKey},
    release::Held,
    standing::{REVOCATIONS_MAX, Revocation, TokenMark},
};
use duet_protocol::{Code, SessionId, TenantName, UserId};

/// What an operator takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revoke {
    /// One token.
    Token {
        /// Whose key signed it.
        tenant: TenantName,
        /// Which.
        token: TokenMark,
        /// When it ends, Unix milliseconds.
        until_ms: u64,
    },
    /// All tokens of a user that were made up to now, and all of the user's sessions.
    User {
        /// The user's tenant.
        tenant: TenantName,
        /// The user.
        user: UserId,
        /// When the last of the tokens ends, Unix milliseconds.
        until_ms: u64,
    },
    /// One session; its token stays good.
    Session {
        /// Which.
        session: SessionId,
    },
}

/// Why nothing was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RevokeRefused {
    /// No such tenant.
    #[error("there is no such tenant")]
    UnknownTenant,
    /// No such session: it has ended.
    #[error("there is no such session; it may have ended")]
    UnknownSession,
    /// It has ended before now.
    #[error("what is to be revoked has expired already")]
    Expired,
    /// Too many revocations are remembered.
    #[error("too many revocations are in force; wait for tokens to expire, or replace the key")]
    Full,
    /// The disk takes no writes.
    #[error("nothing can be stored now; free space on the disk and try again")]
    NotNow,
    /// Another node serves.
    #[error("this node is not the primary: ask the other one")]
    NotPrimary,
}

impl Core {
    /// Carries out an order; `ask` comes back with the answer.
    pub(super) fn revoke(&mut self, now_ms: u64, ask: u64, order: &Revoke) {
        let outcome = self.try_revoke(now_ms, order);
        match outcome {
            Ok(ended) => self.hold(self.state.tip.index, Held::Revocation { ask, ended }),
            Err(refused) => self.refuse_revocation(ask, refused),
        }
    }

    pub(super) fn refuse_revocation(&mut self, ask: u64, refused: RevokeRefused) {
        self.effects.push_back(Effect::Revoked { ask, result: Err(refused) });
    }

    fn try_revoke(&mut self, now_ms: u64, order: &Revoke) -> Result<u32, RevokeRefused> {
        if self.read_only {
            return Err(RevokeRefused::NotNow);
        }
        let tenant_id = |name: &TenantName| self.state.tenant_id(name).ok_or(RevokeRefused::UnknownTenant);
        let (revocation, sessions) = match order {
            Revoke::Token { tenant, token, until_ms } => {
                let (tenant, token, until_ms) = (tenant_id(tenant)?, *token, *until_ms);
                (Some(Revocation::Token { tenant, token, until_ms }), self.sessions_by(tenant, token))
            }
            Revoke::User { tenant, user, until_ms } => {
                let (key, until_ms) = (UserKey { tenant: tenant_id(tenant)?, user: user.clone() }, *until_ms);
                let sessions = self.state.user_sessions.get(&key).into_iter().flatten().copied().collect();
                (Some(Revocation::User { key, made_ms: now_ms, until_ms }), sessions)
            }
            Revoke::Session { session } => {
                let live = self.connections.values().any(|connection| connection.session == *session);
                if !live && !self.state.sessions.contains_key(session) {
                    return Err(RevokeRefused::UnknownSession);
                }
                (None, vec![*session])
            }
        };
        if let Some(revocation) = &revocation {
            let (Revocation::Token { until_ms, .. } | Revocation::User { until_ms, .. }) = revocation;
            if *until_ms <= now_ms {
                return Err(RevokeRefused::Expired);
            }
            if self.state.standing.revocations() >= REVOCATIONS_MAX {
                return Err(RevokeRefused::Full);
            }
            self.append(now_ms, Record::Revoked(revocation.clone()));
        }
        let mut ended = 0;
        for session in sessions.into_iter().chain(self.unstored_by(revocation.as_ref())) {
            self.end_now(now_ms, session, Code::REVOKED, Code::REVOKED.sentence());
            ended += 1;
        }
        Ok(ended)
    }

    /// The stored sessions that live by a token.
    fn sessions_by(&self, tenant: super::TenantId, token: TokenMark) -> Vec<SessionId> {
        let by = self.state.standing.sessions.iter().filter(|(_, by)| **by == token).map(|(id, _)| *id);
        by.filter(|id| self.state.sessions.get(id).is_some_and(|it| it.key.tenant == tenant)).collect()
    }

    /// Sessions that a revocation concerns by their connection alone: they could not be stored, or live by another token than
    /// their connection.
    fn unstored_by(&self, revocation: Option<&Revocation>) -> Vec<SessionId> {
        let hit = |connection: &&super::connection::Connection| match revocation {
            Some(Revocation::Token { tenant, token, .. }) => {
                connection.actor.key.tenant == *tenant
                    && connection.token == Some(*token)
                    && self.state.standing.sessions.get(&connection.session) != Some(token)
            }
            Some(Revocation::User { key, .. }) => {
                connection.actor.key == *key && !self.state.sessions.contains_key(&connection.session)
            }
            None => false,
        };
        self.connections.values().filter(hit).map(|connection| connection.session).collect()
    }

    /// The sessions of a user, stored or not, but for one.
    pub(super) fn sessions_of(&self, key: &UserKey, but: SessionId) -> Vec<SessionId> {
        let stored = self.state.user_sessions.get(key).into_iter().flatten().copied();
        let live = self.connections.values().filter(|connection| connection.actor.key == *key);
        let mut all: Vec<_> = stored.chain(live.map(|connection| connection.session)).collect();
        all.sort_unstable();
        all.dedup();
        all.retain(|session| *session != but);
        all
    }

    /// Ends a session, wherever it is, without grace: nobody is expected back.
    pub(super) fn end_now(&mut self, now_ms: u64, session: SessionId, code: Code, reason: &str) {
        if let Some(Whereabouts::Here(id)) = self.sessions.get(&session).copied() {
            self.disconnect(id, code, reason);
            self.drop_connection(now_ms, id, false);
        }
        self.end_session(now_ms, session);
    }
}

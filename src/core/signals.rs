//! The ephemeral plane: presence and typing. Never logged, safe to lose, whole each time.

use super::{
    Core,
    effect::Effect,
    input::{ConnectionId, Lane},
    record::{ConversationKey, UserKey},
    reject::Reject,
};
use duet_protocol::{
    Code, Delivery,
    command::WatchPresence,
    delivery::{Done, Presence},
    signal::{IdleSignal, TypingSignal, TypingState},
};

impl Core {
    /// Replaces the list of watched users.
    pub(super) fn watch_presence(&mut self, id: ConnectionId, watch: WatchPresence) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if watch.users.len() > WATCHED_MAX {
            return Err(Reject::new(Code::LIMIT_REACHED, "At most 200 users can be watched."));
        }
        let decider = self.decider(connection);
        watch.users.iter().try_for_each(|user| decider.may_watch(user))?;
        let tenant = connection.actor.key.tenant;
        let keys = watch.users.into_iter().map(|user| UserKey { tenant, user }).collect();
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        for old in std::mem::replace(&mut connection.watched, keys) {
            self.board.unwatch(&old, id);
        }
        let watched: Vec<_> = connection.watched.iter().cloned().collect();
        self.send(id, Lane::CONTROL, &Delivery::Done(Done { request: watch.request }));
        for key in watched {
            let presence = self.presence_of(&key);
            self.board.watch(key, id);
            self.send(id, Lane::CONTROL, &Delivery::Presence(presence));
        }
        Ok(())
    }

    /// A user's presence now.
    pub(super) fn presence_of(&self, key: &UserKey) -> Presence {
        let (availability, last_seen_ms) = self.stored_presence(key);
        self.board.presence(key, availability, last_seen_ms)
    }

    /// Tells who wants to know that a user's presence changed, if it did.
    pub(super) fn announce(&mut self, key: &UserKey) {
        let Some(presence) = self.board.changed(key) else { return };
        let frame = Delivery::Presence(presence).encode();
        for connection in self.board.watchers(key) {
            self.effects.push_back(Effect::Send { connection, lane: Lane::CONTROL, frame: frame.clone() });
        }
        let conversations: Vec<_> = self.state.memberships.get(key).into_iter().flatten().copied().collect();
        for conversation in conversations {
            let conversation = ConversationKey { tenant: key.tenant, conversation };
            if self.hub.room(conversation).is_some() && self.members_shown(conversation) {
                self.notify(conversation, frame.clone());
            }
        }
    }

    /// A device is idle or back.
    pub(super) fn idle(&mut self, id: ConnectionId, signal: IdleSignal) -> Result<(), Reject> {
        if let Some(key) = self.fresh_signal(id, signal.version) {
            self.board.set_idle(&key, id, signal.idle);
            self.announce(&key);
        }
        Ok(())
    }

    /// A user types: told to the other listeners, if the user may write there.
    pub(super) fn typing(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        signal: TypingSignal,
    ) -> Result<(), Reject> {
        let Some(user) = self.fresh_signal(id, signal.version) else { return Ok(()) };
        let key = ConversationKey { tenant: user.tenant, conversation: signal.conversation };
        let member = self.state.conversations.get(&key).is_some_and(|c| c.members.contains_key(&user.user));
        if !member {
            return Err(super::reject::not_found("conversation"));
        }
        let connections = self.listeners_except(key, &user.user);
        if !connections.is_empty() {
            let ttl_ms = if signal.active { self.config.limits.typing_ttl_ms } else { 0 };
            let (conversation, version) = (signal.conversation, now_ms.max(self.typing_version + 1));
            self.typing_version = version;
            let typing = Delivery::Typing(TypingState { conversation, user: user.user, version, ttl_ms });
            self.effects.push_back(Effect::Signal { frame: typing.encode(), connections });
        }
        Ok(())
    }

    /// Whose signal it is, unless a later one came first.
    fn fresh_signal(&mut self, id: ConnectionId, version: u64) -> Option<UserKey> {
        let connection = self.connections.get_mut(&id)?;
        (version > connection.signal_version).then(|| {
            connection.signal_version = version;
            connection.actor.key.clone()
        })
    }
}

/// Users that one connection may watch.
const WATCHED_MAX: usize = 200;

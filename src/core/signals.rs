//! The ephemeral plane: signals of attention and typing. Never logged, safe to lose, whole each time.

use super::{
    Core,
    effect::Effect,
    input::ConnectionId,
    record::{ConversationKey, UserKey},
    reject::Reject,
};
use duet_protocol::{
    Delivery,
    signal::{Activity, ActivitySignal, IdleSignal, TypingSignal, TypingState},
};

impl Core {
    /// How the user attends to a device.
    pub(super) fn activity(&mut self, id: ConnectionId, signal: ActivitySignal) -> Result<(), Reject> {
        if let Some(key) = self.fresh_signal(id, signal.version) {
            self.board.set_activity(&key, id, signal.activity);
            self.announce(&key);
        }
        Ok(())
    }

    /// The same, as clients say it that know no background.
    pub(super) fn idle(&mut self, id: ConnectionId, signal: IdleSignal) -> Result<(), Reject> {
        let IdleSignal { version, idle } = signal;
        let activity = if idle { Activity::Idle } else { Activity::Active };
        self.activity(id, ActivitySignal { version, activity })
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

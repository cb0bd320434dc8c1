//! Who hears of whose presence: users watched by name, members of conversations that are open or watched, and mere numbers
//! where a conversation has too many members for each to be told.
//!
//! A snapshot first, then changes, each whole. Numbers are counted anew rather than kept up: at most once in a time that
//! grows with the conversation, so that what a count costs is bounded for each, however lively it is.

use super::{
    Core,
    connection::Connection,
    effect::{Effect, Target},
    input::{ConnectionId, Lane},
    presence::{Change, Counted},
    record::{ConversationKey, UserKey},
    reject::Reject,
    timers::Timer,
};
use duet_protocol::{
    Code, Delivery, UserId,
    command::{WatchMembers, WatchPresence},
    delivery::{Done, Presence, PresenceCounts},
};
use std::collections::BTreeSet;

/// The last count of a large conversation's members that somebody was told.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastCount {
    told: PresenceCounts,
    at_ms: u64,
}

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

    /// Replaces the list of conversations whose members are watched.
    pub(super) fn watch_members(&mut self, id: ConnectionId, watch: &WatchMembers) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if watch.conversations.len() > ROOMS_WATCHED_MAX {
            let rule = "The members of at most 32 conversations can be watched.";
            return Err(Reject::new(Code::LIMIT_REACHED, rule));
        }
        let tenant = connection.actor.key.tenant;
        let keys = watch.conversations.iter().map(|it| ConversationKey { tenant, conversation: *it });
        let rooms: BTreeSet<_> = keys.collect();
        let decider = self.decider(connection);
        // Who is a member may not be committed yet.
        let mut index = 0;
        for room in &rooms {
            index = index.max(decider.visible(*room)?.head.index);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        for old in std::mem::replace(&mut connection.watched_rooms, rooms.clone()) {
            self.board.unwatch_room(old, id);
        }
        self.hold_answer(index, id, Lane::CONTROL, &Delivery::Done(Done { request: watch.request }));
        for room in rooms {
            self.board.watch_room(room, id);
            for frame in self.attendance(room) {
                self.hold_answer(index, id, Lane::CONTROL, &frame);
            }
        }
        self.forget_counts();
        Ok(())
    }

    /// Everything that is told of who is there of a conversation.
    fn attendance(&mut self, key: ConversationKey) -> Vec<Delivery> {
        if !self.members_shown(key) {
            return self.counts(key).map(Delivery::PresenceCounts).into_iter().collect();
        }
        let Some(conversation) = self.state.conversations.get(&key) else { return Vec::new() };
        let users = conversation.members.keys();
        let presence = |user: &UserId| self.presence_of(&UserKey { tenant: key.tenant, user: user.clone() });
        users.map(|user| Delivery::Presence(presence(user))).collect()
    }

    /// A user's presence now.
    pub(super) fn presence_of(&self, key: &UserKey) -> Presence {
        let (availability, last_seen_ms) = self.stored_presence(key);
        self.board.presence(key, availability, last_seen_ms)
    }

    /// Tells who wants to know that a user's presence changed, if it did: now, or when they have been told nothing of this
    /// user for a moment.
    pub(super) fn announce(&mut self, key: &UserKey) {
        let presence = match self.board.changed(key, self.now_ms) {
            Change::None => return,
            Change::Later(at_ms) => return self.timers.set(at_ms, Timer::Presence(key.clone())),
            Change::Now(presence) => presence,
        };
        let frame = Delivery::Presence(presence).encode();
        let mut watchers = self.board.watchers(key);
        let conversations: Vec<_> = self.state.memberships.get(key).into_iter().flatten().copied().collect();
        for conversation in conversations {
            let room = ConversationKey { tenant: key.tenant, conversation };
            if !self.has_audience(room) {
                continue;
            }
            if self.members_shown(room) {
                watchers.extend(self.board.room_watchers(room));
                if self.hub.room(room).is_some() {
                    self.notify(room, frame.clone());
                }
            } else {
                self.plan_count(room);
            }
        }
        for connection in watchers {
            self.effects.push_back(Effect::Send { connection, lane: Lane::CONTROL, frame: frame.clone() });
        }
    }

    /// What of a user's changes waited is told.
    pub(super) fn presence_due(&mut self, key: &UserKey) {
        self.announce(key);
        self.forget_offline(key);
    }

    /// Members came: whoever watches them hears how they are.
    pub(super) fn members_came(&mut self, key: ConversationKey, users: &[UserId]) {
        if !self.has_audience(key) {
            return;
        }
        if !self.members_shown(key) {
            return self.plan_count(key);
        }
        let watchers: Vec<_> = self.board.room_watchers(key).collect();
        for user in users.iter().filter(|_| !watchers.is_empty()) {
            let presence = self.presence_of(&UserKey { tenant: key.tenant, user: user.clone() });
            let frame = Delivery::Presence(presence).encode();
            for connection in &watchers {
                let (connection, frame) = (*connection, frame.clone());
                self.effects.push_back(Effect::Send { connection, lane: Lane::CONTROL, frame });
            }
        }
    }

    /// A member left: neither do they watch those who stay, nor are they watched, but where that is allowed.
    pub(super) fn watch_ends(&mut self, key: ConversationKey, user: &UserId) {
        let who = UserKey { tenant: key.tenant, user: user.clone() };
        let own: Vec<_> = self.board.connections(&who).collect();
        let may = |core: &Self, watcher: ConnectionId, watched: &UserKey| {
            let connection = core.connections.get(&watcher);
            connection.is_some_and(|c| core.decider(c).may_watch(&watched.user).is_ok())
        };
        for id in own {
            let Some(connection) = self.connections.get(&id) else { continue };
            let lost = |connection: &Connection| self.decider(connection).visible(key).is_err();
            let room = connection.watched_rooms.contains(&key) && lost(connection);
            let users: Vec<_> =
                connection.watched.iter().filter(|other| !may(self, id, other)).cloned().collect();
            if room {
                self.board.unwatch_room(key, id);
            }
            users.iter().for_each(|other| self.board.unwatch(other, id));
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.watched_rooms.retain(|other| !room || *other != key);
                connection.watched.retain(|other| !users.contains(other));
            }
        }
        for id in self.board.watchers(&who) {
            if !may(self, id, &who) {
                self.board.unwatch(&who, id);
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.watched.remove(&who);
                }
            }
        }
        if self.has_audience(key) && !self.members_shown(key) {
            self.plan_count(key);
        }
        self.forget_counts();
    }

    /// The numbers for a listener that has just caught up with a large conversation.
    pub(super) fn tell_counts(&mut self, key: ConversationKey, target: Target, seq: u64) {
        if !self.members_shown(key)
            && let Some(counts) = self.counts(key)
        {
            let frame = Delivery::PresenceCounts(counts).encode();
            self.effects.push_back(Effect::Deliver { seq, frame, targets: vec![target] });
        }
    }

    /// Counts anew, and tells the audience if the numbers are other ones.
    pub(super) fn count_due(&mut self, key: ConversationKey) {
        let last = self.counted.get(&key).copied();
        if !self.has_audience(key) || self.members_shown(key) {
            self.counted.remove(&key);
            return;
        }
        let Some(counts) = self.count(key) else { return };
        let told = LastCount { told: counts, at_ms: self.now_ms };
        self.counted.insert(key, told);
        if last.is_none_or(|last| numbers(&last.told) != numbers(&counts)) {
            let frame = Delivery::PresenceCounts(counts).encode();
            let watchers: Vec<_> = self.board.room_watchers(key).collect();
            for connection in watchers {
                let frame = frame.clone();
                self.effects.push_back(Effect::Send { connection, lane: Lane::CONTROL, frame });
            }
            self.notify(key, frame);
        }
    }

    /// The last count, or a first one.
    fn counts(&mut self, key: ConversationKey) -> Option<PresenceCounts> {
        if let Some(last) = self.counted.get(&key) {
            return Some(last.told);
        }
        let told = self.count(key)?;
        self.counted.insert(key, LastCount { told, at_ms: self.now_ms });
        Some(told)
    }

    fn count(&mut self, key: ConversationKey) -> Option<PresenceCounts> {
        let members = &self.state.conversations.get(&key)?.members;
        let (mut connected, mut away, mut offline) = (0, 0, 0);
        for user in members.keys() {
            match self.board.counts_as(&UserKey { tenant: key.tenant, user: user.clone() }) {
                Counted::Connected => connected += 1,
                Counted::Away => away += 1,
                Counted::Offline => offline += 1,
            }
        }
        let (conversation, version) = (key.conversation, self.board.next_version());
        Some(PresenceCounts { conversation, connected, away, offline, version })
    }

    /// Counts when the time has come.
    fn plan_count(&mut self, key: ConversationKey) {
        let last_ms = self.counted.get(&key).map_or(0, |last| last.at_ms);
        let members = self.state.conversations.get(&key).map_or(0, |c| c.members.len());
        let every_ms = u64::try_from(members).unwrap_or(COUNT_MS_MAX).clamp(COUNT_MS_MIN, COUNT_MS_MAX);
        self.timers.set_first((last_ms + every_ms).max(self.now_ms + COUNT_SOON_MS), Timer::Counts(key));
    }

    /// Numbers that nobody follows any more are forgotten.
    pub(super) fn forget_counts(&mut self) {
        if self.counted.is_empty() {
            return;
        }
        let idle: Vec<_> = self.counted.keys().filter(|key| !self.has_audience(**key)).copied().collect();
        for key in idle {
            self.counted.remove(&key);
            self.timers.cancel(&Timer::Counts(key));
        }
    }

    fn has_audience(&self, key: ConversationKey) -> bool {
        self.hub.room(key).is_some() || self.board.room_watchers(key).next().is_some()
    }
}

/// Users that one connection may watch.
const WATCHED_MAX: usize = 200;

/// Conversations whose members one connection may watch.
const ROOMS_WATCHED_MAX: usize = 32;

/// Time between two counts of one conversation, milliseconds: as many as it has members, within these bounds.
const COUNT_MS_MIN: u64 = 2_000;
const COUNT_MS_MAX: u64 = 10_000;

/// How long a count waits for what else changes, milliseconds.
const COUNT_SOON_MS: u64 = 100;

fn numbers(counts: &PresenceCounts) -> (u32, u32, u32) {
    (counts.connected, counts.away, counts.offline)
}

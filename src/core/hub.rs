//! Who listens to which conversation, and how far each listener is.
//!
//! ```text
//!            Opened released            caught up with the released head
//!  Opening ───────────────────► Reading ───────────────────────────────► Live
//!                                  ▲  │ no room                            │ no room
//!                          writable│  ▼                                    │
//!                                Paused ◄──────────────────────────────────┘
//! ```
//!
//! The store holds every event, so a listener that falls behind needs no queue: it pauses, reads on from where it was,
//! and goes live again. That is the first subscription, the resume and the slow reader in one mechanism.

use super::{
    effect::Target,
    input::{ConnectionId, Lane},
    record::ConversationKey,
};
use duet_protocol::UserId;
use std::collections::BTreeMap;

/// All listeners.
#[derive(Debug, Default)]
pub struct Hub {
    rooms: BTreeMap<ConversationKey, Room>,
    /// The last run that was given out; no two subscriptions ever share one.
    last_run: u32,
}

/// The listeners of one conversation.
#[derive(Debug, Default)]
pub struct Room {
    /// Events up to here are committed and were released.
    pub released: u64,
    /// The listeners.
    pub listeners: BTreeMap<(ConnectionId, Lane), Listener>,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Where to send, in which run.
    pub target: Target,
    /// Whose lane it is.
    pub user: UserId,
    /// Its first run: tells this subscription from an earlier one on the same lane.
    pub since: u32,
    /// Events up to here were sent.
    pub sent: u64,
    /// How it gets the next one.
    pub mode: Mode,
    /// Whether frames other than events were missed on the way.
    pub fell_behind: bool,
}

/// How a listener gets its next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Not before its `Opened` is released.
    Opening,
    /// From the store; a read is under way.
    Reading,
    /// Not before its connection has room.
    Paused,
    /// As soon as it is released.
    Live,
}

impl Hub {
    /// Adds a listener that stands at `sent`; answers with where to send.
    pub fn listen(
        &mut self,
        key: ConversationKey,
        connection: ConnectionId,
        lane: Lane,
        user: UserId,
        sent: u64,
    ) -> Target {
        self.last_run += 1;
        let target = Target { connection, lane, run: self.last_run };
        let (since, mode, fell_behind) = (target.run, Mode::Opening, false);
        let listener = Listener { target, user, since, sent, mode, fell_behind };
        self.rooms.entry(key).or_default().listeners.insert((connection, lane), listener);
        target
    }

    /// A listener's run broke before `seq`: it pauses, and begins a new one.
    pub fn pause(&mut self, key: ConversationKey, target: Target, seq: u64) {
        let run = self.last_run + 1;
        let Some(listener) = self.listener_mut(key, target.connection, target.lane) else { return };
        if listener.target.run == target.run {
            listener.target.run = run;
            listener.sent = seq - 1;
            listener.mode = Mode::Paused;
            listener.fell_behind = true;
            self.last_run = run;
        }
    }

    /// Removes a listener.
    pub fn leave(&mut self, key: ConversationKey, connection: ConnectionId, lane: Lane) -> Option<Listener> {
        let room = self.rooms.get_mut(&key)?;
        let gone = room.listeners.remove(&(connection, lane));
        if room.listeners.is_empty() {
            self.rooms.remove(&key);
        }
        gone
    }

    /// The listeners of a conversation, if there are any.
    #[must_use]
    pub fn room(&self, key: ConversationKey) -> Option<&Room> {
        self.rooms.get(&key)
    }

    /// The same, to change.
    pub fn room_mut(&mut self, key: ConversationKey) -> Option<&mut Room> {
        self.rooms.get_mut(&key)
    }

    /// One listener, to change.
    pub fn listener_mut(
        &mut self,
        key: ConversationKey,
        connection: ConnectionId,
        lane: Lane,
    ) -> Option<&mut Listener> {
        self.rooms.get_mut(&key)?.listeners.get_mut(&(connection, lane))
    }

    /// Releases an event: who is live and stands right before it gets it now.
    pub fn release(&mut self, key: ConversationKey, seq: u64) -> Vec<Target> {
        let Some(room) = self.rooms.get_mut(&key) else { return Vec::new() };
        room.released = room.released.max(seq);
        let mut targets = Vec::with_capacity(room.listeners.len());
        for listener in room.listeners.values_mut() {
            if listener.mode == Mode::Live && listener.sent + 1 == seq {
                listener.sent = seq;
                targets.push(listener.target);
            }
        }
        targets
    }

    /// A frame that is no event passes by everyone who is not live; they are told when they are.
    pub fn pass_by(&mut self, key: ConversationKey) {
        let listeners = self.rooms.get_mut(&key).into_iter().flat_map(|room| room.listeners.values_mut());
        for listener in listeners.filter(|listener| listener.mode != Mode::Live) {
            listener.fell_behind = true;
        }
    }

    /// Who is live, for frames that belong to the conversation but are no events, and the seq before which they stand.
    #[must_use]
    pub fn live(&self, key: ConversationKey) -> (u64, Vec<Target>) {
        let Some(room) = self.rooms.get(&key) else { return (0, Vec::new()) };
        let live = room.listeners.values().filter(|listener| listener.mode == Mode::Live);
        (room.released + 1, live.map(|listener| listener.target).collect())
    }
}

//! Commit and release: what was held for an entry goes out once the entry is committed, in the order of the log.

use super::{
    Core,
    effect::{Effect, Row, Target},
    full_disk::Owed,
    hub::{Listener, Mode},
    input::{ConnectionId, Lane, ReadId},
    record::{ConversationKey, UserKey},
};
use bytes::Bytes;
use duet_protocol::{
    Code, Delivery, UserId,
    command::Durability,
    delivery::{Availability, Published, Unsubscribed},
};

/// Something that depends on an entry.
#[derive(Debug)]
pub(super) enum Held {
    /// A frame for one lane.
    Send { connection: ConnectionId, lane: Lane, frame: Bytes, owed: Owed },
    /// The acknowledgement of a message, if the lane is still the one of the question. On how many disks it is shows when
    /// it is released.
    Published { key: ConversationKey, connection: ConnectionId, lane: Lane, since: u32, published: Published },
    /// An event for who listens then, and what visitors get in its place, if it is not for them.
    Event { key: ConversationKey, seq: u64, frame: Bytes, withheld: Option<Bytes> },
    /// A frame about a conversation that is no event: watermarks.
    Notice { key: ConversationKey, frame: Bytes },
    /// A subscription may begin; events up to `head` are committed.
    Opened { key: ConversationKey, target: Target, head: u64, frame: Bytes },
    /// A frame about a conversation for one listener, if it is still in the same run.
    Tell { key: ConversationKey, target: Target, frame: Bytes },
    /// A read of history may begin.
    Read { read: ReadId, effect: Effect },
    /// Users are members from now on.
    Joined { key: ConversationKey, users: Vec<UserId> },
    /// An anonymous visitor has another name.
    Renamed { before: UserKey, key: UserKey },
    /// The answer to an operator's order.
    Revocation { ask: u64, ended: u32 },
    /// A user is no longer a member.
    Revoked { key: ConversationKey, user: UserId },
    /// A user chose an availability.
    Availability { key: UserKey, availability: Availability },
    /// Rows for the store.
    Checkpoint { index: u64, rows: Vec<Row> },
}

impl Held {
    /// Whether somebody asked for it and waits.
    pub(super) fn is_owed(&self) -> bool {
        match self {
            Self::Send { owed, .. } => *owed != Owed::Nothing,
            Self::Published { .. } | Self::Opened { .. } | Self::Read { .. } => true,
            _ => false,
        }
    }
}

impl Core {
    /// Holds something until the entry at `index` is committed; at once if it is.
    pub(super) fn hold(&mut self, index: u64, held: Held) {
        if index <= self.commit {
            self.release(held);
        } else {
            self.held_serial += 1;
            self.held.insert((index, self.held_serial), held);
        }
    }

    /// Holds the answer to a command.
    pub(super) fn hold_answer(
        &mut self,
        index: u64,
        connection: ConnectionId,
        lane: Lane,
        answer: &Delivery,
    ) {
        self.hold(index, Held::Send { connection, lane, frame: answer.encode(), owed: Owed::by(answer) });
    }

    /// Sends a frame that depends on no entry.
    pub(super) fn send(&mut self, connection: ConnectionId, lane: Lane, delivery: &Delivery) {
        self.effects.push_back(Effect::Send { connection, lane, frame: delivery.encode() });
    }

    /// Entries up to `upto` are on this node's disk: with one node, they are committed.
    pub(super) fn advance_commit(&mut self, upto: u64) {
        assert!(upto <= self.state.tip.index, "the store persisted what was never appended");
        self.commit = self.commit.max(upto);
        let commit = self.commit;
        self.opening.retain(|_, index| *index > commit);
        while let Some(first) = self.held.first_entry()
            && first.key().0 <= self.commit
        {
            let held = first.remove();
            self.release(held);
        }
    }

    fn release(&mut self, held: Held) {
        match held {
            Held::Send { connection, lane, frame, .. } => {
                if self.connections.contains_key(&connection) {
                    self.effects.push_back(Effect::Send { connection, lane, frame });
                }
            }
            Held::Published { key, connection, lane, since, mut published } => {
                if self.hub.listener_mut(key, connection, lane).is_some_and(|l| l.since == since) {
                    published.replicas = self.replicas();
                    if published.replicas > 1 {
                        published.durability = Durability::Mirrored;
                    }
                    self.send(connection, lane, &Delivery::Published(published));
                }
            }
            Held::Event { key, seq, frame, withheld } => {
                let targets = self.hub.release(key, seq);
                let (staff, others) = match &withheld {
                    Some(_) => targets.into_iter().partition(|target| self.is_staff(target.connection)),
                    None => (targets, Vec::new()),
                };
                for (frame, targets) in [(Some(frame), staff), (withheld, others)] {
                    if let Some(frame) = frame.filter(|_| !targets.is_empty()) {
                        self.effects.push_back(Effect::Deliver { seq, frame, targets });
                    }
                }
            }
            Held::Notice { key, frame } => self.notify(key, frame),
            Held::Opened { key, target, head, frame } => self.opened(key, target, head, frame),
            Held::Tell { key, target, frame } => {
                let (seq, targets) = self.hub.live(key);
                if targets.contains(&target) {
                    self.effects.push_back(Effect::Deliver { seq, frame, targets: vec![target] });
                }
            }
            Held::Read { read, effect } => {
                if self.reads.contains_key(&read) {
                    self.effects.push_back(effect);
                }
            }
            Held::Joined { key, users } => self.members_came(key, &users),
            Held::Renamed { before, key } => {
                self.announce(&before);
                self.announce(&key);
                self.forget_offline(&before);
            }
            Held::Revocation { ask, ended } => {
                self.effects.push_back(Effect::Revoked { ask, result: Ok(ended) });
            }
            Held::Revoked { key, user } => {
                self.revoke_member(key, &user);
                self.watch_ends(key, &user);
            }
            Held::Availability { key, availability } => {
                self.board.set_availability(&key, availability);
                self.announce(&key);
            }
            Held::Checkpoint { index, rows } => {
                self.effects.push_back(Effect::Checkpoint { index, rows });
            }
        }
    }

    /// Sends a frame to who listens live; who finds no room gets the whole picture when it catches up.
    pub(super) fn notify(&mut self, key: ConversationKey, frame: Bytes) {
        self.hub.pass_by(key);
        let (seq, targets) = self.hub.live(key);
        if !targets.is_empty() {
            self.effects.push_back(Effect::Deliver { seq, frame, targets });
        }
    }

    fn opened(&mut self, key: ConversationKey, target: Target, head: u64, frame: Bytes) {
        let Target { connection, lane, .. } = target;
        let Some(room) = self.hub.room_mut(key) else { return };
        room.released = room.released.max(head);
        let waits = |listener: &Listener| listener.target == target && listener.mode == Mode::Opening;
        if room.listeners.get(&(connection, lane)).is_some_and(waits) {
            self.effects.push_back(Effect::Send { connection, lane, frame });
            self.catch_up(key, connection, lane);
        }
    }

    fn revoke_member(&mut self, key: ConversationKey, user: &UserId) {
        let Some(room) = self.hub.room(key) else { return };
        let may_stay = |connection: &ConnectionId| {
            self.connections.get(connection).is_some_and(|c| self.decider(c).visible(key).is_ok())
        };
        let gone: Vec<_> = room
            .listeners
            .iter()
            .filter(|((connection, _), listener)| listener.user == *user && !may_stay(connection))
            .map(|(place, _)| *place)
            .collect();
        for (connection, lane) in gone {
            self.unsubscribe(key, connection, lane, Code::ACCESS_REVOKED);
        }
    }

    /// Ends a subscription and says why.
    pub(super) fn unsubscribe(
        &mut self,
        key: ConversationKey,
        connection: ConnectionId,
        lane: Lane,
        code: Code,
    ) {
        self.hub.leave(key, connection, lane);
        self.forget_counts();
        self.waiting.remove(&(connection, lane));
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.lanes.remove(&lane);
        }
        let ended = Unsubscribed { code, reason: code.sentence().into() };
        self.send(connection, lane, &Delivery::Unsubscribed(ended));
        self.close_lane_of(connection, lane);
    }

    /// Finishes the server's side of a lane.
    pub(super) fn close_lane_of(&mut self, connection: ConnectionId, lane: Lane) {
        self.effects.push_back(Effect::CloseLane { connection, lane });
    }
}

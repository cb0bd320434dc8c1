//! A disk without space: nothing new is stored, everything stored can be read, and nobody waits for ever.
//!
//! ```text
//!            ReadOnly(true)                    every ANSWER_WITHIN_MS
//!  writing ────────────────► reading only ────────────────────────────► what still waits for the disk is answered
//!     ▲                           │
//!     └────── ReadOnly(false) ────┘
//! ```
//!
//! What was applied before the disk was full may still become durable, so its client is told "not now", never "no": the
//! same message id, sent again, finds out. Events and everything else that nobody asked for go on waiting; they are
//! released when their entry is on the disk.

use super::{
    Core,
    input::{ConnectionId, Lane},
    reject::Reject,
    release::Held,
    timers::Timer,
};
use duet_protocol::{Code, Delivery, Subject};

/// Who waits for a held frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owed {
    /// Nobody: it informs.
    Nothing,
    /// Who asked for this.
    Answer(Subject),
    /// Who said hello.
    Welcome,
}

impl Owed {
    /// Who waits for a frame on the control lane.
    pub(super) fn by(delivery: &Delivery) -> Self {
        match delivery {
            Delivery::Welcome(_) => Self::Welcome,
            Delivery::Done(done) => Self::Answer(Subject::Request(done.request)),
            Delivery::Created(created) => Self::Answer(Subject::Request(created.request)),
            _ => Self::Nothing,
        }
    }
}

impl Core {
    /// The disk takes no more writes, or does again.
    pub(super) fn set_read_only(&mut self, now_ms: u64, read_only: bool) {
        match (self.read_only, read_only) {
            (false, true) => self.timers.set(now_ms + ANSWER_WITHIN_MS, Timer::Unanswered),
            (true, false) => self.timers.cancel(&Timer::Unanswered),
            _ => {}
        }
        self.read_only = read_only;
    }

    /// Whether the disk takes no writes now: nothing is appended meanwhile.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Answers whoever has waited for the full disk, and looks again after a while.
    pub(super) fn answer_the_waiting(&mut self, now_ms: u64) {
        if !self.read_only {
            return;
        }
        self.timers.set(now_ms + ANSWER_WITHIN_MS, Timer::Unanswered);
        let waiting: Vec<_> =
            self.held.iter().filter(|(_, held)| held.is_owed()).map(|(at, _)| *at).collect();
        for at in waiting {
            match self.held.remove(&at) {
                Some(Held::Send { connection, lane, owed: Owed::Answer(subject), .. }) => {
                    self.refuse_waiting(connection, lane, subject);
                }
                Some(Held::Send { connection, owed: Owed::Welcome, .. }) => {
                    self.disconnect(connection, Code::OVERLOADED, Code::READ_ONLY.sentence());
                    self.drop_connection(now_ms, connection, true);
                }
                Some(Held::Published { key, connection, lane, since, published }) => {
                    if self.hub.listener_mut(key, connection, lane).is_some_and(|l| l.since == since) {
                        self.refuse_waiting(connection, lane, Subject::Message(published.id));
                    }
                }
                Some(Held::Opened { key, target, .. }) => {
                    let (connection, lane) = (target.connection, target.lane);
                    if self.hub.listener_mut(key, connection, lane).is_some_and(|l| l.target == target) {
                        self.lane_closed(connection, lane);
                        let reject = Reject::later(Code::UNAVAILABLE, Code::UNAVAILABLE.sentence(), RETRY_MS);
                        self.refuse(connection, lane, Subject::Lane, reject);
                        self.close_lane_of(connection, lane);
                    }
                }
                Some(Held::Read { read, .. }) => self.events_read(now_ms, read, Err(super::ReadFailed)),
                Some(_) | None => {}
            }
        }
    }

    fn refuse_waiting(&mut self, connection: ConnectionId, lane: Lane, subject: Subject) {
        if self.connections.contains_key(&connection) {
            self.refuse(connection, lane, subject, not_now());
        }
    }
}

/// Nothing can be stored now; what was asked for may be stored already, or not.
pub(super) fn not_now() -> Reject {
    Reject::later(Code::READ_ONLY, Code::READ_ONLY.sentence(), RETRY_MS)
}

/// How long an answer may wait for space on the disk.
pub(super) const ANSWER_WITHIN_MS: u64 = 2_000;

/// When to ask a full disk again.
const RETRY_MS: u32 = 5_000;

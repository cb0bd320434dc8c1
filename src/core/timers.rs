//! The deadlines of the core: a table in the state, not messages in flight.
//!
//! A timer has one deadline at most; setting it again moves it. So the table is bounded by what there is to wait for (a
//! connection, a session, a user), however often clients come and go.

use super::{
    calls::CallId,
    input::ConnectionId,
    record::{ConversationKey, UserKey},
};
use duet_protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A user who dropped counts as offline.
    Grace(UserKey),
    /// A change of a user's presence that came soon after another is told.
    Presence(UserKey),
    /// The members of a large conversation are counted.
    Counts(ConversationKey),
    /// A session without a connection ends.
    Session(SessionId),
    /// A connection whose token ended long ago closes.
    Token(ConnectionId),
    /// What changed is checkpointed.
    Checkpoint,
    /// A call is not answered in time.
    Call(CallId),
    /// The lists of a large group's members are told of its changes.
    Lists(ConversationKey),
    /// What a full disk keeps waiting is answered.
    Unanswered,
}

/// Deadlines in order of time, Unix milliseconds.
#[derive(Debug, Default)]
pub struct Timers {
    by_time: BTreeSet<(u64, Timer)>,
    by_timer: BTreeMap<Timer, u64>,
}

impl Timers {
    /// Sets a deadline, in place of the one that the timer had.
    pub fn set(&mut self, at_ms: u64, timer: Timer) {
        self.cancel(&timer);
        self.by_timer.insert(timer.clone(), at_ms);
        self.by_time.insert((at_ms, timer));
    }

    /// Sets a deadline unless the timer has one.
    pub fn set_first(&mut self, at_ms: u64, timer: Timer) {
        if !self.by_timer.contains_key(&timer) {
            self.set(at_ms, timer);
        }
    }

    /// Takes a deadline away, if there is one.
    pub fn cancel(&mut self, timer: &Timer) {
        if let Some((timer, at_ms)) = self.by_timer.remove_entry(timer) {
            self.by_time.remove(&(at_ms, timer));
        }
    }

    /// Takes every other deadline away.
    pub fn keep(&mut self, kept: impl Fn(&Timer) -> bool) {
        self.by_time.retain(|(_, timer)| kept(timer));
        self.by_timer.retain(|timer, _| kept(timer));
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.by_time.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the earliest timer whose deadline has come.
    pub fn due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, timer) = self.by_time.pop_first()?;
        self.by_timer.remove(&timer);
        Some(timer)
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_time.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_that_is_set_again_moves_and_one_that_is_cancelled_never_comes() {
        let mut timers = Timers::default();
        timers.set(10, Timer::Token(ConnectionId(1)));
        timers.set(20, Timer::Token(ConnectionId(2)));
        timers.set(30, Timer::Token(ConnectionId(1)));
        timers.set(40, Timer::Checkpoint);
        assert_eq!((timers.len(), timers.next_ms()), (3, Some(20)));
        timers.cancel(&Timer::Checkpoint);
        assert_eq!(timers.due(19), None);
        assert_eq!(timers.due(50), Some(Timer::Token(ConnectionId(2))));
        assert_eq!(timers.due(50), Some(Timer::Token(ConnectionId(1))));
        assert_eq!((timers.due(u64::MAX), timers.len()), (None, 0));
    }
}

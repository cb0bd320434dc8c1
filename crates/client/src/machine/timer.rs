//! Every wait of the machine, in one table of deadlines. A timer is data: set again it moves, cleared it is gone.

use super::call::RequestId;
use duet_protocol::{ConversationId, UserId};
use std::collections::{BTreeMap, BTreeSet};

/// What a deadline is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A round must have led to a `Welcome`.
    Attempt,
    /// The next address of a round has its turn.
    NextDial,
    /// The next attempt begins.
    Retry,
    /// The session can no longer be resumed.
    Suspend,
    /// The connection has lasted long enough to count as good.
    Stable,
    /// Something must be sent on a carrier that does not keep itself alive.
    Ping,
    /// A probe must have been answered.
    Silence,
    /// The server has been quiet: it is asked for a sign of life.
    Quiet,
    /// The server gave no sign of life: another node is asked.
    Doubt,
    /// The slot for leaving a draining node.
    Move,
    /// The attempt to leave a draining node must have led to a `Welcome`.
    MoveAttempt,
    /// The token provider must have answered.
    TokenAnswer,
    /// A fresh token is due.
    TokenRefresh,
    /// A message in the outbox becomes too old.
    Outbox,
    /// A call must have been answered.
    Request(RequestId),
    /// A publish has been unanswered for long.
    Publish(ConversationId),
    /// Publishing may go on after a refusal.
    Resend(ConversationId),
    /// A subscription is tried again.
    Reopen(ConversationId),
    /// Receipts leave.
    Receipt(ConversationId),
    /// The own user has stopped typing.
    TypingStop(ConversationId),
    /// Somebody's typing is no longer to be believed.
    TypingExpire(ConversationId, UserId),
}

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    deadlines: BTreeMap<Timer, u64>,
    order: BTreeSet<(u64, Timer)>,
}

impl Timers {
    /// Sets or moves.
    pub(crate) fn set(&mut self, timer: Timer, at_ms: u64) {
        self.clear(&timer);
        self.order.insert((at_ms, timer.clone()));
        self.deadlines.insert(timer, at_ms);
    }

    /// Sets unless it runs already.
    pub(crate) fn set_if_idle(&mut self, timer: Timer, at_ms: u64) {
        if !self.deadlines.contains_key(&timer) {
            self.set(timer, at_ms);
        }
    }

    pub(crate) fn clear(&mut self, timer: &Timer) {
        if let Some((timer, at_ms)) = self.deadlines.remove_entry(timer) {
            self.order.remove(&(at_ms, timer));
        }
    }

    /// Clears all for which `gone` holds.
    pub(crate) fn clear_if(&mut self, gone: impl Fn(&Timer) -> bool) {
        self.deadlines.retain(|timer, _| !gone(timer));
        self.order.retain(|(_, timer)| !gone(timer));
    }

    pub(crate) fn is_set(&self, timer: &Timer) -> bool {
        self.deadlines.contains_key(timer)
    }

    /// The earliest deadline.
    pub(crate) fn next(&self) -> Option<u64> {
        self.order.first().map(|(at_ms, _)| *at_ms)
    }

    /// Takes the earliest timer that is due.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next()? > now_ms {
            return None;
        }
        let (_, timer) = self.order.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_come_due_in_order_and_a_moved_or_cleared_one_does_not_come_at_its_old_time() {
        let mut timers = Timers::default();
        timers.set(Timer::Ping, 30);
        timers.set(Timer::Retry, 10);
        timers.set(Timer::Attempt, 20);
        timers.set(Timer::Retry, 40);
        timers.set_if_idle(Timer::Retry, 5);
        timers.clear(&Timer::Attempt);
        assert_eq!(timers.next(), Some(30));
        assert_eq!(timers.pop_due(29), None);
        assert_eq!(timers.pop_due(100), Some(Timer::Ping));
        assert_eq!(timers.pop_due(100), Some(Timer::Retry));
        assert_eq!((timers.pop_due(100), timers.next()), (None, None));
    }
}

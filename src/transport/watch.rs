//! The two clocks of a running connection: a reader too slow, and a close that takes too long.

use super::{connection::Closed, limits::Limits, outbox::Outbox};
use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};
use tokio::time::{self, Sleep};

#[derive(Debug, Default)]
pub(super) struct Watch {
    timer: Option<Pin<Box<Sleep>>>,
    close_by: Option<Instant>,
}

impl Watch {
    /// The end that [`Outbox::close`] asked for, once nothing waits or nobody may wait any longer.
    pub(super) fn drained(&mut self, outbox: &Outbox, limits: &Limits) -> Option<Closed> {
        let state = outbox.lock();
        let code = state.closing.as_ref()?.0;
        let by = *self.close_by.get_or_insert_with(|| Instant::now() + limits.close_flush);
        (state.bytes == 0 || Instant::now() >= by).then_some(Closed::ByUs { code })
    }

    /// Ready when the reader is too slow, or when a close has waited long enough. No timer runs while
    /// nothing waits.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, outbox: &Outbox, limits: &Limits) -> Poll<Closed> {
        loop {
            let stalled_since = outbox.lock().stalled_since;
            let slow_by = stalled_since.map(|since| since + limits.slow_after);
            let Some(earliest) = [slow_by, self.close_by].into_iter().flatten().min() else {
                self.timer = None;
                return Poll::Pending;
            };
            if slow_by.is_some_and(|by| Instant::now() >= by) {
                return Poll::Ready(Closed::Slow);
            }
            if let Some(closed) = self.close_by.and_then(|_| self.drained(outbox, limits)) {
                return Poll::Ready(closed);
            }
            // A timer that is set too early is left to fire and set again: setting it at every write
            // would cost more.
            let timer = self.timer.get_or_insert_with(|| Box::pin(time::sleep_until(earliest.into())));
            if timer.deadline().into_std() > earliest || timer.is_elapsed() {
                timer.as_mut().reset(earliest.into());
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

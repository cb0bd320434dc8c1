//! What all sessions of a run heard, in counts and histograms.
//!
//! A payload begins with the nanosecond at which it was due (not: at which it was written, so that a stalled server is seen
//! even by a generator that stalls with it) and the number of its speaker.

use hdrhistogram::Histogram;
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    time::Instant,
};
use tokio::sync::Notify;

/// Bytes at the head of each payload.
pub const STAMP_BYTES: usize = 12;

/// Counts and histograms of one run.
#[derive(Debug)]
pub struct Tally {
    begun: Instant,
    /// Only what was due since then goes into the histograms, nanoseconds since `begun`.
    from_ns: Cell<u64>,
    delivered: Cell<u64>,
    acknowledged: Cell<u64>,
    refused: Cell<u64>,
    lost: Cell<u64>,
    deliveries: RefCell<Histogram<u64>>,
    acknowledgements: RefCell<Histogram<u64>>,
    /// Speakers whose own message came back, for closed loops.
    returned: RefCell<VecDeque<u32>>,
    someone_returned: Notify,
    echoes_wanted: Cell<bool>,
}

impl Tally {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            from_ns: Cell::new(u64::MAX),
            delivered: Cell::new(0),
            acknowledged: Cell::new(0),
            refused: Cell::new(0),
            lost: Cell::new(0),
            deliveries: RefCell::new(histogram()),
            acknowledgements: RefCell::new(histogram()),
            returned: RefCell::default(),
            someone_returned: Notify::new(),
            echoes_wanted: Cell::new(false),
        }
    }

    /// Nanoseconds since the run began.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Writes the stamp of a payload: when it was due, and whose it is.
    pub fn stamp(payload: &mut [u8], due_ns: u64, speaker: u32) {
        if let Some(head) = payload.first_chunk_mut::<STAMP_BYTES>() {
            head[..8].copy_from_slice(&due_ns.to_be_bytes());
            head[8..].copy_from_slice(&speaker.to_be_bytes());
        }
    }

    /// A message reached `listener`.
    pub fn heard(&self, listener: u32, payload: &[u8]) {
        bump(&self.delivered);
        let Some(head) = payload.first_chunk::<STAMP_BYTES>() else { return };
        let (due, speaker) = head.split_at(8);
        let due = due.try_into().map_or(0, u64::from_be_bytes);
        if due >= self.from_ns.get() {
            self.deliveries.borrow_mut().saturating_record(self.now_ns().saturating_sub(due));
        }
        if self.echoes_wanted.get() && speaker == listener.to_be_bytes() {
            self.returned.borrow_mut().push_back(listener);
            self.someone_returned.notify_one();
        }
    }

    /// A message that was due then was acknowledged.
    pub fn acknowledged(&self, due_ns: u64) {
        bump(&self.acknowledged);
        if due_ns >= self.from_ns.get() {
            self.acknowledgements.borrow_mut().saturating_record(self.now_ns().saturating_sub(due_ns));
        }
    }

    /// A command was refused.
    pub fn refused(&self) {
        bump(&self.refused);
    }

    /// A connection ended that should not have.
    pub fn lost(&self) {
        bump(&self.lost);
    }

    /// Deliveries so far.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.delivered.get()
    }

    /// Acknowledgements so far.
    #[must_use]
    pub fn acknowledgements(&self) -> u64 {
        self.acknowledged.get()
    }

    /// Refusals so far.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.refused.get()
    }

    /// Lost connections so far.
    #[must_use]
    pub fn losses(&self) -> u64 {
        self.lost.get()
    }

    /// From now on what is due goes into the histograms.
    pub fn measure(&self) {
        self.from_ns.set(self.now_ns());
    }

    /// From now on [`Tally::next_returned`] tells whose messages come back.
    pub fn want_echoes(&self) {
        self.echoes_wanted.set(true);
    }

    /// A speaker whose own message has come back.
    pub async fn next_returned(&self) -> u32 {
        loop {
            if let Some(speaker) = self.returned.borrow_mut().pop_front() {
                return speaker;
            }
            self.someone_returned.notified().await;
        }
    }

    /// Time from due to delivered, nanoseconds.
    pub fn delivery_times<T>(&self, read: impl FnOnce(&Histogram<u64>) -> T) -> T {
        read(&self.deliveries.borrow())
    }

    /// Time from due to acknowledged, nanoseconds.
    pub fn acknowledgement_times<T>(&self, read: impl FnOnce(&Histogram<u64>) -> T) -> T {
        read(&self.acknowledgements.borrow())
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

/// One microsecond to two minutes, three digits.
fn histogram() -> Histogram<u64> {
    // The bounds are constants that the library takes.
    Histogram::new_with_bounds(1_000, 120_000_000_000, 3).unwrap_or_else(|_| unreachable!("constant bounds"))
}

fn bump(count: &Cell<u64>) {
    count.set(count.get() + 1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_due_after_the_warm_up_is_timed_and_all_is_counted() {
        let tally = Tally::new();
        let mut payload = [0; 20];
        Tally::stamp(&mut payload, tally.now_ns(), 7);
        tally.heard(1, &payload);
        tally.measure();
        Tally::stamp(&mut payload, tally.now_ns(), 7);
        tally.heard(1, &payload);
        tally.heard(7, &payload);
        assert_eq!(tally.deliveries(), 3);
        assert_eq!(tally.delivery_times(Histogram::len), 2);
    }

    #[test]
    fn a_payload_without_a_stamp_is_counted_only() {
        let tally = Tally::new();
        tally.measure();
        tally.heard(1, b"short");
        assert_eq!((tally.deliveries(), tally.delivery_times(Histogram::len)), (1, 0));
    }
}

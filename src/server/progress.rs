//! How far the log is, and how long a publish takes from the core to its acknowledgement.

use crate::admin::metrics as name;
use duet_protocol::Command;
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Counts entries between the core and the disk.
#[derive(Debug, Default)]
pub(super) struct Progress {
    appended: u64,
    durable: u64,
    /// Since when something has been on its way to the disk without anything arriving there.
    moved: Option<Instant>,
    publishing: Option<Instant>,
    /// Publishes whose entry is not on the disk yet: its index, and when the publish came. Bounded by what is in flight.
    waiting: VecDeque<(u64, Instant)>,
}

impl Progress {
    /// A log that ends at `index`.
    pub(super) fn from(index: u64) -> Self {
        Self { appended: index, durable: index, ..Self::default() }
    }

    /// The last entry that is on the disk.
    pub(super) fn durable(&self) -> u64 {
        self.durable
    }

    /// Entries on their way to the disk.
    pub(super) fn in_flight(&self) -> u64 {
        self.appended.saturating_sub(self.durable)
    }

    /// For how long the disk has finished nothing although something is on its way.
    pub(super) fn stuck_for(&self) -> Duration {
        self.moved.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The disk is known to be stuck; it is looked at again after a while.
    pub(super) fn look_again(&mut self) {
        self.moved = Some(Instant::now());
    }

    /// A command is handed to the core.
    pub(super) fn publish_begins(&mut self, command: &Command) {
        self.publishing = matches!(command, Command::Publish(_)).then(Instant::now);
    }

    /// The core appended an entry.
    pub(super) fn appended(&mut self, index: u64) {
        self.appended = index;
        self.moved.get_or_insert_with(Instant::now);
        if let Some(since) = self.publishing {
            self.waiting.push_back((index, since));
        }
    }

    /// The input is done; what is appended from here on belongs to another.
    pub(super) fn input_done(&mut self) {
        self.publishing = None;
    }

    /// Entries up to `upto` are on the disk.
    pub(super) fn persisted(&mut self, upto: u64) {
        self.durable = self.durable.max(upto);
        self.moved = (self.in_flight() > 0).then(Instant::now);
    }

    /// Entries above `after` were taken back.
    pub(super) fn truncated(&mut self, after: u64) {
        self.appended = self.appended.min(after);
        self.durable = self.durable.min(after);
    }

    /// The core has released everything up to `upto`.
    pub(super) fn released(&mut self, upto: u64) {
        while let Some((_, since)) = self.waiting.pop_front_if(|(index, _)| *index <= upto) {
            metrics::histogram!(name::PUBLISH_ACK).record(since.elapsed().as_secs_f64());
        }
    }
}

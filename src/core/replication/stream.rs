//! The primary's stream of entries to the standby: where it begins, what is on its way, when it has to begin again.

use super::{
    fact::{LogGone, PairEffect},
    leading::{Leading, Stream},
    log::Logged,
    message::{AppendEntries, Echo, PeerMessage, Position},
    replica::{Outcome, Replica},
};
use crate::core::record::Entry;
use bytes::Bytes;

impl Replica {
    pub(super) fn log_read(&mut self, from: u64, result: Result<Vec<Bytes>, LogGone>) {
        self.with_leading(|replica, leading| match leading.stream {
            Stream::Checking { place, fallback } if place.index + 1 == from => {
                replica.checked(leading, place, fallback, result);
            }
            Stream::Live { prev, reading: true } if prev.index + 1 == from => match result {
                Ok(entries) => {
                    leading.stream = Stream::Live { prev, reading: false };
                    replica.send_read(leading, prev, entries);
                }
                Err(LogGone::Truncated) => leading.stream = Stream::Hopeless,
                Err(LogGone::Failed) => leading.stream = Stream::Unknown,
            },
            _ => {}
        });
    }

    /// Decides how to go on with the stream when the standby says where it stands.
    pub(super) fn guide(&mut self, leading: &mut Leading, echo: &Echo) {
        match leading.stream {
            Stream::Unknown => {
                let place = if echo.end.index <= self.log.end().index { echo.end } else { echo.applied };
                self.check(leading, place, place.index == echo.applied.index);
            }
            Stream::Hopeless => {
                if echo.end.index == 0 {
                    leading.stream = Stream::Snapshot;
                    self.effect(PairEffect::SendSnapshot);
                } else if self.link {
                    self.outcome(Outcome::DemandResync { epoch: leading.epoch });
                }
            }
            Stream::Live { prev, .. } => {
                // Something got lost on the way: begin again where the standby stands.
                let stalled = self.now_ms >= leading.progress_ms + self.config.silent_after_ms;
                if stalled && echo.end.index < prev.index {
                    leading.begin_again();
                    leading.progress_ms = self.now_ms;
                }
            }
            Stream::Checking { .. } | Stream::Snapshot => {}
        }
    }

    /// Whether the standby's log up to `place` is ours.
    fn check(&mut self, leading: &mut Leading, place: Position, fallback: bool) {
        match self.log.position(place.index) {
            Some(ours) if ours.chain == place.chain => {
                leading.stream = Stream::Live { prev: ours, reading: false };
                self.send(leading, ours, ours, Vec::new());
                self.pump(leading);
            }
            Some(_) if fallback => self.give_up(leading),
            Some(_) => self.check_applied(leading),
            None if place.index > self.log.end().index => self.give_up(leading),
            None => {
                leading.stream = Stream::Checking { place, fallback };
                self.effect(PairEffect::ReadLog { from: place.index + 1, bytes_max: BATCH_BYTES });
            }
        }
    }

    /// The standby holds something as committed that is not in this log. If it is in sync, it is this log that lacks it (an old
    /// copy of the disk was put back): the peer has to reign. Otherwise the standby has to begin anew.
    fn give_up(&mut self, leading: &mut Leading) {
        let other = self.config.side.other();
        let listed = |store| self.cfg.is_some_and(|cfg| cfg.in_sync.holds(other, store));
        if leading.peer.is_some_and(|peer| listed(peer.store)) {
            self.lacks_entries = true;
        } else {
            leading.stream = Stream::Hopeless;
        }
    }

    fn check_applied(&mut self, leading: &mut Leading) {
        let Some(peer) = leading.peer else { return };
        self.check(leading, peer.echo.applied, true);
    }

    fn checked(
        &mut self,
        leading: &mut Leading,
        place: Position,
        fallback: bool,
        result: Result<Vec<Bytes>, LogGone>,
    ) {
        match result {
            Ok(entries) if chain_before(&entries) == Some(place.chain) => {
                leading.stream = Stream::Live { prev: place, reading: false };
                self.send_read(leading, place, entries);
            }
            Ok(_) if fallback => self.give_up(leading),
            Ok(_) => self.check_applied(leading),
            Err(LogGone::Truncated) => leading.stream = Stream::Hopeless,
            Err(LogGone::Failed) => leading.stream = Stream::Unknown,
        }
    }

    /// Sends what the window has room for.
    pub(super) fn pump(&mut self, leading: &mut Leading) {
        while let Stream::Live { prev, reading: false } = leading.stream
            && self.link
            && prev.index < self.log.end().index
            && leading.in_flight_bytes < self.config.window_bytes
        {
            if prev.index < self.log.base().index {
                leading.stream = Stream::Live { prev, reading: true };
                self.effect(PairEffect::ReadLog { from: prev.index + 1, bytes_max: BATCH_BYTES });
                return;
            }
            let (mut entries, mut bytes, mut last) = (Vec::new(), 0, prev);
            while bytes < BATCH_BYTES
                && let Some(entry) = self.log.entry(prev.index + 1 + entries.len() as u64)
            {
                bytes += entry.bytes.len();
                last = entry.at;
                entries.push(entry.bytes.clone());
            }
            self.send(leading, prev, last, entries);
        }
    }

    /// Sends entries that were read from the disk, as far as they are in the log of this reign.
    fn send_read(&mut self, leading: &mut Leading, prev: Position, entries: Vec<Bytes>) {
        let room = self.log.end().index.saturating_sub(prev.index) as usize;
        let entries: Vec<Bytes> = entries.into_iter().take(room).collect();
        let mut last = prev;
        for bytes in &entries {
            let Ok(entry) = Entry::decode(bytes) else {
                leading.stream = Stream::Unknown;
                return;
            };
            last = Logged::of(&entry, bytes.clone()).at;
        }
        self.send(leading, prev, last, entries);
        self.pump(leading);
    }

    fn send(&mut self, leading: &mut Leading, prev: Position, last: Position, entries: Vec<Bytes>) {
        let bytes = entries.iter().map(Bytes::len).sum();
        leading.in_flight.push_back((last.index, bytes));
        leading.in_flight_bytes += bytes;
        leading.stream = Stream::Live { prev: last, reading: false };
        let (epoch, commit) = (leading.epoch, leading.commit);
        self.say(PeerMessage::Append(AppendEntries { epoch, prev, entries, commit }));
    }
}

fn chain_before(entries: &[Bytes]) -> Option<u64> {
    entries.first().and_then(|bytes| Entry::decode(bytes).ok()).map(|entry| entry.chain_before)
}

/// Bytes of one message with entries, about.
const BATCH_BYTES: usize = 256 * 1024;

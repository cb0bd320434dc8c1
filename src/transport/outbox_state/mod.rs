//! What an outbox holds: the queues, their accounts and what the carrier takes from them.
//!
//! A frame's bytes count from its push until the carrier has accepted them, so the bound covers what is
//! being written as well. A lane is either unknown, scheduled (in `ready` or being written) or idle.

use super::{
    connection::Lane,
    outbox::{Class, DATAGRAMS_MAX, Outgoing, Pushed},
};
use bytes::Bytes;
use duet_protocol::{Frame, deflate::deflate, frame};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    task::{Context, Waker},
    time::Instant,
};

/// Fraction of the bound below which signals queue freely and room is reported.
const LOW_MARK_DIVISOR: usize = 4;

/// The state behind an [`Outbox`](super::Outbox).
#[derive(Debug, Default)]
pub(super) struct State {
    bound_bytes: usize,
    pub(super) has_datagrams: bool,
    /// Whether pages are compressed.
    pub(super) deflate: bool,
    /// Lanes with a carrier of their own.
    lanes: BTreeMap<Lane, Queue>,
    /// Open lanes that share the control lane's carrier.
    wrapped: BTreeSet<Lane>,
    /// Lanes with something to write that nobody is writing.
    ready: VecDeque<Lane>,
    pub(super) bytes: usize,
    datagrams: VecDeque<Bytes>,
    /// Lanes to break off; at most one entry a lane.
    pub(super) resets: VecDeque<(Lane, u32)>,
    pub(super) closing: Option<(u32, String)>,
    /// The connection has ended.
    pub(super) gone: bool,
    /// Bytes at which there is room for those who were answered `Full`.
    room_at: Option<usize>,
    /// Since when something waits and nothing was accepted.
    pub(super) stalled_since: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Piece>,
    /// Above the low mark: the latest signal of each lane that this carrier serves.
    signals: BTreeMap<Lane, Piece>,
    /// Bytes of this lane in the account, those being written included.
    bytes: usize,
    scheduled: bool,
    finishing: bool,
}

/// A frame as it is written: the wrapper's head, if any, and the shared bytes.
#[derive(Debug)]
struct Piece {
    head: Option<Bytes>,
    body: Bytes,
    /// A page, and the number of its lane if it is wrapped.
    page: Option<Option<u32>>,
}

/// What is to be written to one lane's carrier next.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) lane: Lane,
    /// In order; empty only when `finish` is set.
    pub(super) chunks: Vec<Bytes>,
    /// Bytes in `chunks`.
    pub(super) bytes: usize,
    /// Nothing follows: end the lane after this.
    pub(super) finish: bool,
    /// Which of the chunks are pages, and the number of their lanes if they are wrapped.
    pages: Vec<(usize, Option<u32>)>,
    deflate: bool,
}

impl Batch {
    /// Whether it holds pages, which give way to other lanes.
    pub(super) fn is_bulk(&self) -> bool {
        !self.pages.is_empty()
    }

    /// The same with its pages compressed, if the client inflates them. Takes time; not to be done under the lock.
    pub(super) fn deflated(mut self) -> Self {
        for (at, lane) in self.pages.iter().filter(|_| self.deflate) {
            let body = &self.chunks[*at];
            let small = match lane {
                None => deflate(body),
                Some(_) => body.split_first().and_then(|(kind, rest)| deflate(&Frame::encode(*kind, rest))),
            };
            let Some(small) = small else { continue };
            match lane {
                None => self.chunks[*at] = small,
                Some(number) => {
                    let (_, inner) = Frame::split(&small);
                    self.chunks[*at - 1] = frame::lane_prefix(*number, inner.len());
                    self.chunks[*at] = inner;
                }
            }
        }
        self
    }
}

/// The answer to a frame in a wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrappedLane {
    New,
    Known,
    TooMany,
}

impl State {
    pub(super) fn new(bound_bytes: usize, has_datagrams: bool) -> Self {
        Self { bound_bytes, has_datagrams, ..Self::default() }
    }

    pub(super) fn push(&mut self, outgoing: Outgoing) -> Pushed {
        let Outgoing { lane, frame, class } = outgoing;
        if self.gone || self.closing.is_some() || !self.knows(lane) {
            return Pushed::Dropped;
        }
        let piece = Piece::new(lane, frame, class);
        let latest_only = class == Class::Signal && self.bytes >= self.low_mark();
        if latest_only {
            self.drop_signal(lane);
        }
        if !self.admits(lane.carrier(), class, piece.len()) {
            if class == Class::Signal {
                return Pushed::Dropped;
            }
            // Where a lane is stuck the low mark may never be reached, so progress is enough.
            let progress = self.bytes.saturating_sub(self.low_mark());
            self.room_at = Some(progress.max(self.low_mark()));
            return Pushed::Full;
        }
        let Some(queue) = self.lanes.get_mut(&lane.carrier()) else { return Pushed::Dropped };
        self.stalled_since.get_or_insert_with(Instant::now);
        self.bytes += piece.len();
        queue.bytes += piece.len();
        if latest_only {
            queue.signals.insert(lane, piece);
        } else {
            queue.frames.push_back(piece);
        }
        self.schedule(lane.carrier());
        Pushed::Queued
    }

    pub(super) fn push_datagram(&mut self, datagram: Bytes) {
        if self.datagrams.len() == DATAGRAMS_MAX {
            self.datagrams.pop_front();
        }
        self.datagrams.push_back(datagram);
    }

    pub(super) fn take_datagram(&mut self) -> Option<Bytes> {
        self.datagrams.pop_front()
    }

    /// Makes a lane with its own carrier known.
    pub(super) fn open(&mut self, lane: Lane) {
        self.lanes.entry(lane).or_default();
    }

    /// Makes a wrapped lane known, unless `lanes_max` are open already.
    pub(super) fn open_wrapped(&mut self, lane: Lane, lanes_max: usize) -> WrappedLane {
        if self.wrapped.contains(&lane) {
            WrappedLane::Known
        } else if self.wrapped.len() >= lanes_max {
            WrappedLane::TooMany
        } else {
            self.wrapped.insert(lane);
            WrappedLane::New
        }
    }

    /// Ends a lane after what waits for it.
    pub(super) fn finish(&mut self, lane: Lane) {
        if self.wrapped.remove(&lane) {
            return;
        }
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.finishing = true;
            self.schedule(lane);
        }
    }

    /// Drops a lane and what waits for it; whether it was known.
    pub(super) fn forget(&mut self, lane: Lane) -> bool {
        if self.wrapped.remove(&lane) {
            return true;
        }
        let Some(queue) = self.lanes.remove(&lane) else { return false };
        let waiting: usize = queue.frames.iter().chain(queue.signals.values()).map(Piece::len).sum();
        self.release(waiting);
        self.ready.retain(|ready| *ready != lane);
        if lane == Lane::CONTROL {
            self.wrapped.clear();
        }
        true
    }

    /// Drops a lane, and `bytes` of it that were being written.
    pub(super) fn drop_lane(&mut self, lane: Lane, bytes: usize) {
        self.forget(lane);
        self.release(bytes);
    }

    /// The next lane's frames, up to about `bytes_max`. Fair: lanes take turns.
    pub(super) fn take(&mut self, bytes_max: usize) -> Option<Batch> {
        let lane = self.ready.pop_front()?;
        let queue = self.lanes.get_mut(&lane)?;
        let (chunks, pages, deflate) = (Vec::new(), Vec::new(), self.deflate);
        let mut batch = Batch { lane, chunks, bytes: 0, finish: false, pages, deflate };
        while batch.bytes < bytes_max {
            let piece =
                queue.frames.pop_front().or_else(|| queue.signals.pop_first().map(|(_, piece)| piece));
            let Some(piece) = piece else { break };
            batch.bytes += piece.len();
            batch.chunks.extend(piece.head);
            batch.pages.extend(piece.page.map(|lane| (batch.chunks.len(), lane)));
            batch.chunks.push(piece.body);
        }
        batch.finish = queue.finishing && queue.is_empty();
        Some(batch)
    }

    /// The carrier accepted the batch of `bytes`.
    pub(super) fn written(&mut self, lane: Lane, bytes: usize) {
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.scheduled = false;
            queue.bytes = queue.bytes.saturating_sub(bytes);
            if !queue.is_empty() || queue.finishing {
                self.schedule(lane);
            }
        }
        if bytes > 0 {
            self.stalled_since = Some(Instant::now());
        }
        self.release(bytes);
    }

    /// Whether somebody who was answered `Full` may go on; true once.
    pub(super) fn take_room(&mut self) -> bool {
        let room = self.room_at.is_some_and(|at| self.bytes < at);
        if room {
            self.room_at = None;
        }
        room
    }

    pub(super) fn knows(&self, lane: Lane) -> bool {
        self.wrapped.contains(&lane) || self.lanes.get(&lane).is_some_and(|queue| !queue.finishing)
    }

    /// The connection has ended: nothing is held any longer.
    pub(super) fn end(&mut self) {
        *self = Self { bound_bytes: self.bound_bytes, gone: true, ..Self::default() };
    }

    pub(super) fn register(&mut self, cx: &Context<'_>) {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
    }

    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Drops the signal that a newer one makes stale, even if the newer finds no room.
    fn drop_signal(&mut self, lane: Lane) {
        let Some(queue) = self.lanes.get_mut(&lane.carrier()) else { return };
        if let Some(older) = queue.signals.remove(&lane) {
            // As in `written`: what an older lane of this number had in flight may have been taken off here.
            queue.bytes = queue.bytes.saturating_sub(older.len());
            self.release(older.len());
        }
    }

    /// Whether a frame has room. Events and signals of one lane may take half of the outbox where there
    /// are other lanes, so that one which is never read leaves room for them.
    fn admits(&self, carrier: Lane, class: Class, bytes: usize) -> bool {
        if matches!(class, Class::Reply | Class::Page) {
            return self.bytes + bytes <= self.bound_bytes + self.bound_bytes / LOW_MARK_DIVISOR;
        }
        let share = if self.lanes.len() > 1 { self.bound_bytes / 2 } else { self.bound_bytes };
        let held = self.lanes.get(&carrier).map_or(0, |queue| queue.bytes);
        held + bytes <= share && self.bytes + bytes <= self.bound_bytes
    }

    fn schedule(&mut self, carrier: Lane) {
        if let Some(queue) = self.lanes.get_mut(&carrier).filter(|queue| !queue.scheduled) {
            queue.scheduled = true;
            self.ready.push_back(carrier);
        }
    }

    fn release(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.bytes == 0 {
            self.stalled_since = None;
        }
    }

    fn low_mark(&self) -> usize {
        self.bound_bytes / LOW_MARK_DIVISOR
    }
}

impl Queue {
    fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.signals.is_empty()
    }
}

impl Piece {
    fn new(lane: Lane, frame: Bytes, class: Class) -> Self {
        let number = lane.wrapper_number();
        let page = (class == Class::Page).then_some(number);
        match number {
            None => Self { head: None, body: frame, page },
            Some(number) => {
                let (_, body) = Frame::split(&frame);
                Self { head: Some(frame::lane_prefix(number, body.len())), body, page }
            }
        }
    }

    fn len(&self) -> usize {
        self.head.as_ref().map_or(0, Bytes::len) + self.body.len()
    }
}

#[cfg(test)]
mod tests;

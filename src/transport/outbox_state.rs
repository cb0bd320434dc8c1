//! What an outbox holds: the queues, their accounts and what the carrier takes from them.
//!
//! A frame's bytes count from its push until the carrier has accepted them, so the bound covers what is
//! being written as well. A lane is either unknown, scheduled (in `ready` or being written) or idle.

use super::{
    connection::Lane,
    outbox::{Class, DATAGRAMS_MAX, Outgoing, Pushed},
};
use bytes::Bytes;
use duet_protocol::{Frame, frame};
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
    /// Somebody was answered `Full` and waits for room.
    starved: bool,
    /// Since when something waits and nothing was accepted.
    pub(super) stalled_since: Option<Instant>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Piece>,
    /// Above the low mark: the latest signal of each lane that this carrier serves.
    signals: BTreeMap<Lane, Piece>,
    scheduled: bool,
    finishing: bool,
}

/// A frame as it is written: the wrapper's head, if any, and the shared bytes.
#[derive(Debug)]
struct Piece {
    head: Option<Bytes>,
    body: Bytes,
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
        let piece = Piece::new(lane, frame);
        let after = self.bytes + piece.len();
        let allowed = match class {
            Class::Event | Class::Signal => self.bound_bytes,
            Class::Reply => self.bound_bytes + self.bound_bytes / LOW_MARK_DIVISOR,
        };
        if after > allowed {
            if class == Class::Signal {
                return Pushed::Dropped;
            }
            self.starved = true;
            return Pushed::Full;
        }
        let latest_only = class == Class::Signal && self.bytes >= self.low_mark();
        let Some(queue) = self.lanes.get_mut(&lane.carrier()) else { return Pushed::Dropped };
        self.stalled_since.get_or_insert_with(Instant::now);
        self.bytes = after;
        if latest_only {
            if let Some(older) = queue.signals.insert(lane, piece) {
                self.bytes -= older.len();
            }
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
        let mut batch = Batch { lane, chunks: Vec::new(), bytes: 0, finish: false };
        while batch.bytes < bytes_max {
            let piece =
                queue.frames.pop_front().or_else(|| queue.signals.pop_first().map(|(_, piece)| piece));
            let Some(piece) = piece else { break };
            batch.bytes += piece.len();
            batch.chunks.extend(piece.head);
            batch.chunks.push(piece.body);
        }
        batch.finish = queue.finishing && queue.is_empty();
        Some(batch)
    }

    /// The carrier accepted the batch of `bytes`.
    pub(super) fn written(&mut self, lane: Lane, bytes: usize) {
        if let Some(queue) = self.lanes.get_mut(&lane) {
            queue.scheduled = false;
            if !queue.is_empty() || queue.finishing {
                self.schedule(lane);
            }
        }
        self.stalled_since = Some(Instant::now());
        self.release(bytes);
    }

    /// Whether somebody who was answered `Full` may go on; true once.
    pub(super) fn take_room(&mut self) -> bool {
        let room = self.starved && self.bytes < self.low_mark();
        if room {
            self.starved = false;
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
    fn new(lane: Lane, frame: Bytes) -> Self {
        match lane.wrapper_number() {
            None => Self { head: None, body: frame },
            Some(number) => {
                let (_, body) = Frame::split(&frame);
                Self { head: Some(frame::lane_prefix(number, body.len())), body }
            }
        }
    }

    fn len(&self) -> usize {
        self.head.as_ref().map_or(0, Bytes::len) + self.body.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUND: usize = 1_000;

    fn state() -> State {
        let mut state = State { bound_bytes: BOUND, ..State::default() };
        state.open(Lane::CONTROL);
        state.open(Lane(1));
        state
    }

    fn push(state: &mut State, lane: Lane, body: u8, class: Class) -> Pushed {
        state.push(Outgoing { lane, frame: Frame::encode(9, &[body; 97]), class })
    }

    fn drain(state: &mut State) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        while let Some(batch) = state.take(usize::MAX) {
            bytes.extend(batch.chunks.concat());
            state.written(batch.lane, batch.bytes);
        }
        (bytes, state.take_room())
    }

    #[test]
    fn an_event_beyond_the_bound_is_refused_and_room_is_told_once() {
        let mut state = state();
        let queued =
            (0..20).take_while(|_| push(&mut state, Lane(1), 1, Class::Event) == Pushed::Queued).count();
        assert_eq!(queued, 10);
        assert_eq!(push(&mut state, Lane(1), 1, Class::Reply), Pushed::Queued, "replies have a reserve");
        assert!(drain(&mut state).1);
        assert_eq!(state.bytes, 0);
        assert_eq!(push(&mut state, Lane(1), 1, Class::Event), Pushed::Queued);
        assert!(!drain(&mut state).1, "nobody waits any longer");
    }

    #[test]
    fn above_the_low_mark_a_lane_keeps_only_its_latest_signal() {
        let mut state = state();
        for _ in 0..4 {
            assert_eq!(push(&mut state, Lane(1), 0, Class::Event), Pushed::Queued);
        }
        for body in 1..=5 {
            assert_eq!(push(&mut state, Lane(1), body, Class::Signal), Pushed::Queued);
        }
        assert_eq!(state.bytes, 5 * 100);
        let (bytes, _) = drain(&mut state);
        assert_eq!(bytes[400..], Frame::encode(9, &[5; 97])[..]);
    }

    #[test]
    fn a_wrapped_frame_shares_the_bytes_of_the_original() {
        let mut state = state();
        let lane = Lane::wrapped(7).unwrap();
        assert_eq!(push(&mut state, lane, 1, Class::Event), Pushed::Dropped, "not open yet");
        assert_eq!(state.open_wrapped(lane, 1), WrappedLane::New);
        assert_eq!(state.open_wrapped(Lane::wrapped(8).unwrap(), 1), WrappedLane::TooMany);
        let frame = Frame::encode(9, &[1; 97]);
        assert_eq!(state.push(Outgoing { lane, frame: frame.clone(), class: Class::Event }), Pushed::Queued);
        let batch = state.take(usize::MAX).unwrap();
        assert_eq!(batch.lane, Lane::CONTROL);
        assert_eq!(batch.chunks[1].as_ptr(), frame[2..].as_ptr());
    }

    #[test]
    fn lanes_take_turns() {
        let mut state = state();
        for lane in [Lane(0), Lane(0), Lane(0), Lane(1)] {
            assert_eq!(push(&mut state, lane, 1, Class::Event), Pushed::Queued);
        }
        let first = state.take(100).unwrap();
        state.written(first.lane, first.bytes);
        assert_eq!((first.lane, state.take(100).unwrap().lane), (Lane(0), Lane(1)));
    }

    #[test]
    fn a_finished_lane_ends_after_its_last_frame() {
        let mut state = state();
        assert_eq!(push(&mut state, Lane(1), 1, Class::Event), Pushed::Queued);
        state.finish(Lane(1));
        assert_eq!(push(&mut state, Lane(1), 2, Class::Event), Pushed::Dropped);
        let batch = state.take(usize::MAX).unwrap();
        assert!(batch.finish && batch.bytes == 100);
    }

    proptest! {
        #[test]
        fn the_account_is_what_is_held_and_never_beyond_the_bound(
            steps in proptest::collection::vec((0_u8..7, 0_u32..3, 0_usize..200), 0..80)
        ) {
            let mut state = state();
            let wrapped = Lane::wrapped(3).unwrap();
            state.open_wrapped(wrapped, 4);
            let mut flying: Vec<Batch> = Vec::new();
            for (what, lane, size) in steps {
                let lane = [Lane(0), Lane(1), wrapped][lane as usize];
                let frame = Frame::encode(9, &vec![0; size]);
                match what {
                    0 => { let _ = state.push(Outgoing { lane, frame, class: Class::Event }); }
                    1 => { let _ = state.push(Outgoing { lane, frame, class: Class::Reply }); }
                    2 => { let _ = state.push(Outgoing { lane, frame, class: Class::Signal }); }
                    3 => flying.extend(state.take(size)),
                    4 => if let Some(batch) = flying.pop() { state.written(batch.lane, batch.bytes); },
                    5 => state.drop_lane(lane, 0),
                    _ => state.open(lane.carrier()),
                }
                let held: usize = state.lanes.values()
                    .flat_map(|queue| queue.frames.iter().chain(queue.signals.values()))
                    .map(Piece::len).sum::<usize>() + flying.iter().map(|batch| batch.bytes).sum::<usize>();
                prop_assert_eq!(state.bytes, held);
                prop_assert!(state.bytes <= BOUND + BOUND / 4);
                prop_assert_eq!(state.stalled_since.is_some(), held > 0);
            }
        }
    }
}

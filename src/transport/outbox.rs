//! The outbox: frames that wait for their way to one client.
//!
//! Queue: one per lane, bounded together by [`Limits::outbox_bytes`](super::Limits). Policy: signals
//! are dropped first (above the low mark each lane keeps only its latest), events are refused with
//! `Full` so that the caller can fall back to a resync (one lane beside others has half of the bound),
//! replies may use a reserve of a quarter beyond the bound. Datagrams: at most [`DATAGRAMS_MAX`], oldest dropped. Nothing here waits, so whoever
//! pushes is never slowed by a slow reader.

use super::{
    connection::Lane,
    outbox_state::State,
    path::{Link, Path},
};
use bytes::Bytes;
use duet_protocol::{Frame, frame};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Most datagrams that wait; beyond that the oldest is dropped.
pub const DATAGRAMS_MAX: usize = 32;

/// How a frame may be treated when its reader is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Part of a log: must arrive, or the reader must resync.
    Event,
    /// The answer to a command.
    Reply,
    /// The same, large and of no hurry: may be compressed, and gives way to other lanes.
    Page,
    /// Full state of something fleeting: the latest is enough, and even that may be lost.
    Signal,
}

/// A frame on its way out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Where to.
    pub lane: Lane,
    /// The whole encoded frame: length, kind, body. Shared by all its receivers, never copied.
    pub frame: Bytes,
    /// What may be done with it.
    pub class: Class,
}

/// What became of a frame that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pushed {
    /// It will be sent, unless the lane or the connection ends first.
    Queued,
    /// It is gone: a signal for a slow reader, or the lane or connection is no more.
    Dropped,
    /// No room. An event's caller must remember that the reader needs a resync;
    /// [`Inbound::Writable`](super::Inbound::Writable) tells when to go on.
    Full,
}

/// Handle to one connection's outbox. Cheap to clone; outliving the connection is harmless.
#[derive(Clone)]
pub struct Outbox {
    shared: Arc<Shared>,
}

impl Outbox {
    /// Queues a frame.
    pub fn push(&self, outgoing: Outgoing) -> Pushed {
        let mut state = self.lock();
        let pushed = state.push(outgoing);
        if pushed == Pushed::Queued {
            state.wake();
        }
        pushed
    }

    /// Sends kind and body as a datagram; as a signal on the control lane when the carrier has no
    /// datagrams or this one is larger than 1,024 bytes.
    pub fn datagram(&self, datagram: Bytes) -> Pushed {
        let mut state = self.lock();
        if state.closing.is_some() || state.gone || datagram.is_empty() {
            return Pushed::Dropped;
        }
        let pushed = if state.has_datagrams && datagram.len() <= frame::MAX_DATAGRAM_BYTES {
            state.push_datagram(datagram);
            Pushed::Queued
        } else {
            let frame = Frame::encode(datagram[0], &datagram[1..]);
            state.push(Outgoing { lane: Lane::CONTROL, frame, class: Class::Signal })
        };
        if pushed == Pushed::Queued {
            state.wake();
        }
        pushed
    }

    /// Ends our side of a lane once what waits for it is sent. A wrapped lane's number may be used
    /// again by the client afterwards.
    pub fn close_lane(&self, lane: Lane) {
        let mut state = self.lock();
        state.finish(lane);
        state.wake();
    }

    /// Breaks a lane off in both directions; what waits for it is dropped.
    pub fn reset_lane(&self, lane: Lane, code: u32) {
        let mut state = self.lock();
        if state.forget(lane) && lane.wrapper_number().is_none() {
            state.resets.push_back((lane, code));
            state.wake();
        }
    }

    /// Closes the connection: what waits is still sent (for at most
    /// [`Limits::close_flush`](super::Limits)), nothing more is accepted. The first call counts.
    pub fn close(&self, code: u32, reason: &str) {
        let mut state = self.lock();
        if state.closing.is_none() {
            state.closing = Some((code, reason.to_owned()));
        }
        state.wake();
    }

    /// From now on pages are compressed: the client inflates them.
    pub fn use_deflate(&self) {
        self.lock().deflate = true;
    }

    /// Bytes that wait now.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The state of the way to the client.
    #[must_use]
    pub fn path(&self) -> Path {
        self.shared.link.path()
    }

    pub(super) fn new(link: Link, bound_bytes: usize, has_datagrams: bool) -> Self {
        let state = State::new(bound_bytes, has_datagrams);
        Self { shared: Arc::new(Shared { link, state: Mutex::new(state) }) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("queued_bytes", &self.queued_bytes()).finish_non_exhaustive()
    }
}

struct Shared {
    link: Link,
    state: Mutex<State>,
}

//! One lane's sending half: writes a batch as far as flow control lets it, and tells when it is done.

use crate::transport::{connection::Lane, outbox_state::Batch};
use bytes::Bytes;
use quinn::{SendStream, VarInt, WriteError};
use std::{
    pin::pin,
    task::{Context, Poll, ready},
};

/// The sending half and what is being written to it.
#[derive(Debug)]
pub(super) struct LaneSender {
    stream: SendStream,
    batch: Option<Batch>,
    at: usize,
}

/// Why a lane takes nothing more.
#[derive(Debug)]
pub(super) enum SendEnd {
    /// The peer does not want to read.
    Stopped(VarInt),
    /// The connection is gone.
    Gone,
}

/// What leaves first when there is more than the path takes: the control lane, then conversations (0), then pages.
const CONTROL_PRIORITY: i32 = 1;
const BULK_PRIORITY: i32 = -1;

impl LaneSender {
    pub(super) fn new(lane: Lane, stream: SendStream) -> Self {
        if lane == Lane::CONTROL {
            // A stream that has ended needs no priority.
            let _ = stream.set_priority(CONTROL_PRIORITY);
        }
        Self { stream, batch: None, at: 0 }
    }

    /// Begins a batch. Only called when the one before is done.
    pub(super) fn begin(&mut self, batch: Batch) {
        debug_assert!(self.batch.is_none(), "one batch at a time");
        if batch.is_bulk() {
            let _ = self.stream.set_priority(BULK_PRIORITY);
        }
        self.batch = Some(batch);
        self.at = 0;
    }

    /// Ready with the batch's size and whether the lane ends with it, once quinn has taken all of it.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(usize, bool), SendEnd>> {
        let Some(batch) = self.batch.as_mut() else { return Poll::Ready(Ok((0, false))) };
        while self.at < batch.chunks.len() {
            let rest: &mut [Bytes] = &mut batch.chunks[self.at..];
            match ready!(pin!(self.stream.write_chunks(rest)).poll(cx)) {
                Ok(written) => self.at += written.chunks,
                Err(WriteError::Stopped(code)) => return Poll::Ready(Err(SendEnd::Stopped(code))),
                Err(_) => return Poll::Ready(Err(SendEnd::Gone)),
            }
        }
        let done = (batch.bytes, batch.finish);
        self.batch = None;
        Poll::Ready(Ok(done))
    }

    /// Bytes of the batch under way, for the account when the lane is dropped.
    pub(super) fn batch_bytes(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.bytes)
    }

    pub(super) fn finish(&mut self) {
        let _ = self.stream.finish();
    }

    pub(super) fn reset(&mut self, code: VarInt) {
        let _ = self.stream.reset(code);
    }

    /// Resolves when the peer has everything up to the end, or wants none of it.
    pub(super) fn acknowledged(&self) -> impl Future<Output = ()> + Send + 'static {
        let stopped = self.stream.stopped();
        async move {
            let _ = stopped.await;
        }
    }
}

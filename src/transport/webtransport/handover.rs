//! Streams on their way from the router to h3.
//!
//! Queue: [`WAITING_MAX`] of each direction. Policy: refuse what comes beyond, so that requests which
//! h3 does not take cannot pile up.

use super::{
    adapter::{BidiStream, RecvHalf},
    codes::{self, H3_REQUEST_REJECTED},
};
use bytes::Bytes;
use quinn::ConnectionError;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Most streams of one direction that wait.
const WAITING_MAX: usize = 16;

#[derive(Default)]
pub(super) struct Handover(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    bidi: VecDeque<BidiStream>,
    uni: VecDeque<RecvHalf>,
    lost: Option<ConnectionError>,
    waker: Option<Waker>,
}

impl Handover {
    pub(super) fn give_bidi(&self, mut send: quinn::SendStream, mut recv: quinn::RecvStream, head: Bytes) {
        let mut waiting = self.lock();
        if waiting.bidi.len() >= WAITING_MAX {
            let _ = send.reset(codes::varint(H3_REQUEST_REJECTED));
            let _ = recv.stop(codes::varint(H3_REQUEST_REJECTED));
            return;
        }
        waiting.bidi.extend(BidiStream::new(send, recv, head));
        waiting.wake();
    }

    pub(super) fn give_uni(&self, mut recv: quinn::RecvStream, head: Bytes) {
        let mut waiting = self.lock();
        if waiting.uni.len() >= WAITING_MAX {
            let _ = recv.stop(codes::varint(H3_REQUEST_REJECTED));
            return;
        }
        waiting.uni.extend(RecvHalf::new(recv, head));
        waiting.wake();
    }

    pub(super) fn lose(&self, error: &ConnectionError) {
        let mut waiting = self.lock();
        waiting.lost.get_or_insert_with(|| error.clone());
        waiting.wake();
    }

    pub(super) fn poll_bidi(&self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, ConnectionError>> {
        let mut waiting = self.lock();
        match waiting.bidi.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => waiting.poll_lost(cx),
        }
    }

    pub(super) fn poll_uni(&self, cx: &mut Context<'_>) -> Poll<Result<RecvHalf, ConnectionError>> {
        let mut waiting = self.lock();
        match waiting.uni.pop_front() {
            Some(stream) => Poll::Ready(Ok(stream)),
            None => waiting.poll_lost(cx),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn poll_lost<T>(&mut self, cx: &Context<'_>) -> Poll<Result<T, ConnectionError>> {
        if let Some(error) = &self.lost {
            return Poll::Ready(Err(error.clone()));
        }
        // h3 asks for both directions in one poll, so one waker is enough.
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

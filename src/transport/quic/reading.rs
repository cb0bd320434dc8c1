//! One lane's receiving half: a future that yields what comes next and is then pushed back, so that each
//! lane is woken by itself.

use crate::transport::connection::Lane;
use bytes::Bytes;
use duet_protocol::FrameDecoder;
use futures_util::task::AtomicWaker;
use quinn::{ReadError, RecvStream, VarInt};
use std::{
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// Most bytes taken from a stream at once; bounds the frames that wait for the sink.
const CHUNK_BYTES: usize = 16 << 10;

/// The receiving half and the frame that is not whole yet.
#[derive(Debug)]
pub(super) struct LaneReader {
    pub(super) lane: Lane,
    pub(super) decoder: FrameDecoder,
    head: Bytes,
    recv: RecvStream,
    stop: Arc<Stop>,
}

/// What a lane has to say.
#[derive(Debug)]
pub(super) enum LaneNews {
    Bytes(Bytes),
    Finished,
    Reset(VarInt),
    /// The connection is gone, or we stopped reading.
    Gone,
}

impl LaneReader {
    pub(super) fn new(lane: Lane, head: Bytes, recv: RecvStream) -> (Self, Arc<Stop>) {
        let stop = Arc::new(Stop::default());
        let reader = Self { lane, decoder: FrameDecoder::default(), head, recv, stop: Arc::clone(&stop) };
        (reader, stop)
    }

    fn poll_news(&mut self, cx: &mut Context<'_>) -> Poll<LaneNews> {
        self.stop.waker.register(cx.waker());
        if let Some(code) = self.stop.code() {
            let _ = self.recv.stop(code);
            return Poll::Ready(LaneNews::Gone);
        }
        if !self.head.is_empty() {
            return Poll::Ready(LaneNews::Bytes(std::mem::take(&mut self.head)));
        }
        Poll::Ready(match ready!(pin!(self.recv.read_chunk(CHUNK_BYTES, true)).poll(cx)) {
            Ok(Some(chunk)) => LaneNews::Bytes(chunk.bytes),
            Ok(None) => LaneNews::Finished,
            Err(ReadError::Reset(code)) => LaneNews::Reset(code),
            Err(_) => LaneNews::Gone,
        })
    }
}

/// Tells a lane's reader from outside that nobody wants more.
#[derive(Debug, Default)]
pub(super) struct Stop {
    code: Mutex<Option<VarInt>>,
    waker: AtomicWaker,
}

impl Stop {
    pub(super) fn stop(&self, code: VarInt) {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        self.waker.wake();
    }

    fn code(&self) -> Option<VarInt> {
        *self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader waiting for news; gives itself back with them.
#[derive(Debug)]
pub(super) struct Reading(Option<LaneReader>);

impl Reading {
    pub(super) fn new(reader: LaneReader) -> Self {
        Self(Some(reader))
    }
}

impl Future for Reading {
    type Output = Option<(LaneReader, LaneNews)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(reader) = self.0.as_mut() else { return Poll::Ready(None) };
        let news = ready!(reader.poll_news(cx));
        Poll::Ready(self.0.take().map(|reader| (reader, news)))
    }
}

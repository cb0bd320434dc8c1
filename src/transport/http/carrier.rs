//! One carrier: what its requests and its connection share.
//!
//! Up: chunks that the connection has not taken; bound [`CHUNKS_MAX`], a request waits for room. Down: batches that the
//! client has not acknowledged; bound `Limits::carrier_kept_bytes` and one batch, the connection makes no more then.

use super::{super::Misbehaved, reading::Came};
use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Instant,
};
use tokio::sync::{Notify, Semaphore};

/// Most chunks that wait for the connection to take them.
const CHUNKS_MAX: usize = 2;

/// Most chunks of one carrier that are being received.
const UPLOADS_MAX: usize = 2;

/// Frames that leave together, under a number.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

/// Why a carrier is over, as its client is told.
#[derive(Debug, Clone)]
pub(super) struct End {
    pub(super) code: u32,
    pub(super) reason: String,
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was taken.
    New,
    /// It was taken before.
    Again,
    /// One before it never came.
    Ahead,
}

/// What comes up to the connection.
#[derive(Debug)]
pub(super) enum Up {
    Chunk(Bytes),
    Closed(u32),
    Misbehaved(Misbehaved),
}

#[derive(Debug)]
pub(super) struct Carrier {
    /// Requests whose body is being received.
    pub(super) uploads: Semaphore,
    /// Room for chunks.
    pub(super) room: Semaphore,
    /// The client knows of the end.
    pub(super) told: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    chunks: VecDeque<Bytes>,
    next_chunk: u64,
    /// The end that came from the client's side.
    end_of_chunks: Option<Up>,
    batches: VecDeque<Batch>,
    kept_bytes: usize,
    last_batch: u64,
    end: Option<End>,
    /// The number of the last reader, and whether it is there.
    turn: u64,
    reading: bool,
    /// When the last request came, and when the last reader left.
    heard: Instant,
    left: Instant,
    connection: Option<Waker>,
    reader: Option<Waker>,
}

impl Carrier {
    /// A carrier whose client said `opening`.
    pub(super) fn new(opening: Bytes) -> Self {
        let now = Instant::now();
        let state = State {
            chunks: VecDeque::from([opening]),
            next_chunk: 1,
            end_of_chunks: None,
            batches: VecDeque::new(),
            kept_bytes: 0,
            last_batch: 0,
            end: None,
            turn: 0,
            reading: false,
            heard: now,
            left: now,
            connection: None,
            reader: None,
        };
        Self {
            uploads: Semaphore::new(UPLOADS_MAX),
            // The opening takes the place of one.
            room: Semaphore::new(CHUNKS_MAX - 1),
            told: Notify::new(),
            state: Mutex::new(state),
        }
    }

    /// A request came.
    pub(super) fn hear(&self) {
        self.lock().heard = Instant::now();
    }

    /// The client has every batch up to `number`; `false` when there is no such batch.
    pub(super) fn acknowledge(&self, number: u64) -> bool {
        let mut state = self.lock();
        while state.batches.front().is_some_and(|batch| batch.number <= number) {
            let bytes = state.batches.pop_front().map_or(0, |batch| batch.bytes.len());
            state.kept_bytes = state.kept_bytes.saturating_sub(bytes);
        }
        wake(&mut state.connection);
        number <= state.last_batch
    }

    /// Takes a chunk if it is the next one. Whoever calls holds room for it.
    pub(super) fn take_chunk(&self, number: u64, bytes: Bytes) -> Taken {
        let mut state = self.lock();
        if number != state.next_chunk {
            return if number < state.next_chunk { Taken::Again } else { Taken::Ahead };
        }
        state.next_chunk += 1;
        state.chunks.push_back(bytes);
        wake(&mut state.connection);
        Taken::New
    }

    /// The client closed the carrier.
    pub(super) fn closed_by_peer(&self, code: u32) {
        self.end_chunks(Up::Closed(code));
    }

    /// The client broke a rule.
    pub(super) fn misbehaved(&self, how: Misbehaved) {
        self.end_chunks(Up::Misbehaved(how));
    }

    fn end_chunks(&self, how: Up) {
        let mut state = self.lock();
        state.end_of_chunks.get_or_insert(how);
        wake(&mut state.connection);
    }

    /// Makes the caller the reader, and nobody else; its number.
    pub(super) fn begin_reading(&self) -> u64 {
        let mut state = self.lock();
        state.turn += 1;
        state.reading = true;
        wake(&mut state.reader);
        wake(&mut state.connection);
        state.turn
    }

    /// The reader of this number has gone.
    pub(super) fn end_reading(&self, turn: u64) {
        let mut state = self.lock();
        if state.turn == turn {
            state.reading = false;
            state.left = Instant::now();
            wake(&mut state.connection);
        }
    }

    pub(super) fn poll_read(
        &self,
        cx: &Context<'_>,
        turn: u64,
        after: u64,
        batches_max: usize,
    ) -> Poll<Came> {
        let mut state = self.lock();
        if state.turn != turn {
            return Poll::Ready(Came::Replaced);
        }
        let waiting = state.batches.iter().filter(|batch| batch.number > after);
        let batches: Vec<Batch> = waiting.take(batches_max).cloned().collect();
        if !batches.is_empty() {
            return Poll::Ready(Came::Batches(batches));
        }
        if let Some(end) = state.end.clone() {
            drop(state);
            self.told();
            return Poll::Ready(Came::Ended(end));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The end, if everything before it was read by a client that has batch `after`.
    pub(super) fn ended_after(&self, after: u64) -> Option<End> {
        let state = self.lock();
        let all = state.batches.back().is_none_or(|batch| batch.number <= after);
        state.end.clone().filter(|_| all)
    }

    /// The client has been told the end.
    pub(super) fn told(&self) {
        self.told.notify_one();
    }

    /// For the connection: what comes up next.
    pub(super) fn poll_up(&self, cx: &Context<'_>) -> Poll<Up> {
        let mut state = self.lock();
        if let Some(chunk) = state.chunks.pop_front() {
            self.room.add_permits(1);
            return Poll::Ready(Up::Chunk(chunk));
        }
        if let Some(end) = state.end_of_chunks.take() {
            return Poll::Ready(end);
        }
        state.connection = Some(cx.waker().clone());
        Poll::Pending
    }

    /// For the connection: whether another batch may be made. It is woken when this changes.
    pub(super) fn has_room(&self, cx: &Context<'_>, bytes_max: usize) -> bool {
        let mut state = self.lock();
        state.connection = Some(cx.waker().clone());
        state.kept_bytes < bytes_max
    }

    /// For the connection: frames to be sent.
    pub(super) fn put(&self, bytes: Bytes) {
        let mut state = self.lock();
        state.last_batch += 1;
        state.kept_bytes += bytes.len();
        let number = state.last_batch;
        state.batches.push_back(Batch { number, bytes });
        wake(&mut state.reader);
    }

    /// For the connection: nothing follows.
    pub(super) fn end(&self, code: u32, reason: String) {
        let mut state = self.lock();
        state.end = Some(End { code, reason });
        wake(&mut state.reader);
    }

    /// For the connection: it is over. Whoever waits here goes.
    pub(super) fn abandon(&self) {
        let code = u32::from(duet_protocol::Code::CARRIER_GONE.0);
        self.room.close();
        self.uploads.close();
        let mut state = self.lock();
        let reason = duet_protocol::Code::CARRIER_GONE.sentence();
        state.end.get_or_insert_with(|| End { code, reason: reason.to_owned() });
        wake(&mut state.reader);
    }

    /// For the connection: when its client counts as gone unless it is heard of before.
    pub(super) fn silent_at(&self, limits: &super::Limits) -> Instant {
        let state = self.lock();
        let silent = state.heard + limits.carrier_silent;
        if state.reading { silent } else { silent.min(state.left + limits.carrier_unread) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn read(carrier: &Carrier, turn: u64, after: u64) -> Option<Vec<u64>> {
        let cx = Context::from_waker(Waker::noop());
        match carrier.poll_read(&cx, turn, after, usize::MAX) {
            Poll::Ready(Came::Batches(batches)) => Some(batches.iter().map(|batch| batch.number).collect()),
            _ => None,
        }
    }

    #[test]
    fn a_batch_is_read_again_until_it_is_acknowledged() {
        let carrier = Carrier::new(Bytes::new());
        let cx = Context::from_waker(Waker::noop());
        for byte in 0..4 {
            carrier.put(Bytes::copy_from_slice(&[byte; 10]));
        }
        assert!(!carrier.has_room(&cx, 40));
        let turn = carrier.begin_reading();
        assert_eq!(read(&carrier, turn, 0), Some(vec![1, 2, 3, 4]));
        assert!(carrier.acknowledge(2));
        assert!(carrier.acknowledge(1), "an old request that comes late changes nothing");
        assert!(carrier.has_room(&cx, 40));
        let turn = carrier.begin_reading();
        assert_eq!(read(&carrier, turn, 2), Some(vec![3, 4]));
        assert!(!carrier.acknowledge(5), "there is no batch 5");
    }

    #[test]
    fn a_chunk_is_taken_once_and_in_turn() {
        let carrier = Carrier::new(Bytes::from_static(b"hello"));
        let chunk = |byte: u8| Bytes::copy_from_slice(&[byte]);
        let taken =
            [(1, 1), (1, 9), (3, 3), (2, 2), (1, 9)].map(|(seq, byte)| carrier.take_chunk(seq, chunk(byte)));
        assert_eq!(taken, [Taken::New, Taken::Again, Taken::Ahead, Taken::New, Taken::Again]);
        let cx = Context::from_waker(Waker::noop());
        let up = std::iter::from_fn(|| match carrier.poll_up(&cx) {
            Poll::Ready(Up::Chunk(chunk)) => Some(chunk),
            _ => None,
        });
        assert_eq!(up.collect::<Vec<_>>(), [&b"hello"[..], b"\x01", b"\x02"]);
    }

    #[test]
    fn a_second_reader_takes_the_place_of_the_first() {
        let carrier = Carrier::new(Bytes::new());
        let (first, second) = (carrier.begin_reading(), carrier.begin_reading());
        carrier.put(Bytes::from_static(b"x"));
        let cx = Context::from_waker(Waker::noop());
        assert!(matches!(carrier.poll_read(&cx, first, 0, 1), Poll::Ready(Came::Replaced)));
        carrier.end_reading(first);
        assert_eq!(read(&carrier, second, 0), Some(vec![1]));
        assert!(carrier.lock().reading, "the first one's end is not the second one's");
    }
}

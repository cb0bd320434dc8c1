//! What waits for its way to the peer.
//!
//! Two queues, one per lane. `pulse`: at most [`PULSES_MAX`] messages; `log`: at most `PeerConfig::log_queue_bytes`. Policy of
//! both: a message without room is refused and not sent. The core bounds what it has under way and begins again where the
//! standby says, so a refusal costs time, not entries. The queues die with the link.

use super::{
    ended::LinkEnded,
    frame::{self, Encoded, FrameError, Lane},
    link::{Guard, LinkStatistics},
};
use crate::core::PeerMessage;
use bytes::Bytes;
use quinn::{Connection, SendStream, WriteError};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::Notify, time};

/// Messages that wait in the pulse lane at most: six seconds of heartbeats, longer than a dead link lives.
pub const PULSES_MAX: usize = 64;
/// Chunks that are handed to QUIC at once.
const CHUNKS_AT_ONCE: usize = 256;
/// A peer that takes nothing of the pulse lane for so long has stopped reading.
const PULSE_STUCK: Duration = Duration::from_secs(3);
/// The same for the log lane, whose reader may wait for its disk.
const LOG_STUCK: Duration = Duration::from_secs(15);

/// Why a message is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendRefused {
    /// Its lane has no room.
    #[error("the {0:?} lane is full")]
    Full(Lane),
    /// The link is no more.
    #[error("the link is no more: {0}")]
    Ended(LinkEnded),
    /// It does not fit a frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Takes messages for the peer. Cheap to clone; outliving the link is harmless.
#[derive(Clone)]
pub struct LinkSender {
    shared: Arc<Shared>,
    connection: Connection,
}

impl LinkSender {
    /// Queues a message in its lane; never waits. Entries are not copied, unless they are small.
    ///
    /// # Errors
    /// [`SendRefused`]; the message is not sent then.
    pub fn send(&self, message: &PeerMessage) -> Result<(), SendRefused> {
        let encoded = frame::encode(message)?;
        let mut queues = self.shared.lock();
        if let Some(ended) = &queues.ended {
            return Err(SendRefused::Ended(ended.clone()));
        }
        let lane = encoded.lane;
        let queue = queues.lane(lane);
        let room = match lane {
            Lane::Pulse => queue.frames.len() < PULSES_MAX,
            Lane::Log => queue.bytes + encoded.bytes <= self.shared.log_queue_bytes,
        };
        if !room {
            return Err(SendRefused::Full(lane));
        }
        queue.bytes += encoded.bytes;
        queue.frames.push_back(encoded);
        drop(queues);
        self.shared.wake(lane).notify_one();
        Ok(())
    }

    /// Encoded bytes that wait in a lane.
    #[must_use]
    pub fn waiting_bytes(&self, lane: Lane) -> usize {
        self.shared.lock().lane(lane).bytes
    }

    /// How the link does.
    #[must_use]
    pub fn statistics(&self) -> LinkStatistics {
        let stats = self.connection.stats();
        LinkStatistics {
            rtt: self.connection.rtt(),
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lost_packets: stats.path.lost_packets,
            waiting_bytes: self.waiting_bytes(Lane::Pulse) + self.waiting_bytes(Lane::Log),
        }
    }
}

impl fmt::Debug for LinkSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkSender").field("statistics", &self.statistics()).finish()
    }
}

/// Moves queued messages into their streams. When it is dropped, before or while it runs, senders are told that the link is no
/// more: what they queued then would wait for ever.
#[derive(Debug)]
pub struct LinkWriter {
    shared: EndsWithWriter,
    connection: Connection,
    guard: Guard,
    pulse: SendStream,
    log: SendStream,
}

impl LinkWriter {
    /// Runs until the link ends, and says why. Both lanes move independently of each other. Whatever is queued at the end is
    /// gone, and senders are told so.
    pub async fn run(self) -> LinkEnded {
        let Self { shared: ends, connection, guard, mut pulse, mut log } = self;
        let shared = &ends.0;
        let ended = tokio::select! {
            ended = drain(shared, Lane::Pulse, &mut pulse, PULSE_STUCK) => ended,
            ended = drain(shared, Lane::Log, &mut log, LOG_STUCK) => ended,
            error = connection.closed() => error.into(),
        };
        // A lane can notice the end of the connection before its reason.
        let ended = connection.close_reason().map_or(ended, LinkEnded::from);
        guard.close(&ended);
        shared.end(&ended);
        ended
    }
}

pub(super) fn outgoing(
    connection: Connection,
    pulse: SendStream,
    log: SendStream,
    log_queue_bytes: usize,
) -> (LinkSender, LinkWriter) {
    let shared = Arc::new(Shared {
        queues: Mutex::default(),
        pulse: Notify::new(),
        log: Notify::new(),
        log_queue_bytes,
    });
    let guard = Guard::new(&connection);
    let sender = LinkSender { shared: Arc::clone(&shared), connection: connection.clone() };
    (sender, LinkWriter { shared: EndsWithWriter(shared), connection, guard, pulse, log })
}

#[derive(Debug)]
struct EndsWithWriter(Arc<Shared>);

impl Drop for EndsWithWriter {
    fn drop(&mut self) {
        self.0.end(&LinkEnded::BrokenOff);
    }
}

#[derive(Debug)]
struct Shared {
    queues: Mutex<Queues>,
    pulse: Notify,
    log: Notify,
    log_queue_bytes: usize,
}

#[derive(Debug, Default)]
struct Queues {
    pulse: Queue,
    log: Queue,
    ended: Option<LinkEnded>,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Encoded>,
    bytes: usize,
}

impl Queues {
    fn lane(&mut self, lane: Lane) -> &mut Queue {
        match lane {
            Lane::Pulse => &mut self.pulse,
            Lane::Log => &mut self.log,
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self, lane: Lane) -> &Notify {
        match lane {
            Lane::Pulse => &self.pulse,
            Lane::Log => &self.log,
        }
    }

    fn end(&self, ended: &LinkEnded) {
        let mut queues = self.lock();
        let told = queues.ended.take().unwrap_or_else(|| ended.clone());
        *queues = Queues { ended: Some(told), ..Queues::default() };
    }

    /// The chunks of the next frames of a lane, some at once.
    fn take(&self, lane: Lane, chunks: &mut Vec<Bytes>) {
        let mut queues = self.lock();
        let queue = queues.lane(lane);
        while chunks.len() < CHUNKS_AT_ONCE {
            let Some(frame) = queue.frames.pop_front() else { break };
            queue.bytes -= frame.bytes;
            chunks.extend(frame.chunks);
        }
    }
}

async fn drain(shared: &Shared, lane: Lane, stream: &mut SendStream, stuck: Duration) -> LinkEnded {
    let mut chunks = Vec::new();
    loop {
        shared.take(lane, &mut chunks);
        if chunks.is_empty() {
            // The connection's end is waited for beside this.
            shared.wake(lane).notified().await;
            continue;
        }
        let mut rest = &mut chunks[..];
        while !rest.is_empty() {
            match time::timeout(stuck, stream.write_chunks(rest)).await {
                Ok(Ok(written)) => rest = &mut rest[written.chunks..],
                Ok(Err(WriteError::ConnectionLost(error))) => return error.into(),
                Ok(Err(_)) => return LinkEnded::BrokenOff,
                Err(_) => return LinkEnded::Stuck(stuck),
            }
        }
        chunks.clear();
    }
}

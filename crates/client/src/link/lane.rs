//! One stream: frames written as they come, read as they arrive, finished when the machine has done with it.

use super::connection::{Facts, Pieces, reset_code};
use crate::machine::{ConnectionId, LaneId, LinkEvent};
use bytes::Bytes;
use duet_protocol::{Code, Frame, FrameDecoder, FrameError};
use quinn::{Connection, ReadError, RecvStream, SendStream, WriteError};
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};

/// Frames that wait for one stream's credit. Full: the connection is given up, because the server does not read.
const FRAMES_MAX: usize = 512;
/// Frames written at once.
const BATCH: usize = 64;
/// How long the server may give no credit for a stream, or for bytes on it.
const CREDIT: Duration = Duration::from_secs(30);
/// How long the server may take to end a lane that the client has finished.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Most bytes taken from a stream at once.
const READ_BYTES: usize = 64 << 10;

/// The way to a stream. Dropped, the stream is finished after what was sent.
#[derive(Debug)]
pub(super) struct Pipe(mpsc::Sender<Pieces>);

impl Pipe {
    /// `false` when there is no room. A stream that has ended takes everything and sends nothing.
    pub(super) fn send(&self, pieces: &[Bytes]) -> bool {
        !matches!(self.0.try_send(pieces.into()), Err(mpsc::error::TrySendError::Full(_)))
    }
}

pub(super) fn pipe() -> (Pipe, mpsc::Receiver<Pieces>) {
    let (pipe, frames) = mpsc::channel(FRAMES_MAX);
    (Pipe(pipe), frames)
}

/// The life of one stream.
pub(super) async fn run(
    id: ConnectionId,
    lane: LaneId,
    connection: Connection,
    mut frames: mpsc::Receiver<Pieces>,
    facts: Facts,
) {
    let Ok(Ok((mut sender, mut receiver))) = timeout(CREDIT, connection.open_bi()).await else {
        // The driver may be gone, here and below; then nobody wants to know.
        let _ = facts.send((id, LinkEvent::LaneClosed(lane, None))).await;
        return;
    };
    let mut reading = std::pin::pin!(read(id, lane, &mut receiver, &facts));
    let end = tokio::select! {
        end = write(&mut sender, &mut frames) => end,
        end = &mut reading => end,
    };
    let code = match end {
        // The client has done with it: what the server still says is of no interest to the machine, nor whether the stream
        // was ended by the server before.
        End::Done => {
            let _ = sender.finish();
            let _ = timeout(LAST_WORDS, reading).await;
            return;
        }
        End::ByServer(code) => code,
        End::Stuck => Some(Code::TIMEOUT),
        // It says so by itself.
        End::ConnectionGone => return,
    };
    let _ = facts.send((id, LinkEvent::LaneClosed(lane, code))).await;
    // Frames for it may still come, until the machine has heard of its end.
    while frames.recv().await.is_some() {}
}

/// How a stream's life ended.
enum End {
    /// Nothing more is to be sent.
    Done,
    /// The server finished it, broke it off, or does not want what is written.
    ByServer(Option<Code>),
    /// The server gave no credit.
    Stuck,
    /// Its connection is gone.
    ConnectionGone,
}

async fn write(sender: &mut SendStream, frames: &mut mpsc::Receiver<Pieces>) -> End {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        if frames.recv_many(&mut batch, BATCH).await == 0 {
            return End::Done;
        }
        let mut chunks: Vec<Bytes> = batch.iter().flat_map(|pieces| pieces.iter().cloned()).collect();
        match timeout(CREDIT, sender.write_all_chunks(&mut chunks)).await {
            Ok(Ok(())) => {}
            Ok(Err(WriteError::Stopped(code))) => return End::ByServer(reset_code(code)),
            Ok(Err(_)) => return End::ConnectionGone,
            Err(_) => return End::Stuck,
        }
    }
}

/// Reads to the end of the stream.
async fn read(id: ConnectionId, lane: LaneId, receiver: &mut RecvStream, facts: &Facts) -> End {
    let mut decoder = FrameDecoder::default();
    loop {
        match receiver.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => decoder.push(&chunk.bytes),
            Ok(None) => return End::ByServer(None),
            Err(ReadError::Reset(code)) => return End::ByServer(reset_code(code)),
            Err(_) => return End::ConnectionGone,
        }
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    let Ok(frames) = unwrap(lane, frame) else {
                        return End::ByServer(Some(Code::PROTOCOL_ERROR));
                    };
                    for (lane, frame) in frames {
                        if facts.send((id, LinkEvent::Frame(lane, frame))).await.is_err() {
                            return End::ConnectionGone;
                        }
                    }
                }
                Ok(None) => break,
                Err(_) => return End::ByServer(Some(Code::PROTOCOL_ERROR)),
            }
        }
    }
}

/// A wrapper is a frame of another lane, and stands on the control lane only; a compressed frame is those that it
/// inflates to.
pub(super) fn unwrap(lane: LaneId, frame: Frame) -> Result<Vec<(LaneId, Frame)>, FrameError> {
    let (lane, frame) = match frame.unwrap_lane() {
        None => (lane, frame),
        Some(_) if lane != LaneId::CONTROL => return Err(FrameError::BadLane),
        Some(unwrapped) => unwrapped.map(|(number, inner)| (LaneId(number), inner))?,
    };
    match frame.inflate() {
        None => Ok(vec![(lane, frame)]),
        Some(inflated) => Ok(inflated?.into_iter().map(|frame| (lane, frame)).collect()),
    }
}

//! The peer's messages. Nothing is read ahead: who does not ask for the next message holds the peer back, lane by lane, by the
//! window of its stream.

use super::{
    ended::LinkEnded,
    frame::{self, LENGTH_BYTES, Lane},
    link::Guard,
};
use crate::core::PeerMessage;
use bytes::{Buf as _, Bytes, BytesMut};
use quinn::{Connection, ReadError, RecvStream};

/// Gives the peer's messages.
#[derive(Debug)]
pub struct LinkReceiver {
    connection: Connection,
    guard: Guard,
    pulse: LaneReader,
    log: LaneReader,
}

impl LinkReceiver {
    pub(super) fn new(connection: Connection, guard: Guard, pulse: RecvStream, log: RecvStream) -> Self {
        let (pulse, log) = (LaneReader::new(Lane::Pulse, pulse), LaneReader::new(Lane::Log, log));
        Self { connection, guard, pulse, log }
    }

    /// The next message: one of the pulse lane when there is any, else one of the log lane. Messages of one lane come in
    /// the order in which they were sent. Safe to drop and call again. Waits no longer than the link lives, and that is
    /// [`IDLE_TIMEOUT`](super::IDLE_TIMEOUT) beyond the peer's last packet.
    ///
    /// # Errors
    /// [`LinkEnded`]; the link is closed then.
    pub async fn recv(&mut self) -> Result<PeerMessage, LinkEnded> {
        let (lane, result) = tokio::select! {
            biased;
            frame = self.pulse.next() => (Lane::Pulse, frame),
            frame = self.log.next() => (Lane::Log, frame),
        };
        let message = result.and_then(|bytes| frame::decode(lane, &bytes).map_err(LinkEnded::Malformed));
        message.map_err(|ended| {
            let ended = match (&ended, self.connection.close_reason()) {
                (LinkEnded::Malformed(_), _) | (_, None) => ended,
                (_, Some(reason)) => reason.into(),
            };
            self.guard.close(&ended);
            ended
        })
    }
}

/// Cuts one stream into frames. Each frame has a buffer of its own, into which its bytes are copied once.
#[derive(Debug)]
struct LaneReader {
    lane: Lane,
    stream: RecvStream,
    /// Read from the stream and not yet used.
    unread: Bytes,
    length: BytesMut,
    frame: Option<(usize, BytesMut)>,
}

impl LaneReader {
    fn new(lane: Lane, stream: RecvStream) -> Self {
        let length = BytesMut::with_capacity(LENGTH_BYTES);
        Self { lane, stream, unread: Bytes::new(), length, frame: None }
    }

    /// The next frame without its length. Safe to drop and call again.
    async fn next(&mut self) -> Result<Bytes, LinkEnded> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(frame);
            }
            match self.stream.read_chunk(READ_BYTES_MAX, true).await {
                Ok(Some(chunk)) => self.unread = chunk.bytes,
                Ok(None) if self.length.is_empty() && self.frame.is_none() => {
                    return Err(LinkEnded::PeerStopped);
                }
                Ok(None) | Err(ReadError::Reset(_)) => return Err(LinkEnded::BrokenOff),
                Err(ReadError::ConnectionLost(error)) => return Err(error.into()),
                Err(error) => return Err(LinkEnded::Failed(error.to_string())),
            }
        }
    }

    /// A frame, if what was read completes it.
    fn cut(&mut self) -> Result<Option<Bytes>, LinkEnded> {
        if self.frame.is_none() {
            let missing = LENGTH_BYTES - self.length.len();
            let taken = self.unread.split_to(missing.min(self.unread.len()));
            self.length.extend_from_slice(&taken);
            let Ok(length) = <[u8; LENGTH_BYTES]>::try_from(&self.length[..]) else { return Ok(None) };
            let length = frame::frame_length(self.lane, length).map_err(LinkEnded::Malformed)?;
            self.length.clear();
            self.frame = Some((length, BytesMut::with_capacity(length)));
        }
        let Some((length, buffer)) = &mut self.frame else { return Ok(None) };
        let missing = *length - buffer.len();
        let taken = missing.min(self.unread.len());
        buffer.extend_from_slice(&self.unread[..taken]);
        self.unread.advance(taken);
        if buffer.len() < *length {
            return Ok(None);
        }
        Ok(self.frame.take().map(|(_, buffer)| buffer.freeze()))
    }
}

const READ_BYTES_MAX: usize = 256 * 1024;

//! Messages between the nodes, as bytes. Pure: the link moves them, the fuzzer and the golden bytes below judge them.
//!
//! ```text
//! frame  = length:u32 kind:u8 body          length counts kind and body; integers are big-endian
//! 1 Beat  2 Echo  3 Stale  4 Told  9 Leaving pulse lane   body = the protocol's codec, at most 1,024 bytes
//! 5 Acked  6 Rewind                           log lane     the same
//! 7 Resync                                    log lane     the same, at most 32 KiB
//! 8 Append                                   log lane     body = head_length:u8 head entry*
//!          head  = codec of (epoch, prev, commit, count)  entry = length:u32 bytes, as they lie in the log
//! ```
//!
//! Entries are raw, so that a batch is neither decoded nor copied on its way: what was read from the stream is cut into
//! shared slices. A frame is at most [`FRAME_BYTES_MAX`], an entry [`ENTRY_BYTES_MAX`], a batch [`ENTRIES_MAX`] entries. A
//! change of any of this is a new version of the link (`hello.rs`); kinds are not skipped. Hostile bytes give an error.

use crate::core::{AppendEntries, PeerMessage};
use bytes::{BufMut as _, Bytes, BytesMut};
use duet_protocol::codec::{self, CodecError, Decode, Encode};

/// Bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;
/// Kind and body of a frame at most, bytes.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Kind and body of anything but entries and reigns at most, bytes.
pub const SMALL_BYTES_MAX: usize = 1_024;
/// Kind and body of a `Resync` at most, bytes: [`REIGNS_MAX`](crate::core::REIGNS_MAX) reigns fit.
pub const RESYNC_BYTES_MAX: usize = 32 * 1024;
/// One entry at most, bytes.
pub const ENTRY_BYTES_MAX: usize = 128 * 1024;
/// Entries of one batch at most.
pub const ENTRIES_MAX: usize = 65_536;

/// Entries of this size and above go out as they are; smaller ones are copied together once.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// Messages of one lane stay in order; nothing in one lane waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Heartbeats and what concerns the reign.
    Pulse,
    /// Entries one way, their acknowledgements the other.
    Log,
}

/// Why bytes are no message, or a message no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A frame without a kind.
    #[error("an empty frame")]
    Empty,
    /// A frame or a part of it is too long.
    #[error("{what} of {bytes} bytes; {max} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// No message has this kind, in this lane.
    #[error("there is no message of kind {kind} in the {lane:?} lane")]
    Kind {
        /// The kind.
        kind: u8,
        /// The lane.
        lane: Lane,
    },
    /// A body is no value of its type.
    #[error("a message of kind {kind}: {source}")]
    Body {
        /// The message's kind.
        kind: u8,
        /// What is wrong.
        source: CodecError,
    },
    /// The entries do not fill their frame.
    #[error("a batch that does not hold what it says")]
    Batch,
    /// Too many entries.
    #[error("{0} entries in one batch")]
    Entries(usize),
}

/// A frame, ready for its stream.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Where it goes.
    pub lane: Lane,
    /// Its bytes, in order.
    pub chunks: Vec<Bytes>,
    /// How many bytes that is.
    pub bytes: usize,
}

/// The lane of a message.
#[must_use]
pub fn lane(message: &PeerMessage) -> Lane {
    match message {
        PeerMessage::Beat(_)
        | PeerMessage::Echo(_)
        | PeerMessage::Stale { .. }
        | PeerMessage::Told(_)
        | PeerMessage::Leaving(_) => Lane::Pulse,
        PeerMessage::Append(_)
        | PeerMessage::Acked(_)
        | PeerMessage::Rewind(_)
        | PeerMessage::Resync { .. } => Lane::Log,
    }
}

/// The frame of a message.
///
/// # Errors
/// [`FrameError`] for a batch beyond the limits; everything else always fits.
pub fn encode(message: &PeerMessage) -> Result<Encoded, FrameError> {
    let lane = lane(message);
    let small = |kind: u8, body: Vec<u8>| {
        let mut frame = BytesMut::with_capacity(LENGTH_BYTES + 1 + body.len());
        frame.put_u32(small_u32(1 + body.len()));
        frame.put_u8(kind);
        frame.put_slice(&body);
        let bytes = frame.len();
        Ok(Encoded { lane, chunks: vec![frame.freeze()], bytes })
    };
    match message {
        PeerMessage::Beat(beat) => small(BEAT, codec::encode(beat)),
        PeerMessage::Echo(echo) => small(ECHO, codec::encode(echo)),
        PeerMessage::Stale { max_epoch } => small(STALE, codec::encode(max_epoch)),
        PeerMessage::Told(cfg) => small(TOLD, codec::encode(cfg)),
        PeerMessage::Leaving(nonce) => small(LEAVING, codec::encode(nonce)),
        PeerMessage::Acked(acked) => small(ACKED, codec::encode(acked)),
        PeerMessage::Rewind(echo) => small(REWIND, codec::encode(echo)),
        PeerMessage::Resync { epoch, reigns } => small(RESYNC, codec::encode(&(epoch, reigns))),
        PeerMessage::Append(append) => encode_append(append),
    }
}

/// How long the frame is whose length field was read: known before anything is allocated for it.
///
/// # Errors
/// [`FrameError`] for a length that no frame of this lane has.
pub fn frame_length(lane: Lane, length: [u8; LENGTH_BYTES]) -> Result<usize, FrameError> {
    match (usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX), lane) {
        (0, _) => Err(FrameError::Empty),
        (bytes, Lane::Pulse) => bounded("a frame of the pulse lane", bytes, SMALL_BYTES_MAX),
        (bytes, Lane::Log) => bounded("a frame", bytes, FRAME_BYTES_MAX),
    }
}

/// The message of a frame: `frame` is kind and body.
///
/// # Errors
/// [`FrameError`] for anything that [`encode`] does not make, but for bincode's longer forms of a number.
pub fn decode(lane: Lane, frame: &Bytes) -> Result<PeerMessage, FrameError> {
    let kind = *frame.first().ok_or(FrameError::Empty)?;
    if kind == APPEND && lane == Lane::Log {
        bounded("a frame", frame.len(), FRAME_BYTES_MAX)?;
        return decode_append(&frame.slice(1..)).map(PeerMessage::Append);
    }
    let bytes_max = if kind == RESYNC { RESYNC_BYTES_MAX } else { SMALL_BYTES_MAX };
    bounded("a frame without entries", frame.len(), bytes_max)?;
    let body = Body { kind, bytes: &frame[1..] };
    match (lane, kind) {
        (Lane::Pulse, BEAT) => Ok(PeerMessage::Beat(body.read()?)),
        (Lane::Pulse, ECHO) => Ok(PeerMessage::Echo(body.read()?)),
        (Lane::Pulse, STALE) => Ok(PeerMessage::Stale { max_epoch: body.read()? }),
        (Lane::Pulse, TOLD) => Ok(PeerMessage::Told(body.read()?)),
        (Lane::Pulse, LEAVING) => Ok(PeerMessage::Leaving(body.read()?)),
        (Lane::Log, ACKED) => Ok(PeerMessage::Acked(body.read()?)),
        (Lane::Log, REWIND) => Ok(PeerMessage::Rewind(body.read()?)),
        (Lane::Log, RESYNC) => {
            let (epoch, reigns) = body.read()?;
            Ok(PeerMessage::Resync { epoch, reigns })
        }
        _ => Err(FrameError::Kind { kind, lane }),
    }
}

const BEAT: u8 = 1;
const ECHO: u8 = 2;
const STALE: u8 = 3;
const TOLD: u8 = 4;
const ACKED: u8 = 5;
const REWIND: u8 = 6;
const RESYNC: u8 = 7;
const APPEND: u8 = 8;
const LEAVING: u8 = 9;

/// What stands before the entries of a batch.
#[derive(Debug, Encode, Decode)]
struct AppendHead {
    epoch: u64,
    prev: crate::core::Position,
    commit: u64,
    count: u32,
}

fn encode_append(append: &AppendEntries) -> Result<Encoded, FrameError> {
    let AppendEntries { epoch, prev, entries, commit } = append;
    if entries.len() > ENTRIES_MAX {
        return Err(FrameError::Entries(entries.len()));
    }
    let head = AppendHead { epoch: *epoch, prev: *prev, commit: *commit, count: small_u32(entries.len()) };
    let head = codec::encode(&head);
    let mut length = 2 + head.len();
    for entry in entries {
        length += LENGTH_BYTES + bounded("an entry", entry.len(), ENTRY_BYTES_MAX)?;
    }
    bounded("a batch", length, FRAME_BYTES_MAX)?;

    let mut chunks = Vec::new();
    let mut copied = BytesMut::with_capacity(LENGTH_BYTES + 2 + head.len());
    copied.put_u32(small_u32(length));
    copied.put_u8(APPEND);
    copied.put_u8(u8::try_from(head.len()).unwrap_or(u8::MAX));
    copied.put_slice(&head);
    for entry in entries {
        copied.put_u32(small_u32(entry.len()));
        if entry.len() < SHARED_BYTES_MIN {
            copied.put_slice(entry);
        } else {
            chunks.push(copied.split().freeze());
            chunks.push(entry.clone());
        }
    }
    if !copied.is_empty() {
        chunks.push(copied.freeze());
    }
    Ok(Encoded { lane: Lane::Log, chunks, bytes: LENGTH_BYTES + length })
}

fn decode_append(body: &Bytes) -> Result<AppendEntries, FrameError> {
    let head_length = usize::from(*body.first().ok_or(FrameError::Batch)?);
    let head = body.get(1..1 + head_length).ok_or(FrameError::Batch)?;
    let AppendHead { epoch, prev, commit, count } = Body { kind: APPEND, bytes: head }.read()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let mut at = 1 + head_length;
    if count > ENTRIES_MAX {
        return Err(FrameError::Entries(count));
    }
    if count > (body.len() - at) / LENGTH_BYTES {
        return Err(FrameError::Batch);
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let length = body.get(at..).and_then(<[u8]>::first_chunk).ok_or(FrameError::Batch)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        at += LENGTH_BYTES;
        let end = at + bounded("an entry", length, ENTRY_BYTES_MAX)?;
        if end > body.len() {
            return Err(FrameError::Batch);
        }
        entries.push(body.slice(at..end));
        at = end;
    }
    if at == body.len() { Ok(AppendEntries { epoch, prev, entries, commit }) } else { Err(FrameError::Batch) }
}

struct Body<'a> {
    kind: u8,
    bytes: &'a [u8],
}

impl Body<'_> {
    fn read<T: Decode<()>>(&self) -> Result<T, FrameError> {
        codec::decode(self.bytes).map_err(|source| FrameError::Body { kind: self.kind, source })
    }
}

fn bounded(what: &'static str, bytes: usize, max: usize) -> Result<usize, FrameError> {
    if bytes <= max { Ok(bytes) } else { Err(FrameError::TooLong { what, bytes, max }) }
}

/// Of a number that a limit above keeps far below 2³².
fn small_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;

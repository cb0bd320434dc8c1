//! Frames: `length (QUIC varint, of what follows) · kind (1 byte) · body`, at most 64 KiB.
//!
//! A stream is a sequence of frames. Where one carrier holds several lanes (WebSocket, or a control stream
//! with more conversations than streams) a frame travels inside a [`LANE`] frame: `length · 0x01 · lane
//! (varint) · kind · body`. An unknown kind is skipped by its length: that is how the protocol grows.
//! Varints are those of RFC 9000 §16.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest value of a frame's length field: kind, lane number if any, and body.
pub const MAX_FRAME_BYTES: usize = 65_536;

/// The largest datagram that every browser and path carries, in bytes.
pub const MAX_DATAGRAM_BYTES: usize = 1_024;

/// Kind of the frame that wraps another one and names its lane.
pub const LANE: u8 = 0x01;

/// The highest lane number. Lane 0 is the control lane itself, whose frames travel unwrapped.
pub const LANE_MAX: u32 = (1 << 30) - 1;

/// One frame, its body still encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the body is; see `docs/protocol.md` for the numbers.
    pub kind: u8,
    /// The encoded body.
    pub body: Bytes,
}

impl Frame {
    /// `length · kind · body`, ready for a stream.
    #[must_use]
    pub fn encode(kind: u8, body: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(body.len() + 5);
        put_varint(&mut out, body.len() as u64 + 1);
        out.put_u8(kind);
        out.put_slice(body);
        out.freeze()
    }

    /// Splits what [`Frame::encode`] made at its length field: the header and `kind · body`.
    ///
    /// Lets one encoded frame serve streams (whole), lanes ([`lane_prefix`] and the second part) and datagrams (the second part).
    #[must_use]
    pub fn split(encoded: &Bytes) -> (Bytes, Bytes) {
        let header = encoded.first().map_or(0, |first| 1usize << (first >> 6)).min(encoded.len());
        (encoded.slice(..header), encoded.slice(header..))
    }

    /// Reads `kind · body`, the form of a datagram.
    ///
    /// # Errors
    /// [`FrameError::Empty`] when there is not even a kind.
    pub fn from_datagram(mut bytes: Bytes) -> Result<Self, FrameError> {
        if bytes.is_empty() {
            return Err(FrameError::Empty);
        }
        Ok(Self { kind: bytes.get_u8(), body: bytes })
    }

    /// Unwraps a [`LANE`] frame: the lane's number, 1 to [`LANE_MAX`], and the frame within. `None` for any other kind.
    ///
    /// # Errors
    /// [`FrameError`] when the wrapper is cut short, names no lane or holds a wrapper again.
    pub fn unwrap_lane(&self) -> Option<Result<(u32, Self), FrameError>> {
        if self.kind != LANE {
            return None;
        }
        let mut rest = self.body.clone();
        let Some(lane) = take_varint(&mut rest) else { return Some(Err(FrameError::BadLane)) };
        let lane = u32::try_from(lane).ok().filter(|lane| (1..=LANE_MAX).contains(lane));
        let Some(lane) = lane else { return Some(Err(FrameError::BadLane)) };
        Some(match Self::from_datagram(rest) {
            Ok(inner) if inner.kind == LANE => Err(FrameError::BadLane),
            Ok(inner) => Ok((lane, inner)),
            Err(error) => Err(error),
        })
    }
}

/// What precedes `kind · body` (`inner_bytes` long) when it travels on `lane`: `length · 0x01 · lane`.
#[must_use]
pub fn lane_prefix(lane: u32, inner_bytes: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(12);
    put_varint(&mut out, (inner_bytes + 1 + varint_len(u64::from(lane))) as u64);
    out.put_u8(LANE);
    put_varint(&mut out, u64::from(lane));
    out.freeze()
}

/// Why a stream of bytes is no stream of frames. The carrier closes with `protocol_error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length above [`MAX_FRAME_BYTES`].
    #[error("a frame of {0} bytes is above the limit of {MAX_FRAME_BYTES}")]
    TooLarge(u64),
    /// A length of zero: not even a kind.
    #[error("an empty frame")]
    Empty,
    /// A lane wrapper that is cut short, nested or out of range.
    #[error("a malformed lane wrapper")]
    BadLane,
    /// A compressed frame that does not inflate to whole frames within its bound.
    #[error("a malformed compressed frame")]
    BadDeflate,
}

/// Cuts a stream of bytes into frames. Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// Takes in what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it has arrived.
    ///
    /// # Errors
    /// [`FrameError`]; the stream cannot be read any further then.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end at the first incomplete frame")]
    pub fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        let mut peek = &self.buffer[..];
        let Some(length) = take_varint(&mut peek) else { return Ok(None) };
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > MAX_FRAME_BYTES as u64 {
            return Err(FrameError::TooLarge(length));
        }
        let (header, length) = (self.buffer.len() - peek.len(), length as usize);
        if peek.len() < length {
            return Ok(None);
        }
        self.buffer.advance(header);
        Frame::from_datagram(self.buffer.split_to(length).freeze()).map(Some)
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }
}

/// Appends `value` in its shortest form. Values of 2^62 and more do not occur here.
pub fn put_varint(out: &mut BytesMut, value: u64) {
    match varint_len(value) {
        1 => out.put_u8(value as u8),
        2 => out.put_u16(0x4000 | value as u16),
        4 => out.put_u32(0x8000_0000 | value as u32),
        _ => out.put_u64(0xc000_0000_0000_0000 | value),
    }
}

/// Takes a varint from the front; `None` (and nothing taken) when it has not arrived whole.
pub fn take_varint(bytes: &mut impl Buf) -> Option<u64> {
    let first = *bytes.chunk().first()?;
    let len = 1usize << (first >> 6);
    if bytes.remaining() < len {
        return None;
    }
    let mut value = u64::from(bytes.get_u8() & 0x3f);
    for _ in 1..len {
        value = value << 8 | u64::from(bytes.get_u8());
    }
    Some(value)
}

/// How many bytes `value` takes as a varint.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    match value {
        0..=0x3f => 1,
        0x40..=0x3fff => 2,
        0x4000..=0x3fff_ffff => 4,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut_of_the_stream(
            frames in proptest::collection::vec((2u8.., proptest::collection::vec(any::<u8>(), 0..300)), 1..8),
            cut in 1usize..50,
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(k, b)| Frame::encode(*k, b)).collect();
            let (mut decoder, mut seen) = (FrameDecoder::default(), Vec::new());
            for piece in stream.chunks(cut) {
                decoder.push(piece);
                while let Some(frame) = decoder.next()? {
                    seen.push((frame.kind, frame.body.to_vec()));
                }
            }
            prop_assert_eq!(seen, frames);
            prop_assert_eq!(decoder.pending_bytes(), 0);
        }

        #[test]
        fn a_lane_carries_the_same_frame(lane in 1..=LANE_MAX, kind in 2u8.., body in proptest::collection::vec(any::<u8>(), 0..99)) {
            let (_, inner) = Frame::split(&Frame::encode(kind, &body));
            let mut decoder = FrameDecoder::default();
            decoder.push(&lane_prefix(lane, inner.len()));
            decoder.push(&inner);
            let unwrapped = decoder.next()?.and_then(|f| f.unwrap_lane());
            prop_assert_eq!(unwrapped, Some(Ok((lane, Frame { kind, body: body.into() }))));
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let mut decoder = FrameDecoder::default();
            decoder.push(&bytes);
            while let Ok(Some(frame)) = decoder.next() {
                let _ = frame.unwrap_lane();
            }
        }
    }

    #[test]
    fn a_frame_above_the_limit_is_refused_before_it_is_buffered() {
        let mut decoder = FrameDecoder::default();
        decoder.push(&[0x80, 0x10, 0, 0]);
        assert_eq!(decoder.next(), Err(FrameError::TooLarge(0x10_0000)));
    }
}

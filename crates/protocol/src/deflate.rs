//! Compressed frames: `length · 0x40 · raw DEFLATE (RFC 1951)` stands for the whole frames that it inflates to, on the
//! lane on which it travels. For pages of history, where it saves most of the bytes; never for what bears a secret.
//!
//! What inflates has the bound of a frame, so that no few bytes can ask for much memory.

use crate::frame::{Frame, FrameDecoder, FrameError, LANE, MAX_FRAME_BYTES};
use bytes::Bytes;
use miniz_oxide::{deflate::compress_to_vec, inflate::decompress_to_vec_with_limit};

/// Kind of the frame that stands for compressed ones.
pub const DEFLATED: u8 = 0x40;

/// Most bytes that a compressed frame may inflate to.
pub const INFLATED_BYTES_MAX: usize = MAX_FRAME_BYTES;

/// Speed before size: higher levels save a few percent more, at several times the cost (`benches/deflate.rs`).
const LEVEL: u8 = 3;

/// Whole encoded frames as one compressed frame; `None` when that would be no smaller, or when they are too many.
#[must_use]
pub fn deflate(frames: &[u8]) -> Option<Bytes> {
    if frames.len() > INFLATED_BYTES_MAX {
        return None;
    }
    let body = compress_to_vec(frames, LEVEL);
    (body.len() < frames.len()).then(|| Frame::encode(DEFLATED, &body))
}

impl Frame {
    /// The frames for which a [`DEFLATED`] one stands. `None` for any other kind.
    ///
    /// # Errors
    /// [`FrameError::BadDeflate`] when it does not inflate, inflates to more than [`INFLATED_BYTES_MAX`], or to anything
    /// but whole frames that are neither wrapped nor compressed.
    pub fn inflate(&self) -> Option<Result<Vec<Self>, FrameError>> {
        (self.kind == DEFLATED).then(|| inflate(&self.body))
    }
}

fn inflate(body: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let bytes = decompress_to_vec_with_limit(body, INFLATED_BYTES_MAX).map_err(|_| FrameError::BadDeflate)?;
    let (mut decoder, mut frames) = (FrameDecoder::default(), Vec::new());
    decoder.push(&bytes);
    while let Some(frame) = decoder.next()? {
        if matches!(frame.kind, LANE | DEFLATED) {
            return Err(FrameError::BadDeflate);
        }
        frames.push(frame);
    }
    if decoder.pending_bytes() > 0 { Err(FrameError::BadDeflate) } else { Ok(frames) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(encoded: &[u8]) -> Frame {
        let mut decoder = FrameDecoder::default();
        decoder.push(encoded);
        decoder.next().unwrap().unwrap()
    }

    proptest! {
        #[test]
        fn what_was_deflated_inflates_to_the_same_frames(
            frames in proptest::collection::vec((0x41u8.., proptest::collection::vec(any::<u8>(), 0..300)), 1..9),
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, body)| Frame::encode(*kind, &[&body[..], &[7; 99]].concat())).collect();
            if let Some(small) = deflate(&bytes) {
                prop_assert!(small.len() < bytes.len() + 5);
                let found = read(&small).inflate().unwrap().unwrap();
                let again: Vec<u8> = found.iter().flat_map(|frame| Frame::encode(frame.kind, &frame.body)).collect();
                prop_assert_eq!(again, bytes);
            }
        }

        #[test]
        fn any_bytes_inflate_to_frames_or_to_an_error(body: Vec<u8>) {
            let _ = Frame { kind: DEFLATED, body: body.into() }.inflate();
        }
    }

    #[test]
    fn a_bomb_is_refused_at_its_bound() {
        let body = compress_to_vec(&vec![0; 64 << 20], 9);
        assert!(body.len() < MAX_FRAME_BYTES, "a frame could carry it: {}", body.len());
        let bomb = Frame { kind: DEFLATED, body: body.into() };
        assert_eq!(bomb.inflate(), Some(Err(FrameError::BadDeflate)));
    }

    #[test]
    fn compressed_frames_hold_neither_wrappers_nor_each_other_nor_halves() {
        let of = |frames: &[u8]| Frame { kind: DEFLATED, body: compress_to_vec(frames, 6).into() };
        let wrapper = Frame::encode(LANE, &[3, 0x58]);
        let nested = Frame::encode(DEFLATED, b"");
        for wrong in [&wrapper[..], &nested[..], &[5, 0x58], &[0]] {
            assert!(of(wrong).inflate().unwrap().is_err(), "{wrong:?}");
        }
        assert_eq!(of(b"").inflate(), Some(Ok(Vec::new())));
        assert_eq!(Frame { kind: 0x58, body: Bytes::new() }.inflate(), None);
    }
}

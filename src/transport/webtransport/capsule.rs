//! The capsules that travel on a session's CONNECT stream (RFC 9297 §3): a type, a length, a value.
//!
//! Only one of them matters here, CLOSE_WEBTRANSPORT_SESSION (0x2843): a u32 code and up to 1,024
//! bytes of reason. All others are skipped, whatever their length: browsers send reserved types on
//! purpose. The decoder keeps at most one close capsule in memory, so a peer cannot make it grow; a
//! capsule may arrive split at any byte.

use bytes::{BufMut, Bytes, BytesMut};
use duet_protocol::frame::{put_varint, take_varint};

/// Type of CLOSE_WEBTRANSPORT_SESSION.
pub const CLOSE_SESSION: u64 = 0x2843;

/// Longest reason in a close capsule, in bytes (draft-ietf-webtrans-http3 §5).
pub const REASON_BYTES_MAX: usize = 1024;

/// Longest capsule head: two variable-length integers.
const HEAD_BYTES_MAX: usize = 16;

/// What a peer asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Capsule {
    /// The session is over.
    Close {
        /// Code given by the application.
        code: u32,
        /// Reason given by the application; bytes that are not UTF-8 are replaced.
        reason: String,
    },
}

/// Why a capsule stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CapsuleError {
    /// A close capsule too short for its code or too long for its reason.
    #[error("a close capsule of {0} bytes; 4 to 1028 are allowed")]
    CloseLength(u64),
}

/// Cuts a byte stream into capsules.
#[derive(Debug, Default)]
pub struct CapsuleDecoder {
    state: State,
}

#[derive(Debug)]
enum State {
    Head(BytesMut),
    Skip(u64),
    Close { wanted: usize, value: BytesMut },
}

impl Default for State {
    fn default() -> Self {
        Self::Head(BytesMut::new())
    }
}

impl CapsuleDecoder {
    /// Takes bytes from the front of `input` until a capsule that matters is complete or the input is
    /// used up. Call again with the rest after each `Some`.
    ///
    /// # Errors
    /// [`CapsuleError`] when the stream breaks the format; it cannot be resumed after that.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Capsule>, CapsuleError> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head(head) => {
                    let known = head.len();
                    head.extend_from_slice(&input[..input.len().min(HEAD_BYTES_MAX - known)]);
                    let mut rest = &head[..];
                    let parsed = take_varint(&mut rest).zip(take_varint(&mut rest));
                    let Some((kind, length)) = parsed else {
                        *input = &input[head.len() - known..];
                        continue;
                    };
                    *input = &input[head.len() - rest.len() - known..];
                    self.state = State::after_head(kind, length)?;
                }
                State::Skip(left) => {
                    let taken = input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *input = &input[taken..];
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::default();
                    }
                }
                State::Close { wanted, value } => {
                    let taken = input.len().min(*wanted - value.len());
                    value.extend_from_slice(&input[..taken]);
                    *input = &input[taken..];
                    if value.len() == *wanted {
                        let (code, reason) = value.split_at(4);
                        let code = code.iter().fold(0_u32, |code, byte| (code << 8) | u32::from(*byte));
                        let reason = String::from_utf8_lossy(reason).into_owned();
                        self.state = State::default();
                        return Ok(Some(Capsule::Close { code, reason }));
                    }
                }
            }
        }
        Ok(None)
    }
}

impl State {
    fn after_head(kind: u64, length: u64) -> Result<Self, CapsuleError> {
        if kind == CLOSE_SESSION {
            if !(4..=4 + REASON_BYTES_MAX as u64).contains(&length) {
                return Err(CapsuleError::CloseLength(length));
            }
            let wanted = 4 + usize::try_from(length - 4).unwrap_or(REASON_BYTES_MAX);
            return Ok(Self::Close { wanted, value: BytesMut::with_capacity(wanted) });
        }
        Ok(if length == 0 { Self::default() } else { Self::Skip(length) })
    }
}

/// A close capsule, ready for the CONNECT stream. A reason above [`REASON_BYTES_MAX`] is cut at the
/// last whole character that fits.
#[must_use]
pub fn encode_close(code: u32, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    let mut out = BytesMut::with_capacity(12 + reason.len());
    put_varint(&mut out, CLOSE_SESSION);
    put_varint(&mut out, 4 + reason.len() as u64);
    out.put_u32(code);
    out.extend_from_slice(reason.as_bytes());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn feed(pieces: &[&[u8]]) -> Result<Vec<Capsule>, CapsuleError> {
        let mut decoder = CapsuleDecoder::default();
        let mut found = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(capsule) = decoder.next(&mut rest)? {
                found.push(capsule);
            }
        }
        Ok(found)
    }

    #[test]
    fn a_close_capsule_has_the_bytes_of_the_draft() {
        assert_eq!(&encode_close(1, "a")[..], &[0x68, 0x43, 5, 0, 0, 0, 1, b'a']);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = "é".repeat(600);
        let found = feed(&[&encode_close(7, &reason)]).unwrap();
        assert_eq!(found, [Capsule::Close { code: 7, reason: "é".repeat(512) }]);
    }

    #[test]
    fn a_close_capsule_of_a_wrong_length_is_refused() {
        for length in [0_u64, 3, 1029, 1 << 40] {
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, CLOSE_SESSION);
            put_varint(&mut bytes, length);
            bytes.put_u8(0);
            assert_eq!(feed(&[&bytes]), Err(CapsuleError::CloseLength(length)));
        }
    }

    proptest! {
        #[test]
        fn unknown_capsules_are_skipped_and_any_split_reads_the_same(
            code: u32, reason in "[a-zé]{0,40}", unknown in 0x2844_u64..1 << 40, junk in 0_usize..300, cuts in proptest::collection::vec(0_usize..400, 0..8)
        ) {
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, unknown);
            put_varint(&mut bytes, junk as u64);
            bytes.extend(std::iter::repeat_n(0x28, junk));
            bytes.extend_from_slice(&encode_close(code, &reason));
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(feed(&pieces).unwrap(), vec![Capsule::Close { code, reason }]);
        }

        #[test]
        fn random_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut decoder = CapsuleDecoder::default();
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = decoder.next(&mut rest) {}
            if let State::Close { wanted, value } = &decoder.state {
                prop_assert!(value.len() < *wanted && *wanted <= 4 + REASON_BYTES_MAX);
            }
        }
    }
}

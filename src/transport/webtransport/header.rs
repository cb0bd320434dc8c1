//! The first bytes of a WebTransport stream or datagram: whose is it?
//!
//! Pure: bytes in, a verdict out. The router asks `StreamHead::parse` again whenever more bytes have
//! arrived, so a header that comes one byte at a time is read like any other, and nothing here waits.
//! Sources: draft-ietf-webtrans-http3 §4.2 and §4.3 (stream signals 0x54 and 0x41), RFC 9297 §2.1
//! (quarter stream id).

use bytes::{Buf, Bytes, BytesMut};
use duet_protocol::frame::{put_varint, take_varint};

/// Largest value a variable-length integer can carry: 2^62 − 1.
pub const VARINT_MAX: u64 = (1 << 62) - 1;

/// Signal value that opens a WebTransport bidirectional stream.
pub const SIGNAL_BIDI: u64 = 0x41;

/// Stream type that opens a WebTransport unidirectional stream.
pub const SIGNAL_UNI: u64 = 0x54;

/// Longest stream head: a two-byte signal and an eight-byte session id, with room for a padded signal.
pub const HEAD_BYTES_MAX: usize = 16;

/// Direction of a stream, seen from the client that opened it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both sides send.
    Bidi,
    /// Only the client sends.
    Uni,
}

/// What the first bytes of a stream say about its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamHead {
    /// The stream belongs to a WebTransport session; `length` bytes of head precede the payload.
    WebTransport {
        /// Stream id of the CONNECT request that opened the session.
        session: u64,
        /// Bytes the head takes, 2 to 16.
        length: usize,
    },
    /// The stream belongs to HTTP/3 itself: every byte read so far must be handed on untouched.
    Http3,
    /// The verdict needs more bytes.
    Incomplete,
}

impl StreamHead {
    /// Judges the first bytes of a stream. Total: any input has an answer, and `Incomplete` is given
    /// only below [`HEAD_BYTES_MAX`] bytes.
    #[must_use]
    pub fn parse(direction: Direction, bytes: &[u8]) -> Self {
        let mut rest = bytes;
        let Some(signal) = take_varint(&mut rest) else { return Self::Incomplete };
        let expected = match direction {
            Direction::Bidi => SIGNAL_BIDI,
            Direction::Uni => SIGNAL_UNI,
        };
        if signal != expected {
            return Self::Http3;
        }
        match take_varint(&mut rest) {
            Some(session) => Self::WebTransport { session, length: bytes.len() - rest.len() },
            None => Self::Incomplete,
        }
    }
}

/// Splits an HTTP datagram into the session it is for and its payload; `None` when it is malformed or
/// names a stream that cannot be a session.
#[must_use]
pub fn split_datagram(mut datagram: Bytes) -> Option<(u64, Bytes)> {
    let mut rest = &datagram[..];
    let quarter = take_varint(&mut rest)?;
    let session = quarter.checked_mul(4).filter(|session| *session <= VARINT_MAX)?;
    let head = datagram.len() - rest.len();
    datagram.advance(head);
    Some((session, datagram))
}

/// Puts the quarter stream id of `session` before `payload`.
#[must_use]
pub fn join_datagram(session: u64, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + payload.len());
    put_varint(&mut out, session / 4);
    out.extend_from_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_is_incomplete_until_its_last_byte() {
        let head = [0x40, 0x41, 0x80, 0, 0, 4, b'x'];
        for cut in 0..6 {
            assert_eq!(
                StreamHead::parse(Direction::Bidi, &head[..cut]),
                StreamHead::Incomplete,
                "cut at {cut}"
            );
        }
        assert_eq!(
            StreamHead::parse(Direction::Bidi, &head),
            StreamHead::WebTransport { session: 4, length: 6 }
        );
    }

    #[test]
    fn a_signal_counts_only_in_its_own_direction() {
        assert_eq!(StreamHead::parse(Direction::Uni, &[0x40, 0x41, 0]), StreamHead::Http3);
        assert_eq!(StreamHead::parse(Direction::Bidi, &[0x40, 0x54, 0]), StreamHead::Http3);
        assert_eq!(StreamHead::parse(Direction::Bidi, &[0x01]), StreamHead::Http3);
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_verdict_within_the_bound(bytes in proptest::collection::vec(any::<u8>(), 0..32), uni: bool) {
            let direction = if uni { Direction::Uni } else { Direction::Bidi };
            match StreamHead::parse(direction, &bytes) {
                StreamHead::Incomplete => prop_assert!(bytes.len() < HEAD_BYTES_MAX),
                StreamHead::WebTransport { length, .. } => prop_assert!(length <= bytes.len() && length <= HEAD_BYTES_MAX),
                StreamHead::Http3 => prop_assert!(!bytes.is_empty()),
            }
        }

        #[test]
        fn datagrams_keep_their_session_and_payload(quarter in 0..VARINT_MAX / 4, payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            let joined = join_datagram(quarter * 4, &payload);
            let (session, rest) = split_datagram(joined).unwrap();
            prop_assert_eq!(session, quarter * 4);
            prop_assert_eq!(&rest[..], &payload[..]);
        }
    }
}

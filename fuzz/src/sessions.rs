//! WebTransport's own bytes: capsules, heads of streams and datagrams, SETTINGS. The files are the product's, taken by
//! path, so that nothing of QUIC or TLS has to be built and instrumented to judge them.

#[path = "../../src/transport/webtransport/capsule.rs"]
#[allow(dead_code, unreachable_pub)]
mod product_capsule;
#[path = "../../src/transport/webtransport/header.rs"]
#[allow(dead_code, unreachable_pub)]
mod product_header;
#[path = "../../src/transport/webtransport/settings.rs"]
#[allow(dead_code, unreachable_pub)]
mod product_settings;

use bytes::Bytes;
use product_capsule::{Capsule, CapsuleDecoder, CapsuleError, REASON_BYTES_MAX, encode_close};
use product_header::{Direction, HEAD_BYTES_MAX, StreamHead, join_datagram, split_datagram};
use product_settings::{DIALECTS, extend};

/// Capsules are the same however the stream is cut, and a close can be said again in the same meaning.
///
/// The first byte says how the rest is cut.
pub fn capsule(input: &[u8]) {
    let Some((&cut, stream)) = input.split_first() else { return };
    let whole = read(stream, stream.len().max(1));
    assert_eq!(whole, read(stream, usize::from(cut).max(1)), "the cut changed what was read");
    for Capsule::Close { code, reason } in whole.0 {
        if reason.len() <= REASON_BYTES_MAX {
            let again = encode_close(code, &reason);
            let wanted = (vec![Capsule::Close { code, reason }], Ok(()));
            assert_eq!(read(&again, again.len()), wanted, "a close changed on its way");
        }
    }
}

/// The head of a stream gets a verdict within its bound, more bytes never change it, and a datagram keeps its session.
pub fn header(input: &[u8]) {
    for direction in [Direction::Bidi, Direction::Uni] {
        let verdict = StreamHead::parse(direction, input);
        match verdict {
            StreamHead::Incomplete => assert!(input.len() < HEAD_BYTES_MAX, "a verdict that never comes"),
            StreamHead::WebTransport { length, .. } => assert!(length <= input.len().min(HEAD_BYTES_MAX)),
            StreamHead::Http3 => assert!(!input.is_empty()),
        }
        for end in 0..input.len().min(HEAD_BYTES_MAX) {
            let early = StreamHead::parse(direction, &input[..end]);
            assert!(early == StreamHead::Incomplete || early == verdict, "later bytes changed a verdict");
        }
    }
    if let Some((session, payload)) = split_datagram(Bytes::copy_from_slice(input)) {
        let joined = join_datagram(session, &payload);
        assert_eq!(split_datagram(joined), Some((session, payload)), "a datagram changed on its way");
    }
}

/// Adding to SETTINGS twice is adding once, and what is no SETTINGS frame passes unchanged.
pub fn settings(input: &[u8]) {
    let head = Bytes::copy_from_slice(input);
    let once = extend(&head, &DIALECTS);
    assert_eq!(extend(&once, &DIALECTS), once, "settings were added twice");
    assert!(once.len() >= head.len() || input.first() == Some(&0), "something was taken away");
}

fn read(stream: &[u8], cut: usize) -> (Vec<Capsule>, Result<(), CapsuleError>) {
    let mut decoder = CapsuleDecoder::default();
    let mut capsules = Vec::new();
    for piece in stream.chunks(cut) {
        let mut rest = piece;
        loop {
            match decoder.next(&mut rest) {
                Ok(Some(capsule)) => capsules.push(capsule),
                Ok(None) => break,
                Err(error) => return (capsules, Err(error)),
            }
        }
    }
    (capsules, Ok(()))
}

//! The link between the nodes: what the other end may send, although it holds a certificate.

use bytes::Bytes;
use duet::core::{ClusterId, Nonce, PeerMessage, Side};
use duet::peer::hello::{Greeting, HEAD_BYTES, REST_BYTES_MAX, VERSIONS};
use duet::peer::{Lane, frame};

/// A frame that is understood is said again in the same meaning, holds no more than came, and belongs to its lane; a greeting
/// gets a verdict, and nobody of another pair a good one.
///
/// The first byte chooses the lane; the rest is a frame without its length, and a greeting.
pub fn peer(input: &[u8]) {
    let Some((&lane, rest)) = input.split_first() else { return };
    let lane = if lane % 2 == 0 { Lane::Pulse } else { Lane::Log };
    if let Some(length) = rest.first_chunk() {
        if let Ok(length) = frame::frame_length(lane, *length) {
            assert!((1..=frame::FRAME_BYTES_MAX).contains(&length), "a frame of {length} bytes");
        }
    }
    let bytes = Bytes::copy_from_slice(rest);
    if let Ok(message) = frame::decode(lane, &bytes) {
        if let PeerMessage::Append(append) = &message {
            let held: usize = append.entries.iter().map(Bytes::len).sum();
            assert!(held <= rest.len() && append.entries.len() <= rest.len(), "more than came");
        }
        let encoded = frame::encode(&message).expect("what was read can be written");
        assert_eq!(encoded.lane, lane, "a message changed its lane");
        let again: Bytes = encoded.chunks.concat().into();
        assert_eq!(again.len(), encoded.bytes, "the size of a frame is wrong");
        let again = frame::decode(lane, &again.slice(frame::LENGTH_BYTES..));
        assert_eq!(again, Ok(message), "a message changed on its way");
    }
    greeting(rest);
}

fn greeting(input: &[u8]) {
    let (cluster, nonce) = (ClusterId([0x64; 16]), Nonce([1; 16]));
    let ours = Greeting { cluster, versions: VERSIONS, side: Side::A, nonce };
    let Some((head, rest)) = input.split_first_chunk::<HEAD_BYTES>() else { return };
    match ours.check_head(head) {
        Ok(length) => {
            assert_eq!(head[..16], cluster.0, "another pair was let in");
            assert!(length <= REST_BYTES_MAX, "a greeting of {length} bytes");
            if let Ok((version, _)) = ours.check_rest(rest.get(..length).unwrap_or(rest)) {
                assert!((VERSIONS.min..=VERSIONS.max).contains(&version), "an unknown version is spoken");
            }
        }
        Err(_) => drop(ours.check_rest(rest)),
    }
}

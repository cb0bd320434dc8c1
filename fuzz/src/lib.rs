//! What must hold for any bytes at all. Each law takes raw input and panics when it is broken; the programs under
//! `targets/` do nothing but hand libFuzzer's input to one of them.
//!
//! A law says more than "does not crash": whatever is understood must be said again in the same meaning, and how the
//! network cuts a stream must not change what is read from it.
#![forbid(unsafe_code)]

mod client;
mod ledger;
mod operations;
mod peer;
mod script;
mod sessions;
mod snapshots;

pub use client::client;
pub use operations::operations;
pub use peer::peer;
pub use sessions::{capsule, header, settings};
pub use snapshots::snapshot;

use bytes::{Bytes, BytesMut};
use duet::core::Entry;
use duet_protocol::frame::{MAX_FRAME_BYTES, lane_prefix, put_varint, take_varint, varint_len};
use duet_protocol::{Command, Delivery, EventBody, Frame, FrameDecoder, FrameError};

/// Frames are the same however the stream is cut, a refusal is the same too, and nothing above the limit is held.
///
/// The first byte says how the rest is cut.
pub fn frame(input: &[u8]) {
    let Some((&cut, stream)) = input.split_first() else { return };
    let whole = read(stream, stream.len().max(1));
    let pieces = read(stream, usize::from(cut).max(1));
    assert_eq!(whole, pieces, "the cut changed what was read");
    for frame in &whole.0 {
        assert!(frame.body.len() < MAX_FRAME_BYTES, "a frame above the limit was let through");
        let encoded = Frame::encode(frame.kind, &frame.body);
        let again = read(&encoded, encoded.len());
        assert_eq!(again, (vec![frame.clone()], Ok(())), "a frame read from its own encoding differs");
        if let Some(Ok(inflated)) = frame.inflate() {
            let bytes: usize = inflated.iter().map(|frame| frame.body.len() + 2).sum();
            let bound = duet_protocol::deflate::INFLATED_BYTES_MAX;
            assert!(bytes <= bound, "a few bytes inflated to {bytes}");
        }
        if let Some(Ok((lane, inner))) = frame.unwrap_lane() {
            let (_, bare) = Frame::split(&Frame::encode(inner.kind, &inner.body));
            let wrapped = [lane_prefix(lane, bare.len()), bare].concat();
            let (frames, end) = read(&wrapped, wrapped.len());
            assert_eq!(end, Ok(()), "a wrapped frame was refused");
            let unwrapped = frames.first().and_then(Frame::unwrap_lane);
            assert_eq!(unwrapped, Some(Ok((lane, inner))), "a lane changed its frame");
        }
    }
}

/// A varint read is a varint that can be written, in no more bytes than it came in.
pub fn varint(input: &[u8]) {
    let mut rest = input;
    while let Some(value) = take_varint(&mut rest) {
        let mut out = BytesMut::new();
        put_varint(&mut out, value);
        assert_eq!(out.len(), varint_len(value), "the announced length is wrong");
        assert_eq!(take_varint(&mut out.freeze()), Some(value), "a varint changed on its way");
    }
    let announced = rest.first().map_or(1, |first| 1_usize << (first >> 6));
    assert!(rest.len() < announced, "a whole varint was left");
}

/// The first byte is the kind, the rest its body: the form of a datagram. What is understood keeps its meaning.
pub fn command(input: &[u8]) {
    let Ok(frame) = Frame::from_datagram(Bytes::copy_from_slice(input)) else { return };
    if let Ok(Some(command)) = Command::decode(&frame) {
        let again = single(&command.encode());
        assert_eq!(Command::decode(&again), Ok(Some(command)), "a command changed on its way");
    }
}

/// As [`command`], in the other direction: a client must survive any server.
pub fn delivery(input: &[u8]) {
    let Ok(frame) = Frame::from_datagram(Bytes::copy_from_slice(input)) else { return };
    if let Ok(Some(delivery)) = Delivery::decode(&frame) {
        let again = single(&delivery.encode());
        assert_eq!(Delivery::decode(&again), Ok(Some(delivery)), "a delivery changed on its way");
    }
}

/// The first two bytes are the kind, big-endian, the rest the body of an event.
pub fn event(input: &[u8]) {
    let Some((kind, body)) = input.split_first_chunk::<2>() else { return };
    if let Ok(Some(event)) = EventBody::decode(u16::from_be_bytes(*kind), body) {
        let (kind, body) = event.encode();
        assert_eq!(EventBody::decode(kind, &body), Ok(Some(event)), "an event changed on its way");
    }
}

/// An entry of the log that can be read is written again as it was meant; a damaged one is refused, not believed.
pub fn entry(input: &[u8]) {
    if let Ok(entry) = Entry::decode(input) {
        let encoded = entry.encode();
        assert_eq!(Entry::decode(&encoded), Ok(entry), "an entry changed on its way");
    }
}

/// Every frame of the stream, handed over in pieces of `cut` bytes, and how it ended.
fn read(stream: &[u8], cut: usize) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut decoder = FrameDecoder::default();
    let mut frames = Vec::new();
    for piece in stream.chunks(cut) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
        assert!(decoder.pending_bytes() <= MAX_FRAME_BYTES + 8, "more than one frame is held back");
    }
    (frames, Ok(()))
}

/// The one frame that an encoder of ours made.
fn single(encoded: &[u8]) -> Frame {
    match read(encoded, encoded.len()) {
        (mut frames, Ok(())) if frames.len() == 1 => frames.remove(0),
        other => panic!("an encoder of ours made {other:?}"),
    }
}

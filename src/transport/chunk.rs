//! Whole frames in one piece of bytes, as a WebSocket message or the body of a request brings them: out of their
//! wrappers, lane by lane.

use super::{
    connection::{Inbound, Lane, Misbehaved},
    outbox::Outbox,
    outbox_state::WrappedLane,
};
use bytes::{Bytes, BytesMut};
use duet_protocol::FrameDecoder;
use std::collections::VecDeque;

/// Takes the frames of `bytes` and appends them to `inbound`; opens the wrapped lanes that they name, at most
/// `lanes_max`.
///
/// # Errors
/// [`Misbehaved`] when the bytes are no frames, or end inside one.
pub(super) fn take_frames(
    bytes: &[u8],
    outbox: &Outbox,
    lanes_max: usize,
    inbound: &mut VecDeque<Inbound>,
) -> Result<(), Misbehaved> {
    let lane = Lane::CONTROL;
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes);
    while let Some(frame) = decoder.next().map_err(|error| Misbehaved::Frame { lane, error })? {
        let Some(unwrapped) = frame.unwrap_lane() else {
            inbound.push_back(Inbound::Frame { lane, frame });
            continue;
        };
        let (number, frame) = unwrapped.map_err(|error| Misbehaved::Frame { lane, error })?;
        let lane = Lane::wrapped(number).ok_or(Misbehaved::TooManyLanes)?;
        match outbox.lock().open_wrapped(lane, lanes_max) {
            WrappedLane::TooMany => return Err(Misbehaved::TooManyLanes),
            WrappedLane::New => inbound.push_back(Inbound::LaneOpened { lane }),
            WrappedLane::Known => {}
        }
        inbound.push_back(Inbound::Frame { lane, frame });
    }
    if decoder.pending_bytes() > 0 { Err(Misbehaved::CutShort(lane)) } else { Ok(()) }
}

/// One piece of many; a single one is not copied.
pub(super) fn join(chunks: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(chunks) {
        Ok([chunk]) => chunk,
        Err(chunks) => {
            let mut message = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
            chunks.iter().for_each(|chunk| message.extend_from_slice(chunk));
            message.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_is_sent_without_being_copied() {
        let frame = Bytes::from_static(b"frame");
        assert_eq!(join(vec![frame.clone()]).as_ptr(), frame.as_ptr());
        assert_eq!(join(vec![frame.clone(), frame]), "frameframe");
    }
}

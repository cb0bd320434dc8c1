//! Laws of the frames, and their golden bytes.

use super::*;
use crate::core::{Acked, Beat, Cfg, ClusterId, Echo, InSync, Nonce, Position, Side, StoreId};

fn cfg() -> Cfg {
    Cfg {
        ver: 3,
        epoch: 2,
        primary: Side::B,
        in_sync: InSync::alone(Side::B, StoreId([5; 16])),
        holder: Nonce([6; 16]),
        cluster: ClusterId([7; 16]),
    }
}

fn position() -> Position {
    Position { epoch: 2, index: 300, chain: 0x0102_0304_0506_0708 }
}

fn echo() -> Echo {
    Echo {
        epoch: 2,
        nonce: Nonce([8; 16]),
        store: StoreId([9; 16]),
        sent_ms: 70_000,
        acked: 299,
        applied: Position::default(),
        end: position(),
    }
}

fn append(entries: &[&[u8]]) -> AppendEntries {
    let entries = entries.iter().map(|entry| Bytes::copy_from_slice(entry)).collect();
    AppendEntries { epoch: 2, prev: position(), entries, commit: 299 }
}

fn messages() -> Vec<PeerMessage> {
    let beat = Beat { epoch: 2, holder: Nonce([6; 16]), commit: 1, end: 2, sent_ms: 3, cfg: cfg() };
    let large = [7_u8; 70_000];
    vec![
        PeerMessage::Beat(beat),
        PeerMessage::Echo(echo()),
        PeerMessage::Stale { max_epoch: u64::MAX },
        PeerMessage::Told(Some(cfg())),
        PeerMessage::Leaving(Nonce([6; 16])),
        PeerMessage::Acked(Acked { epoch: 2, nonce: Nonce([8; 16]), upto: 300 }),
        PeerMessage::Rewind(echo()),
        PeerMessage::Resync { epoch: 2, reigns: vec![(1, 1), (2, 300)] },
        PeerMessage::Append(append(&[])),
        PeerMessage::Append(append(&[b"one", b"", &large, b"two", &large])),
    ]
}

fn bytes(message: &PeerMessage) -> (Lane, Vec<u8>) {
    let encoded = encode(message).unwrap();
    let bytes: Vec<u8> = encoded.chunks.iter().flatten().copied().collect();
    assert_eq!(bytes.len(), encoded.bytes, "the size that a queue counts is the size that is sent");
    (encoded.lane, bytes)
}

fn read(lane: Lane, bytes: &[u8]) -> Result<PeerMessage, FrameError> {
    let (length, frame) = bytes.split_first_chunk().unwrap();
    assert_eq!(frame_length(lane, *length)?, frame.len());
    decode(lane, &Bytes::copy_from_slice(frame))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_message_comes_back_as_it_was() {
    for message in messages() {
        let (lane, bytes) = bytes(&message);
        assert_eq!(read(lane, &bytes), Ok(message));
    }
}

#[test]
fn the_bytes_are_those_of_the_document() {
    let (fives, sixes, sevens) = ("05".repeat(16), "06".repeat(16), "07".repeat(16));
    let cfg = format!("0302010001{fives}{sixes}{sevens}");
    let position = "02fb2c01fd0807060504030201";
    let echo = format!("02{}{}fc70110100fb2b01000000{position}", "08".repeat(16), "09".repeat(16));
    let golden = [
        format!("0000004a 01 02{sixes} 01 02 03 {cfg}"),
        format!("0000003a 02 {echo}"),
        "0000000a 03 fdffffffffffffffff".to_owned(),
        format!("00000037 04 01{cfg}"),
        format!("00000011 09 {sixes}"),
        format!("00000015 05 02{} fb2c01", "08".repeat(16)),
        format!("0000003a 06 {echo}"),
        "00000009 07 02 02 0101 02fb2c01".to_owned(),
        format!("00000014 08 12 02{position}fb2b01 00"),
        format!("0000001f 08 12 02{position}fb2b01 02 00000003 6f6e65 00000000"),
    ];
    let mut messages = messages();
    messages.truncate(9);
    messages.push(PeerMessage::Append(append(&[b"one", b""])));
    assert_eq!(messages.len(), golden.len());
    for (message, wanted) in messages.into_iter().zip(golden) {
        assert_eq!(hex(&bytes(&message).1), wanted.replace(' ', ""), "{message:?}");
    }
}

#[test]
fn every_reign_that_a_log_remembers_fits_into_one_message() {
    let reigns = (0..crate::core::REIGNS_MAX as u64).map(|at| (u64::MAX - at, u64::MAX - at)).collect();
    let message = PeerMessage::Resync { epoch: u64::MAX, reigns };
    let (lane, bytes) = bytes(&message);
    assert_eq!(read(lane, &bytes), Ok(message));
}

#[test]
fn a_message_in_the_wrong_lane_is_refused() {
    for message in messages() {
        let (lane, bytes) = bytes(&message);
        let other = if lane == Lane::Log { Lane::Pulse } else { Lane::Log };
        let refused = read(other, &bytes);
        assert!(matches!(refused, Err(FrameError::Kind { .. } | FrameError::TooLong { .. })), "{refused:?}");
    }
}

#[test]
fn a_frame_cut_short_or_with_something_behind_it_is_refused() {
    for message in messages() {
        let (lane, bytes) = bytes(&message);
        let frame = Bytes::from(bytes).slice(LENGTH_BYTES..);
        for end in (0..frame.len()).rev().take(300).chain(0..frame.len().min(300)) {
            assert!(decode(lane, &frame.slice(..end)).is_err(), "{message:?} cut at {end}");
        }
        let longer = Bytes::from([&frame[..], &[0]].concat());
        assert!(decode(lane, &longer).is_err(), "{message:?}");
    }
}

#[test]
fn a_limit_is_a_limit_on_both_sides() {
    let entry = Bytes::from(vec![0; ENTRY_BYTES_MAX]);
    let batch = |entries| PeerMessage::Append(AppendEntries { entries, ..append(&[]) });
    assert!(encode(&batch(vec![entry.clone(); FRAME_BYTES_MAX / ENTRY_BYTES_MAX - 1])).is_ok());
    let refused = encode(&batch(vec![entry; FRAME_BYTES_MAX / ENTRY_BYTES_MAX]));
    assert!(matches!(refused, Err(FrameError::TooLong { what: "a batch", .. })));
    let refused = encode(&batch(vec![Bytes::from(vec![0; ENTRY_BYTES_MAX + 1])]));
    assert!(matches!(refused, Err(FrameError::TooLong { what: "an entry", .. })));
    let refused = encode(&batch(vec![Bytes::new(); ENTRIES_MAX + 1]));
    assert!(matches!(refused, Err(FrameError::Entries(_))));

    for lane in [Lane::Pulse, Lane::Log] {
        assert_eq!(frame_length(lane, [0; 4]), Err(FrameError::Empty));
        assert!(frame_length(lane, u32::MAX.to_be_bytes()).is_err());
    }
    let small = Bytes::from([&[BEAT][..], &[0; SMALL_BYTES_MAX]].concat());
    assert!(matches!(decode(Lane::Pulse, &small), Err(FrameError::TooLong { .. })));
}

#[test]
fn a_batch_that_claims_more_than_it_holds_costs_nothing() {
    let head = AppendHead { epoch: 1, prev: position(), commit: 0, count: 60_000 };
    let head = codec::encode(&head);
    let frame = [&[APPEND, u8::try_from(head.len()).unwrap()][..], &head, &[0, 0, 0, 1]].concat();
    assert_eq!(decode(Lane::Log, &frame.into()), Err(FrameError::Batch));
}

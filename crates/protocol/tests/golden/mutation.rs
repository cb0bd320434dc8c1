//! What no input may do: panic, slip in bytes behind a value, or claim memory that it does not bring.
//!
//! Every vector is damaged, at random and by intent. A failure prints the smallest input that shows it.

use bytes::Bytes;
use duet_protocol::codec::MAX_MEMORY_BYTES;
use duet_protocol::frame::{MAX_FRAME_BYTES, put_varint};
use duet_protocol::{CodecError, Command, Delivery, EventBody, Frame, FrameDecoder};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::reader::{Seen, read_body_noting_counts};
use crate::schema::Schema;
use crate::vectors::cut;
use crate::{commands, deliveries, events};

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_096) })]

    #[test]
    fn a_damaged_body_is_refused_or_is_a_value_that_survives_a_second_trip(
        (body, damages) in (select(bodies()), prop::collection::vec(damage(), 1..4)),
    ) {
        let mut bytes = body.bytes.clone();
        for damage in &damages {
            damage.inflict(&mut bytes);
        }
        if let Some(again) = body.reader.reencode(&bytes) {
            prop_assert_eq!(body.reader.reencode(&again), Some(again.clone()), "not stable");
            prop_assert!(again.len() <= bytes.len(), "longer than what was read");
            for extra in [0x00, 0x01, 0xff] {
                let longer = [&bytes[..], &[extra]].concat();
                prop_assert_eq!(body.reader.outcome(&longer), Err(CodecError::Trailing(1)));
            }
        }
    }

    #[test]
    fn a_damaged_stream_never_panics_and_never_hoards(
        (mut stream, damages, cut) in (streams(), prop::collection::vec(damage(), 0..4), 1usize..4_000),
    ) {
        for damage in &damages {
            damage.inflict(&mut stream);
        }
        let mut decoder = FrameDecoder::default();
        'pieces: for piece in stream.chunks(cut) {
            decoder.push(piece);
            loop {
                match decoder.next() {
                    Ok(Some(frame)) => look_at(&frame),
                    Ok(None) => break,
                    Err(_) => break 'pieces,
                }
            }
            prop_assert!(decoder.pending_bytes() < MAX_FRAME_BYTES + 8);
        }
    }
}

#[test]
fn no_beginning_of_a_body_is_a_body() {
    for body in bodies() {
        for end in 0..body.bytes.len() {
            let refused = body.reader.outcome(&body.bytes[..end]);
            assert!(matches!(refused, Err(CodecError::Malformed(_))), "{} up to {end}", body.name);
        }
    }
}

#[test]
fn every_count_is_refused_before_memory_is_taken_for_it() {
    let schema = Schema::of_source();
    let mut tried = 0;
    for body in bodies() {
        let (table, variant) = body.reader.row();
        let (module, shape) = Schema::body_of(table, variant);
        let (mut seen, mut counts) = (Seen::new(), Vec::new());
        read_body_noting_counts(&schema, module, &shape, &body.bytes, &mut seen, &mut counts);
        for (start, end) in counts {
            for claim in [MAX_MEMORY_BYTES as u64 + 1, u64::from(u32::MAX), 1 << 40, u64::MAX] {
                let claim = duet_protocol::codec::encode(&claim);
                let bytes = [&body.bytes[..start], &claim, &body.bytes[end..]].concat();
                let refused = Err(CodecError::Malformed("a length goes beyond the limit".into()));
                assert_eq!(body.reader.outcome(&bytes), refused, "{} at {start}", body.name);
                tried += 1;
            }
        }
    }
    assert!(tried > 1_000, "only {tried} counts were found");
}

#[test]
fn a_frame_above_the_limit_is_refused_by_its_length_alone() {
    for length in [MAX_FRAME_BYTES as u64 + 1, 1 << 20, (1 << 62) - 1] {
        let mut header = bytes::BytesMut::new();
        put_varint(&mut header, length);
        let mut decoder = FrameDecoder::default();
        decoder.push(&header);
        assert_eq!(decoder.next(), Err(duet_protocol::FrameError::TooLarge(length)));
    }
}

/// A body of a vector, and what reads it.
#[derive(Debug, Clone)]
struct Body {
    name: String,
    bytes: Vec<u8>,
    reader: Reads,
}

#[derive(Debug, Clone, Copy)]
enum Reads {
    Command(u8),
    Delivery(u8),
    Event(u16),
}

impl Reads {
    fn outcome(self, bytes: &[u8]) -> Result<bool, CodecError> {
        let frame = |kind| Frame { kind, body: Bytes::copy_from_slice(bytes) };
        match self {
            Self::Command(kind) => Command::decode(&frame(kind)).map(|found| found.is_some()),
            Self::Delivery(kind) => Delivery::decode(&frame(kind)).map(|found| found.is_some()),
            Self::Event(kind) => EventBody::decode(kind, bytes).map(|found| found.is_some()),
        }
    }

    /// The bytes of the value that was read, if one was.
    fn reencode(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let frame = |kind| Frame { kind, body: Bytes::copy_from_slice(bytes) };
        let body = |encoded: Bytes| cut(&encoded).body.to_vec();
        match self {
            Self::Command(kind) => Command::decode(&frame(kind)).ok()?.map(|read| body(read.encode())),
            Self::Delivery(kind) => Delivery::decode(&frame(kind)).ok()?.map(|read| body(read.encode())),
            Self::Event(kind) => EventBody::decode(kind, bytes).ok()?.map(|read| read.encode().1),
        }
    }

    fn row(self) -> (&'static str, &'static str) {
        fn name<K: Copy + PartialEq>(kinds: &[(K, &'static str)], kind: K) -> &'static str {
            kinds.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name).unwrap()
        }
        match self {
            Self::Command(kind) => ("Command", name(Command::KINDS, kind)),
            Self::Delivery(kind) => ("Delivery", name(Delivery::KINDS, kind)),
            Self::Event(kind) => ("EventBody", name(EventBody::KINDS, kind)),
        }
    }
}

fn bodies() -> Vec<Body> {
    let commands = commands::all().into_iter().map(|(name, sample)| Body {
        name,
        bytes: cut(&sample.encode()).body.to_vec(),
        reader: Reads::Command(sample.kind()),
    });
    let deliveries = deliveries::all().into_iter().map(|(name, sample)| Body {
        name,
        bytes: cut(&sample.encode()).body.to_vec(),
        reader: Reads::Delivery(sample.kind()),
    });
    let events = events::all().into_iter().map(|(name, sample)| {
        let (kind, bytes) = sample.encode();
        Body { name, bytes, reader: Reads::Event(kind) }
    });
    commands.chain(deliveries).chain(events).collect()
}

/// A few whole frames, one behind the other.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let commands = commands::all().into_iter().map(|(_, sample)| sample.encode());
    let frames: Vec<Bytes> = commands.chain(deliveries::all().into_iter().map(|(_, s)| s.encode())).collect();
    prop::collection::vec(select(frames), 1..6).prop_map(|frames| frames.concat())
}

/// Decodes in every way that a peer could cause.
fn look_at(frame: &Frame) {
    let inner = frame.unwrap_lane().and_then(Result::ok).map(|(_, inner)| inner);
    for frame in std::iter::once(frame).chain(&inner) {
        let _ = Command::decode(frame);
        if let Ok(Some(Delivery::Event(event))) = Delivery::decode(frame) {
            let _ = event.decode_body();
        }
    }
}

#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Cut(Index),
    Repeat(Index, Index),
}

impl Damage {
    fn inflict(&self, bytes: &mut Vec<u8>) {
        let place = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
        match self {
            Self::Set(at, value) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *value;
            }
            Self::Flip(at, bit) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << (bit % 8);
            }
            Self::Insert(at, new) => {
                let at = place(at, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = place(at, bytes);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
            Self::Repeat(from, to) => {
                let (from, to) = (place(from, bytes), place(to, bytes));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, piece);
            }
            Self::Set(..) | Self::Flip(..) => {}
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let telling = select(vec![0x00, 0x01, 0x02, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff]);
    let few = prop::collection::vec(any::<u8>(), 1..9);
    prop_oneof![
        (any::<Index>(), telling).prop_map(|(at, value)| Damage::Set(at, value)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (any::<Index>(), few).prop_map(|(at, new)| Damage::Insert(at, new)),
        (any::<Index>(), 1usize..9).prop_map(|(at, count)| Damage::Remove(at, count)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

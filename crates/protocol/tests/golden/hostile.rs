//! Malformed input and the way in which it must fail; what every client must refuse as well.

use duet_protocol::command::Ping;
use duet_protocol::delivery::{Availability, Connectivity, ConversationKind, Status};
use duet_protocol::hello::Role;
use duet_protocol::{CodecError, Command, Delivery, EventBody, Frame, FrameDecoder, FrameError, codec};

use crate::given::CONVERSATION;
use crate::reader::unhex;

/// An input and the outcome that is expected of it.
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    pub(crate) form: Form,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: &'static str,
}

/// Where the bytes arrive.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// On a stream, at a server or a client alike.
    Stream,
    /// On a stream that carries lanes.
    Lane,
    /// As a datagram.
    Datagram,
    /// On a stream, at a server: a whole frame.
    Command,
    /// On a stream, at a client: a whole frame.
    Delivery,
    /// As the body of an event of this kind.
    Event(u16),
}

impl Form {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Lane => "lane",
            Self::Datagram => "datagram",
            Self::Command => "command",
            Self::Delivery => "delivery",
            Self::Event(_) => "event",
        }
    }

    pub(crate) fn event_kind(self) -> Option<u16> {
        if let Self::Event(kind) = self { Some(kind) } else { None }
    }
}

impl Hostile {
    /// What the code makes of the bytes.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.form {
            Form::Datagram => {
                Frame::from_datagram(self.bytes.clone().into()).map_or_else(framing, |_| "frame")
            }
            Form::Event(kind) => body(EventBody::decode(kind, &self.bytes)),
            Form::Stream => {
                self.cut().map_or_else(framing, |frame| if frame.is_some() { "frame" } else { "incomplete" })
            }
            Form::Lane => match self.cut().unwrap().unwrap().unwrap_lane() {
                Some(unwrapped) => unwrapped.map_or_else(framing, |_| "frame"),
                None => "frame",
            },
            Form::Command => body(Command::decode(&self.cut().unwrap().unwrap())),
            Form::Delivery => body(Delivery::decode(&self.cut().unwrap().unwrap())),
        }
    }

    fn cut(&self) -> Result<Option<Frame>, FrameError> {
        let mut decoder = FrameDecoder::default();
        decoder.push(&self.bytes);
        decoder.next()
    }
}

/// Every malformed input.
pub(crate) fn all() -> Vec<Hostile> {
    let mut inputs = framings();
    inputs.extend(commands());
    inputs.extend(lists_and_texts());
    inputs.extend(deliveries());
    inputs.extend(events());
    inputs
}

fn framing(error: FrameError) -> &'static str {
    match error {
        FrameError::TooLarge(_) => "tooLarge",
        FrameError::Empty => "empty",
        FrameError::BadLane => "badLane",
        FrameError::BadDeflate => "badDeflate",
    }
}

fn body<T>(result: Result<Option<T>, CodecError>) -> &'static str {
    match result.map(|found| found.is_some()) {
        Ok(true) => "accepted",
        Ok(false) => "unknown",
        Err(CodecError::Malformed(_)) => "malformed",
        Err(CodecError::Trailing(_)) => "trailing",
    }
}

fn given(name: &'static str, form: Form, hex: &str, expected: &'static str) -> Hostile {
    Hostile { name, form, bytes: unhex(hex), expected }
}

/// A whole frame around a body.
fn framed(name: &'static str, form: Form, kind: u8, body: &str, expected: &'static str) -> Hostile {
    Hostile { name, form, bytes: Frame::encode(kind, &unhex(body)).to_vec(), expected }
}

fn framings() -> Vec<Hostile> {
    vec![
        given("nothing-yet", Form::Stream, "", "incomplete"),
        given("half-a-length", Form::Stream, "80 00 40", "incomplete"),
        given("half-a-body", Form::Stream, "03 03 01", "incomplete"),
        given("length-zero", Form::Stream, "00", "empty"),
        given("length-zero-in-eight-bytes", Form::Stream, "c0 00 00 00 00 00 00 00", "empty"),
        given("length-one-above-the-limit", Form::Stream, "80 01 00 01", "tooLarge"),
        given("length-of-one-megabyte", Form::Stream, "80 10 00 00", "tooLarge"),
        given("length-of-all-ones", Form::Stream, "ff ff ff ff ff ff ff ff", "tooLarge"),
        given("length-longer-than-needed", Form::Stream, "40 01 03", "frame"),
        given("lane-without-number", Form::Lane, "01 01", "badLane"),
        given("lane-with-half-a-number", Form::Lane, "02 01 40", "badLane"),
        given("lane-zero", Form::Lane, "04 01 00 03 00", "badLane"),
        given("lane-one-above-the-highest", Form::Lane, "0b 01 c0 00 00 00 40 00 00 00 03 00", "badLane"),
        given("lane-above-32-bits", Form::Lane, "0b 01 c0 00 00 01 00 00 00 00 03 00", "badLane"),
        given("lane-without-frame", Form::Lane, "02 01 05", "empty"),
        given("lane-in-a-lane", Form::Lane, "05 01 05 01 06 03", "badLane"),
        given("datagram-of-nothing", Form::Datagram, "", "empty"),
    ]
}

fn commands() -> Vec<Hostile> {
    let ping = crate::reader::hex(&Command::Ping(Ping { nonce: 7 }).encode()[2..]);
    let id = crate::reader::hex(&CONVERSATION.0);
    let command = Form::Command;
    vec![
        framed("kind-of-nobody", command, 0x3f, "01 02 03", "unknown"),
        framed("kind-of-the-other-direction", command, 0x42, "00", "unknown"),
        framed("kind-zero", command, 0x00, "", "unknown"),
        framed("kind-above-both-ranges", command, 0xff, "", "unknown"),
        framed("ping-without-body", command, 0x03, "", "malformed"),
        framed("ping-with-one-byte-more", command, 0x03, &format!("{ping} 00"), "trailing"),
        framed("integer-cut-short", command, 0x03, "fd 01 02 03 04 05 06 07", "malformed"),
        framed("integer-longer-than-needed", command, 0x03, "fb 05 00", "accepted"),
        framed("integer-of-128-bits", command, 0x03, &format!("fe {}", "00 ".repeat(16)), "malformed"),
        framed("integer-mark-255", command, 0x03, "ff 00 00 00 00 00 00 00 00", "malformed"),
        framed("u32-in-eight-bytes", command, 0x07, "fd 01 00 00 00 00 00 00 00 01", "malformed"),
        framed("bool-of-two", command, 0x07, "01 02", "malformed"),
        framed("option-of-two", command, 0x0b, &format!("01 {id} 02"), "malformed"),
        framed("enum-without-such-a-variant", command, 0x05, "01 04", "malformed"),
        framed("stage-without-such-a-number", command, 0x0c, &format!("01 {id} 04"), "malformed"),
        framed("conversation-of-no-known-kind", command, 0x08, &format!("01 {id} 04 00 00"), "malformed"),
        framed("enum-variant-above-32-bits", command, 0x05, "01 fd 00 00 00 00 01 00 00 00", "malformed"),
        framed("id-cut-short", command, 0x10, &id[2..], "malformed"),
        framed("open-without-start", command, 0x10, &id, "malformed"),
        framed("goodbye-with-a-body", command, 0x0d, "00", "trailing"),
        framed("close-with-a-body", command, 0x13, "00", "trailing"),
    ]
}

fn lists_and_texts() -> Vec<Hostile> {
    let command = Form::Command;
    let text = |bytes: &str, count: usize| format!("01 01 {count:02x} {bytes}");
    vec![
        framed("text-not-utf-8", command, 0x04, "01 02 ff fe", "malformed"),
        framed("text-longer-than-the-body", command, 0x04, "01 05 61 62", "malformed"),
        framed("text-of-four-gigabytes", command, 0x04, "01 fc ff ff ff ff 61", "malformed"),
        framed("text-of-all-ones", command, 0x04, "01 fd ff ff ff ff ff ff ff ff 61", "malformed"),
        framed("list-of-all-ones", command, 0x06, "01 fd ff ff ff ff ff ff ff ff 01 61", "malformed"),
        framed("list-with-fewer-items", command, 0x06, "01 02 01 61", "malformed"),
        framed("list-with-more-items", command, 0x06, "01 01 01 61 01 62", "trailing"),
        framed("user-empty", command, 0x06, &text("", 0), "malformed"),
        framed("user-with-a-line-break", command, 0x06, &text("61 0a 62", 3), "malformed"),
        framed("user-with-a-c1-control", command, 0x06, &text("c2 85", 2), "malformed"),
        framed("user-of-65-bytes", command, 0x06, &text(&"61 ".repeat(65), 65), "malformed"),
        framed("user-of-64-bytes", command, 0x06, &text(&"61 ".repeat(64), 64), "accepted"),
        framed("device-with-a-space", command, 0x02, "01 01 00 00 03 61 20 62 01 78 00 00", "malformed"),
        framed("hello-with-the-shortest-names", command, 0x02, "01 01 00 00 01 61 01 78 00 00", "accepted"),
    ]
}

fn deliveries() -> Vec<Hostile> {
    let delivery = Form::Delivery;
    vec![
        framed("server-kind-of-nobody", delivery, 0x7f, "01 02 03", "unknown"),
        framed("server-kind-of-the-other-direction", delivery, 0x03, "00", "unknown"),
        framed("done-without-body", delivery, 0x44, "", "malformed"),
        framed("done-with-one-byte-more", delivery, 0x44, "01 00", "trailing"),
        framed("code-above-16-bits", delivery, 0x56, "fc 00 00 01 00 00", "malformed"),
        framed("subject-without-such-a-variant", delivery, 0x45, "03 00 00 00", "malformed"),
        framed("presence-of-a-later-server", delivery, 0x4b, "01 61 04 fb 00 01 00 00", "accepted"),
        framed("caught-up-cut-short", delivery, 0x52, "fc 00 00 01", "malformed"),
    ]
}

fn events() -> Vec<Hostile> {
    vec![
        given("event-of-an-unknown-kind", Form::Event(1_000), "01 02 03", "unknown"),
        given("event-of-kind-zero", Form::Event(0), "", "unknown"),
        given("event-without-body", Form::Event(1), "", "malformed"),
        given("event-status-of-a-later-server", Form::Event(6), "04", "accepted"),
        given("event-status-above-32-bits", Form::Event(6), "fd 00 00 00 00 01 00 00 00", "malformed"),
        given("event-with-one-byte-more", Form::Event(6), "03 00", "trailing"),
    ]
}

#[test]
fn a_variant_of_a_later_server_is_read_as_what_the_document_names() {
    let read = |name: &str| {
        let found = all().into_iter().find(|input| input.name == name).expect("a vector of that name");
        (found.cut(), found.bytes)
    };
    let (frame, _) = read("presence-of-a-later-server");
    let Ok(Some(Delivery::Presence(presence))) = Delivery::decode(&frame.unwrap().unwrap()) else {
        panic!("no presence");
    };
    assert_eq!((presence.availability, presence.connectivity), (Availability::Busy, Connectivity::Idle));
    let (_, body) = read("event-status-of-a-later-server");
    let Ok(Some(EventBody::StatusChanged(changed))) = EventBody::decode(6, &body) else {
        panic!("no status")
    };
    assert_eq!(changed.status, Status::Active);
    let (kind, role): (ConversationKind, Role) = (codec::decode(&[4]).unwrap(), codec::decode(&[4]).unwrap());
    assert_eq!((kind, role), (ConversationKind::Group, Role::Visitor));
}

//! `vectors/*.json` against the samples: same bytes, same values, nothing missing, nothing extra.

use std::collections::BTreeSet;
use std::path::Path;

use duet_protocol::frame::{LANE_MAX, MAX_FRAME_BYTES, lane_prefix};
use duet_protocol::{Command, Delivery, EventBody, Frame, FrameDecoder};

use crate::given::MESSAGE;
use crate::reader::{Seen, camel, hex, lower_first, quoted, read_body, to_json};
use crate::schema::Schema;
use crate::{commands, deliveries, events, hostile};

/// How values are written; repeated at the head of every file.
const RULE: &str = "Fields in wire order, names in lowerCamelCase. u8, u16, u32: numbers. u64: decimal strings. Bytes: hexadecimal. \
     Ids of 16 bytes: UUID text. Absent: null. Enums: lowerCamelCase, as {name: value} if they carry one. Codes: numbers.";

#[test]
fn the_frames_file_holds_the_bytes_and_values_of_every_sample() {
    let schema = Schema::of_source();
    let client = commands::all().into_iter().map(|(name, sample)| {
        let (encoded, variant) = (sample.encode(), name_of(Command::KINDS, sample.kind()));
        assert_eq!(Command::decode(&cut(&encoded)), Ok(Some(sample)), "{name}");
        frame_row(&schema, "client", "Command", &name, variant, &encoded)
    });
    let server = deliveries::all().into_iter().map(|(name, sample)| {
        let (encoded, variant) = (sample.encode(), name_of(Delivery::KINDS, sample.kind()));
        assert_eq!(Delivery::decode(&cut(&encoded)), Ok(Some(sample)), "{name}");
        frame_row(&schema, "server", "Delivery", &name, variant, &encoded)
    });
    check("frames.json", "frames", &client.chain(server).collect::<Vec<_>>());
}

#[test]
fn the_events_file_holds_the_bytes_and_values_of_every_sample() {
    let schema = Schema::of_source();
    let rows = events::all().into_iter().map(|(name, sample)| {
        let (kind, body) = sample.encode();
        assert_eq!(EventBody::decode(kind, &body), Ok(Some(sample)), "{name}");
        let variant = name_of(EventBody::KINDS, kind);
        let (module, shape) = Schema::body_of("EventBody", variant);
        let value = to_json(&schema, module, &shape, &body);
        row(&[
            ("name", quoted(&name)),
            ("kind", kind.to_string()),
            ("kindName", quoted(&lower_first(variant))),
            ("hex", quoted(&hex(&body))),
            ("value", value),
        ])
    });
    check("events.json", "events", &rows.collect::<Vec<_>>());
}

#[test]
fn the_carriers_file_holds_every_form_in_which_a_frame_travels() {
    let mut rows = Vec::new();
    for body in [0, 1, 62, 63, 64, 16_382, 16_383, 16_384, MAX_FRAME_BYTES - 1] {
        let encoded = Frame::encode(0x7f, &vec![0x5a; body]);
        let frame = cut(&encoded);
        assert_eq!((frame.kind, frame.body.len()), (0x7f, body));
        let (header, _) = Frame::split(&encoded);
        rows.push(row(&[
            ("name", quoted(&format!("carrier/length-{}", body + 1))),
            ("form", quoted("stream")),
            ("header", quoted(&hex(&header))),
            ("kind", "127".into()),
            ("body", format!("{{\"byte\":\"5a\",\"times\":{body}}}")),
        ]));
    }
    let inner = Command::Ping(duet_protocol::command::Ping { nonce: 251 }).encode();
    let (_, inner) = Frame::split(&inner);
    for lane in [1, 63, 64, 16_383, 16_384, LANE_MAX] {
        let mut wrapped = lane_prefix(lane, inner.len()).to_vec();
        wrapped.extend_from_slice(&inner);
        let unwrapped = cut(&wrapped).unwrap_lane().unwrap().unwrap();
        assert_eq!((unwrapped.0, unwrapped.1.kind, &unwrapped.1.body[..]), (lane, inner[0], &inner[1..]));
        rows.push(carried(&format!("lane-{lane}"), "lane", Some(lane), &wrapped, &inner));
    }
    for (name, encoded) in wrapped() {
        let (_, inner) = Frame::split(&encoded);
        let bytes = [&lane_prefix(1, inner.len())[..], &inner].concat();
        assert_eq!(cut(&bytes).unwrap_lane(), Some(Ok((1, cut(&encoded)))), "{name}");
        rows.push(carried(&format!("lane-1-{name}"), "lane", Some(1), &bytes, &inner));
    }
    for (name, encoded) in datagrams() {
        let (_, datagram) = Frame::split(&encoded);
        let frame = Frame::from_datagram(datagram.clone()).unwrap();
        assert_eq!(frame, cut(&encoded), "{name}");
        rows.push(carried(&format!("datagram-{name}"), "datagram", None, &datagram, &datagram));
    }
    check("carriers.json", "carriers", &rows);
}

#[test]
fn the_hostile_file_says_how_each_malformed_input_fails() {
    let rows = hostile::all().into_iter().map(|input| {
        let found = input.outcome();
        assert_eq!(found, input.expected, "{}", input.name);
        row(&[
            ("name", quoted(&format!("hostile/{}", input.name))),
            ("form", quoted(input.form.name())),
            ("kind", input.form.event_kind().map_or("null".into(), |kind| kind.to_string())),
            ("hex", quoted(&hex(&input.bytes))),
            ("outcome", quoted(found)),
        ])
    });
    check("hostile.json", "hostile", &rows.collect::<Vec<_>>());
}

#[test]
fn every_kind_every_variant_and_both_sides_of_every_option_have_a_sample() {
    let seen: BTreeSet<u8> = commands::all().iter().map(|(_, sample)| sample.kind()).collect();
    assert_eq!(seen, Command::KINDS.iter().map(|(kind, _)| *kind).collect());
    let seen: BTreeSet<u8> = deliveries::all().iter().map(|(_, sample)| sample.kind()).collect();
    assert_eq!(seen, Delivery::KINDS.iter().map(|(kind, _)| *kind).collect());
    let seen: BTreeSet<u16> = events::all().iter().map(|(_, sample)| sample.encode().0).collect();
    assert_eq!(seen, EventBody::KINDS.iter().map(|(kind, _)| *kind).collect());

    let schema = Schema::of_source();
    let mut seen = Seen::new();
    for (_, sample) in commands::all() {
        let (module, shape) = Schema::body_of("Command", name_of(Command::KINDS, sample.kind()));
        read_body(&schema, module, &shape, &cut(&sample.encode()).body, &mut seen);
    }
    for (_, sample) in deliveries::all() {
        let (module, shape) = Schema::body_of("Delivery", name_of(Delivery::KINDS, sample.kind()));
        read_body(&schema, module, &shape, &cut(&sample.encode()).body, &mut seen);
    }
    for (_, sample) in events::all() {
        let (kind, body) = sample.encode();
        let (module, shape) = Schema::body_of("EventBody", name_of(EventBody::KINDS, kind));
        read_body(&schema, module, &shape, &body, &mut seen);
    }
    let missing: Vec<_> = schema.choices().into_iter().filter(|choice| !seen.contains(choice)).collect();
    assert_eq!(missing, Vec::<String>::new(), "no sample shows these");
}

#[test]
fn names_of_samples_are_unique_and_kinds_keep_to_their_ranges() {
    assert_eq!(MESSAGE.timestamp_ms(), Some(1_763_000_000_123), "the id of the samples is a UUIDv7");
    let mut names = BTreeSet::new();
    let all = commands::all().into_iter().map(|(name, _)| name);
    let all = all.chain(deliveries::all().into_iter().map(|(name, _)| name));
    for name in all.chain(events::all().into_iter().map(|(name, _)| name)) {
        assert!(names.insert(name.clone()), "{name} twice");
    }
    assert!(Command::KINDS.iter().all(|(kind, _)| (0x02..=0x3f).contains(kind)));
    assert!(Delivery::KINDS.iter().all(|(kind, _)| (0x40..=0x7f).contains(kind)));
}

/// The one frame that `bytes` are.
pub(crate) fn cut(bytes: &[u8]) -> Frame {
    let mut decoder = FrameDecoder::default();
    decoder.push(bytes);
    let frame = decoder.next().unwrap().unwrap();
    assert_eq!(decoder.pending_bytes(), 0, "more than one frame");
    frame
}

/// The text of a vectors file.
pub(crate) fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A conversation as it goes over a carrier that has no streams.
fn wrapped() -> Vec<(String, bytes::Bytes)> {
    let all = commands::all().into_iter().map(|(name, sample)| (name, sample.encode()));
    let all: Vec<_> =
        all.chain(deliveries::all().into_iter().map(|(name, sample)| (name, sample.encode()))).collect();
    let names = [
        "command/open-latest-50",
        "delivery/opened-new-support",
        "delivery/event-1-kind-2",
        "delivery/event-2-kind-3",
        "delivery/caught-up",
        "command/publish-text",
        "delivery/published-accepted",
        "delivery/event-3-kind-1",
        "command/receipt",
        "command/close",
        "delivery/unsubscribed-asked-for",
    ];
    let find =
        |wanted: &str| all.iter().find(|(name, _)| name == wanted).unwrap_or_else(|| panic!("{wanted}"));
    names.map(|wanted| (wanted.replace('/', "-"), find(wanted).1.clone())).into()
}

/// Signals, which may travel as datagrams.
fn datagrams() -> Vec<(String, bytes::Bytes)> {
    let short = |name: &str| name.split('/').next_back().unwrap_or(name).to_owned();
    let up = commands::all()
        .into_iter()
        .filter(|(_, sample)| matches!(sample, Command::Typing(_) | Command::Idle(_) | Command::Activity(_)));
    let up = up.map(|(name, sample)| (format!("up-{}", short(&name)), sample.encode()));
    let down = deliveries::all().into_iter().filter(|(_, sample)| matches!(sample, Delivery::Typing(_)));
    up.chain(down.map(|(name, sample)| (format!("down-{}", short(&name)), sample.encode()))).collect()
}

fn name_of<K: Copy + PartialEq>(kinds: &[(K, &'static str)], kind: K) -> &'static str {
    kinds.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name).unwrap()
}

fn frame_row(
    schema: &Schema,
    direction: &str,
    table: &str,
    name: &str,
    variant: &str,
    encoded: &[u8],
) -> String {
    let frame = cut(encoded);
    let (module, shape) = Schema::body_of(table, variant);
    row(&[
        ("name", quoted(name)),
        ("direction", quoted(direction)),
        ("kind", frame.kind.to_string()),
        ("kindName", quoted(&lower_first(variant))),
        ("hex", quoted(&hex(encoded))),
        ("value", to_json(schema, module, &shape, &frame.body)),
    ])
}

fn carried(name: &str, form: &str, lane: Option<u32>, bytes: &[u8], inner: &[u8]) -> String {
    row(&[
        ("name", quoted(&format!("carrier/{name}"))),
        ("form", quoted(form)),
        ("lane", lane.map_or("null".into(), |lane| lane.to_string())),
        ("hex", quoted(&hex(bytes))),
        ("kind", inner[0].to_string()),
        ("body", quoted(&hex(&inner[1..]))),
    ])
}

fn row(pairs: &[(&str, String)]) -> String {
    let pairs: Vec<_> =
        pairs.iter().map(|(name, value)| format!("{}: {value}", quoted(&camel(name)))).collect();
    format!("    {{\n      {}\n    }}", pairs.join(",\n      "))
}

/// Compares a file with what it should hold, or writes it when `DUET_BLESS` is set.
fn check(file: &str, list: &str, rows: &[String]) {
    let text = format!("{{\n  \"rule\": {},\n  \"{list}\": [\n{}\n  ]\n}}\n", quoted(RULE), rows.join(",\n"));
    if let Err(error) = serde_json::from_str::<serde_json::Value>(&text) {
        panic!("{file} would be no JSON: {error}");
    }
    if std::env::var_os("DUET_BLESS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(file);
        std::fs::write(path, text).unwrap();
        return;
    }
    let kept = read(file);
    if kept != text {
        let (at, (kept, now)) =
            kept.lines().zip(text.lines()).enumerate().find(|(_, (a, b))| a != b).unwrap_or((0, ("", "")));
        panic!("{file}, line {}: the file says {kept}, the code {now}", at + 1);
    }
}

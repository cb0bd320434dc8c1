//! `docs/protocol.md` against the code and the vectors: every table of kinds, fields, variants, codes and names, and
//! every example in hexadecimal. Whoever changes one of the three is told here which of the others to change.

use std::collections::BTreeMap;

use duet_protocol::deflate::INFLATED_BYTES_MAX;
use duet_protocol::frame::{LANE_MAX, MAX_DATAGRAM_BYTES, MAX_FRAME_BYTES, put_varint};
use duet_protocol::{
    Code, Command, Delivery, DeviceId, DisplayName, Emoji, EventBody, Label, TenantName, UserId, codec,
    event::format, hello,
};

use crate::markdown::{Document, Section};
use crate::reader::{camel, hex, lower_first, unhex};
use crate::schema::{Schema, Shape};
use crate::vectors;

const TEXT: &str = include_str!("../../../../docs/protocol.md");

#[test]
fn the_tables_of_kinds_are_those_of_the_code() {
    let document = Document::read(TEXT);
    let listed = |heading: &str| -> Vec<(String, String)> {
        let rows = document.section(heading).table(&["kind", "name"]);
        rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    };
    let bytes = |kinds: &[(u8, &str)]| -> Vec<(String, String)> {
        kinds.iter().map(|(kind, name)| (format!("{kind:#04x}"), (*name).to_owned())).collect()
    };
    assert_eq!(listed("Client frames"), bytes(Command::KINDS));
    assert_eq!(listed("Server frames"), bytes(Delivery::KINDS));
    let kinds: Vec<_> =
        EventBody::KINDS.iter().map(|(kind, name)| (kind.to_string(), (*name).to_owned())).collect();
    assert_eq!(listed("Events"), kinds);
}

#[test]
fn every_frame_event_and_type_has_its_table_of_fields_in_wire_order() {
    let (document, schema) = (Document::read(TEXT), Schema::of_source());
    let mut headings = BTreeMap::new();
    for (kind, name) in Command::KINDS {
        headings.insert(format!("{kind:#04x} {name}"), Schema::body_of("Command", name));
    }
    for (kind, name) in Delivery::KINDS {
        headings.insert(format!("{kind:#04x} {name}"), Schema::body_of("Delivery", name));
    }
    for (kind, name) in EventBody::KINDS {
        headings.insert(format!("Event {kind} {name}"), Schema::body_of("EventBody", name));
    }
    let described: Vec<_> =
        headings.values().filter_map(|(module, name)| key(&schema, module, name)).collect();
    for (module, name, _) in schema.types() {
        let here = (module.to_owned(), name.to_owned());
        if !described.contains(&here) && name != "Code" {
            headings.insert(name.to_owned(), (module_of(module), name.to_owned()));
        }
    }
    for (heading, (module, name)) in &headings {
        let shape = schema.shape(module, name).unwrap_or_else(|| panic!("no type {name}")).1;
        assert_eq!(rows_of(document.section(heading), shape), rows_in_source(shape), "under `{heading}`");
    }
    let known = |heading: &str| headings.contains_key(heading) || heading == "Code";
    let parents = ["Client frames", "Server frames", "Events", "Types"];
    let stray = document
        .sections()
        .filter(|section| parents.contains(&section.parent()) && !known(section.heading()));
    let stray: Vec<_> = stray.map(Section::heading).collect();
    assert_eq!(stray, Vec::<&str>::new(), "described, but not in the code");
}

#[test]
fn the_table_of_codes_is_that_of_the_code() {
    let document = Document::read(TEXT);
    let rows = document.section("Codes").table(&["code", "name", "retry", "meaning"]);
    let wanted: Vec<Vec<String>> = Code::ALL
        .iter()
        .map(|(number, name, retry, sentence)| {
            let retry = if *retry { "yes" } else { "no" };
            vec![number.to_string(), name.to_lowercase(), retry.to_owned(), (*sentence).to_owned()]
        })
        .collect();
    assert_eq!(rows, wanted);
}

#[test]
fn codes_named_in_the_text_exist() {
    let prose = TEXT.split("```").step_by(2).collect::<String>();
    let words = prose.split(|c: char| !c.is_alphanumeric() && c != '_');
    let code =
        |word: &&str| word.len() == 4 && word.starts_with(['1', '2', '3']) && word.parse::<u16>().is_ok();
    let ends = [1000, 1999, 2000, 2499, 2500, 2999, 3000, 3399, 3400, 3499, 3500, 3999, 1024, 1011];
    for number in words.filter(code).filter_map(|word| word.parse::<u16>().ok()) {
        let known = Code::ALL.iter().any(|row| row.0 == number) || ends.contains(&number);
        let source = TEXT.contains(&format!("RFC {number}"));
        assert!(known || source, "{number} is no code");
    }
}

#[test]
fn the_table_of_names_gives_the_rules_of_the_code() {
    let document = Document::read(TEXT);
    let rows = document.section("Names and ids").table(&["type", "encoding", "longest", "allowed"]);
    let longest = |name: &str| -> usize {
        rows.iter().find(|row| row[0] == name).and_then(|row| row[2].parse().ok()).unwrap()
    };
    assert_eq!(longest("TenantName"), TenantName::MAX_BYTES);
    assert_eq!(longest("UserId"), UserId::MAX_BYTES);
    assert_eq!(longest("DeviceId"), DeviceId::MAX_BYTES);
    assert_eq!(longest("DisplayName"), DisplayName::MAX_BYTES);
    assert_eq!(longest("Label"), Label::MAX_BYTES);
    assert_eq!(longest("Emoji"), Emoji::MAX_BYTES);
    for code in (0..=0x1f).chain(0x7f..=0x9f) {
        let text = char::from_u32(code).unwrap().to_string();
        assert!(UserId::parse(&text).is_err() && DisplayName::parse(&text).is_err(), "U+{code:04X}");
    }
    assert!(UserId::parse(" \u{a0}\u{200b}").is_ok() && DeviceId::parse("aZ9-_.:").is_ok());
}

#[test]
fn the_numbers_of_the_format_are_those_of_the_code() {
    let document = Document::read(TEXT);
    let rows = document.section("Limits of the format").table(&["name", "value"]);
    let wanted = [
        ("MAX_FRAME_BYTES", MAX_FRAME_BYTES as u64),
        ("MAX_DATAGRAM_BYTES", MAX_DATAGRAM_BYTES as u64),
        ("LANE_MAX", u64::from(LANE_MAX)),
        ("INFLATED_BYTES_MAX", INFLATED_BYTES_MAX as u64),
    ];
    let found: Vec<_> = rows.iter().map(|row| (row[0].as_str(), row[1].parse::<u64>().unwrap())).collect();
    assert_eq!(found, wanted);

    let bits = document.section("Capabilities").table(&["bit", "name"]);
    let bits: Vec<_> =
        bits.iter().map(|row| (1u64 << row[0].parse::<u32>().unwrap(), row[1].as_str())).collect();
    let known = [
        (hello::capability::DATAGRAMS, "DATAGRAMS"),
        (hello::capability::DEFLATE, "DEFLATE"),
        (hello::capability::AMENDMENTS, "AMENDMENTS"),
        (hello::capability::CALLS, "CALLS"),
        (hello::capability::BROADCASTS, "BROADCASTS"),
        (hello::capability::PRESENCE, "PRESENCE"),
        (hello::capability::IDENTIFY, "IDENTIFY"),
    ];
    assert_eq!(bits, known);
    assert_eq!([format::TEXT, format::JSON, format::BINARY, format::CARD], [0, 1, 2, 3], "see Content");
    assert_eq!(duet_protocol::VERSIONS, [1]);
    assert!(TEXT.contains(&format!("`{}`", String::from_utf8_lossy(duet_protocol::ALPN_NATIVE))));
    assert!(TEXT.contains(&format!("`{}`", duet_protocol::SUBPROTOCOL)));
}

#[test]
fn the_examples_of_integers_and_lengths_are_encoded_so() {
    let document = Document::read(TEXT);
    let mut examples = 0;
    for row in document.section("Examples of integers").table(&["value", "bytes"]) {
        assert_eq!(hex(&codec::encode(&row[0].parse::<u64>().unwrap())), row[1], "{}", row[0]);
        examples += 1;
    }
    for row in document.section("Examples of lengths").table(&["value", "bytes"]) {
        let mut bytes = bytes::BytesMut::new();
        put_varint(&mut bytes, row[0].parse().unwrap());
        assert_eq!(hex(&bytes), row[1], "{}", row[0]);
        examples += 1;
    }
    assert!(examples >= 15, "the examples are gone");
}

#[test]
fn every_example_in_hexadecimal_is_a_vector() {
    let kept: BTreeMap<String, String> =
        ["frames.json", "carriers.json"].iter().flat_map(|file| named(file)).collect();
    let blocks = Document::hex_blocks(TEXT);
    assert!(blocks.len() >= 25, "the examples are gone");
    for (name, digits) in blocks {
        assert_eq!(Some(&hex(&unhex(&digits))), kept.get(&name), "the example {name}");
    }
}

/// Name and bytes of each vector of a file.
fn named(file: &str) -> Vec<(String, String)> {
    let value: serde_json::Value = serde_json::from_str(&vectors::read(file)).unwrap();
    let lists = value.as_object().unwrap().values().filter_map(serde_json::Value::as_array);
    let text = |row: &serde_json::Value, key: &str| row[key].as_str().map(str::to_owned);
    lists.flatten().filter_map(|row| text(row, "name").zip(text(row, "hex"))).collect()
}

fn key(schema: &Schema, module: &str, name: &str) -> Option<(String, String)> {
    let name = name.rsplit("::").next().unwrap_or(name);
    schema.shape(module, name).map(|(module, _)| (module.to_owned(), name.to_owned()))
}

fn module_of(module: &str) -> &'static str {
    let known = ["hello", "command", "delivery", "event", "signal", "reject", "amend", "call", "ids"];
    known.into_iter().find(|name| *name == module).unwrap_or("command")
}

/// The first columns of a section's table, as the source would say them.
fn rows_of(section: &Section, shape: &Shape) -> Vec<Vec<String>> {
    let columns: &[&str] = match shape {
        Shape::Struct(fields) if fields.is_empty() => {
            assert!(section.text().contains("No fields."), "under `{}`", section.heading());
            return Vec::new();
        }
        Shape::Struct(_) => &["field", "type", "meaning"],
        Shape::Enum(_) => &["number", "variant", "carries", "meaning"],
    };
    let rows = section.table(columns).into_iter();
    rows.map(|row| row[..columns.len() - 1].iter().map(|cell| cell.trim_matches('`').to_owned()).collect())
        .collect()
}

fn rows_in_source(shape: &Shape) -> Vec<Vec<String>> {
    match shape {
        Shape::Struct(fields) => fields.iter().map(|(name, kind)| vec![camel(name), spoken(kind)]).collect(),
        Shape::Enum(variants) => {
            let row = |(number, (name, inner)): (usize, &(String, Option<String>))| {
                let carries = inner.as_deref().map_or_else(|| "nothing".to_owned(), spoken);
                vec![number.to_string(), lower_first(name), carries]
            };
            variants.iter().enumerate().map(row).collect()
        }
    }
}

/// A type as the document says it.
fn spoken(kind: &str) -> String {
    let inside = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
    match kind {
        "Vec<u8>" => "bytes".into(),
        "String" => "text".into(),
        _ => match (inside("Option<"), inside("Vec<")) {
            (Some(inner), _) => format!("optional {}", spoken(inner)),
            (_, Some(inner)) => format!("list of {}", spoken(inner)),
            _ => kind.rsplit("::").next().unwrap_or(kind).to_owned(),
        },
    }
}

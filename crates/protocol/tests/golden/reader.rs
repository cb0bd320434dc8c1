//! A second reader of bodies, made from `docs/protocol.md` and sharing no line with the first: it walks the
//! [schema](crate::schema) over the bytes and writes the JSON of the vectors. That both readers agree on every
//! vector shows that the JSON says what the bytes mean, field by field.

use std::collections::BTreeSet;

use crate::schema::{Schema, Shape};

/// Variants and options that were met, as [`Schema::choices`] spells them.
pub(crate) type Seen = BTreeSet<String>;

/// The JSON of a body of type `name`, declared or used in `module`.
///
/// # Panics
/// When the bytes are not such a body, or not all of them are used.
pub(crate) fn to_json(schema: &Schema, module: &str, name: &str, bytes: &[u8]) -> String {
    read_body(schema, module, name, bytes, &mut Seen::new())
}

/// The same, and notes every variant and option in `seen`.
pub(crate) fn read_body(schema: &Schema, module: &str, name: &str, bytes: &[u8], seen: &mut Seen) -> String {
    read_body_noting_counts(schema, module, name, bytes, seen, &mut Vec::new())
}

/// The same, and notes where the count of each text, list and byte string begins and ends.
pub(crate) fn read_body_noting_counts(
    schema: &Schema,
    module: &str,
    name: &str,
    bytes: &[u8],
    seen: &mut Seen,
    counts: &mut Vec<(usize, usize)>,
) -> String {
    let mut reader = Reader { schema, whole: bytes.len(), rest: bytes, seen, counts };
    let json = reader.value(module, name);
    assert!(reader.rest.is_empty(), "{name}: {} bytes left over", reader.rest.len());
    json
}

struct Reader<'a> {
    schema: &'a Schema,
    whole: usize,
    rest: &'a [u8],
    seen: &'a mut Seen,
    counts: &'a mut Vec<(usize, usize)>,
}

impl<'a> Reader<'a> {
    fn value(&mut self, module: &str, kind: &str) -> String {
        if let Some(inner) = generic(kind, "Option") {
            return match self.byte() {
                0 => "null".into(),
                1 => self.value(module, inner),
                tag => panic!("{tag} says neither absent nor present"),
            };
        }
        if kind == "Vec<u8>" {
            let bytes = self.counted();
            return quoted(&hex(bytes));
        }
        if let Some(inner) = generic(kind, "Vec") {
            let count = self.count();
            let items: Vec<_> = (0..count).map(|_| self.value(module, inner)).collect();
            return format!("[{}]", items.join(","));
        }
        match kind {
            "bool" => ["false", "true"][usize::from(self.byte())].into(),
            "u8" => self.byte().to_string(),
            "u16" | "u32" => self.integer().to_string(),
            "u64" => quoted(&self.integer().to_string()),
            "String" | "TenantName" | "UserId" | "DeviceId" | "DisplayName" | "Label" | "Emoji" => {
                let bytes = self.counted();
                serde_json::to_string(std::str::from_utf8(bytes).unwrap()).unwrap()
            }
            "ConversationId" | "SessionId" | "ClientMessageId" => quoted(&uuid(self.take(16))),
            _ => self.named(module, kind),
        }
    }

    fn named(&mut self, module: &str, kind: &str) -> String {
        let kind = kind.rsplit("::").next().unwrap_or(kind);
        let (module, shape) =
            self.schema.shape(module, kind).unwrap_or_else(|| panic!("no type {kind} in or beside {module}"));
        match shape {
            Shape::Struct(fields) if fields.len() == 1 && fields[0].0.is_empty() => {
                self.value(module, &fields[0].1)
            }
            Shape::Struct(fields) => {
                let pairs: Vec<_> = fields
                    .iter()
                    .map(|(name, inner)| {
                        let value = self.value(module, inner);
                        if inner.starts_with("Option") {
                            self.seen.insert(format!("{module}::{kind}.{name} {}", value != "null"));
                        }
                        format!("{}:{value}", quoted(&camel(name)))
                    })
                    .collect();
                format!("{{{}}}", pairs.join(","))
            }
            Shape::Enum(variants) => {
                let number = usize::try_from(self.integer()).unwrap();
                self.seen.insert(format!("{module}::{kind}::{}", variants[number].0));
                match &variants[number] {
                    (name, None) => quoted(&lower_first(name)),
                    (name, Some(inner)) => {
                        format!("{{{}:{}}}", quoted(&lower_first(name)), self.value(module, inner))
                    }
                }
            }
        }
    }

    fn integer(&mut self) -> u64 {
        let width = match self.byte() {
            small @ 0..=250 => return u64::from(small),
            251 => 2,
            252 => 4,
            253 => 8,
            mark => panic!("{mark} begins no integer of the protocol"),
        };
        let bytes = self.take(width);
        bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn count(&mut self) -> usize {
        let start = self.whole - self.rest.len();
        let count = self.integer();
        self.counts.push((start, self.whole - self.rest.len()));
        usize::try_from(count).unwrap()
    }

    fn counted(&mut self) -> &'a [u8] {
        let count = self.count();
        self.take(count)
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        taken
    }
}

/// Lower-case digits, two a byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits; spaces are allowed between bytes.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_else(|| panic!("no hex: {text}")) as u8;
    assert!(digits.len().is_multiple_of(2), "half a byte: {text}");
    digits.chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// `token_expires_ms` → `tokenExpiresMs`
pub(crate) fn camel(snake: &str) -> String {
    let mut parts = snake.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + &part[..1].to_uppercase() + &part[1..])
}

/// `NotFound` → `notFound`
pub(crate) fn lower_first(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

/// The text between quotes; for texts that need no escape.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

fn generic<'k>(kind: &'k str, outer: &str) -> Option<&'k str> {
    kind.strip_prefix(outer)?.strip_prefix('<')?.strip_suffix('>')
}

fn uuid(bytes: &[u8]) -> String {
    let text = hex(bytes);
    [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-")
}

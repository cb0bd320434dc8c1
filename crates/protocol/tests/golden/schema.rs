//! What the crate's source says about its types: fields and variants in wire order.
//!
//! Read from the source text, because names and order of fields exist nowhere at run time. It understands the
//! plain style in which the crate declares its types, and fails loudly on anything else.

use std::collections::BTreeMap;

/// A type that occurs on the wire, as the source spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Fields in order: name and type.
    Struct(Vec<(String, String)>),
    /// Variants in order: name and, if it carries something, the type of that.
    Enum(Vec<(String, Option<String>)>),
}

/// All wire types by module and name: two modules may use one name.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    types: BTreeMap<(String, String), Shape>,
}

/// The modules that declare wire types, and their text.
const SOURCES: [(&str, &str); 8] = [
    ("hello", include_str!("../../src/hello.rs")),
    ("command", include_str!("../../src/command.rs")),
    ("delivery", include_str!("../../src/delivery.rs")),
    ("event", include_str!("../../src/event.rs")),
    ("signal", include_str!("../../src/signal.rs")),
    ("reject", include_str!("../../src/reject.rs")),
    ("amend", include_str!("../../src/amend.rs")),
    ("call", include_str!("../../src/call.rs")),
];

impl Schema {
    /// The schema of the source as it was compiled into this test.
    pub(crate) fn of_source() -> Self {
        let mut schema = Self::default();
        for (module, text) in SOURCES {
            schema.read(module, text);
        }
        let position = vec![("epoch".into(), "u64".into()), ("seq".into(), "u64".into())];
        schema.types.insert(("ids".into(), "Position".into()), Shape::Struct(position));
        schema
    }

    /// The shape of a named type, looked up in its own module first.
    pub(crate) fn shape(&self, module: &str, name: &str) -> Option<(&str, &Shape)> {
        let name = name.rsplit("::").next().unwrap_or(name);
        let own = self.types.get_key_value(&(module.to_owned(), name.to_owned()));
        let found = own.or_else(|| self.types.iter().find(|((_, other), _)| other == name));
        found.map(|((module, _), shape)| (module.as_str(), shape))
    }

    /// The module and body type of a frame or event kind, from the table that declares it.
    pub(crate) fn body_of(table: &str, variant: &str) -> (&'static str, String) {
        let module = match table {
            "Command" => "command",
            "Delivery" => "delivery",
            _ => "event",
        };
        let text = SOURCES.iter().find(|(name, _)| *name == module).map(|(_, text)| *text).unwrap();
        let opening = format!(" {variant}(");
        let row = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(&opening))
            .unwrap_or_else(|| panic!("{table} has no row {variant}"));
        let body = row.split_once('(').and_then(|(_, rest)| rest.strip_suffix("),")).unwrap();
        (module, body.to_owned())
    }

    /// Every type with its module, for comparison with the document.
    pub(crate) fn types(&self) -> impl Iterator<Item = (&str, &str, &Shape)> {
        self.types.iter().map(|((module, name), shape)| (module.as_str(), name.as_str(), shape))
    }

    /// Every variant, and every option once absent and once present.
    pub(crate) fn choices(&self) -> Vec<String> {
        let mut choices = Vec::new();
        for (module, name, shape) in self.types() {
            match shape {
                Shape::Enum(variants) => {
                    choices
                        .extend(variants.iter().map(|(variant, _)| format!("{module}::{name}::{variant}")));
                }
                Shape::Struct(fields) => {
                    for (field, _) in fields.iter().filter(|(_, kind)| kind.starts_with("Option")) {
                        choices.extend([false, true].map(|some| format!("{module}::{name}.{field} {some}")));
                    }
                }
            }
        }
        choices
    }

    fn read(&mut self, module: &str, text: &str) {
        let mut lines = text.lines();
        let mut on_the_wire = false;
        while let Some(line) = lines.next() {
            if line.starts_with("#[derive(") {
                on_the_wire = line.contains("Encode");
            }
            let Some(rest) = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
            else {
                continue;
            };
            if !std::mem::take(&mut on_the_wire) {
                continue;
            }
            let name = rest.split([' ', '(', ';']).next().unwrap().to_owned();
            let shape = if rest.ends_with("{}") || rest.ends_with(");") {
                tuple_or_empty(rest)
            } else if line.starts_with("pub struct ") {
                Shape::Struct(block(&mut lines).iter().map(|row| field(row)).collect())
            } else {
                Shape::Enum(block(&mut lines).iter().map(|row| variant(row)).collect())
            };
            self.types.insert((module.to_owned(), name), shape);
        }
    }
}

/// `Name {}` has no fields; `Name(pub T);` has one without a name.
fn tuple_or_empty(rest: &str) -> Shape {
    let inner = rest.split_once('(').map(|(_, inner)| inner.trim_end_matches(");"));
    Shape::Struct(
        inner.map(|inner| (String::new(), inner.trim_start_matches("pub ").to_owned())).into_iter().collect(),
    )
}

/// The rows between the braces, without comments.
fn block<'a>(lines: &mut std::str::Lines<'a>) -> Vec<&'a str> {
    let rows = lines.map(str::trim).take_while(|line| *line != "}");
    rows.filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with('#')).collect()
}

fn field(row: &str) -> (String, String) {
    let row = row.strip_prefix("pub ").and_then(|row| row.strip_suffix(','));
    let (name, kind) =
        row.and_then(|row| row.split_once(": ")).unwrap_or_else(|| panic!("no field: {row:?}"));
    (name.to_owned(), kind.to_owned())
}

fn variant(row: &str) -> (String, Option<String>) {
    let row = row.strip_suffix(',').unwrap_or_else(|| panic!("no variant: {row}"));
    match row.split_once('(') {
        Some((name, inner)) => (name.to_owned(), Some(inner.trim_end_matches(')').to_owned())),
        None => (row.to_owned(), None),
    }
}

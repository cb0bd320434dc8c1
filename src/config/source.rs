//! Where settings come from: flags win over the environment, which wins over the file. Each remembers its place, so that an
//! error can name it. Nothing is interpreted here beyond TOML's own types.

use super::{
    ConfigError,
    keys::{KEYS, Key, nearest},
};
use std::{collections::BTreeMap, fmt, path::PathBuf};
use toml::de::{DeTable, DeValue};

/// Where a setting was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, counted from 1.
    File(PathBuf, usize),
    /// A variable of the environment.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A setting as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// Text, from anywhere. From the environment and flags it may stand for a number or, with commas, a list.
    Text(String),
    /// A number, from the file.
    Number(String),
    /// A list of texts, from the file.
    List(Vec<String>),
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Number(number) => f.write_str(number),
            Self::List(list) => write!(f, "{list:?}"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub raw: Raw,
    /// Its place.
    pub place: Place,
}

/// The settings of a table, by key.
pub(super) type Settings = BTreeMap<String, Setting>;

/// One `[[tenant]]`: its own settings and those of its keys.
#[derive(Debug, Clone)]
pub struct TenantTable {
    /// Where it begins.
    pub place: Place,
    /// `name`.
    pub settings: Settings,
    /// Each `[[tenant.key]]`, with its place.
    pub keys: Vec<(Place, Settings)>,
    /// Each `[[tenant.issuer]]`, with its place.
    pub issuers: Vec<(Place, Settings)>,
}

/// Everything that was set, not yet checked.
#[derive(Debug, Clone, Default)]
pub struct Source {
    /// By the names of [`KEYS`].
    pub settings: Settings,
    /// In the order of the file.
    pub tenants: Vec<TenantTable>,
}

impl Source {
    /// Reads the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// What is no TOML, has an unknown key or a value of a kind that no key takes.
    pub fn read_file(&mut self, path: PathBuf, text: &str) -> Result<(), ConfigError> {
        let reader = Reader { path, text };
        let table = DeTable::parse(text).map_err(|error| {
            let place = reader.place(error.span().map_or(0, |span| span.start));
            ConfigError::new("", place, error.message().to_owned())
        })?;
        for (name, value) in table.get_ref() {
            let place = reader.place(name.span().start);
            match value.get_ref() {
                DeValue::Array(tenants) if name.get_ref() == "tenant" => {
                    for tenant in tenants {
                        self.tenants
                            .push(reader.tenant(tenant.get_ref(), reader.place(tenant.span().start))?);
                    }
                }
                DeValue::Table(section) => self.read_section(&reader, name.get_ref(), section)?,
                other => self.set(name.get_ref(), reader.raw(name.get_ref(), other, &place)?, place)?,
            }
        }
        Ok(())
    }

    fn read_section(
        &mut self,
        reader: &Reader<'_>,
        prefix: &str,
        section: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        for (inner, value) in section {
            let full = format!("{prefix}.{}", inner.get_ref());
            let place = reader.place(inner.span().start);
            match value.get_ref() {
                // One level more, where a key has one.
                DeValue::Table(inside)
                    if KEYS.iter().any(|key| key.name.starts_with(&format!("{full}."))) =>
                {
                    self.read_section(reader, &full, inside)?;
                }
                value => self.set(&full, reader.raw(&full, value, &place)?, place)?,
            }
        }
        Ok(())
    }

    /// Takes every variable that begins with `DUET_`.
    ///
    /// # Errors
    /// A variable that belongs to no key.
    pub fn read_environment(
        &mut self,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (variable, value) in variables.filter(|(name, _)| name.starts_with("DUET_")) {
            if variable == CONFIG_VARIABLE {
                continue;
            }
            let place = Place::Environment(variable.clone());
            match KEYS.iter().find(|key| key.variable() == variable) {
                Some(key) => self.set(key.name, Raw::Text(value), place)?,
                None => {
                    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
                    let rule = unknown("variable", nearest(&variable, known.iter().map(String::as_str)));
                    return Err(ConfigError::new("", place, rule));
                }
            }
        }
        Ok(())
    }

    /// Takes one flag: `flag` as the user wrote it, for messages.
    ///
    /// # Errors
    /// A key that does not exist.
    pub fn read_flag(&mut self, flag: &str, key: &str, value: &str) -> Result<(), ConfigError> {
        self.set(key, Raw::Text(value.to_owned()), Place::Flag(flag.to_owned()))
    }

    fn set(&mut self, name: &str, raw: Raw, place: Place) -> Result<(), ConfigError> {
        if Key::find(name).is_none() {
            let known = KEYS.iter().map(|key| key.name).chain(["tenant"]);
            return Err(ConfigError::new(name, place, unknown("key", nearest(name, known))));
        }
        self.settings.insert(name.to_owned(), Setting { raw, place });
        Ok(())
    }
}

/// Names the file; it is not a key of the file itself.
pub const CONFIG_VARIABLE: &str = "DUET_CONFIG";

pub(super) fn unknown(what: &str, meant: Option<&str>) -> String {
    meant.map_or_else(
        || format!("there is no such {what}"),
        |name| format!("there is no such {what}; did you mean `{name}`?"),
    )
}

struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.as_bytes().iter().take(offset);
        Place::File(self.path.clone(), 1 + before.filter(|byte| **byte == b'\n').count())
    }

    fn raw(&self, name: &str, value: &DeValue<'_>, place: &Place) -> Result<Raw, ConfigError> {
        let wrong = |rule: &str| ConfigError::new(name, place.clone(), rule.to_owned());
        match value {
            DeValue::String(text) => Ok(Raw::Text(text.clone().into_owned())),
            DeValue::Integer(number) => Ok(Raw::Number(number.to_string())),
            DeValue::Array(items) => {
                let text = |item: &toml::Spanned<DeValue<'_>>| match item.get_ref() {
                    DeValue::String(text) => Ok(text.clone().into_owned()),
                    _ => Err(wrong("must be a list of texts")),
                };
                items.iter().map(text).collect::<Result<_, _>>().map(Raw::List)
            }
            _ if Key::find(name).is_none() => {
                let known = KEYS.iter().map(|key| key.name).chain(["tenant"]);
                Err(wrong(&unknown("key", nearest(name, known))))
            }
            _ => Err(wrong("must be a text, a whole number or a list of texts")),
        }
    }

    fn tenant(&self, value: &DeValue<'_>, place: Place) -> Result<TenantTable, ConfigError> {
        let DeValue::Table(table) = value else {
            return Err(ConfigError::new("tenant", place, "must be written as [[tenant]]".to_owned()));
        };
        let (settings, keys, issuers) = (Settings::new(), Vec::new(), Vec::new());
        let mut tenant = TenantTable { place, settings, keys, issuers };
        for (name, value) in table {
            let (name, place) = (name.get_ref(), self.place(name.span().start));
            match value.get_ref() {
                DeValue::Array(tables) if name == "issuer" => {
                    for table in tables {
                        let place = self.place(table.span().start);
                        let DeValue::Table(table) = table.get_ref() else {
                            let rule = "must be written as [[tenant.issuer]]".to_owned();
                            return Err(ConfigError::new("tenant.issuer", place, rule));
                        };
                        tenant.issuers.push((place, self.flat(table, "tenant.issuer")?));
                    }
                }
                DeValue::Array(keys) if name == "key" => {
                    for key in keys {
                        let place = self.place(key.span().start);
                        let DeValue::Table(table) = key.get_ref() else {
                            let rule = "must be written as [[tenant.key]]".to_owned();
                            return Err(ConfigError::new("tenant.key", place, rule));
                        };
                        tenant.keys.push((place, self.flat(table, "tenant.key")?));
                    }
                }
                value => {
                    let raw = self.raw(&format!("tenant.{name}"), value, &place)?;
                    tenant.settings.insert(name.clone().into_owned(), Setting { raw, place });
                }
            }
        }
        Ok(tenant)
    }

    fn flat(&self, table: &DeTable<'_>, prefix: &str) -> Result<Settings, ConfigError> {
        let one = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
            let name: &std::borrow::Cow<'_, str> = name.get_ref();
            let place = self.place(value.span().start);
            let raw = self.raw(&format!("{prefix}.{name}"), value.get_ref(), &place)?;
            Ok((name.clone().into_owned(), Setting { raw, place }))
        };
        table.iter().map(one).collect()
    }
}

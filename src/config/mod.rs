//! Configuration: `duet.toml`, then `DUET_…` in the environment, then flags; checked once, into types that cannot be wrong.
//!
//! An error names key, value, place and rule. A key that is not known is refused, because a slip of the finger in a limit
//! must not pass for that limit. Secrets are never part of a message or of [`Config::describe`].

mod arbiter;
mod check;
mod issuer;
mod keys;
mod pair;
mod source;
mod tenant;

pub use arbiter::{Arbiter, Etcd, Witness};
pub use issuer::{IssuerSource, TenantIssuer, may_fetch};
pub use keys::{KEYS, Key, TENANT_ISSUER_KEYS, TENANT_KEY_KEYS, TENANT_KEYS};
pub use pair::{Pair, is_endpoint};
pub use source::{CONFIG_VARIABLE, Place, Source};
pub use tenant::{KeyMaterial, Tenant, TenantKey};

use duet_protocol::DisplayName;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The node's name.
    pub node: DisplayName,
    /// Where everything durable lies.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// The certificate for clients; `None` only with `--dev`.
    pub tls: Option<TlsFiles>,
    /// Web origins whose pages may connect.
    pub origins: Vec<String>,
    /// Who may sign tokens for whom. With `--dev` the demo tenant comes on top.
    pub tenants: Vec<Tenant>,
    /// The numbers to obey.
    pub limits: Limits,
    /// The store's numbers.
    pub store: Store,
    /// The node's place in its pair, if it has one.
    pub pair: Option<Pair>,
    /// What is logged, and how.
    pub log: Log,
    /// Who decides which node of a pair is primary.
    pub arbiter: Arbiter,
    /// What `duet witness` is told.
    pub witness: Witness,
    /// A stopping node closes what is still open after this time.
    pub drain_deadline: Duration,
    /// Whether dev conveniences are on: minted certificate, demo tenant, demo page, tokens on loopback.
    pub dev: bool,
    /// Key, value and place of every setting, for people; no secrets.
    described: Vec<(&'static str, String, Place)>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For clients, UDP and TCP.
    pub clients: Vec<SocketAddr>,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// The demo page; used with `--dev` only.
    pub dev: Vec<SocketAddr>,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The numbers to obey; see [`KEYS`] for what each means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each field is the key of its name under `limits`, described in KEYS")]
pub struct Limits {
    pub message_bytes_max: u32,
    pub lanes_max: u32,
    pub streams_max: u32,
    pub ping_every_ms: u32,
    pub idle_timeout_ms: u32,
    pub hello_timeout_ms: u32,
    pub presence_grace_ms: u32,
    pub resume_window_ms: u32,
    pub session_ttl_ms: u64,
    pub dedup_window_ms: u32,
    pub dedup_entries_max: usize,
    pub typing_ttl_ms: u32,
    pub user_sessions_max: usize,
    pub members_max: usize,
    pub user_conversations_max: usize,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub outbox_bytes: usize,
}

/// The store's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    /// Page cache, bytes.
    pub cache_bytes: u64,
    /// Writes are refused while less than this is free, bytes.
    pub free_floor_bytes: u64,
    /// Log entries between two checkpoints at most.
    pub checkpoint_every: u64,
    /// Log entries kept behind the last checkpoint by a node that stands alone.
    pub log_keep: u64,
    /// Log entries kept at most, bytes.
    pub log_keep_bytes: u64,
    /// How long a node of a pair keeps log entries.
    pub log_keep_age: Duration,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A filter in the form of `tracing-subscriber`.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    Json,
    /// For people.
    Text,
    /// Text on a terminal, JSON otherwise.
    Auto,
}

/// A setting that cannot be used. The sentence names key, value, place and rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}{rule}", self.subject())]
pub struct ConfigError {
    key: String,
    value: Option<String>,
    place: Place,
    rule: String,
}

impl ConfigError {
    pub(crate) fn new(key: &str, place: Place, rule: String) -> Self {
        Self { key: key.to_owned(), value: None, place, rule }
    }

    fn with_value(mut self, value: String) -> Self {
        self.value = Some(value);
        self
    }

    fn subject(&self) -> String {
        match (&self.key, &self.value) {
            (key, _) if key.is_empty() => String::new(),
            (key, None) => format!("{key}: "),
            (key, Some(value)) => format!("{key} = {value}: "),
        }
    }
}

/// How a configuration is put together.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    /// The file that was named; otherwise `DUET_CONFIG`, otherwise `duet.toml` in the working directory if there is one.
    pub file: Option<PathBuf>,
    /// Flags in their order: as written, key, value.
    pub flags: Vec<(String, String, String)>,
    /// `--dev`.
    pub dev: bool,
    /// Whether a server is to be started with it: then a certificate and a tenant are required.
    pub serving: bool,
}

impl Config {
    /// Reads file, environment and flags, and checks them.
    ///
    /// # Errors
    /// [`ConfigError`] for the first setting that cannot be used, or a named file that cannot be read.
    pub fn load(
        arguments: &Arguments,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut source = Source::default();
        let variables: Vec<(String, String)> = environment.collect();
        let named = variables.iter().find(|(name, _)| name == CONFIG_VARIABLE);
        let (file, required) = match (&arguments.file, named) {
            (Some(file), _) => (file.clone(), true),
            (None, Some((_, file))) => (PathBuf::from(file), true),
            (None, None) => (PathBuf::from(DEFAULT_FILE), false),
        };
        match std::fs::read_to_string(&file) {
            Ok(text) => source.read_file(file, &text)?,
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ConfigError::new("", Place::File(file, 1), format!("cannot be read: {error}")));
            }
        }
        source.read_environment(variables.into_iter())?;
        for (flag, key, value) in &arguments.flags {
            source.read_flag(flag, key, value)?;
        }
        check::check(&source, arguments.dev, arguments.serving)
    }

    /// The effective configuration: key, value, place, one a line, and the tenants with the ids of their keys.
    /// No secrets.
    #[must_use]
    pub fn describe(&self) -> Vec<(String, String, String)> {
        let settings = self.described.iter();
        let mut lines: Vec<_> = settings
            .map(|(key, value, place)| ((*key).to_owned(), value.clone(), place.to_string()))
            .collect();
        for tenant in &self.tenants {
            let keys = tenant.keys.iter().map(TenantKey::describe);
            let keys: Vec<String> = keys.chain(tenant.issuers.iter().map(TenantIssuer::describe)).collect();
            lines.push((format!("tenant {}", tenant.name), keys.join(", "), tenant.place.to_string()));
        }
        lines
    }
}

/// Read from the working directory when no file is named.
pub const DEFAULT_FILE: &str = "duet.toml";

/// A path in the file is relative to the file; one from elsewhere to the working directory.
fn resolve(path: &str, place: &Place) -> PathBuf {
    match place {
        Place::File(file, _) => file.parent().unwrap_or(Path::new("")).join(path),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests;

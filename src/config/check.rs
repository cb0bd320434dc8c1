//! From what was written to what it means: each key through one typed question, with its rule in words.

use super::{
    Config, ConfigError, Key, Limits, Listen, Log, LogFormat, Place, Source, Store, TlsFiles, resolve,
    source::{Raw, Setting},
    tenant,
};
use duet_protocol::DisplayName;
use std::{net::SocketAddr, ops::RangeInclusive, time::Duration};

/// Checks everything that was set.
///
/// # Errors
/// [`ConfigError`] for the first setting that cannot be used.
pub(super) fn check(source: &Source, dev: bool, serving: bool) -> Result<Config, ConfigError> {
    let mut ask = Ask { source, dev, serving, described: Vec::new() };
    let node = ask
        .parsed("node", "1 to 128 bytes without control characters", |text| DisplayName::parse(text).ok())?;
    let data_dir = ask.text("data_dir").map(|(text, place)| resolve(&text, &place))?;
    let listen = ask.listen()?;
    let origins = ask.origins()?;
    let limits = ask.limits()?;
    let store = Store {
        cache_bytes: ask.number("store.cache_mib", 8..=65_536)? << 20,
        free_floor_bytes: ask.number("store.free_floor_mib", 0..=1_048_576)? << 20,
        checkpoint_every: ask.number("store.checkpoint_every", 64..=65_536)?,
        log_keep: ask.number("store.log_keep", 0..=100_000_000)?,
        log_keep_bytes: ask.number("store.log_keep_bytes", 1 << 20..=1 << 40)?,
        log_keep_age: Duration::from_secs(3_600 * ask.number::<u64>("store.log_keep_hours", 0..=8_760)?),
    };
    let log = Log {
        level: ask.parsed("log.level", "a level, or a filter such as `info,duet=debug`", |text| {
            text.parse::<tracing_subscriber::filter::Targets>().is_ok().then(|| text.to_owned())
        })?,
        format: ask.parsed("log.format", "json, text or auto", |text| match text {
            "json" => Some(LogFormat::Json),
            "text" => Some(LogFormat::Text),
            "auto" => Some(LogFormat::Auto),
            _ => None,
        })?,
    };
    let pair = ask.pair()?;
    let arbiter = ask.arbiter()?;
    let witness = ask.witness()?;
    let drain_deadline = Duration::from_millis(ask.number("drain.deadline_ms", 0..=600_000)?);
    // What is missing is said after what is wrong.
    let tls = ask.tls()?;
    let tenants = tenant::check(&source.tenants)?;
    if tenants.is_empty() && serving && !dev {
        let rule = "at least one [[tenant]] with a [[tenant.key]] is required, or --dev for a demo tenant";
        return Err(ConfigError::new("tenant", Place::Default, rule.to_owned()));
    }
    let described = ask.described;
    Ok(Config {
        node,
        data_dir,
        listen,
        tls,
        origins,
        tenants,
        limits,
        store,
        pair,
        log,
        arbiter,
        witness,
        drain_deadline,
        dev,
        described,
    })
}

/// Asks for settings, each with its rule; remembers what was asked, for [`Config::describe`].
pub(super) struct Ask<'a> {
    source: &'a Source,
    dev: bool,
    serving: bool,
    described: Vec<(&'static str, String, Place)>,
}

impl Ask<'_> {
    pub(super) fn setting(&mut self, name: &'static str) -> Setting {
        let default = || {
            let text = match name {
                "listen.clients" if self.dev => "127.0.0.1:4433,[::1]:4433",
                _ => Key::find(name).map_or("", |key| key.default),
            };
            Setting { raw: Raw::Text(text.to_owned()), place: Place::Default }
        };
        let setting = self.source.settings.get(name).cloned().unwrap_or_else(default);
        let shown = match &setting.raw {
            Raw::Text(text) | Raw::Number(text) => text.clone(),
            Raw::List(list) => list.join(","),
        };
        self.described.push((name, shown, setting.place.clone()));
        setting
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<(String, Place), ConfigError> {
        let setting = self.setting(name);
        match &setting.raw {
            Raw::Text(text) => Ok((text.clone(), setting.place)),
            _ => Err(refuse(name, &setting, "must be a text")),
        }
    }

    pub(super) fn parsed<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let setting = self.setting(name);
        let found = match &setting.raw {
            Raw::Text(text) => parse(text),
            _ => None,
        };
        found.ok_or_else(|| refuse(name, &setting, &format!("must be {rule}")))
    }

    pub(super) fn number<T>(&mut self, name: &'static str, range: RangeInclusive<T>) -> Result<T, ConfigError>
    where
        T: TryFrom<u64> + PartialOrd + std::fmt::Display,
    {
        let setting = self.setting(name);
        let found = match &setting.raw {
            Raw::Text(text) | Raw::Number(text) => text.parse::<u64>().ok(),
            Raw::List(_) => None,
        };
        let found = found.and_then(|number| T::try_from(number).ok()).filter(|number| range.contains(number));
        let rule = format!("must be a whole number from {} to {}", range.start(), range.end());
        found.ok_or_else(|| refuse(name, &setting, &rule))
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        rule: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<(Vec<T>, Setting), ConfigError> {
        let setting = self.setting(name);
        let texts: Vec<String> = match &setting.raw {
            Raw::List(list) => list.clone(),
            Raw::Text(text) => {
                text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
            }
            Raw::Number(_) => return Err(refuse(name, &setting, &format!("must be {rule}"))),
        };
        let wrong = |text: &String| refuse(name, &setting, &format!("{text:?} must be {rule}"));
        let items =
            texts.iter().map(|text| parse(text).ok_or_else(|| wrong(text))).collect::<Result<_, _>>()?;
        Ok((items, setting))
    }

    fn listen(&mut self) -> Result<Listen, ConfigError> {
        let address = |text: &str| text.parse::<SocketAddr>().ok();
        let rule = "an IP address and a port, as in 127.0.0.1:4433 or [::1]:4433";
        let (clients, setting) = self.list("listen.clients", rule, address)?;
        if clients.is_empty() {
            return Err(refuse("listen.clients", &setting, "must name at least one address"));
        }
        if self.dev && !clients.iter().all(|address| address.ip().is_loopback()) {
            let rule = "must be loopback with --dev, whose demo tokens are for everybody who asks";
            return Err(refuse("listen.clients", &setting, rule));
        }
        let admin =
            self.parsed("listen.admin", "a loopback address and a port, as in 127.0.0.1:9433", |text| {
                address(text).filter(|address| address.ip().is_loopback())
            })?;
        let rule = "a loopback address and a port, as in 127.0.0.1:8080";
        let (dev, setting) =
            self.list("listen.dev", rule, |text| address(text).filter(|it| it.ip().is_loopback()))?;
        if dev.is_empty() && self.dev {
            return Err(refuse("listen.dev", &setting, "must name at least one address"));
        }
        Ok(Listen { clients, admin, dev })
    }

    fn tls(&mut self) -> Result<Option<TlsFiles>, ConfigError> {
        let (certificate, certificate_place) = self.text("tls.certificate_file")?;
        let (key, key_place) = self.text("tls.key_file")?;
        match (certificate.is_empty(), key.is_empty()) {
            (false, false) => Ok(Some(TlsFiles {
                certificate: resolve(&certificate, &certificate_place),
                key: resolve(&key, &key_place),
            })),
            (true, true) if self.dev || !self.serving => Ok(None),
            (true, _) => {
                let rule = "is required: a PEM file with the chain, leaf first (or --dev, which mints a certificate)";
                Err(ConfigError::new("tls.certificate_file", certificate_place, rule.to_owned()))
            }
            (false, true) => {
                let rule = "is required: the PEM private key of the certificate";
                Err(ConfigError::new("tls.key_file", key_place, rule.to_owned()))
            }
        }
    }

    fn origins(&mut self) -> Result<Vec<String>, ConfigError> {
        let rule = "an origin as in https://example.org or http://localhost:5173, without a path, or *";
        let (origins, _) =
            self.list("origins.allowed", rule, |text| is_origin(text).then(|| text.to_owned()))?;
        Ok(origins)
    }

    fn limits(&mut self) -> Result<Limits, ConfigError> {
        Ok(Limits {
            message_bytes_max: self.number("limits.message_bytes_max", 256..=49_152)?,
            lanes_max: self.number("limits.lanes_max", 1..=4_096)?,
            streams_max: self.number("limits.streams_max", 1..=128)?,
            ping_every_ms: self.number("limits.ping_every_ms", 1_000..=600_000)?,
            idle_timeout_ms: self.number("limits.idle_timeout_ms", 2_000..=600_000)?,
            hello_timeout_ms: self.number("limits.hello_timeout_ms", 100..=60_000)?,
            presence_grace_ms: self.number("limits.presence_grace_ms", 0..=600_000)?,
            resume_window_ms: self.number("limits.resume_window_ms", 1_000..=86_400_000)?,
            session_ttl_ms: self.number("limits.session_ttl_ms", 1_000..=2_592_000_000)?,
            dedup_window_ms: self.number("limits.dedup_window_ms", 60_000..=604_800_000)?,
            dedup_entries_max: self.number("limits.dedup_entries_max", 1_000..=50_000_000)?,
            typing_ttl_ms: self.number("limits.typing_ttl_ms", 1_000..=60_000)?,
            user_sessions_max: self.number("limits.user_sessions_max", 1..=1_000)?,
            members_max: self.number("limits.members_max", 2..=1_000_000)?,
            user_conversations_max: self.number("limits.user_conversations_max", 1..=1_000_000)?,
            connections_max: self.number("limits.connections_max", 1..=1_000_000)?,
            connections_per_address_max: self.number("limits.connections_per_address_max", 1..=1_000_000)?,
            outbox_bytes: self.number("limits.outbox_bytes", 131_072..=16_777_216)?,
        })
    }
}

fn refuse(name: &str, setting: &Setting, rule: &str) -> ConfigError {
    ConfigError::new(name, setting.place.clone(), rule.to_owned()).with_value(setting.raw.to_string())
}

/// RFC 6454 §6.2: scheme, host and, unless it is the scheme's own, port.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = |rest: &str| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', ' ', '*']);
    text == "*" || rest.is_some_and(host)
}

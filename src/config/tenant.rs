//! Tenants and the keys that may sign their tokens. A token's tenant follows from the key that signed it, so a key id names
//! exactly one key in the whole configuration.

use super::{
    ConfigError, Key, Place, TENANT_KEY_KEYS, TENANT_KEYS, TenantIssuer, issuer, resolve,
    source::{Raw, Setting, Settings, TenantTable, unknown},
};
use duet_protocol::TenantName;
use std::{collections::BTreeMap, fmt, path::PathBuf};

/// A customer company and who may sign for it.
#[derive(Debug, Clone)]
pub struct Tenant {
    /// Its name.
    pub name: TenantName,
    /// Keys that stand here.
    pub keys: Vec<TenantKey>,
    /// Issuers that publish theirs. There is a key or an issuer.
    pub issuers: Vec<TenantIssuer>,
    /// Where it was written.
    pub place: Place,
}

/// A key that may sign tokens.
#[derive(Debug, Clone)]
pub struct TenantKey {
    /// Names it in a token's header.
    pub kid: String,
    /// The only `iss` that is accepted, if any.
    pub issuer: Option<String>,
    /// The key itself.
    pub material: KeyMaterial,
    /// Where it was written.
    pub place: Place,
}

impl TenantKey {
    /// Key id and algorithm.
    #[must_use]
    pub fn describe(&self) -> String {
        let algorithm = match self.material {
            KeyMaterial::Hs256 { .. } => "HS256",
            KeyMaterial::Es256 { .. } => "ES256",
        };
        format!("{} ({algorithm})", self.kid)
    }
}

/// The bytes of a key and the one algorithm for which they are good. Its `Debug` shows no secret.
#[derive(Clone, PartialEq, Eq)]
pub enum KeyMaterial {
    /// HMAC with SHA-256 (RFC 7518 §3.2).
    Hs256 {
        /// At least 32 bytes.
        secret: Vec<u8>,
    },
    /// ECDSA with P-256 and SHA-256 (RFC 7518 §3.4).
    Es256 {
        /// PEM, SubjectPublicKeyInfo.
        public_key: Vec<u8>,
        /// PEM, PKCS#8; only for minting tokens.
        private_key_file: Option<PathBuf>,
    },
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 { .. } => "HS256",
            Self::Es256 { .. } => "ES256",
        })
    }
}

/// Shortest HS256 secret, in bytes (RFC 7518 §3.2: as long as the hash).
pub(super) const SECRET_BYTES_MIN: usize = 32;

/// Checks all tenants.
///
/// # Errors
/// [`ConfigError`] for the first one that cannot be used.
pub(super) fn check(tables: &[TenantTable]) -> Result<Vec<Tenant>, ConfigError> {
    let mut tenants: Vec<Tenant> = Vec::new();
    let mut kids: BTreeMap<String, Place> = BTreeMap::new();
    for table in tables {
        let mut fields = Fields::new("tenant", &table.place, &table.settings, TENANT_KEYS)?;
        let (name, place) = fields.required("name")?;
        let name = TenantName::parse(&name).map_err(|error| {
            ConfigError::new("tenant.name", place.clone(), error.to_string()).with_value(format!("{name:?}"))
        })?;
        if let Some(other) = tenants.iter().find(|other| other.name == name) {
            let rule = format!("is the name of the tenant at {} already", other.place);
            return Err(ConfigError::new("tenant.name", place, rule).with_value(format!("{name:?}")));
        }
        if table.keys.is_empty() && table.issuers.is_empty() {
            let rule = "needs at least one [[tenant.key]] or [[tenant.issuer]]".to_owned();
            return Err(ConfigError::new("tenant", table.place.clone(), rule).with_value(format!("{name:?}")));
        }
        let mut keys = Vec::new();
        for (place, settings) in &table.keys {
            let key = check_key(place, settings)?;
            if let Some(other) = kids.insert(key.kid.clone(), place.clone()) {
                let rule = format!("is used at {other} already: a key id names exactly one key");
                let error = ConfigError::new("tenant.key.kid", place.clone(), rule);
                return Err(error.with_value(format!("{:?}", key.kid)));
            }
            keys.push(key);
        }
        let mut issuers: Vec<TenantIssuer> = Vec::new();
        for (place, settings) in &table.issuers {
            let issuer = issuer::check(place, settings)?;
            let known = tenants.iter().flat_map(|tenant| &tenant.issuers).chain(&issuers);
            if let Some(other) = known.into_iter().find(|other| other.issuer == issuer.issuer) {
                let rule = format!("is named at {} already: an issuer speaks for one tenant", other.place);
                let error = ConfigError::new("tenant.issuer.issuer", place.clone(), rule);
                return Err(error.with_value(format!("{:?}", issuer.issuer)));
            }
            issuers.push(issuer);
        }
        tenants.push(Tenant { name, keys, issuers, place: table.place.clone() });
    }
    Ok(tenants)
}

fn check_key(place: &Place, settings: &Settings) -> Result<TenantKey, ConfigError> {
    let mut fields = Fields::new("tenant.key", place, settings, TENANT_KEY_KEYS)?;
    let (kid, _) = fields.required("kid")?;
    let (algorithm, algorithm_place) = fields.required("alg")?;
    let issuer = fields.take("issuer")?.map(|(issuer, _)| issuer);
    let material = match algorithm.as_str() {
        "HS256" => {
            fields.forbid(&["public_key", "public_key_file", "private_key_file"], "belongs to ES256")?;
            let (secret, place) = fields.one_of("secret", "secret_file")?;
            if secret.len() < SECRET_BYTES_MIN {
                let rule =
                    format!("must have at least {SECRET_BYTES_MIN} bytes; this one has {}", secret.len());
                return Err(ConfigError::new("tenant.key.secret", place, rule));
            }
            KeyMaterial::Hs256 { secret }
        }
        "ES256" => {
            fields.forbid(&["secret", "secret_file"], "belongs to HS256")?;
            let (public_key, _) = fields.one_of("public_key", "public_key_file")?;
            let file = fields.take("private_key_file")?;
            KeyMaterial::Es256 {
                public_key,
                private_key_file: file.map(|(file, place)| resolve(&file, &place)),
            }
        }
        _ => {
            let rule = "must be HS256 or ES256".to_owned();
            let error = ConfigError::new("tenant.key.alg", algorithm_place, rule);
            return Err(error.with_value(format!("{algorithm:?}")));
        }
    };
    Ok(TenantKey { kid, issuer, material, place: place.clone() })
}

/// The settings of one table, all known and all texts. Values are never shown: some are secrets.
pub(super) struct Fields<'a> {
    prefix: &'static str,
    place: &'a Place,
    settings: &'a Settings,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        prefix: &'static str,
        place: &'a Place,
        settings: &'a Settings,
        known: &[Key],
    ) -> Result<Self, ConfigError> {
        for (name, setting) in settings {
            if !known.iter().any(|key| key.name == name) {
                let meant = super::keys::nearest(name, known.iter().map(|key| key.name));
                let (key, rule) = (format!("{prefix}.{name}"), unknown("key", meant));
                return Err(ConfigError::new(&key, setting.place.clone(), rule));
            }
        }
        Ok(Self { prefix, place, settings })
    }

    pub(super) fn take(&mut self, name: &str) -> Result<Option<(String, Place)>, ConfigError> {
        match self.settings.get(name) {
            None => Ok(None),
            Some(Setting { raw: Raw::Text(text), place }) if !text.is_empty() => {
                Ok(Some((text.clone(), place.clone())))
            }
            Some(setting) => Err(self.error(name, &setting.place, "must be a text that is not empty")),
        }
    }

    pub(super) fn required(&mut self, name: &str) -> Result<(String, Place), ConfigError> {
        self.take(name)?.ok_or_else(|| self.error(name, self.place, "is required"))
    }

    fn forbid(&mut self, names: &[&str], rule: &str) -> Result<(), ConfigError> {
        for name in names {
            if let Some(setting) = self.settings.get(*name) {
                return Err(self.error(name, &setting.place, rule));
            }
        }
        Ok(())
    }

    /// The bytes of `inline`, or of the file that `file` names without its final line break.
    fn one_of(&mut self, inline: &str, file: &str) -> Result<(Vec<u8>, Place), ConfigError> {
        match (self.take(inline)?, self.take(file)?) {
            (Some((text, place)), None) => Ok((text.into_bytes(), place)),
            (None, Some((path, place))) => {
                let path = resolve(&path, &place);
                let mut bytes = std::fs::read(&path).map_err(|error| {
                    self.error(file, &place, &format!("{} cannot be read: {error}", path.display()))
                })?;
                while bytes.last().is_some_and(|last| matches!(last, b'\n' | b'\r')) {
                    bytes.pop();
                }
                Ok((bytes, place))
            }
            (Some((_, place)), Some(_)) => {
                Err(self.error(inline, &place, &format!("cannot stand beside {file}; keep one of them")))
            }
            (None, None) => Err(self.error(file, self.place, &format!("or {inline} is required"))),
        }
    }

    pub(super) fn error(&self, name: &str, place: &Place, rule: &str) -> ConfigError {
        ConfigError::new(&format!("{}.{name}", self.prefix), place.clone(), rule.to_owned())
    }
}

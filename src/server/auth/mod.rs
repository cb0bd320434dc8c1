//! Tokens: JWTs (RFC 7519) in compact form, signed by a tenant's key.
//!
//! The key decides everything: its id in the header selects it, its algorithm is the only one that is tried, its tenant is
//! the user's tenant, its issuer, if it has one, must be the token's. A claim alone never moves a user to another tenant.
//! A token with an unknown key costs the same work as one with a wrong signature. Tokens and secrets reach no log and no
//! error text.

mod fetch;
mod issuers;
mod jwks;

pub use issuers::{Issuer, Looker};

use crate::{
    config::{KeyMaterial, Place, Tenant},
    core::{Identity, TokenMark, is_anonymous},
};
use duet_protocol::{Code, DisplayName, TenantName, UserId, hello::Role};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, errors::ErrorKind};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// Every key that may sign tokens. Cheap to share, never changed.
pub struct Keyring {
    keys: BTreeMap<String, Key>,
    /// By what they call themselves in `iss`.
    issuers: BTreeMap<String, (TenantName, Issuer)>,
    decoy: Key,
}

struct Key {
    tenant: Option<TenantName>,
    issuer: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Keyring {
    /// Takes the keys of all tenants.
    ///
    /// # Errors
    /// [`BadKey`] when the bytes of one are no key of its algorithm.
    pub fn new(tenants: &[Tenant]) -> Result<Self, BadKey> {
        let mut keys = BTreeMap::new();
        for tenant in tenants {
            for key in &tenant.keys {
                let (algorithm, decoding) = match &key.material {
                    KeyMaterial::Hs256 { secret } => (Algorithm::HS256, DecodingKey::from_secret(secret)),
                    KeyMaterial::Es256 { public_key, .. } => {
                        let decoding = DecodingKey::from_ec_pem(public_key).map_err(|_| BadKey {
                            place: key.place.clone(),
                            kid: key.kid.clone(),
                            rule: "public_key must be a PEM public key (SubjectPublicKeyInfo) on P-256",
                        })?;
                        (Algorithm::ES256, decoding)
                    }
                };
                let (tenant, issuer) = (Some(tenant.name.clone()), key.issuer.clone());
                keys.insert(key.kid.clone(), Key { tenant, issuer, algorithm, decoding });
            }
        }
        let issuers = BTreeMap::new();
        let decoding = DecodingKey::from_secret(&[0; 32]);
        let decoy = Key { tenant: None, issuer: None, algorithm: Algorithm::HS256, decoding };
        Ok(Self { keys, issuers, decoy })
    }

    /// The same, with the issuers that publish their keys, and the tasks that look after those.
    ///
    /// # Errors
    /// [`BadKey`].
    pub fn with_issuers(tenants: &[Tenant]) -> Result<(Self, Vec<Looker>), BadKey> {
        let mut ring = Self::new(tenants)?;
        let mut lookers = Vec::new();
        for tenant in tenants {
            for config in &tenant.issuers {
                let (issuer, looker) = Issuer::new(config.clone());
                ring.issuers.insert(config.issuer.clone(), (tenant.name.clone(), issuer));
                lookers.push(looker);
            }
        }
        Ok((ring, lookers))
    }

    /// As [`verify`](Self::verify), but a key that its issuer has published just now counts as well: the issuer is asked first.
    ///
    /// # Errors
    /// [`AuthError`].
    pub async fn verify_fresh(&self, token: &str, now_ms: impl Fn() -> u64) -> Result<Identity, AuthError> {
        let verified = self.verify(token, now_ms());
        let Err(AuthError::UnknownKey) = verified else { return verified };
        match self.issuer_of(token) {
            Some((_, _, issuer)) if issuer.look_again().await => self.verify(token, now_ms()),
            _ => verified,
        }
    }

    /// The issuer that a token names. It proves nothing yet: the issuer's key must have signed it.
    fn issuer_of(&self, token: &str) -> Option<(&String, &TenantName, &Issuer)> {
        #[derive(Deserialize)]
        struct Named {
            iss: Option<String>,
        }
        if self.issuers.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let named: Named = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
        let (name, (tenant, issuer)) = self.issuers.get_key_value(&named.iss?)?;
        Some((name, tenant, issuer))
    }

    /// Verifies a token at `now_ms` (Unix milliseconds) and says for whom it speaks.
    ///
    /// # Errors
    /// [`AuthError`], each with a code for the client.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Identity, AuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(AuthError::Malformed);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| AuthError::Malformed)?;
        let written = header.kid.as_ref().and_then(|kid| self.keys.get(kid));
        let published = match (&header.kid, written) {
            (Some(kid), None) => self.published(token, kid),
            _ => None,
        };
        let key = written.or(published.as_ref()).unwrap_or(&self.decoy);
        let mut validation = Validation::new(key.algorithm);
        // Times are checked below, against the server's own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let claims = jsonwebtoken::decode::<Claims>(token, &key.decoding, &validation);
        let tenant = key.tenant.clone().ok_or(AuthError::UnknownKey)?;
        let claims = claims.map_err(|error| AuthError::of(error.kind()))?.claims;
        claims.check(key, &tenant, now_ms)?;
        claims.identity(tenant)
    }
}

impl Keyring {
    fn published(&self, token: &str, kid: &str) -> Option<Key> {
        let (name, tenant, issuer) = self.issuer_of(token)?;
        let keys = issuer.keys();
        let key = keys.get(kid)?;
        let (tenant, issuer) = (Some(tenant.clone()), Some(name.clone()));
        Some(Key { tenant, issuer, algorithm: key.algorithm, decoding: key.decoding.clone() })
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.keys()).finish()
    }
}

/// What a token says; also what `duet token` writes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: String,
    /// What others see; the user's id if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `visitor`, `agent`, `supervisor` or `service`.
    pub role: String,
    /// When it ends, Unix seconds; required.
    pub exp: u64,
    /// From when on it holds, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was made, Unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// Its own id, by which it can be revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// May repeat the tenant of the key; never changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl Claims {
    fn check(&self, key: &Key, tenant: &TenantName, now_ms: u64) -> Result<(), AuthError> {
        if key.issuer.is_some() && key.issuer != self.iss {
            return Err(AuthError::ForeignIssuer);
        }
        if self.tenant.as_ref().is_some_and(|claimed| claimed != tenant.as_str()) {
            return Err(AuthError::ForeignTenant);
        }
        let now_s = now_ms / 1_000;
        if self.exp.saturating_add(LEEWAY_S) <= now_s {
            return Err(AuthError::Expired);
        }
        // Otherwise a revocation would have to be remembered for ever.
        if self.exp > (now_ms + TOKEN_LIFE_MAX_MS) / 1_000 {
            return Err(AuthError::BadClaim("exp"));
        }
        let begins_s = self.nbf.unwrap_or(0).max(self.iat.unwrap_or(0));
        if begins_s > now_s + LEEWAY_S {
            return Err(AuthError::NotYetValid);
        }
        Ok(())
    }

    fn identity(&self, tenant: TenantName) -> Result<Identity, AuthError> {
        let user = UserId::parse(&self.sub).map_err(|_| AuthError::BadClaim("sub"))?;
        let name = self.name.as_deref().unwrap_or(&self.sub);
        let name = DisplayName::parse(name).map_err(|_| AuthError::BadClaim("name"))?;
        let role = parse_role(&self.role).ok_or(AuthError::BadClaim("role"))?;
        if is_anonymous(&user) && role != Role::Visitor {
            return Err(AuthError::BadClaim("role"));
        }
        if self.jti.as_ref().is_some_and(|jti| jti.is_empty() || jti.len() > JTI_BYTES_MAX) {
            return Err(AuthError::BadClaim("jti"));
        }
        let token = self.jti.as_deref().map(TokenMark::of);
        let made_ms = self.iat.unwrap_or(0).saturating_mul(1_000);
        // The leeway is for clocks, not for users, but it must not end a session that was just let in.
        let expires_ms = self.exp.saturating_add(LEEWAY_S).saturating_mul(1_000);
        Ok(Identity { tenant, user, name, role, expires_ms, made_ms, token })
    }
}

/// The role of that name.
#[must_use]
pub fn parse_role(name: &str) -> Option<Role> {
    match name {
        "visitor" => Some(Role::Visitor),
        "agent" => Some(Role::Agent),
        "supervisor" => Some(Role::Supervisor),
        "service" => Some(Role::Service),
        _ => None,
    }
}

/// How far clocks may differ, seconds.
pub const LEEWAY_S: u64 = 30;

/// A token may live this long at most, milliseconds: 400 days. A revocation that names no end is remembered for as long.
pub const TOKEN_LIFE_MAX_MS: u64 = 400 * 24 * 3_600_000;

/// Longest `jti`.
const JTI_BYTES_MAX: usize = 256;

/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// A configured key that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: tenant.key {kid:?}: {rule}")]
pub struct BadKey {
    place: Place,
    kid: String,
    rule: &'static str,
}

/// Why a token is not accepted. The text says nothing of the token's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is neither a token nor a session to resume.
    #[error("A token is required.")]
    Missing,
    /// No JWT in compact form, or longer than [`TOKEN_BYTES_MAX`].
    #[error("The token is no JWT.")]
    Malformed,
    /// The header names no key, or none that is configured.
    #[error("The token's `kid` names no known key.")]
    UnknownKey,
    /// Signed in another way than the key is meant for.
    #[error("The token's `alg` is not that of its key.")]
    WrongAlgorithm,
    /// The signature does not match.
    #[error("The token's signature does not match.")]
    BadSignature,
    /// `iss` is not the key's issuer.
    #[error("The token's `iss` is not that of its key.")]
    ForeignIssuer,
    /// `tenant` is not the key's tenant.
    #[error("The token's `tenant` is not that of its key.")]
    ForeignTenant,
    /// `nbf` or `iat` lies in the future.
    #[error("The token is not valid yet; check the clocks.")]
    NotYetValid,
    /// `exp` has passed.
    #[error("The token has expired.")]
    Expired,
    /// A claim is missing or breaks its rule.
    #[error("The token's `{0}` is missing or malformed.")]
    BadClaim(&'static str),
}

impl AuthError {
    fn of(kind: &ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidSignature => Self::BadSignature,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Self::WrongAlgorithm,
            ErrorKind::Json(_) => Self::BadClaim("sub, role or exp"),
            _ => Self::Malformed,
        }
    }

    /// The code that refuses a fresh token on a connection that stays. A hello is always refused with 3500: the text
    /// tells why.
    #[must_use]
    pub fn refresh_code(self) -> Code {
        if self == Self::Expired { Code::TOKEN_EXPIRED } else { Code::UNAUTHENTICATED }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::BadSignature => "bad_signature",
            Self::ForeignIssuer => "foreign_issuer",
            Self::ForeignTenant => "foreign_tenant",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::BadClaim(_) => "bad_claim",
        }
    }
}

#[cfg(test)]
mod issuer_laws;
#[cfg(test)]
mod tests;

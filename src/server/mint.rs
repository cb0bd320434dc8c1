//! Making tokens: for `duet token` and for the demo page. A production site makes its own with any JWT library.

use super::auth::Claims;
use crate::config::{KeyMaterial, TenantKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// Signs tokens with one key.
pub struct Mint {
    header: Header,
    issuer: Option<String>,
    key: EncodingKey,
}

impl Mint {
    /// Takes a tenant's key; an ES256 one needs its private key's file.
    ///
    /// # Errors
    /// A sentence for the operator when there is no private key or it cannot be used.
    pub fn new(key: &TenantKey) -> Result<Self, String> {
        let (algorithm, encoding) = match &key.material {
            KeyMaterial::Hs256 { secret } => (Algorithm::HS256, EncodingKey::from_secret(secret)),
            KeyMaterial::Es256 { private_key_file: None, .. } => {
                return Err(format!(
                    "key {:?} has no private_key_file, so nothing can be signed with it",
                    key.kid
                ));
            }
            KeyMaterial::Es256 { private_key_file: Some(file), .. } => {
                let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
                let encoding = EncodingKey::from_ec_pem(&pem)
                    .map_err(|_| format!("{} is no PEM private key (PKCS#8) on P-256", file.display()))?;
                (Algorithm::ES256, encoding)
            }
        };
        let mut header = Header::new(algorithm);
        header.kid = Some(key.kid.clone());
        Ok(Self { header, issuer: key.issuer.clone(), key: encoding })
    }

    /// A token for `user`, good from `now_s` (Unix seconds) on for `ttl_s` seconds.
    ///
    /// # Errors
    /// A sentence when the key cannot sign.
    pub fn token(
        &self,
        user: &str,
        name: Option<&str>,
        role: &str,
        now_s: u64,
        ttl_s: u64,
    ) -> Result<String, String> {
        let claims = Claims {
            sub: user.to_owned(),
            name: name.map(str::to_owned),
            role: role.to_owned(),
            exp: now_s.saturating_add(ttl_s),
            nbf: None,
            iat: Some(now_s),
            iss: self.issuer.clone(),
            jti: None,
            tenant: None,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key)
            .map_err(|error| format!("cannot sign: {error}"))
    }
}

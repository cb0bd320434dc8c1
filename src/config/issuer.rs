//! Issuers that publish their keys: where the keys are, and for which tenant they count.

use super::{ConfigError, Place, TENANT_ISSUER_KEYS, resolve, source::Settings, tenant::Fields};
use http::Uri;
use std::path::PathBuf;

/// An issuer of a tenant.
#[derive(Debug, Clone)]
pub struct TenantIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// Where its keys are.
    pub source: IssuerSource,
    /// Where it was written.
    pub place: Place,
}

/// Where an issuer's keys are: a JWK Set (RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssuerSource {
    /// In a file.
    File(PathBuf),
    /// Over HTTP; [`may_fetch`] holds.
    Url(Uri),
}

impl TenantIssuer {
    /// The issuer, and where its keys are.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.source {
            IssuerSource::File(path) => format!("{} ({})", self.issuer, path.display()),
            IssuerSource::Url(url) => format!("{} ({url})", self.issuer),
        }
    }
}

/// Whether keys may be fetched from there: what is not encrypted must not leave this machine.
#[must_use]
pub fn may_fetch(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let loopback = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.scheme_str() {
        Some("https") => !host.is_empty(),
        Some("http") => loopback || host == "localhost",
        _ => false,
    }
}

/// Checks one table.
///
/// # Errors
/// [`ConfigError`].
pub(super) fn check(place: &Place, settings: &Settings) -> Result<TenantIssuer, ConfigError> {
    let mut fields = Fields::new("tenant.issuer", place, settings, TENANT_ISSUER_KEYS)?;
    let (issuer, _) = fields.required("issuer")?;
    let source = match (fields.take("jwks_file")?, fields.take("jwks_url")?) {
        (Some((path, place)), None) => IssuerSource::File(resolve(&path, &place)),
        (None, Some((url, place))) => {
            let parsed = url.parse::<Uri>().ok().filter(may_fetch);
            let rule = "must be an https address, or http to this machine";
            IssuerSource::Url(parsed.ok_or_else(|| fields.error("jwks_url", &place, rule))?)
        }
        (Some((_, place)), Some(_)) => {
            return Err(fields.error("jwks_file", &place, "cannot stand beside jwks_url; keep one of them"));
        }
        (None, None) => return Err(fields.error("jwks_url", place, "or jwks_file is required")),
    };
    Ok(TenantIssuer { issuer, source, place: place.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_https_or_from_this_machine() {
        let may = |text: &str| may_fetch(&text.parse().unwrap());
        for good in
            ["https://id.example/jwks", "http://127.0.0.1:8081/k", "http://[::1]/k", "http://localhost/k"]
        {
            assert!(may(good), "{good}");
        }
        for bad in [
            "http://id.example/jwks",
            "http://10.0.0.1/k",
            "http://localhost.evil.example/",
            "ftp://x/y",
            "/k",
        ] {
            assert!(!may(bad), "{bad}");
        }
    }
}

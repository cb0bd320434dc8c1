//! A set of public keys as an issuer publishes it: a JWK Set (RFC 7517).
//!
//! The algorithm of each key follows from its type, never from a token: P-256 is ES256, Ed25519 is EdDSA, RSA is RS256. A
//! key that says otherwise, that is not for signatures, or that is a shared secret is left out, so that no token can be
//! verified with a public key's bytes as a secret.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use std::collections::BTreeMap;

/// The usable keys of a set, by `kid`.
pub type KeySet = BTreeMap<String, SetKey>;

/// A public key and the one algorithm for which it is good.
pub struct SetKey {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

/// A document that is no set of keys, or holds none that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKeySet {
    /// Not JSON with a list `keys`.
    #[error("it is no JWK Set (RFC 7517)")]
    Format,
    /// More keys than [`KEYS_MAX`].
    #[error("it has more keys than {KEYS_MAX}")]
    TooMany,
    /// None can be used.
    #[error("it has no key with a `kid` for ES256, EdDSA or RS256")]
    Empty,
}

/// Reads a set. Keys that cannot be used are left out: an issuer may publish such for others.
///
/// # Errors
/// [`BadKeySet`].
pub fn parse(document: &[u8]) -> Result<KeySet, BadKeySet> {
    #[derive(serde::Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let document: Document = serde_json::from_slice(document).map_err(|_| BadKeySet::Format)?;
    if document.keys.len() > KEYS_MAX {
        return Err(BadKeySet::TooMany);
    }
    let keys = document.keys.into_iter().filter_map(|key| usable(&serde_json::from_value(key).ok()?));
    let keys: KeySet = keys.collect();
    if keys.is_empty() { Err(BadKeySet::Empty) } else { Ok(keys) }
}

fn usable(key: &Jwk) -> Option<(String, SetKey)> {
    let (algorithm, named) = match &key.algorithm {
        AlgorithmParameters::EllipticCurve(it) if it.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(it) if it.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        // 2 048 bits are 342 digits of base64 (RFC 7518 §3.3 asks for as much).
        AlgorithmParameters::RSA(it) if it.n.len() >= 342 => (Algorithm::RS256, KeyAlgorithm::RS256),
        _ => return None,
    };
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
    let agrees = common.key_algorithm.is_none_or(|said| said == named);
    let kid = common.key_id.clone().filter(|kid| !kid.is_empty() && signs && agrees)?;
    Some((kid, SetKey { algorithm, decoding: DecodingKey::from_jwk(key).ok()? }))
}

/// Keys in one set: an issuer has a few, and some more while it rotates.
pub const KEYS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// The key on P-256 of RFC 7517, appendix A.1.
    const EC: &str = r#""kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM""#;
    /// The Ed25519 key of RFC 8037, appendix A.2.
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    fn kinds(keys: &[String]) -> Result<Vec<(String, Algorithm)>, BadKeySet> {
        let set = parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes())?;
        Ok(set.into_iter().map(|(kid, key)| (kid, key.algorithm)).collect())
    }

    #[test]
    fn the_type_of_a_key_is_its_algorithm_and_a_key_that_disagrees_is_left_out() {
        // An odd number of 2 048 bits; its factors are nobody's business here.
        let rsa = format!(r#""kty":"RSA","n":"{}w","e":"AQAB""#, "u".repeat(341));
        let key = |kid: &str, rest: &str| format!(r#"{{"kid":"{kid}",{rest}}}"#);
        let good = [key("a", EC), key("b", ED), key("c", &rsa)];
        let expected = [("a", Algorithm::ES256), ("b", Algorithm::EdDSA), ("c", Algorithm::RS256)];
        assert_eq!(kinds(&good).unwrap(), expected.map(|(kid, algorithm)| (kid.to_owned(), algorithm)));
        let small = format!(r#""kty":"RSA","n":"{}","e":"AQAB""#, "u".repeat(171));
        for bad in [
            key("a", &format!(r#"{EC},"alg":"RS256""#)),
            key("a", &format!(r#"{rsa},"alg":"HS256""#)),
            key("a", &format!(r#"{rsa},"alg":"PS256""#)),
            key("a", &format!(r#"{EC},"use":"enc""#)),
            key("a", r#""kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T""#),
            key("a", r#""kty":"EC","crv":"P-384","x":"AA","y":"AA""#),
            key("a", r#""kty":"new","x":"AA""#),
            key("a", &small),
            key("", EC),
            format!("{{{EC}}}"),
        ] {
            assert_eq!(kinds(std::slice::from_ref(&bad)), Err(BadKeySet::Empty), "{bad}");
            assert_eq!(kinds(&[bad.clone(), key("z", EC)]).map(|kinds| kinds.len()), Ok(1), "{bad}");
        }
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "\u{0}"] {
            assert!(matches!(parse(bad.as_bytes()), Err(BadKeySet::Format)), "{bad}");
        }
        let many: Vec<_> = (0..=KEYS_MAX).map(|n| key(&n.to_string(), EC)).collect();
        assert_eq!(kinds(&many), Err(BadKeySet::TooMany));
    }
}

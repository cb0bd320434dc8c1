//! Laws of published keys: the issuer and its key decide tenant and algorithm, whatever a token says of itself.

use super::*;
use crate::config::{IssuerSource, TenantIssuer};
use jsonwebtoken::{EncodingKey, Header, jwk::Jwk};

const NOW_MS: u64 = 1_800_000_000_000;
const ACME: &str = "https://id.acme.example";
const OTHER: &str = "https://id.other.example";

/// A key pair of an issuer: what signs, and the published half.
struct Pair {
    signs: EncodingKey,
    published: String,
}

fn pair(kid: &str) -> Pair {
    let pem = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem();
    let signs = EncodingKey::from_ec_pem(pem.as_bytes()).unwrap();
    let mut key = Jwk::from_encoding_key(&signs, Algorithm::ES256).unwrap();
    key.common.key_id = Some(kid.to_owned());
    Pair { signs, published: serde_json::to_string(&key).unwrap() }
}

/// A ring of two tenants, each with an issuer that publishes these keys.
async fn ring(dir: &std::path::Path, acme: &[&str], other: &[&str]) -> Keyring {
    let mut tenants = Vec::new();
    for (name, issuer, keys) in [("acme", ACME, acme), ("other", OTHER, other)] {
        let path = dir.join(format!("{name}.json"));
        std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap();
        let (issuer, source, place) = (issuer.to_owned(), IssuerSource::File(path), Place::Default);
        let issuers = vec![TenantIssuer { issuer, source, place: place.clone() }];
        let name = TenantName::parse(name).unwrap();
        tenants.push(Tenant { name, keys: Vec::new(), issuers, place });
    }
    let (ring, lookers) = Keyring::with_issuers(&tenants).unwrap();
    for mut looker in lookers {
        looker.begin().await.unwrap();
    }
    ring
}

fn token(algorithm: Algorithm, kid: &str, iss: Option<&str>, key: &EncodingKey) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
    let claims = Claims {
        sub: "ana".into(),
        name: None,
        role: "visitor".into(),
        exp: NOW_MS / 1_000 + 60,
        nbf: None,
        iat: None,
        iss: iss.map(str::to_owned),
        jti: Some("t-1".into()),
        tenant: None,
    };
    jsonwebtoken::encode(&header, &claims, key).unwrap()
}

#[tokio::test]
async fn a_published_key_speaks_for_the_tenant_of_its_issuer_and_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (acme, other) = (pair("k1"), pair("k1"));
    let ring = ring(dir.path(), &[&acme.published], &[&other.published]).await;
    let verify = |iss, key: &Pair| {
        ring.verify(&token(Algorithm::ES256, "k1", iss, &key.signs), NOW_MS).map(|it| it.tenant.to_string())
    };
    assert_eq!(verify(Some(ACME), &acme), Ok("acme".to_owned()));
    assert_eq!(verify(Some(OTHER), &other), Ok("other".to_owned()), "one kid, two issuers");
    assert_eq!(verify(Some(OTHER), &acme), Err(AuthError::BadSignature), "a claim moves nobody");
    assert_eq!(verify(Some("https://id.evil.example"), &acme), Err(AuthError::UnknownKey));
    assert_eq!(verify(None, &acme), Err(AuthError::UnknownKey));
    let unknown = token(Algorithm::ES256, "k2", Some(ACME), &acme.signs);
    assert_eq!(ring.verify(&unknown, NOW_MS), Err(AuthError::UnknownKey));
    let good = ring.verify(&token(Algorithm::ES256, "k1", Some(ACME), &acme.signs), NOW_MS).unwrap();
    assert_eq!(good.token, Some(TokenMark::of("t-1")));
}

#[tokio::test]
async fn a_public_key_is_never_a_secret_and_no_token_chooses_its_algorithm() {
    let dir = tempfile::tempdir().unwrap();
    let acme = pair("k1");
    let ring = ring(dir.path(), &[&acme.published], &[&pair("k9").published]).await;
    let point: serde_json::Value = serde_json::from_str(&acme.published).unwrap();
    let guesses = [acme.published.clone(), point["x"].as_str().unwrap().to_owned(), String::new()];
    for secret in guesses {
        let signs = EncodingKey::from_secret(secret.as_bytes());
        let confused = token(Algorithm::HS256, "k1", Some(ACME), &signs);
        assert_eq!(ring.verify(&confused, NOW_MS), Err(AuthError::WrongAlgorithm));
    }
    let signed = token(Algorithm::ES256, "k1", Some(ACME), &acme.signs);
    let claims = signed.split('.').nth(1).unwrap();
    // {"alg":"none","kid":"k1"}
    let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiazEifQ.{claims}.");
    assert!(ring.verify(&none, NOW_MS).is_err());
}

#[tokio::test]
async fn a_key_that_the_issuer_added_counts_at_the_first_token_and_one_that_it_took_back_no_longer() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (pair("old"), pair("new"));
    let path = dir.path().join("keys.json");
    let set = |keys: &[&str]| std::fs::write(&path, format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap();
    set(&[&old.published]);
    let (issuer, source) = (ACME.to_owned(), IssuerSource::File(path.clone()));
    let issuers = vec![TenantIssuer { issuer, source, place: Place::Default }];
    let name = TenantName::parse("acme").unwrap();
    let tenants = [Tenant { name, keys: Vec::new(), issuers, place: Place::Default }];
    let (ring, lookers) = Keyring::with_issuers(&tenants).unwrap();
    set(&[&new.published]);
    for looker in lookers {
        tokio::spawn(looker.run());
    }
    let by_new = token(Algorithm::ES256, "new", Some(ACME), &new.signs);
    assert!(ring.verify_fresh(&by_new, || NOW_MS).await.is_ok(), "the token waits for the look");
    let by_old = token(Algorithm::ES256, "old", Some(ACME), &old.signs);
    assert_eq!(ring.verify_fresh(&by_old, || NOW_MS).await, Err(AuthError::UnknownKey));
}

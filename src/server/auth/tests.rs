//! Laws of tokens.

use super::*;
use crate::{config::TenantKey, server::mint::Mint};

const NOW_MS: u64 = 1_800_000_000_000;
const NOW_S: u64 = NOW_MS / 1_000;

fn place() -> Place {
    Place::Default
}

fn shared(kid: &str, fill: u8, issuer: Option<&str>) -> TenantKey {
    let material = KeyMaterial::Hs256 { secret: vec![fill; 32] };
    TenantKey { kid: kid.to_owned(), issuer: issuer.map(str::to_owned), material, place: place() }
}

fn tenant(name: &str, keys: Vec<TenantKey>) -> Tenant {
    Tenant { name: TenantName::parse(name).unwrap(), keys, issuers: vec![], place: place() }
}

fn claims() -> Claims {
    Claims {
        sub: "ana".into(),
        name: Some("Ana".into()),
        role: "agent".into(),
        exp: NOW_S + 60,
        nbf: None,
        iat: Some(NOW_S),
        iss: None,
        jti: None,
        tenant: None,
    }
}

fn sign(key: &TenantKey, claims: &Claims) -> String {
    let KeyMaterial::Hs256 { secret } = &key.material else { panic!("a shared secret") };
    let mut header = jsonwebtoken::Header::new(Algorithm::HS256);
    header.kid = Some(key.kid.clone());
    jsonwebtoken::encode(&header, claims, &jsonwebtoken::EncodingKey::from_secret(secret)).unwrap()
}

fn acme() -> (Keyring, TenantKey) {
    let key = shared("acme-1", 1, Some("https://acme.example"));
    let other = shared("other-1", 2, None);
    let ring =
        Keyring::new(&[tenant("acme", vec![key.clone()]), tenant("other", vec![other.clone()])]).unwrap();
    (ring, other)
}

#[test]
fn a_good_token_speaks_for_its_user_in_the_tenant_of_its_key() {
    let (ring, key) = acme();
    let identity = ring.verify(&sign(&key, &claims()), NOW_MS).unwrap();
    assert_eq!((identity.tenant.as_str(), identity.user.as_str()), ("other", "ana"));
    assert_eq!((identity.name.as_str(), identity.role), ("Ana", Role::Agent));
    assert_eq!(identity.expires_ms, (NOW_S + 60 + LEEWAY_S) * 1_000);
}

#[test]
fn a_claim_never_moves_a_user_to_another_tenant() {
    let (ring, key) = acme();
    let foreign = Claims { tenant: Some("acme".into()), ..claims() };
    assert_eq!(ring.verify(&sign(&key, &foreign), NOW_MS), Err(AuthError::ForeignTenant));
    let borrowed = TenantKey { kid: "acme-1".into(), ..key };
    assert_eq!(ring.verify(&sign(&borrowed, &claims()), NOW_MS), Err(AuthError::BadSignature));
}

#[test]
fn a_key_with_an_issuer_takes_no_other() {
    let (ring, _) = acme();
    let key = shared("acme-1", 1, None);
    assert_eq!(ring.verify(&sign(&key, &claims()), NOW_MS), Err(AuthError::ForeignIssuer));
    let named = Claims { iss: Some("https://acme.example".into()), ..claims() };
    assert!(ring.verify(&sign(&key, &named), NOW_MS).is_ok());
}

#[test]
fn times_are_kept_within_the_leeway_and_not_beyond() {
    let (ring, key) = acme();
    let at = |exp: u64, nbf: Option<u64>| ring.verify(&sign(&key, &Claims { exp, nbf, ..claims() }), NOW_MS);
    assert!(at(NOW_S - LEEWAY_S + 1, None).is_ok());
    assert_eq!(at(NOW_S - LEEWAY_S, None), Err(AuthError::Expired));
    assert!(at(NOW_S + 600, Some(NOW_S + LEEWAY_S)).is_ok());
    assert_eq!(at(NOW_S + 600, Some(NOW_S + LEEWAY_S + 1)), Err(AuthError::NotYetValid));
}

#[test]
fn each_way_of_being_wrong_is_told_apart() {
    let (ring, key) = acme();
    let good = sign(&key, &claims());
    for wrong in ["", "a.b", "a.b.c", "....", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(ring.verify(wrong, NOW_MS), Err(AuthError::Malformed), "{wrong}");
    }
    let unknown = shared("nobody", 2, None);
    assert_eq!(ring.verify(&sign(&unknown, &claims()), NOW_MS), Err(AuthError::UnknownKey));
    let mut flipped = good.into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    assert!(ring.verify(std::str::from_utf8(&flipped).unwrap(), NOW_MS).is_err());
    let nameless = Claims { sub: String::new(), ..claims() };
    assert_eq!(ring.verify(&sign(&key, &nameless), NOW_MS), Err(AuthError::BadClaim("sub")));
    let king = Claims { role: "king".into(), ..claims() };
    assert_eq!(ring.verify(&sign(&key, &king), NOW_MS), Err(AuthError::BadClaim("role")));
    assert_eq!(AuthError::Expired.refresh_code(), Code::TOKEN_EXPIRED);
    assert_eq!(AuthError::BadSignature.refresh_code(), Code::UNAUTHENTICATED);
}

#[test]
fn the_algorithm_is_the_keys_and_never_the_tokens() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    std::fs::write(&file, pair.serialize_pem()).unwrap();
    let public_key = pair.public_key_pem().into_bytes();
    let material = KeyMaterial::Es256 { public_key: public_key.clone(), private_key_file: Some(file) };
    let key = TenantKey { kid: "e1".into(), issuer: None, material, place: place() };
    let ring = Keyring::new(&[tenant("acme", vec![key.clone()])]).unwrap();

    let token = Mint::new(&key).unwrap().token("bo", None, "visitor", NOW_S, 60).unwrap();
    let identity = ring.verify(&token, NOW_MS).unwrap();
    assert_eq!((identity.user.as_str(), identity.name.as_str()), ("bo", "bo"));

    let confused = TenantKey { material: KeyMaterial::Hs256 { secret: public_key }, ..key };
    assert_eq!(ring.verify(&sign(&confused, &claims()), NOW_MS), Err(AuthError::WrongAlgorithm));
    let unsigned = "eyJhbGciOiJub25lIiwia2lkIjoiZTEifQ.e30.";
    assert!(ring.verify(unsigned, NOW_MS).is_err());
}

#[test]
fn bytes_that_are_no_key_are_refused_at_the_start() {
    let material = KeyMaterial::Es256 { public_key: b"nonsense".to_vec(), private_key_file: None };
    let key = TenantKey { kid: "e1".into(), issuer: None, material, place: place() };
    assert!(Keyring::new(&[tenant("acme", vec![key.clone()])]).unwrap_err().to_string().contains("P-256"));
    assert!(Mint::new(&key).is_err());
}

//! The pair's private authority: signs the certificates of both nodes and of the witness, and nothing else.
//!
//! ECDSA P-256. The authority lives 20 years, what it signs 10: an expired certificate would part a healthy pair, and who can
//! read a node's key can read its data anyway. `duet pair renew` signs anew at any time; what is used already stays valid.
//! The authority's key is needed for that alone and belongs offline.

use super::identity::{Member, hex};
use crate::core::ClusterId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use std::time::{Duration, SystemTime};

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const AUTHORITY_VALID: Duration = Duration::from_secs(20 * YEAR.as_secs());
const MEMBER_VALID: Duration = Duration::from_secs(10 * YEAR.as_secs());
/// Clocks that are behind by less than this accept a fresh certificate.
const SKEW: Duration = Duration::from_secs(86_400);

/// A certificate and its private key, PEM. `Debug` does not show the key.
#[derive(Clone)]
pub struct Signed {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl std::fmt::Debug for Signed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signed(..)")
    }
}

/// The pair's authority, able to sign.
pub struct Authority {
    cluster: ClusterId,
    issuer: Issuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl Authority {
    /// A new one, with its own certificate.
    ///
    /// # Errors
    /// What the library says.
    pub fn mint(cluster: ClusterId, now: SystemTime) -> Result<(Self, Signed), rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = authority_params(cluster);
        (params.not_before, params.not_after) = ((now - SKEW).into(), (now + AUTHORITY_VALID).into());
        let certificate = params.self_signed(&key)?.pem();
        let signed = Signed { certificate, key: key.serialize_pem() };
        Ok((Self { cluster, issuer: Issuer::new(params, key) }, signed))
    }

    /// The one whose private key this is. Its certificate is not needed: the cluster id says its name.
    ///
    /// # Errors
    /// What the library says of a key that is none.
    pub fn from_key(cluster: ClusterId, key: &str) -> Result<Self, rcgen::Error> {
        let key = KeyPair::from_pem(key)?;
        Ok(Self { cluster, issuer: Issuer::new(authority_params(cluster), key) })
    }

    /// A certificate for a member, with a new key.
    ///
    /// # Errors
    /// What the library says.
    pub fn sign(&self, member: Member, now: SystemTime) -> Result<Signed, rcgen::Error> {
        let name = member.name(self.cluster);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new([name.clone()])?;
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, format!("Duet {member}"));
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Nodes call and are called; the witness is only called.
        params.extended_key_usages = match member {
            Member::Node(_) => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
            Member::Witness => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) = ((now - SKEW).into(), (now + MEMBER_VALID).into());
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Signed { certificate, key: key.serialize_pem() })
    }
}

fn authority_params(cluster: ClusterId) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Duet pair {}", hex(&cluster.0)));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

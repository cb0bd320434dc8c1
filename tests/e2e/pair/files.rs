//! Files that both nodes of a pair have alike.

use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};

/// Writes the certificate that both nodes show to clients; its hash.
pub(super) fn write_certificate(dir: &Path) -> String {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("key.pem"), key.serialize_pem()).unwrap();
    Sha256::digest(certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What both nodes have in common.
pub(super) const COMMON: &str = "[tls]\ncertificate_file = \"cert.pem\"\nkey_file = \"key.pem\"\n\
     [store]\nfree_floor_mib = 1\n\
     [[tenant]]\nname = \"acme\"\n[[tenant.key]]\nkid = \"acme-1\"\nalg = \"HS256\"\nsecret_file = \"acme.secret\"\n";

//! The certificate that the server mints for itself, so that development and closed networks need no
//! authority.
//!
//! ECDSA P-256 and 13 days: browsers take at most 14 for `serverCertificateHashes`. It is renewed two
//! days before its end; a page that fetched the old hash keeps its connection.

use super::{TransportError, keys::write_secret};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

const VALID: Duration = Duration::from_secs(13 * DAY_S);
const RENEW_BEFORE: Duration = Duration::from_secs(2 * DAY_S);
/// Clocks of clients that are behind by less than this still accept a fresh certificate.
const SKEW: Duration = Duration::from_secs(3_600);
const DAY_S: u64 = 86_400;

/// Where the minted certificate and its key lie.
#[derive(Debug)]
pub(super) struct Minted {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Minted {
    /// The certificate in `directory`, minted anew when there is none or it ends within two days.
    pub(super) fn load_or_mint(directory: &Path, now: SystemTime) -> Result<Self, TransportError> {
        let minted =
            Self { certificate: directory.join("minted-cert.pem"), key: directory.join("minted-key.pem") };
        let end_path = directory.join("minted-until");
        let ends = fs::read_to_string(&end_path).ok().and_then(|text| text.trim().parse().ok());
        let ends = ends.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
        let lasts = ends.is_some_and(|ends: SystemTime| ends > now + RENEW_BEFORE && ends <= now + VALID);
        if lasts && minted.certificate.is_file() && minted.key.is_file() {
            return Ok(minted);
        }
        minted.mint(&end_path, now)?;
        Ok(minted)
    }

    fn mint(&self, end_path: &Path, now: SystemTime) -> Result<(), TransportError> {
        let tls = |error: rcgen::Error| TransportError::Tls(error.to_string());
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(tls)?;
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).map_err(tls)?;
        params.not_before = (now - SKEW).into();
        let ends = now - SKEW + VALID;
        params.not_after = ends.into();
        let certificate = params.self_signed(&key).map_err(tls)?;

        let end_s = ends.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let write = |path: &Path, text: &str| {
            write_secret(path, text.as_bytes())
                .map_err(|source| TransportError::File { path: path.to_owned(), source })
        };
        // The end comes last: a crash in between leads to minting again.
        let _ = fs::remove_file(end_path);
        write(&self.key, &key.serialize_pem())?;
        write(&self.certificate, &certificate.pem())?;
        write(end_path, &end_s.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_kept_until_two_days_before_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let now = SystemTime::now();
        let read = |now| fs::read(Minted::load_or_mint(directory.path(), now).unwrap().certificate).unwrap();
        let first = read(now);
        assert_eq!(read(now + Duration::from_secs(10 * DAY_S)), first);
        let second = read(now + Duration::from_secs(11 * DAY_S));
        assert_ne!(second, first);
        assert_ne!(read(now), second, "a certificate from the future is not used");
    }
}

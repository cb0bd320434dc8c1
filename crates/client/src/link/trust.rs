//! Which server certificates are accepted: those of public authorities, of own ones, or exactly those whose hash is
//! known. The last is for development, where a certificate is minted at start and nobody signs it.

use super::LinkError;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Which server certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those that the operating system's authorities signed, for the name that was dialed.
    System,
    /// Those that one of these authorities signed (each a certificate in DER), for the name that was dialed.
    Authorities(Vec<Vec<u8>>),
    /// Those whose SHA-256 (over the DER) is listed, whatever name they carry.
    Pinned(Vec<[u8; 32]>),
}

impl Trust {
    /// One pinned certificate, its SHA-256 as 64 hexadecimal digits; colons are skipped.
    ///
    /// # Errors
    /// [`LinkError::BadHash`] for anything else.
    pub fn pinned_hex(hash: &str) -> Result<Self, LinkError> {
        let digits: Option<Vec<u8>> = hash
            .chars()
            .filter(|c| *c != ':')
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(LinkError::BadHash)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self::Pinned(vec![bytes]))
    }

    /// TLS 1.3 with ALPN `duet/1` and no early data, which must not carry frames.
    pub(super) fn tls(&self) -> Result<ClientConfig, LinkError> {
        self.with(&[&rustls::version::TLS13], duet_protocol::ALPN_NATIVE)
    }

    /// TLS 1.2 or 1.3 for HTTP/1.1, with which a WebSocket begins.
    pub(super) fn tls_over_tcp(&self) -> Result<ClientConfig, LinkError> {
        self.with(&[&rustls::version::TLS13, &rustls::version::TLS12], b"http/1.1")
    }

    fn with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[u8],
    ) -> Result<ClientConfig, LinkError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|error| LinkError::Tls(error.to_string()))?;
        let mut config = match self {
            Self::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
            Self::Authorities(certificates) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates {
                    let certificate = CertificateDer::from(certificate.clone());
                    roots.add(certificate).map_err(|error| LinkError::Tls(error.to_string()))?;
                }
                builder.with_root_certificates(roots).with_no_client_auth()
            }
            Self::Pinned(hashes) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pins { hashes: hashes.clone(), provider }))
                .with_no_client_auth(),
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        config.enable_early_data = false;
        Ok(config)
    }
}

fn system_roots() -> Result<RootCertStore, LinkError> {
    let mut roots = RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        return Err(LinkError::Tls("this system has no certificate authorities".into()));
    }
    Ok(roots)
}

/// Accepts by hash alone. The handshake's signature is still checked: whoever answers must hold the key.
#[derive(Debug)]
struct Pins {
    hashes: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pins {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let hash: [u8; 32] = Sha256::digest(end_entity).into();
        if self.hashes.contains(&hash) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("the certificate is not the pinned one".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("a Duet server speaks TLS 1.3".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_read_with_and_without_colons_and_nothing_else_is() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(Trust::pinned_hex(&plain).unwrap(), Trust::Pinned(vec![[0xab; 32]]));
        assert_eq!(Trust::pinned_hex(&colons).unwrap(), Trust::Pinned(vec![[0xab; 32]]));
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert!(matches!(Trust::pinned_hex(bad), Err(LinkError::BadHash)), "{bad}");
        }
    }
}

//! TLS as all carriers use it: one cipher suite for everybody, so that servers are compared and not their ciphers.

use crate::LoadError;
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
};
use sha2::{Digest as _, Sha256};
use std::{path::PathBuf, sync::Arc};

/// Which certificate of the server is taken.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Any; for loopback.
    Any,
    /// The one whose DER has this SHA-256.
    Pinned([u8; 32]),
    /// Those of the authorities in this PEM file.
    Authorities(PathBuf),
}

/// A client's configuration for TLS 1.3 with AES-128-GCM and this ALPN (none: without).
///
/// # Errors
/// [`LoadError::Tls`]
pub fn client(trust: &Trust, alpn: &[&[u8]]) -> Result<ClientConfig, LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::Tls(error.to_string());
    let provider = CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![ring::kx_group::X25519, ring::kx_group::SECP256R1],
        ..ring::default_provider()
    };
    let provider = Arc::new(provider);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| failed(&error))?;
    let mut config = match trust {
        Trust::Authorities(file) => {
            let mut roots = RootCertStore::empty();
            let found = CertificateDer::pem_file_iter(file).map_err(|error| failed(&error))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots.add(certificate).map_err(|error| failed(&error))?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Any => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pin { hash: None, provider }))
            .with_no_client_auth(),
        Trust::Pinned(hash) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pin { hash: Some(*hash), provider }))
            .with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // A handshake is measured whole.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// Takes one certificate by its hash, or any.
#[derive(Debug)]
struct Pin {
    hash: Option<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.hash {
            Some(hash) if Sha256::digest(end_entity).as_slice() != hash => {
                Err(rustls::Error::General("another certificate than the pinned one".to_owned()))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

//! Who a process is within its pair, and how it recognises the others: certificates of the pair's own authority.
//!
//! A name is `a`, `b` or `witness`, then the cluster id, then `duet.internal`, a domain that no public authority signs. Both
//! ends of a connection show a certificate and both look at name and signature; tickets are off, so that every link looks
//! anew. Files are read again with [`Identity::load`]: a renewed certificate is used from the next link on.

use crate::core::{ClusterId, Side};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::{Resumption, verify_server_name},
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
    server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Who may hold a certificate of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// A data node.
    Node(Side),
    /// The witness.
    Witness,
}

impl Member {
    /// Everybody in a pair.
    pub const ALL: [Self; 3] = [Self::Node(Side::A), Self::Node(Side::B), Self::Witness];

    /// The name in its certificate.
    #[must_use]
    pub fn name(self, cluster: ClusterId) -> String {
        format!("{self}.{}.duet.internal", hex(&cluster.0))
    }

    /// Whose certificate this is, among the members of this pair. The signature is not looked at.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>, cluster: ClusterId) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        Self::ALL.into_iter().find(|member| {
            let name = ServerName::try_from(member.name(cluster));
            name.is_ok_and(|name| verify_server_name(&parsed, &name).is_ok())
        })
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(side) => side.fmt(f),
            Self::Witness => f.write_str("witness"),
        }
    }
}

/// Where the PEM files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The pair's authority; several certificates while it is being replaced.
    pub ca: PathBuf,
    /// This process's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why the files are of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct BadIdentity {
    /// Which file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: String,
}

/// A certificate with its key, and the authority. `Debug` shows neither.
#[derive(Clone)]
pub struct Identity {
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    key_path: PathBuf,
}

impl Identity {
    /// Reads the files of a member of this pair.
    ///
    /// # Errors
    /// [`BadIdentity`] for a file that cannot be read, or a certificate that is somebody else's.
    pub fn load(files: &IdentityFiles, cluster: ClusterId, member: Member) -> Result<Self, BadIdentity> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&files.ca)? {
            roots.add(certificate).map_err(|error| bad(&files.ca, &error))?;
        }
        let chain = certificates(&files.certificate)?;
        let found = chain.first().and_then(|leaf| Member::of(leaf, cluster));
        if found != Some(member) {
            let whose = found.map_or("nobody of this pair".to_owned(), |found| format!("{found:?}"));
            let problem = format!("must be the certificate of {}, but names {whose}", member.name(cluster));
            return Err(BadIdentity { path: files.certificate.clone(), problem });
        }
        let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| bad(&files.key, &error))?;
        let identity =
            Self { roots: Arc::new(roots), chain, key: Arc::new(key), key_path: files.key.clone() };
        identity.client_config(b"")?;
        Ok(identity)
    }

    /// TLS 1.3 for the end that is called. It demands a certificate of the pair; whose it is, is the caller's to look at.
    ///
    /// # Errors
    /// [`BadIdentity`] when key and certificate do not belong together.
    pub fn server_config(&self, alpn: &[u8]) -> Result<ServerConfig, BadIdentity> {
        let failed = |error: &dyn fmt::Display| bad(&self.key_path, error);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&self.roots), provider())
            .build()
            .map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| failed(&error))?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// TLS 1.3 for the end that calls. It checks the name that the caller gives.
    ///
    /// # Errors
    /// [`BadIdentity`] when key and certificate do not belong together.
    pub fn client_config(&self, alpn: &[u8]) -> Result<ClientConfig, BadIdentity> {
        let failed = |error: &dyn fmt::Display| bad(&self.key_path, error);
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| failed(&error))?
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| failed(&error))?;
        config.alpn_protocols = vec![alpn.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, BadIdentity> {
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(path, &error))?;
    if found.is_empty() { Err(bad(path, &"holds no certificate")) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn bad(path: &Path, error: &dyn fmt::Display) -> BadIdentity {
    BadIdentity { path: path.to_owned(), problem: error.to_string() }
}

//! Certificates and TLS configuration, shared by QUIC and TCP.
//!
//! The certificate lies behind one handle that can be given a new one at run time; connections that are
//! being made next use it, those that exist are not touched. QUIC speaks TLS 1.3 only, without early
//! data (a replayed hello must not exist for WebTransport); TCP speaks 1.2 and 1.3.

use super::{TransportError, keys::Keys, tickets::SharedTickets, tls_minted::Minted};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use sha2::{Digest as _, Sha256};
use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

/// ALPN of HTTP/3.
pub const ALPN_HTTP3: &[u8] = b"h3";
/// ALPN of HTTP/2 over TCP.
pub(super) const ALPN_HTTP2: &[u8] = b"h2";

/// The server's certificate and where it comes from. Cheap to clone; clones share the certificate.
#[derive(Debug, Clone)]
pub struct Certificates {
    source: Arc<Source>,
    current: Arc<Current>,
}

#[derive(Debug)]
enum Source {
    Files { chain: PathBuf, key: PathBuf },
    Minted { directory: PathBuf },
}

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl Certificates {
    /// A chain and a key from PEM files.
    ///
    /// # Errors
    /// [`TransportError`] when a file cannot be read, or key and certificate do not match.
    pub fn from_files(chain: &Path, key: &Path) -> Result<Self, TransportError> {
        Self::new(Source::Files { chain: chain.to_owned(), key: key.to_owned() }, SystemTime::now())
    }

    /// A self-signed certificate for `localhost`, 127.0.0.1 and ::1, valid 13 days, kept in `directory`
    /// and minted there when there is none or it is about to end. Browsers accept it by its
    /// [`hash`](Self::hash), without any flag.
    ///
    /// # Errors
    /// [`TransportError`] when the directory cannot be used.
    pub fn minted(directory: &Path) -> Result<Self, TransportError> {
        Self::new(Source::Minted { directory: directory.to_owned() }, SystemTime::now())
    }

    /// Reads the files again, or renews a minted certificate if it is time; true when the certificate
    /// is another one now. Call it daily, and when an operator asks.
    ///
    /// # Errors
    /// [`TransportError`] as at the start; the certificate in use stays.
    pub fn reload(&self) -> Result<bool, TransportError> {
        let fresh = self.source.load(SystemTime::now())?;
        let mut current = self.current.0.write().unwrap_or_else(PoisonError::into_inner);
        let changed = current.cert != fresh.cert;
        *current = fresh;
        Ok(changed)
    }

    /// SHA-256 of the leaf certificate, for `serverCertificateHashes` in a page. Browsers take it only
    /// for ECDSA certificates valid at most 14 days.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let current = self.current.get();
        current.cert.first().map_or([0; 32], |leaf| Sha256::digest(leaf).into())
    }

    /// The leaf certificate, DER. For clients that pin it.
    #[must_use]
    pub fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.current.get().cert.first().cloned()
    }

    /// TLS for QUIC: 1.3 only, native protocol before HTTP/3 when a client offers both.
    pub(super) fn quic_config(&self, keys: &Keys) -> Result<Arc<ServerConfig>, TransportError> {
        let alpn = vec![duet_protocol::ALPN_NATIVE.to_vec(), ALPN_HTTP3.to_vec()];
        self.server_config(&[&rustls::version::TLS13], alpn, keys.tickets("quic"))
    }

    /// TLS for TCP: 1.2 and 1.3, HTTP/2 before HTTP/1.1 when a client offers both. Browsers open WebSockets over HTTP/1.1.
    pub(super) fn tcp_config(&self, keys: &Keys) -> Result<Arc<ServerConfig>, TransportError> {
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        self.server_config(&versions, vec![ALPN_HTTP2.to_vec(), b"http/1.1".to_vec()], keys.tickets("tcp"))
    }

    fn new(source: Source, now: SystemTime) -> Result<Self, TransportError> {
        let current = Current(RwLock::new(source.load(now)?));
        Ok(Self { source: Arc::new(source), current: Arc::new(current) })
    }

    fn server_config(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: Vec<Vec<u8>>,
        tickets: Option<Arc<SharedTickets>>,
    ) -> Result<Arc<ServerConfig>, TransportError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .map_err(|error| TransportError::Tls(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn;
        config.max_early_data_size = 0;
        if let Some(tickets) = tickets {
            config.ticketer = tickets;
        }
        Ok(Arc::new(config))
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

impl Source {
    fn load(&self, now: SystemTime) -> Result<Arc<CertifiedKey>, TransportError> {
        match self {
            Self::Files { chain, key } => read(chain, key),
            Self::Minted { directory } => {
                let minted = Minted::load_or_mint(directory, now)?;
                read(&minted.certificate, &minted.key)
            }
        }
    }
}

fn read(chain_path: &Path, key_path: &Path) -> Result<Arc<CertifiedKey>, TransportError> {
    let content = |path: &Path, problem: String| TransportError::Content { path: path.to_owned(), problem };
    let chain = CertificateDer::pem_file_iter(chain_path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| content(chain_path, error.to_string()))?;
    if chain.is_empty() {
        return Err(content(chain_path, "holds no certificate".into()));
    }
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| content(key_path, error.to_string()))?;
    let certified = CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|error| content(key_path, error.to_string()))?;
    Ok(Arc::new(certified))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// How a client that keeps its session came to a connection with a server, without a network.
    fn handshake(client: &Arc<rustls::ClientConfig>, server: &Arc<ServerConfig>) -> rustls::HandshakeKind {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::clone(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(Arc::clone(server)).unwrap();
        // Enough rounds for the tickets that follow the handshake.
        for _ in 0..4 {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            server.read_tls(&mut &bytes[..]).unwrap();
            server.process_new_packets().unwrap();
            let mut bytes = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            client.read_tls(&mut &bytes[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        client.handshake_kind().unwrap()
    }

    #[test]
    fn a_client_of_one_node_of_a_pair_resumes_its_tls_session_at_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let certificates = Certificates::minted(directory.path()).unwrap();
        let shared = directory.path().join("shared.key");
        fs::write(&shared, [7; 96]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificates.leaf().unwrap()).unwrap();
        let client = || {
            let provider = Arc::new(ring::default_provider());
            let config = rustls::ClientConfig::builder_with_provider(provider);
            let config = config.with_safe_default_protocol_versions().unwrap();
            Arc::new(config.with_root_certificates(roots.clone()).with_no_client_auth())
        };
        let node = |shared: Option<&Path>| {
            let keys = Keys::mint().unwrap();
            let keys = shared.map_or(Ok(keys.clone()), |shared| keys.with_shared(shared)).unwrap();
            certificates.tcp_config(&keys).unwrap()
        };
        for (shared, wanted) in
            [(Some(&*shared), rustls::HandshakeKind::Resumed), (None, rustls::HandshakeKind::Full)]
        {
            let (client, a, b) = (client(), node(shared), node(shared));
            assert_eq!(handshake(&client, &a), rustls::HandshakeKind::Full);
            assert_eq!(handshake(&client, &b), wanted);
        }
    }

    #[test]
    fn a_new_file_is_used_after_reload_and_a_broken_one_is_not() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let one = Minted::load_or_mint(first.path(), SystemTime::now()).unwrap();
        let two = Minted::load_or_mint(second.path(), SystemTime::now()).unwrap();
        let certificates = Certificates::from_files(&one.certificate, &one.key).unwrap();
        let before = certificates.hash();
        assert!(!certificates.reload().unwrap());

        fs::copy(&two.certificate, &one.certificate).unwrap();
        assert!(certificates.reload().is_err(), "the key is still the old one");
        assert_eq!(certificates.hash(), before);

        fs::copy(&two.key, &one.key).unwrap();
        assert!(certificates.reload().unwrap());
        assert_ne!(certificates.hash(), before);
    }
}

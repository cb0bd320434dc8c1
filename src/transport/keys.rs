//! Keys that must outlive the process, so that a restart is noticed at once and not after a timeout.
//!
//! With the reset key and the connection-id key of before, a restarted server answers packets of the
//! old connections with a stateless reset (RFC 9000 §10.3): a page reconnects 4 ms after its next send
//! instead of 6.5 s. The token key lets addresses stay validated over a restart (§8.1).
//!
//! The nodes of a pair share the token key and the secret of session tickets, from a file of `duet pair init`: a client that
//! one node knows need not prove itself anew at the other. The other two keys are each node's own: a node that could reset its
//! peer's connections would be an oracle for it (§21.11).

use super::{TransportError, tickets::SharedTickets};
use quinn::{EndpointConfig, crypto::HandshakeTokenKey};
use quinn_proto::HashedConnectionIdGenerator;
use ring::{hkdf, hmac};
use std::{
    fmt, fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    sync::Arc,
};

const FILE_NAME: &str = "quic-keys";
/// Reset key 64 bytes, token key 64 bytes, connection-id key 8 bytes.
const FILE_BYTES: usize = 136;

/// Token key 64 bytes, ticket secret 32 bytes.
const SHARED_BYTES: usize = 96;

/// The three keys, and what a pair shares. `Debug` does not show them.
#[derive(Clone)]
pub struct Keys {
    bytes: [u8; FILE_BYTES],
    shared: Option<[u8; SHARED_BYTES]>,
}

impl Keys {
    /// Reads the keys from `directory`, or mints them there (file mode 0600) if there are none.
    ///
    /// # Errors
    /// [`TransportError`] when the directory cannot be used, or holds a file of another size: it is
    /// never overwritten.
    pub fn load_or_mint(directory: &Path) -> Result<Self, TransportError> {
        let path = directory.join(FILE_NAME);
        match fs::read(&path) {
            Ok(bytes) => match bytes.try_into() {
                Ok(bytes) => Ok(Self { bytes, shared: None }),
                Err(_) => Err(TransportError::Content { path, problem: format!("not {FILE_BYTES} bytes") }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys = Self::mint()?;
                write_secret(&path, &keys.bytes).map_err(|source| TransportError::File { path, source })?;
                Ok(keys)
            }
            Err(source) => Err(TransportError::File { path, source }),
        }
    }

    /// Keys that die with the process.
    ///
    /// # Errors
    /// [`TransportError::Entropy`] when the system gives no random bytes.
    pub fn mint() -> Result<Self, TransportError> {
        let mut bytes = [0; FILE_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| TransportError::Entropy(error.to_string()))?;
        Ok(Self { bytes, shared: None })
    }

    /// The same with the keys that the nodes of a pair share: `shared.key` of `duet pair init`.
    ///
    /// # Errors
    /// [`TransportError`] when the file cannot be read, or is of another size.
    pub fn with_shared(self, path: &Path) -> Result<Self, TransportError> {
        let bytes =
            fs::read(path).map_err(|source| TransportError::File { path: path.to_owned(), source })?;
        let shared = bytes.try_into().map_err(|_| TransportError::Content {
            path: path.to_owned(),
            problem: format!("not {SHARED_BYTES} bytes: `duet pair init` makes it"),
        })?;
        Ok(Self { shared: Some(shared), ..self })
    }

    /// Session tickets of a carrier that both nodes of a pair accept; none without a pair.
    pub(super) fn tickets(&self, carrier: &'static str) -> Option<Arc<SharedTickets>> {
        self.shared.map(|shared| SharedTickets::new(&shared[64..], carrier))
    }

    pub(super) fn endpoint_config(&self) -> EndpointConfig {
        let reset_key = hmac::Key::new(hmac::HMAC_SHA256, &self.bytes[..64]);
        let cid_key = self.bytes[128..].iter().fold(0_u64, |key, byte| (key << 8) | u64::from(*byte));
        let mut config = EndpointConfig::new(Arc::new(reset_key));
        config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(cid_key)));
        config
    }

    pub(super) fn token_key(&self) -> Arc<dyn HandshakeTokenKey> {
        let key = self.shared.as_ref().map_or(&self.bytes[64..128], |shared| &shared[..64]);
        Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(key))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let draft = path.with_extension("new");
    let _ = fs::remove_file(&draft);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn keys_come_back_and_only_the_owner_may_read_them() {
        let directory = tempfile::tempdir().unwrap();
        let minted = Keys::load_or_mint(directory.path()).unwrap();
        let loaded = Keys::load_or_mint(directory.path()).unwrap();
        assert_eq!(minted.bytes, loaded.bytes);
        let mode = fs::metadata(directory.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(format!("{loaded:?}"), "Keys(..)");
    }

    #[test]
    fn an_address_that_one_node_of_a_pair_validated_is_valid_at_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let shared = directory.path().join("shared.key");
        fs::write(&shared, [7; SHARED_BYTES]).unwrap();
        let token = |keys: &Keys| {
            let mut token = b"token".to_vec();
            keys.token_key().aead_from_hkdf(&[1; 32]).seal(&mut token, b"").unwrap();
            token
        };
        let (a, b) = (Keys::mint().unwrap(), Keys::mint().unwrap());
        assert_ne!(token(&a), token(&b));
        assert!(a.tickets("quic").is_none());
        let (a, b) = (a.with_shared(&shared).unwrap(), b.with_shared(&shared).unwrap());
        assert_eq!(token(&a), token(&b));
        assert_ne!(a.bytes, b.bytes, "a node cannot reset its peer's connections");

        fs::write(&shared, [7; SHARED_BYTES - 1]).unwrap();
        assert!(matches!(a.with_shared(&shared), Err(TransportError::Content { .. })));
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, b"short").unwrap();
        assert!(matches!(Keys::load_or_mint(directory.path()), Err(TransportError::Content { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"short");
    }
}

//! Why a server does not start, or stops against its will: each with a sentence for the operator.

use super::auth::BadKey;
use crate::{arbiter::RegisterError, peer::BadIdentity, store::StoreError, transport::TransportError};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why `duet serve` ends with a failure.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A configured key is none.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// An issuer's file of keys cannot be used.
    #[error("{0}")]
    Issuer(String),
    /// A socket, certificate or key file cannot be used.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The pair's port cannot be opened.
    #[error(transparent)]
    Peer(#[from] crate::peer::PeerError),
    /// The arbiter cannot be had.
    #[error(transparent)]
    Arbiter(#[from] crate::arbiter::ArbiterError),
    /// The store cannot be opened, or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk has no room even for opening what it holds.
    #[error(
        "the disk under {} is full ({what}: {source}): free {required_mib} MiB on it or enlarge it, then start again; nothing is lost",
        dir.display()
    )]
    DiskFull {
        /// The directory of the store.
        dir: PathBuf,
        /// During what.
        what: &'static str,
        /// What the system said.
        source: io::Error,
        /// What must be free before anything is written, MiB.
        required_mib: u64,
    },
    /// The store opened, but what it holds is no state of this program.
    #[error("the stored state cannot be read: {0}")]
    State(String),
    /// The arbiter's register cannot be used.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A certificate of the pair cannot be used.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// A command needs a setting that nobody made.
    #[error("{key}: is required for `{command}`")]
    Missing {
        /// Which command.
        command: &'static str,
        /// The key of the configuration.
        key: &'static str,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An HTTP listener of the admin or demo pages cannot be bound.
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen {
        /// What for.
        what: &'static str,
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Entropy(String),
    /// The system refuses threads, signals, logs or metrics.
    #[error("cannot start {what}: {reason}")]
    System {
        /// What was to be started.
        what: &'static str,
        /// What the system said.
        reason: String,
    },
    /// The demo tenant cannot be had.
    #[error("--dev: {0}")]
    Dev(String),
    /// A part of the server met a defect of its own. Nothing that was acknowledged is lost.
    #[error("{0} stopped by a defect; the process ends so that no half of it goes on")]
    Defect(&'static str),
}

impl ServeError {
    /// Whether the operator can mend it by changing the configuration.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Issuer(_) | Self::Identity(_) | Self::Missing { .. })
    }

    pub(super) fn file(path: &Path, source: io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    pub(super) fn system(what: &'static str, reason: &dyn std::fmt::Display) -> Self {
        Self::System { what, reason: format!("{reason}") }
    }
}

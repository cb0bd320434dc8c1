//! The link between the nodes of a pair: one QUIC connection on a port of its own, `duet-peer/1`, certificates of the pair's
//! own authority at both ends. It carries the core's [`PeerMessage`](crate::core::PeerMessage)s and files, and knows nothing
//! of what they mean; it starts no task and makes no queue but the outgoing one. `docs/peer-link.md` has the bytes.
//!
//! ```text
//! PeerEndpoint ─next_link─► Link ─split─► LinkSender · LinkWriter · LinkReceiver · LinkFiles
//! ```
//!
//! What it promises: messages of one lane arrive in order, each once, whole; a heartbeat waits for no entry and no file, on
//! no queue of either node; of two links one stands, the same on both nodes; what is no message ends the link with a reason
//! and harms nothing; a file is there whole or not at all; nothing waits for ever.

pub mod frame;
pub mod hello;

#[cfg(feature = "server")]
mod authority;
#[cfg(feature = "server")]
mod ended;
#[cfg(feature = "server")]
mod endpoint;
#[cfg(feature = "server")]
mod file;
#[cfg(feature = "server")]
mod greeting;
#[cfg(feature = "server")]
mod identity;
#[cfg(feature = "server")]
mod incoming;
#[cfg(feature = "server")]
mod init;
#[cfg(feature = "server")]
mod link;
#[cfg(feature = "server")]
mod outgoing;
#[cfg(feature = "server")]
mod standing;

#[cfg(feature = "server")]
pub use {
    authority::{Authority, Signed},
    ended::{LinkEnded, LinkError},
    endpoint::{ALPN_PEER, PeerConfig, PeerEndpoint, PeerRenewal},
    file::{ArrivingFile, FileFailed, LinkFiles, Pace, ReceivedFile},
    greeting::GREETING_MAX,
    identity::{BadIdentity, Identity, IdentityFiles, Member, hex},
    incoming::LinkReceiver,
    init::{InitFailed, PairFiles, PairPlan, SHARED_KEY_BYTES, init, init_as, parse_cluster, renew},
    link::{IDLE_TIMEOUT, Link, LinkInfo, LinkParts, LinkStatistics},
    outgoing::{LinkSender, LinkWriter, SendRefused},
};
pub use {
    frame::{FrameError, Lane},
    hello::Refusal,
};

/// Why the pair's port cannot be opened.
#[cfg(feature = "server")]
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The address cannot be had.
    #[error("cannot listen on {address} for the peer: {source}")]
    Bind {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key is of no use.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// TLS refused the configuration.
    #[error("TLS configuration: {0}")]
    Tls(String),
}

//! Transport: bytes ⇄ frames, over raw QUIC, WebTransport, WebSocket and plain HTTP requests.
//!
//! It knows lanes, frames, codes and bounds. It does not know what a conversation, a user or a command
//! is, and it starts no tasks: everything here is a future or a handle that the server drives.
//!
//! ```text
//! Endpoint ─accept─► Pending ─handshake─► Established::Native(Connection)
//!                                        └ Established::Http3(Http3) ─next─► SessionRequest ─accept─► Connection
//! tcp::Listener ─accept─► tcp::Pending ─serve(router)─► websocket::upgrade ─► Connection
//!                                                     └ http::Carriers::open ─► Connection
//! Connection ─run(sink)─► Closed          Connection::outbox() ─► Outbox (push, datagram, close)
//! ```

mod chunk;
pub mod connection;
pub mod endpoint;
pub mod http;
mod idle;
pub mod keys;
pub mod limits;
pub mod origin;
pub mod outbox;
mod outbox_state;
mod path;
mod quic;
mod sockets;
pub mod tcp;
mod tickets;
pub mod tls;
mod tls_minted;
mod watch;
pub mod websocket;
mod websocket_end;
pub mod webtransport;

pub use connection::{Closed, Connection, Inbound, Lane, LostReason, Misbehaved};
pub use endpoint::{Endpoint, EndpointConfig, Established, Pending};
pub use limits::{Limits, Silences};
pub use origin::Origins;
pub use outbox::{Class, Outbox, Outgoing, Pushed};
pub use path::{Path, TransportKind};
pub use tls::Certificates;
pub use webtransport::{Http3, SessionRequest};

use std::{io, path::PathBuf, time::Duration};

/// Why something in transport could not be done. By fault: `Peer…` theirs, the rest ours or the
/// operator's.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// A socket could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// What was asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A key or certificate file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// TLS refused the configuration.
    #[error("TLS configuration: {0}")]
    Tls(String),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Entropy(String),
    /// The peer did not finish something in time.
    #[error("the peer took longer than {0:?}")]
    PeerSlow(Duration),
    /// The handshake failed, or the connection ended before it was of use.
    #[error("the peer's connection failed: {0}")]
    PeerFailed(String),
}

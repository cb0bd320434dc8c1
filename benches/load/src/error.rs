//! Why a run came to nothing.

use duet_protocol::Code;
use std::io;

/// Why a run came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The plan makes no sense; the sentence says what to change.
    #[error("{0}")]
    Plan(String),
    /// No runtime.
    #[error("cannot start: {0}")]
    Runtime(#[source] io::Error),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(String),
    /// No token for a user.
    #[error("no token: {0}")]
    Token(String),
    /// The server does not answer, or not as it should.
    #[error("{0}")]
    Connection(String),
    /// The server closed a connection.
    #[error("the server closed a connection: {} {}", .0.0, .0.name())]
    Closed(Code),
    /// The server refused what the plan needs.
    #[error("the server refused {what}: {} {}", .code.0, .code.name())]
    Refused {
        /// What.
        what: &'static str,
        /// Why.
        code: Code,
    },
    /// An answer that did not come in time.
    #[error("no answer to {0} in time")]
    Silence(&'static str),
    /// `/proc` of the server's process cannot be read.
    #[error("process {pid}: {error}")]
    Process {
        /// Its number.
        pid: u32,
        /// Why.
        error: io::Error,
    },
}

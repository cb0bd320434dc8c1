//! The link over raw QUIC, ALPN `duet/1`, or over a WebSocket where UDP does not pass: the machine's orders become streams, wrappers and datagrams, what comes
//! back becomes facts for the machine. Decides nothing.
//!
//! Per connection one task owns it, and one task per stream writes and reads it, so that a stream without credit
//! delays no other. What arrives waits in the driver's queue; when that is full, reading stops and QUIC's flow
//! control tells the server.

mod connection;
mod dial;
mod lane;
mod race;
mod socket;
mod trust;

pub use connection::{Facts, Link, Order, Transport};
pub use dial::{Dialer, LinkError};
pub use trust::Trust;

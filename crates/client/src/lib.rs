//! The native Duet SDK.
//!
//! [`machine`] is the behaviour without I/O: connecting, resuming, the outbox, subscriptions.

pub mod machine;

pub use duet_protocol as protocol;

//! Duet: a real-time messaging server that speaks QUIC.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod arbiter;
#[cfg(feature = "server")]
pub mod config;
pub mod core;
pub mod peer;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod transport;

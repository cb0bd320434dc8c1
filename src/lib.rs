//! Duet: a real-time messaging server that speaks QUIC.

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod store;

//! Laws of the QUIC link and of the handle, against the model server behind a real endpoint on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a rig that cannot be set up ends the test")]

mod carrying;
mod host;
mod reaching;
#[path = "../machine/server.rs"]
#[allow(dead_code, reason = "the machine's tests use all of it")]
mod server;

//! Laws of the machine, held against a small model of a server over a network made of two queues. Proptest chooses
//! what is said and where things break; nothing here has a socket, a clock or a thread.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a rig that cannot be set up ends the test")]

mod changing;
mod connecting;
mod exactly_once;
mod following;
mod pair;
mod rig;
mod sending;
mod server;
mod showing;
mod signals;

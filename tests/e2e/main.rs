//! End-to-end tests: real sockets, real disks, real processes. One module per subject, named after it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect"
)]

mod arbiter;
mod browser;
mod crash;
mod full_disk;
mod isolation;
mod load;
mod node;
mod pages;
mod pair;
mod paths;
mod peer;
mod power_cut;
mod raw;
mod serve;
mod store;
mod store_child;
mod store_model;
mod store_snapshot;
mod store_space;
mod transport;
mod writers;

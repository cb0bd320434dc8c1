//! The `duet` binary: parses the command line and hands over to the server.
fn main() {}

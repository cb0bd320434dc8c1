//! Golden bytes. The samples of this test, the crate's code, `vectors/*.json` and `docs/protocol.md` must all say
//! the same; other languages read the vectors.
//!
//! `DUET_BLESS=1 cargo test -p duet-protocol --test golden` writes the vectors anew. Do that only for what is
//! new: a vector that changes is a broken contract.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

mod commands;
mod deliveries;
mod document;
mod events;
mod given;
mod hostile;
mod markdown;
mod mutation;
mod reader;
mod schema;
mod vectors;

//! Snapshots: everything that another node's new store needs, in one file, taken while the writer goes on.
//!
//! ```text
//!  Reader::export ──► file: head, state rows of one checkpoint, events of the entries up to it, SHA-256 ──► Store::import
//!       │                                                                                                    │
//!       └── Exported { index, hold }: the log from `index` on stays until the hold is dropped     a store whose log
//!                                                                                                  begins after `index`
//! ```
//!
//! Promises: the file is one moment, the checkpoint at `index`, although groups are committed meanwhile. It holds
//! nothing that could be taken back later. An import leaves nothing or the whole, wherever it is killed, and refuses a
//! file of which a single bit is wrong. `docs/storage.md` gives every byte.

mod export;
mod format;
mod guard;
mod import;
mod pace;
#[cfg(test)]
mod tests;

pub use export::Exported;
pub use guard::LogHold;
pub use import::Imported;
pub use pace::ExportPace;

pub(super) use guard::Guard;
pub(super) use import::sweep;

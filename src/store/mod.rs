//! The store: one ordered log on sled, the event rows that history is read from, and the checkpoint of the fold.
//!
//! It knows nothing of chat: indexes, epochs, positions and opaque bytes. It spawns no thread and makes no channel; the
//! server moves the [`Writer`] into a thread of its own and gives [`Reader`]s to whoever pages through history.
//!
//! Promises: a group that [`Writer::commit`] has returned for survives the death of the process and a power cut. A store
//! that lost something acknowledged, or whose bytes were changed, is refused when it is opened or read, with a sentence
//! for the operator, and never opens silently empty. A checkpoint is whole or not there. `docs/storage.md` gives every
//! byte and the argument; this folder is the only one that names sled.
//!
//! ```text
//!            commit(group)                      open
//!  server ──────────────► Writer ─► Database ◄── Store ──► Recovered: state rows, log after the checkpoint
//!           ◄────────────             ▲
//!            Durable{upto}            │
//!  server ──────────────► Reader ─────┘   events forward and backward, log for a peer
//! ```

mod acknowledged;
mod checkpoint;
mod database;
mod directory;
mod entry;
mod error;
mod key;
mod marks;
mod meta;
mod open;
mod reader;
mod recovered;
mod row;
mod snapshot;
mod space;
#[cfg(test)]
mod tests;
mod writer;

pub use checkpoint::{STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, StateChange};
pub use entry::{
    ENTRY_BYTES_MAX, ENTRY_EVENTS_MAX, EVENT_BYTES_MAX, EventRow, GROUP_ENTRIES_MAX, LogEntry, LogItem,
};
pub use error::StoreError;
pub use marks::Retention;
pub use meta::FORMAT_VERSION;
pub use open::{Opened, Store, StoreOptions};
pub use reader::{Reader, Statistics};
pub use recovered::{LogEntries, Recovered, StateRows};
pub use snapshot::{ExportPace, Exported, Imported, LogHold};
pub use writer::{Checkpointed, Durable, Truncated, Writer};

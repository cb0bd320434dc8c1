//! What an application holds: cheap, cloneable, `Send + Sync` handles in front of one task that owns the machine and
//! its links. No lifetimes and no generics on the surface, so that it can be offered to other languages as it is.

mod client;
mod conversation;
mod driver;
mod events;
mod options;

pub use client::{Client, ConnectionInfo};
pub use conversation::Conversation;
pub use events::{Events, Listener};
pub use options::{FixedToken, Options, Storage, TokenFuture, TokenSource};

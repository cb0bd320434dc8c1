//! Ephemeral facts: small, versioned, whole each time, safe to lose, never logged.
//!
//! They travel as datagrams where the transport has them. A receiver drops what has no higher version than the one it
//! holds: a server per connection, over all kinds. Unix milliseconds make good versions.

use crate::{
    codec::{Decode, Encode},
    ids::{ConversationId, UserId},
};

/// The user types, or has stopped. Repeat every few seconds while true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct TypingSignal {
    /// Where.
    pub conversation: ConversationId,
    /// Grows with every signal of this connection, of either kind.
    pub version: u64,
    /// Whether the user types.
    pub active: bool,
}

/// The user has left keyboard and screen alone, or is back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct IdleSignal {
    /// Grows with every signal of this connection, of either kind.
    pub version: u64,
    /// Whether the user is idle.
    pub idle: bool,
}

/// How the user attends to this device, whole: it replaces [`IdleSignal`] where the server granted
/// [`PRESENCE`](crate::hello::capability::PRESENCE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct ActivitySignal {
    /// Grows with every signal of this connection, of either kind.
    pub version: u64,
    /// The state.
    pub activity: Activity,
}

/// How a user attends to one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Activity {
    /// In use.
    Active,
    /// Keyboard, pointer and screen have been left alone.
    Idle,
    /// The application is in the background; it can still be reached.
    Background,
}

/// Somebody types. Ends by itself after `ttl_ms`.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct TypingState {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// Grows with every state of this user in this conversation.
    pub version: u64,
    /// How long to believe it; 0 means the user has stopped.
    pub ttl_ms: u32,
}

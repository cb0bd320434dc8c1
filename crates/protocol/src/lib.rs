//! The contract between Duet and its clients, and nothing else: pure data, no I/O, no clock.
//!
//! A connection carries [frames](frame). A client's frames decode to a [`Command`], the server's to a
//! [`Delivery`]; a datagram is one frame without its length. `docs/protocol.md` describes every byte,
//! `vectors/` holds golden bytes that every language must reproduce.

pub mod amend;
pub mod call;
pub mod codec;
pub mod command;
pub mod deflate;
pub mod delivery;
pub mod event;
pub mod frame;
pub mod hello;
pub mod ids;
mod kinds;
pub mod reject;
pub mod signal;

pub use codec::CodecError;
pub use command::Command;
pub use delivery::Delivery;
pub use event::{Event, EventBody};
pub use frame::{Frame, FrameDecoder, FrameError};
pub use hello::{Hello, Limits, Resumed, Welcome};
pub use ids::{
    ClientMessageId, ConversationId, DeviceId, DisplayName, Emoji, Label, Position, SessionId, TenantName,
    UserId,
};
pub use reject::{Code, Refusal, Subject};

/// The protocol versions that this crate speaks, best first. `hello` negotiates one.
pub const VERSIONS: &[u16] = &[1];

/// TLS application protocol of the native transport.
pub const ALPN_NATIVE: &[u8] = b"duet/1";

/// WebTransport and WebSocket subprotocol.
pub const SUBPROTOCOL: &str = "duet.v1";

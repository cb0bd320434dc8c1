//! The opening of a connection: who the client is, what it speaks, what it may do.

use crate::{
    codec::{Decode, Encode, open_enum},
    ids::{DeviceId, DisplayName, SessionId, TenantName, UserId},
};

/// The first frame on the control stream.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Hello {
    /// Protocol versions that the client speaks, best first; 1 to 8 of them.
    pub versions: Vec<u16>,
    /// A JWT (RFC 7519). May be left out when `resume` is given.
    pub token: Option<String>,
    /// The resume token of the last [`Welcome`]. When it is still good the session goes on, whatever `token` says.
    pub resume: Option<Vec<u8>>,
    /// The client's installation.
    pub device: DeviceId,
    /// Name and version of the SDK, for people who read logs.
    pub sdk: DisplayName,
    /// The highest epoch that the client has seen, 0 if none. A server of a lower epoch is a stale one.
    pub epoch_seen: u64,
    /// Bit set of optional features ([`capability`]) that the client understands.
    pub capabilities: u64,
}

/// Optional features, negotiated by bits: the server answers with those that both sides have.
pub mod capability {
    /// The client can send and receive datagrams on this transport.
    pub const DATAGRAMS: u64 = 1;
    /// The client inflates compressed frames.
    pub const DEFLATE: u64 = 1 << 1;
    /// Changes of messages, private notes and system events.
    pub const AMENDMENTS: u64 = 1 << 8;
    /// Calls to services.
    pub const CALLS: u64 = 1 << 9;
    /// Conversations of kind `Broadcast`.
    pub const BROADCASTS: u64 = 1 << 10;
    /// The server knows `Activity` and `WatchMembers`.
    pub const PRESENCE: u64 = 1 << 16;
    /// The server knows `Identify`.
    pub const IDENTIFY: u64 = 1 << 17;
}

/// The answer to a [`Hello`] that was accepted.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Welcome {
    /// The version that both sides speak from now on.
    pub version: u16,
    /// The session.
    pub session: SessionId,
    /// Shows the right to this session after a drop; secret, at most 256 bytes.
    pub resume: Vec<u8>,
    /// What became of the session that the client asked to resume.
    pub resumed: Resumed,
    /// The tenant to which the user belongs.
    pub tenant: TenantName,
    /// The user.
    pub user: UserId,
    /// What others see as the user's name.
    pub name: DisplayName,
    /// What the user may do.
    pub role: Role,
    /// The node's name.
    pub node: DisplayName,
    /// The reign of the primary; never goes back.
    pub epoch: u64,
    /// Further addresses (`host:port`) at which the same session can be resumed.
    pub peers: Vec<String>,
    /// The server's clock, Unix milliseconds. Clients correct theirs by it when they make message ids.
    pub server_time_ms: u64,
    /// When the token ends, Unix milliseconds; 0 for never.
    pub token_expires_ms: u64,
    /// Features of [`capability`] that are in use.
    pub capabilities: u64,
    /// The numbers to obey.
    pub limits: Limits,
}

/// What became of the session that a client asked to resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Resumed {
    /// A new session; none was asked for.
    New,
    /// The session goes on; each conversation tells in its `Opened` whether anything is missing.
    Full,
    /// The session is gone; this is a new one for the same user. What the client did not persist is lost.
    None,
}

/// What a user may do within its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode)]
pub enum Role {
    /// A customer: sees conversations of which they are a member, may start `support` conversations.
    Visitor,
    /// Serves `support` conversations of the tenant.
    Agent,
    /// An agent who may also act on conversations of others.
    Supervisor,
    /// A back end or bot: may create conversations for others.
    Service,
}

open_enum!(Role { Visitor, Agent, Supervisor, Service } else Visitor);

impl Role {
    /// Whether the role works for the tenant and therefore sees its `support` conversations.
    #[must_use]
    pub fn is_staff(self) -> bool {
        !matches!(self, Self::Visitor)
    }
}

/// Numbers that the server sets and the client obeys. All sizes in bytes, all times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Limits {
    /// Longest message content.
    pub message_bytes_max: u32,
    /// Most lanes (conversations and history streams) open at once.
    pub lanes_max: u32,
    /// Most lanes that may be streams of their own; the rest share the control stream.
    pub streams_max: u32,
    /// Send something (`Ping`) at least this often on transports without keep-alive of their own.
    pub ping_every_ms: u32,
    /// The server takes a silent connection for dead after this time.
    pub idle_timeout_ms: u32,
    /// How long a dropped user counts as reconnecting before they are offline.
    pub presence_grace_ms: u32,
    /// How long a dropped session can be resumed.
    pub resume_window_ms: u32,
    /// How long a message id is remembered; retries after that are refused.
    pub dedup_window_ms: u32,
    /// A typing signal holds for this long unless repeated.
    pub typing_ttl_ms: u32,
}

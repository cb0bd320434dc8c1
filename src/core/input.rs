//! What the core is told: facts, one at a time. Nothing else changes it.

use super::{replication::PairFact, revoking::Revoke, standing::TokenMark};
use bytes::Bytes;
use duet_protocol::{Command, DisplayName, Hello, TenantName, UserId, hello::Role};

/// A live transport connection; the server numbers them upwards and never uses a number twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One ordered channel of a connection. 0 is the control stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u32);

impl Lane {
    /// The control stream.
    pub const CONTROL: Self = Self(0);

    /// Lanes from this number on have no stream of their own: their frames travel in wrappers.
    pub const WRAPPED: u32 = 1 << 30;

    /// Whether it is a stream of its own beside the control stream.
    #[must_use]
    pub fn is_stream(self) -> bool {
        (1..Self::WRAPPED).contains(&self.0)
    }
}

/// A read of stored events that the core has asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// Who a verified token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The tenant whose key signed the token.
    pub tenant: TenantName,
    /// The `sub` claim.
    pub user: UserId,
    /// The `name` claim, or the user id.
    pub name: DisplayName,
    /// The `role` claim.
    pub role: Role,
    /// The `exp` claim in Unix milliseconds; 0 for never.
    pub expires_ms: u64,
    /// The `iat` claim in Unix milliseconds; 0 if there is none.
    pub made_ms: u64,
    /// The `jti` claim.
    pub token: Option<TokenMark>,
}

/// A fact for [`Core::handle`](super::Core::handle).
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection said hello. Without an identity only a resume token can admit it.
    Hello {
        /// The connection.
        connection: ConnectionId,
        /// From the token, when the server found one and it is good.
        identity: Option<Identity>,
        /// The frame.
        hello: Hello,
        /// Fresh random bytes: 16 for a session id, 32 for its secret.
        entropy: [u8; 48],
    },
    /// A token for a connection that is open was verified.
    Reauthenticated {
        /// The connection.
        connection: ConnectionId,
        /// `request` of the command.
        request: u32,
        /// From the token.
        identity: Identity,
    },
    /// A token that says who an anonymous visitor is was verified.
    Identified {
        /// The connection.
        connection: ConnectionId,
        /// `request` of the command.
        request: u32,
        /// From the token.
        identity: Identity,
    },
    /// An operator takes something back; answer: [`Effect::Revoked`](super::Effect::Revoked).
    Revoke {
        /// Comes back in the answer.
        ask: u64,
        /// What.
        revoke: Revoke,
    },
    /// A frame arrived on a lane (or as a datagram: then the lane is 0).
    Command {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: Lane,
        /// The frame.
        command: Command,
    },
    /// The client finished or reset a lane.
    LaneClosed {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: Lane,
    },
    /// The connection is gone.
    Disconnected {
        /// The connection.
        connection: ConnectionId,
    },
    /// The connection is gone: its client has not been heard for so long.
    Lost {
        /// The connection.
        connection: ConnectionId,
        /// The silence, milliseconds.
        silent_ms: u64,
    },
    /// A live or backlog event found no room; nothing of `run` was sent on that lane from `seq` on.
    Overflowed {
        /// Where.
        target: super::effect::Target,
        /// The first event that was not taken.
        seq: u64,
    },
    /// A connection that overflowed has room again.
    Writable {
        /// The connection.
        connection: ConnectionId,
    },
    /// Entries up to this index are on the disk of this node.
    Persisted {
        /// Highest durable index.
        upto: u64,
    },
    /// Answer to [`Effect::Read`](super::Effect::Read): events in ascending order, encoded, or why there are none.
    EventsRead {
        /// Which read.
        read: ReadId,
        /// `(seq, encoded event)`; empty only if the range is.
        result: Result<Vec<(u64, Bytes)>, ReadFailed>,
    },
    /// The store can take no more writes (`true`), or can again.
    ReadOnly(bool),
    /// Something about the pair; only for a node that is one of a pair.
    Pair(PairFact),
    /// Time has passed; sent when [`Core::next_deadline`](super::Core::next_deadline) is reached.
    Tick,
}

/// The store could not read; the subscription is ended with a code that lets the client try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadFailed;

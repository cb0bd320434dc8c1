//! What the core knows of a live connection, and of the session above it.

use super::{
    decide::Actor,
    input::{ConnectionId, Lane},
    record::{ConversationKey, UserKey},
    standing::TokenMark,
};
use duet_protocol::SessionId;
use std::collections::{BTreeMap, BTreeSet};

/// A connection that said hello.
#[derive(Debug)]
pub struct Connection {
    /// Its session.
    pub session: SessionId,
    /// Whose it is.
    pub actor: Actor,
    /// When its token ends, Unix milliseconds; 0 for never.
    pub expires_ms: u64,
    /// The id of that token, if it has one.
    pub token: Option<TokenMark>,
    /// Its lanes other than the control stream, by use.
    pub lanes: BTreeMap<Lane, LaneUse>,
    /// Whether it wants the inbox.
    pub inbox: bool,
    /// Whose presence it watches.
    pub watched: BTreeSet<UserKey>,
    /// The conversations whose members' presence it watches.
    pub watched_rooms: BTreeSet<ConversationKey>,
    /// Version of the last signal.
    pub signal_version: u64,
    /// Reads under way for history.
    pub history_reads: u32,
}

impl Connection {
    /// How many of its lanes are streams of their own.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.lanes.keys().filter(|lane| lane.is_stream()).count()
    }
}

/// What a lane is for; its first frame says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneUse {
    /// A subscription.
    Conversation(ConversationKey),
    /// Pages of history.
    Bulk,
}

/// Where a session is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// On this connection.
    Here(ConnectionId),
    /// Nowhere since then, Unix milliseconds.
    Gone(u64),
}

//! The connection's life: each state owns what exists only in it.
//!
//! ```text
//!              Connect            Welcome
//! Disconnected ──────► Connecting ───────► Connected ──► Closed   (Close, from any state)
//!                                           │     ▲  └──► Failed  (terminal code, from any state)
//!                                      lost │     │ Welcome
//!                                           ▼     │
//!                                        Reconnecting ──► Suspended
//!                                          resume window passed; still retrying
//! ```

use super::{
    event::State,
    input::{ConnectionId, LaneId},
    lanes::Lanes,
    round::{Dial, Round},
};
use duet_protocol::{DisplayName, Limits};

/// The states.
#[derive(Debug)]
pub(crate) enum Life {
    Disconnected,
    Connecting(Attempt),
    Connected(Box<Online>),
    Reconnecting(Attempt),
    Suspended(Attempt),
    Closed,
    Failed,
}

/// What an attempt is doing.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// It needs a token first.
    Token,
    /// The last one failed; the next begins when the timer says so.
    Waiting,
    /// It goes through the known addresses.
    Dialing(Round),
}

/// A connection that was welcomed.
#[derive(Debug)]
pub(crate) struct Online {
    pub(crate) connection: ConnectionId,
    pub(crate) endpoint: String,
    pub(crate) node: DisplayName,
    /// Both sides can take datagrams.
    pub(crate) datagrams: bool,
    pub(crate) keep_alive: bool,
    pub(crate) limits: Limits,
    pub(crate) lanes: Lanes,
    /// The round for a connection that replaces this one, when its node drains or is silent.
    pub(crate) moving: Option<Round>,
    /// When the node was heard last.
    pub(crate) heard_at_ms: u64,
    /// How often another node was asked since then.
    pub(crate) doubts: u32,
}

impl Life {
    /// The name that applications see.
    pub(crate) fn state(&self) -> State {
        match self {
            Self::Disconnected => State::Disconnected,
            Self::Connecting(_) => State::Connecting,
            Self::Connected(_) => State::Connected,
            Self::Reconnecting(_) => State::Reconnecting,
            Self::Suspended(_) => State::Suspended,
            Self::Closed => State::Closed,
            Self::Failed => State::Failed,
        }
    }

    pub(crate) fn attempt_mut(&mut self) -> Option<&mut Attempt> {
        match self {
            Self::Connecting(attempt) | Self::Reconnecting(attempt) | Self::Suspended(attempt) => {
                Some(attempt)
            }
            _ => None,
        }
    }

    pub(crate) fn online(&self) -> Option<&Online> {
        match self {
            Self::Connected(online) => Some(online),
            _ => None,
        }
    }

    pub(crate) fn online_mut(&mut self) -> Option<&mut Online> {
        match self {
            Self::Connected(online) => Some(online),
            _ => None,
        }
    }

    /// The round under way, beside a connection or without one.
    pub(crate) fn round_mut(&mut self) -> Option<&mut Round> {
        match self {
            Self::Connected(online) => online.moving.as_mut(),
            other => match other.attempt_mut() {
                Some(Attempt::Dialing(round)) => Some(round),
                _ => None,
            },
        }
    }

    /// Ends the round under way.
    pub(crate) fn take_round(&mut self) -> Option<Round> {
        if let Self::Connected(online) = self {
            return online.moving.take();
        }
        let attempt = self.attempt_mut()?;
        match std::mem::replace(attempt, Attempt::Waiting) {
            Attempt::Dialing(round) => Some(round),
            other => {
                *attempt = other;
                None
            }
        }
    }

    /// The dial that `connection` names, wherever it is.
    pub(crate) fn dial(&mut self, connection: ConnectionId) -> Option<&Dial> {
        self.round_mut().and_then(|round| round.dial(connection))
    }

    /// Whether frames of this lane of this connection mean anything.
    pub(crate) fn is_online(&self, connection: ConnectionId) -> bool {
        self.online().is_some_and(|online| online.connection == connection)
    }

    /// Whether `lane` of the connection in use is open.
    pub(crate) fn has_lane(&self, lane: LaneId) -> bool {
        self.online().is_some_and(|online| lane == LaneId::CONTROL || online.lanes.usage(lane).is_some())
    }
}

//! What the machine wants done: orders for the link, questions for the token provider, changes to persist, events
//! for the application. To be carried out in order.

use super::{
    event::Event,
    input::{ConnectionId, LaneId, SavedSession},
    outbox::OutboxEntry,
};
use duet_protocol::{ClientMessageId, Code, Command};
use std::fmt;

/// An order or a fact; see [`Machine::poll_output`](super::Machine::poll_output).
#[derive(Clone, PartialEq)]
pub enum Output {
    /// Make a connection to `endpoint` (`host:port`); report `Connected` or `Disconnected`.
    Connect {
        /// Its name from now on.
        connection: ConnectionId,
        /// Where to.
        endpoint: String,
    },
    /// Open a lane. What is sent on it follows.
    OpenLane {
        /// The connection.
        connection: ConnectionId,
        /// The new lane.
        lane: LaneId,
        /// How it travels.
        carrier: Carrier,
    },
    /// Send a frame on an open lane.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: LaneId,
        /// The frame.
        command: Command,
    },
    /// The client will neither send nor read on this lane any more. A wrapped lane has had its `Close` before.
    FinishLane {
        /// The connection.
        connection: ConnectionId,
        /// The lane.
        lane: LaneId,
    },
    /// Send a frame as a datagram; it may be lost. Only on links that have datagrams.
    Datagram {
        /// The connection.
        connection: ConnectionId,
        /// The frame.
        command: Command,
    },
    /// The network changed: move the connection to the new path, if the carrier can.
    Rebind {
        /// The connection.
        connection: ConnectionId,
    },
    /// Send what was sent before, then close. No events of this connection are expected any more.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
        /// The client's code.
        code: Code,
    },
    /// Bring a token: feed [`Input::Token`](super::Input::Token). Asked once at a time.
    NeedToken {
        /// Why.
        reason: TokenReason,
    },
    /// Something worth keeping changed. An application that does not persist may ignore it.
    Persist(Persist),
    /// Something for the application.
    Event(Event),
}

/// How a lane travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// On a bidirectional stream of its own.
    Stream,
    /// Wrapped, on the control stream.
    Wrapped,
}

/// Why a token is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenReason {
    /// To connect.
    Connect,
    /// The one in use ends soon.
    Refresh,
    /// The last one was refused.
    Revoked,
}

/// A change of what [`Saved`](super::Saved) holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Persist {
    /// Insert or replace the entry with this id.
    Put(OutboxEntry),
    /// Remove the entry with this id.
    Remove(ClientMessageId),
    /// Replace the session; `None` when it is over.
    Session(Option<SavedSession>),
}

impl fmt::Debug for Output {
    /// Names what is sent, never its content: a frame may hold a token or a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { connection, endpoint } => write!(f, "Connect({}, {endpoint})", connection.0),
            Self::OpenLane { connection, lane, carrier } => {
                write!(f, "OpenLane({}, {}, {carrier:?})", connection.0, lane.0)
            }
            Self::Send { connection, lane, command } => {
                write!(f, "Send({}, {}, kind {:#04x})", connection.0, lane.0, command.kind())
            }
            Self::FinishLane { connection, lane } => write!(f, "FinishLane({}, {})", connection.0, lane.0),
            Self::Datagram { connection, command } => {
                write!(f, "Datagram({}, kind {:#04x})", connection.0, command.kind())
            }
            Self::Rebind { connection } => write!(f, "Rebind({})", connection.0),
            Self::Disconnect { connection, code } => write!(f, "Disconnect({}, {code})", connection.0),
            Self::NeedToken { reason } => write!(f, "NeedToken({reason:?})"),
            Self::Persist(Persist::Put(entry)) => write!(f, "Persist(Put({}))", entry.id),
            Self::Persist(Persist::Remove(id)) => write!(f, "Persist(Remove({id}))"),
            Self::Persist(Persist::Session(session)) => {
                write!(f, "Persist(Session({}))", if session.is_some() { "kept" } else { "over" })
            }
            Self::Event(event) => write!(f, "Event({})", event.name()),
        }
    }
}

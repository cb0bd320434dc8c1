//! One connection of a client, whatever carries it.
//!
//! `Connection::run` is a single future: it accepts streams, reads every lane, takes datagrams and
//! writes the outbox. Lanes do not wait for each other. When the sink is full nothing more is read, and
//! flow control tells the peer.

use super::{
    http::HttpConnection,
    outbox::Outbox,
    quic::{self, QuicConnection},
    websocket::WebSocketConnection,
};
use bytes::Bytes;
use duet_protocol::{Code, Frame, FrameError};
use futures_util::Sink;
use std::fmt;

/// A client's connection: raw QUIC, a WebTransport session, a WebSocket, or a carrier made of HTTP requests.
///
/// Dropping it, or the future of [`Connection::run`], closes it with code 3004 (internal).
#[derive(Debug)]
pub struct Connection {
    carrier: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Quic(Box<QuicConnection>),
    WebSocket(Box<WebSocketConnection>),
    Http(Box<HttpConnection>),
}

impl Connection {
    /// The handle through which frames are sent. Cheap to clone.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        match &self.carrier {
            Carrier::Quic(connection) => connection.outbox(),
            Carrier::WebSocket(connection) => connection.outbox(),
            Carrier::Http(connection) => connection.outbox(),
        }
    }

    /// Carries frames both ways until the connection ends; says why it ended. The last item that the
    /// sink gets may be any; the end itself is the future's output alone.
    ///
    /// Queue: none of its own beyond the frames of one received chunk (64 KiB). Policy: waits while the
    /// sink is full; a sink that fails ends the connection with code 3004.
    pub async fn run<S>(self, sink: S) -> Closed
    where
        S: Sink<Inbound>,
    {
        match self.carrier {
            Carrier::Quic(connection) => quic::run(*connection, sink).await,
            Carrier::WebSocket(connection) => connection.run(sink).await,
            Carrier::Http(connection) => connection.run(sink).await,
        }
    }
}

impl From<QuicConnection> for Connection {
    fn from(connection: QuicConnection) -> Self {
        Self { carrier: Carrier::Quic(Box::new(connection)) }
    }
}

impl From<WebSocketConnection> for Connection {
    fn from(connection: WebSocketConnection) -> Self {
        Self { carrier: Carrier::WebSocket(Box::new(connection)) }
    }
}

impl From<HttpConnection> for Connection {
    fn from(connection: HttpConnection) -> Self {
        Self { carrier: Carrier::Http(Box::new(connection)) }
    }
}

/// A lane of one connection, as the server numbers it: 0 is the control lane, streams count up from 1,
/// wrapped lanes are [`Lane::wrapped`] of the number the client gave them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u32);

impl Lane {
    /// The lane every connection begins with.
    pub const CONTROL: Self = Self(0);
    const WRAPPED: u32 = 0x4000_0000;

    /// The lane whose frames travel in wrappers with this number; `None` from 2^30 on.
    #[must_use]
    pub fn wrapped(number: u32) -> Option<Self> {
        (number < Self::WRAPPED).then_some(Self(Self::WRAPPED | number))
    }

    /// The number in the wrapper; `None` for a lane with a stream of its own.
    #[must_use]
    pub fn wrapper_number(self) -> Option<u32> {
        (self.0 & Self::WRAPPED != 0).then_some(self.0 & !Self::WRAPPED)
    }

    /// The lane whose carrier this lane's frames take.
    #[must_use]
    pub fn carrier(self) -> Self {
        if self.wrapper_number().is_some() { Self::CONTROL } else { self }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wrapper_number() {
            Some(number) => write!(f, "lane w{number}"),
            None => write!(f, "lane {}", self.0),
        }
    }
}

/// What a connection reports while it lives, in the order of each lane.
#[derive(Debug, Clone, PartialEq)]
pub enum Inbound {
    /// The client opened a lane; frames may be pushed to it from now on.
    LaneOpened {
        /// Which.
        lane: Lane,
    },
    /// A whole frame arrived.
    Frame {
        /// On which lane.
        lane: Lane,
        /// Which frame; never a lane wrapper.
        frame: Frame,
    },
    /// A datagram arrived: kind and body. May be lost, doubled or late.
    Datagram(Bytes),
    /// The client will send no more on this lane; it still reads.
    LaneFinished {
        /// Which.
        lane: Lane,
    },
    /// The client broke the lane off, in either direction. Once a lane; what is queued for it is gone.
    LaneReset {
        /// Which.
        lane: Lane,
        /// The client's code; 0 if it gave none that an application can give.
        code: u32,
    },
    /// After a push was answered with `Full`: there is room again.
    Writable,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The client closed it.
    ByPeer {
        /// Its code; 0 if it gave none.
        code: u32,
        /// Its reason.
        reason: String,
    },
    /// [`Outbox::close`] closed it.
    ByUs {
        /// The code given.
        code: u32,
    },
    /// The client broke a format; closed with 3501.
    Misbehaved(Misbehaved),
    /// Nothing of what waited could be sent for too long; closed with 3008.
    Slow,
    /// The client fell silent on a WebSocket or over HTTP; closed with 3012.
    Silent,
    /// The connection broke.
    Lost(LostReason),
    /// The sink failed; closed with 3004.
    Abandoned,
}

impl Closed {
    /// The code with which we closed, if we did.
    #[must_use]
    pub fn our_code(&self) -> Option<u32> {
        let code = match self {
            Self::ByUs { code } => return Some(*code),
            Self::Misbehaved(_) => Code::PROTOCOL_ERROR,
            Self::Slow => Code::SLOW,
            Self::Silent => Code::NO_PONG,
            Self::Abandoned => Code::INTERNAL,
            Self::ByPeer { .. } | Self::Lost(_) => return None,
        };
        Some(u32::from(code.0))
    }
}

/// How a client broke a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaved {
    /// Bytes that are no frames.
    #[error("on {lane:?}: {error}")]
    Frame {
        /// Where.
        lane: Lane,
        /// What is wrong.
        error: FrameError,
    },
    /// A lane ended in the middle of a frame.
    #[error("{0:?} ended in the middle of a frame")]
    CutShort(Lane),
    /// More wrapped lanes than the limit, or a number beyond 2^30.
    #[error("too many wrapped lanes, or a number too large")]
    TooManyLanes,
    /// A lane wrapper on a lane that must not carry any.
    #[error("a lane wrapper on {0:?}")]
    UnexpectedWrapper(Lane),
    /// A text message on a WebSocket.
    #[error("a text message; only binary ones carry frames")]
    TextMessage,
    /// Bytes that break the WebSocket protocol itself, or a message that is too large.
    #[error("the WebSocket broke its protocol: {0}")]
    WebSocket(String),
    /// Requests that do not keep to the rules of an HTTP carrier.
    #[error("{0}")]
    Request(&'static str),
    /// A malformed capsule on a CONNECT stream.
    #[error("a malformed capsule")]
    Capsule,
}

/// How a connection was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LostReason {
    /// Silence.
    TimedOut,
    /// The peer has no memory of the connection.
    Reset,
    /// Anything else, in words for the log.
    Failed(String),
}

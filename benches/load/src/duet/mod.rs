//! Sessions with a Duet server.

mod dial;
mod fleet;
mod quic;
mod session;
mod websocket;

pub(crate) use dial::Dialer;
pub use fleet::Fleet;
pub use session::Session;

use duet_protocol::Frame;
use std::rc::Rc;

/// Takes what a connection hears. Called from the tasks that read.
pub(crate) trait Ears {
    /// A frame on a lane: 0 is the control lane, others have the number that [`Way::lane`] was given.
    fn heard(&self, lane: u32, frame: &Frame);

    /// Nothing more comes.
    fn ended(&self);
}

/// A connection's way out.
pub(crate) enum Way {
    Quic(quic::Quic),
    WebSocket(Rc<websocket::Socket>),
}

/// One lane's way out.
pub(crate) enum LaneOut {
    Quic(quic::QuicLane),
    WebSocket(websocket::SocketLane),
}

impl Way {
    /// A lane; `number` is not 0, and differs among those of the connection.
    pub(crate) async fn lane(&self, number: u32, ears: Rc<dyn Ears>) -> Result<LaneOut, crate::LoadError> {
        match self {
            Self::Quic(quic) => Ok(LaneOut::Quic(quic.open(number, ears).await?)),
            Self::WebSocket(socket) => Ok(LaneOut::WebSocket(socket.lane(number))),
        }
    }

    /// Breaks it off without a word, as far as the carrier lets us.
    pub(crate) fn cut(&self) {
        match self {
            Self::Quic(quic) => quic.cut(),
            Self::WebSocket(socket) => socket.cut(),
        }
    }

    /// A datagram, where there are any.
    pub(crate) fn datagram(&self, command: &duet_protocol::Command) {
        if let Self::Quic(quic) = self {
            quic.datagram(command);
        }
    }
}

impl LaneOut {
    /// Queues a frame and offers it to the carrier.
    pub(crate) fn send(&self, frame: &bytes::Bytes) {
        match self {
            Self::Quic(lane) => lane.send(frame),
            Self::WebSocket(lane) => lane.send(frame),
        }
    }

    pub(crate) fn flush(&self) {
        match self {
            Self::Quic(lane) => lane.flush(),
            Self::WebSocket(lane) => lane.flush(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn waiting(&self) -> usize {
        match self {
            Self::Quic(lane) => lane.waiting(),
            Self::WebSocket(lane) => lane.waiting(),
        }
    }
}

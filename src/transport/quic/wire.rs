//! What raw QUIC and a WebTransport session do differently: where streams and datagrams come from, what
//! the codes look like, how one ends.

use crate::transport::{
    connection::{Closed, LostReason},
    webtransport::Session,
};
use bytes::Bytes;
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use quinn::{ConnectionError, RecvStream, SendStream, VarInt};
use std::{
    fmt,
    task::{Context, Poll, ready},
    time::Duration,
};

/// A bidirectional stream that the client opened, and what was read of its payload while finding out
/// whose it is.
#[derive(Debug)]
pub(in crate::transport) struct AcceptedStream {
    pub(in crate::transport) send: SendStream,
    pub(in crate::transport) recv: RecvStream,
    pub(in crate::transport) head: Bytes,
}

/// The carrier below the lanes.
#[derive(Debug)]
pub(in crate::transport) enum Wire {
    Native(NativeWire),
    Session(Box<Session>),
}

/// A QUIC connection that belongs to one client as a whole.
pub(in crate::transport) struct NativeWire {
    connection: quinn::Connection,
    streams: BoxStream<'static, Result<(SendStream, RecvStream), ConnectionError>>,
    datagrams: BoxStream<'static, Result<Bytes, ConnectionError>>,
}

impl Wire {
    pub(in crate::transport) fn native(connection: quinn::Connection) -> Self {
        let streams = stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_bi().await;
            Some((accepted, connection))
        });
        let datagrams = stream::unfold(connection.clone(), |connection| async {
            let datagram = connection.read_datagram().await;
            Some((datagram, connection))
        });
        Self::Native(NativeWire { connection, streams: streams.boxed(), datagrams: datagrams.boxed() })
    }

    pub(super) fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Result<AcceptedStream, Closed>> {
        match self {
            Self::Native(wire) => Poll::Ready(match ready!(wire.streams.poll_next_unpin(cx)) {
                Some(Ok((send, recv))) => Ok(AcceptedStream { send, recv, head: Bytes::new() }),
                Some(Err(error)) => Err(lost(&error)),
                None => Err(lost(&ConnectionError::LocallyClosed)),
            }),
            Self::Session(session) => session.poll_accept(cx),
        }
    }

    pub(super) fn poll_datagram(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Closed>> {
        match self {
            Self::Native(wire) => Poll::Ready(match ready!(wire.datagrams.poll_next_unpin(cx)) {
                Some(datagram) => datagram.map_err(|error| lost(&error)),
                None => Err(lost(&ConnectionError::LocallyClosed)),
            }),
            Self::Session(session) => session.poll_datagram(cx),
        }
    }

    /// The end of the carrier that shows in neither streams nor datagrams.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        match self {
            Self::Native(_) => Poll::Pending,
            Self::Session(session) => session.poll_end(cx),
        }
    }

    pub(super) fn has_datagrams(&self) -> bool {
        self.connection().max_datagram_size().is_some()
    }

    /// Best effort: a datagram that does not fit or has no room is gone.
    pub(super) fn send_datagram(&self, datagram: Bytes) {
        let sent = match self {
            Self::Native(wire) => wire.connection.send_datagram(datagram),
            Self::Session(session) => session.send_datagram(&datagram),
        };
        if let Err(error) = sent {
            tracing::trace!(%error, "datagram dropped");
        }
    }

    /// An application's code as this carrier writes it in RESET_STREAM and STOP_SENDING.
    pub(super) fn code_out(&self, code: u32) -> VarInt {
        match self {
            Self::Native(_) => VarInt::from_u32(code),
            Self::Session(session) => session.code_out(code),
        }
    }

    /// The application's code in what the peer sent; 0 when it holds none.
    pub(super) fn code_in(&self, code: VarInt) -> u32 {
        match self {
            Self::Native(_) => u32::try_from(code.into_inner()).unwrap_or(0),
            Self::Session(session) => session.code_in(code),
        }
    }

    /// The code for streams that are left when the carrier ends.
    pub(super) fn code_gone(&self) -> VarInt {
        match self {
            Self::Native(_) => VarInt::from_u32(0),
            Self::Session(session) => session.code_gone(),
        }
    }

    /// Closes with a code; for a session waits at most `within` until the peer has the capsule.
    pub(super) async fn close(&mut self, code: u32, reason: &str, within: Duration) {
        match self {
            Self::Native(wire) => wire.connection.close(VarInt::from_u32(code), reason.as_bytes()),
            Self::Session(session) => session.close(code, reason, within).await,
        }
    }

    /// Answers the peer's own end.
    pub(super) async fn acknowledge_end(&mut self, within: Duration) {
        match self {
            Self::Native(wire) => wire.connection.close(VarInt::from_u32(0), b""),
            Self::Session(session) => session.finish(within).await,
        }
    }

    /// Closes at once, for when nobody can wait.
    pub(super) fn abandon(&mut self, code: u32) {
        match self {
            Self::Native(wire) => wire.connection.close(VarInt::from_u32(code), b""),
            Self::Session(session) => session.abandon(),
        }
    }

    fn connection(&self) -> &quinn::Connection {
        match self {
            Self::Native(wire) => &wire.connection,
            Self::Session(session) => session.connection(),
        }
    }
}

impl fmt::Debug for NativeWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NativeWire").field("peer", &self.connection.remote_address()).finish_non_exhaustive()
    }
}

/// What the end of a QUIC connection means to the application.
pub(in crate::transport) fn lost(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) => Closed::ByPeer {
            code: u32::try_from(close.error_code.into_inner()).unwrap_or(0),
            reason: String::from_utf8_lossy(&close.reason).into_owned(),
        },
        ConnectionError::TimedOut => Closed::Lost(LostReason::TimedOut),
        ConnectionError::Reset => Closed::Lost(LostReason::Reset),
        other => Closed::Lost(LostReason::Failed(other.to_string())),
    }
}

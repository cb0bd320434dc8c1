//! One accepted WebTransport session: its CONNECT stream, and its share of the connection.

use super::{
    adapter::{RecvHalf, SendHalf},
    capsule::{self, Capsule, CapsuleDecoder},
    codes::{self, H3_DATAGRAM_ERROR, H3_NO_ERROR, WT_SESSION_GONE},
    header::join_datagram,
    sessions::Place,
};
use crate::transport::{
    connection::{Closed, LostReason, Misbehaved},
    quic::{AcceptedStream, lost},
};
use bytes::{Buf as _, Bytes};
use h3::{error::Code, server::RequestStream};
use quinn::{ConnectionError, SendDatagramError, VarInt};
use std::{
    fmt,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time;

/// A session that a client opened and we accepted.
pub(in crate::transport) struct Session {
    connection: quinn::Connection,
    place: Place,
    send: RequestStream<SendHalf, Bytes>,
    recv: RequestStream<RecvHalf, Bytes>,
    capsules: CapsuleDecoder,
}

impl Session {
    pub(super) fn new(
        connection: quinn::Connection,
        place: Place,
        send: RequestStream<SendHalf, Bytes>,
        recv: RequestStream<RecvHalf, Bytes>,
    ) -> Self {
        Self { connection, place, send, recv, capsules: CapsuleDecoder::default() }
    }

    pub(in crate::transport) fn connection(&self) -> &quinn::Connection {
        &self.connection
    }

    pub(in crate::transport) fn poll_accept(&self, cx: &Context<'_>) -> Poll<Result<AcceptedStream, Closed>> {
        self.place.poll_stream(cx).map_err(|error| session_lost(&error))
    }

    pub(in crate::transport) fn poll_datagram(&self, cx: &Context<'_>) -> Poll<Result<Bytes, Closed>> {
        self.place.poll_datagram(cx).map_err(|error| session_lost(&error))
    }

    /// Ready when the peer ends the session: by capsule, by ending or resetting the CONNECT stream.
    pub(in crate::transport) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let unexplained = Closed::ByPeer { code: 0, reason: String::new() };
        loop {
            let mut data = match ready!(self.recv.poll_recv_data(cx)) {
                Ok(Some(data)) => data,
                Ok(None) => return Poll::Ready(unexplained),
                Err(_) => {
                    let lost = self.connection.close_reason().map(|error| session_lost(&error));
                    return Poll::Ready(lost.unwrap_or(unexplained));
                }
            };
            while data.has_remaining() {
                let mut chunk = data.chunk();
                let length = chunk.len();
                match self.capsules.next(&mut chunk) {
                    Ok(Some(Capsule::Close { code, reason })) => {
                        return Poll::Ready(Closed::ByPeer { code, reason });
                    }
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Closed::Misbehaved(Misbehaved::Capsule)),
                }
                let left = chunk.len();
                data.advance(length - left);
            }
        }
    }

    pub(in crate::transport) fn send_datagram(&self, payload: &[u8]) -> Result<(), SendDatagramError> {
        self.connection.send_datagram(join_datagram(self.place.id, payload))
    }

    pub(in crate::transport) fn code_out(&self, code: u32) -> VarInt {
        codes::to_http3(code)
    }

    pub(in crate::transport) fn code_in(&self, code: VarInt) -> u32 {
        codes::from_http3(code).unwrap_or(0)
    }

    pub(in crate::transport) fn code_gone(&self) -> VarInt {
        codes::varint(WT_SESSION_GONE)
    }

    /// Sends the close capsule and waits at most `within` until the peer has it.
    pub(in crate::transport) async fn close(&mut self, code: u32, reason: &str, within: Duration) {
        let capsule = capsule::encode_close(code, reason);
        let told = time::timeout(within, async {
            self.send.send_data(capsule).await?;
            self.send.finish().await
        });
        if !matches!(told.await, Ok(Ok(()))) {
            self.abandon();
        }
        self.recv.stop_sending(Code::from(WT_SESSION_GONE));
    }

    /// Ends our side after the peer ended its own.
    pub(in crate::transport) async fn finish(&mut self, within: Duration) {
        let _ = time::timeout(within, self.send.finish()).await;
    }

    /// Ends the session at once and without a word.
    pub(in crate::transport) fn abandon(&mut self) {
        self.send.stop_stream(Code::from(H3_DATAGRAM_ERROR));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.place.id)
            .field("peer", &self.connection.remote_address())
            .finish_non_exhaustive()
    }
}

/// What the end of the HTTP/3 connection means to a session: its code is none of the application's.
fn session_lost(error: &ConnectionError) -> Closed {
    match error {
        ConnectionError::ApplicationClosed(close) if close.error_code == codes::varint(H3_NO_ERROR) => {
            Closed::ByPeer { code: 0, reason: String::new() }
        }
        ConnectionError::ApplicationClosed(close) => Closed::Lost(LostReason::Failed(close.to_string())),
        other => lost(other),
    }
}

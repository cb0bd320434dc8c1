//! The end of a WebSocket: what an error of reading means, and how a code of ours leaves in a close frame.

use super::connection::{Closed, LostReason, Misbehaved};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::StreamExt as _;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, error::ProtocolError};

/// Sends a close frame and reads until the peer has answered it, so that it is not lost to a TCP reset.
pub(super) async fn close(socket: &mut WebSocket, code: u32, reason: &str) {
    let code = close_code(code);
    let reason = Utf8Bytes::from(&reason[..reason.floor_char_boundary(REASON_BYTES_MAX)]);
    if socket.send(Message::Close(Some(CloseFrame { code, reason }))).await.is_ok() {
        while let Some(Ok(_)) = socket.next().await {}
    }
}

/// What an error of reading means: whether the peer broke the protocol of the carrier, or the carrier broke.
pub(super) fn broken(error: axum::Error) -> Closed {
    let error = error.into_inner();
    match error.downcast_ref::<WebSocketError>() {
        Some(WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) | None => {}
        Some(WebSocketError::Capacity(_) | WebSocketError::Protocol(_) | WebSocketError::Utf8(_)) => {
            return Closed::Misbehaved(Misbehaved::WebSocket(error.to_string()));
        }
        Some(_) => {}
    }
    Closed::Lost(LostReason::Failed(error.to_string()))
}

/// WebSocket allows 1000 and 3000 to 4999 to applications (RFC 6455 §7.4.2).
fn close_code(code: u32) -> u16 {
    match u16::try_from(code) {
        Ok(code @ 3000..=4999) => code,
        Ok(0) => CLOSE_NORMAL,
        _ => CLOSE_INTERNAL,
    }
}

/// WebSocket close code for an end that has no code of ours (RFC 6455 §7.4.1).
const CLOSE_NORMAL: u16 = 1000;
/// WebSocket close code for a code of ours that WebSocket does not allow.
const CLOSE_INTERNAL: u16 = 1011;
/// A close reason's bytes: a control frame holds 125, two are the code.
const REASON_BYTES_MAX: usize = 123;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_a_websocket_allows_leave_as_they_are() {
        for (ours, theirs) in [(0, 1000), (3001, 3001), (3999, 3999), (1100, 1011), (70_000, 1011)] {
            assert_eq!(close_code(ours), theirs);
        }
    }
}

//! Duet over a WebSocket (RFC 6455, subprotocol `duet.v1`), for networks without UDP: the same frames, every lane but the
//! control lane in wrappers, no datagrams.

use super::{
    connection::{Facts, Order, Pieces},
    lane,
};
use crate::machine::{Carrier, ConnectionId, LaneId, LinkEvent};
use bytes::{Bytes, BytesMut};
use duet_protocol::{Code, Frame, FrameDecoder, SUBPROTOCOL, frame::MAX_FRAME_BYTES, frame::lane_prefix};
use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use std::{collections::BTreeSet, pin::pin, time::Duration};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        http::HeaderValue,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// Most bytes put into one message, but for a single frame that is larger.
const MESSAGE_BYTES: usize = 16 << 10;
/// Frames written at once.
const BATCH: usize = 64;
/// How long the server may take nothing of what is written.
const CREDIT: Duration = Duration::from_secs(30);
/// How long a close may take to leave, and a good-bye to be answered.
const FAREWELL: Duration = Duration::from_secs(1);
/// Kind of the frame that ends a wrapped lane.
const UNSUBSCRIBED: u8 = 0x56;
/// Kind of the frame with which a client ends a wrapped lane.
const CLOSE: u8 = 0x13;

/// A WebSocket that stands.
pub(super) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Opens a WebSocket over TLS to one address of `endpoint`.
pub(super) async fn open(
    connector: &TlsConnector,
    stream: TcpStream,
    endpoint: &str,
    host: &str,
) -> Result<Socket, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{endpoint} over TCP: {error}");
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    let name = rustls::pki_types::ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let stream = connector.connect(name, stream).await.map_err(|error| failed(&error))?;
    let mut request =
        format!("wss://{endpoint}/duet/v1/ws").into_client_request().map_err(|error| failed(&error))?;
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
    let largest = MAX_FRAME_BYTES + 16;
    let bounds = WebSocketConfig::default().max_message_size(Some(largest)).max_frame_size(Some(largest));
    let opening = Box::pin(client_async_with_config(request, stream, Some(bounds)));
    let (socket, answer) = opening.await.map_err(|error| failed(&error))?;
    let chosen = answer.headers().get("sec-websocket-protocol").map(HeaderValue::as_bytes);
    if chosen == Some(SUBPROTOCOL.as_bytes()) { Ok(socket) } else { Err(failed(&"no Duet server")) }
}

/// Carries a connection that stands to its end, and says how it ended.
pub(super) async fn run(
    id: ConnectionId,
    socket: Socket,
    orders: &mut mpsc::Receiver<Order>,
    facts: &Facts,
) -> (Code, String) {
    let (sender, receiver) = socket.split();
    let (pipe, frames) = lane::pipe();
    let mut reading = pin!(read(id, receiver, facts));
    let mut writing = pin!(write(sender, frames));
    let mut lanes = Streams::default();
    let code = loop {
        tokio::select! {
            order = orders.recv() => {
                let pieces = match order {
                    None => break Code::CLOSED_BY_USER,
                    Some(Order::Close(code)) => break code,
                    Some(order) => lanes.pieces(order),
                };
                // Its bound is far above what the machine sends without an answer: the server does not read any more.
                if pieces.is_some_and(|pieces| !pipe.send(&pieces)) {
                    return (Code::TIMEOUT, "the server reads nothing".into());
                }
            }
            news = reading.as_mut() => return news,
            end = writing.as_mut() => return end,
        }
    };
    drop(pipe);
    // What was sent before leaves first; a good-bye is answered by the server's close.
    let _ = timeout(FAREWELL, writing).await;
    if code == Code::CLOSED_BY_USER {
        let _ = timeout(FAREWELL, reading).await;
    }
    (code, String::new())
}

/// Lanes that the machine takes for streams of their own. They have to be closed by a frame here.
#[derive(Default)]
struct Streams(BTreeSet<LaneId>);

impl Streams {
    /// What an order sends.
    fn pieces(&mut self, order: Order) -> Option<Vec<Bytes>> {
        match order {
            Order::OpenLane(lane, Carrier::Stream) => {
                self.0.insert(lane);
                None
            }
            Order::FinishLane(lane) => {
                self.0.remove(&lane).then(|| wrapped(lane, &Frame::encode(CLOSE, b"")))
            }
            Order::Send(LaneId::CONTROL, frame) | Order::Datagram(frame) => Some(vec![frame]),
            Order::Send(lane, frame) => Some(wrapped(lane, &frame)),
            Order::OpenLane(_, Carrier::Wrapped) | Order::Close(_) => None,
        }
    }
}

fn wrapped(lane: LaneId, frame: &Bytes) -> Vec<Bytes> {
    let (_, inner) = Frame::split(frame);
    vec![lane_prefix(lane.0, inner.len()), inner]
}

/// Writes until the pipe is dropped, then closes; ends sooner when the way is broken.
async fn write(mut sender: SplitSink<Socket, Message>, mut frames: mpsc::Receiver<Pieces>) -> (Code, String) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        batch.clear();
        if frames.recv_many(&mut batch, BATCH).await == 0 {
            let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            // The server may have gone first.
            let _ = timeout(CREDIT, sender.send(Message::Close(Some(frame)))).await;
            return (Code::CLOSED_BY_USER, String::new());
        }
        for message in messages(&batch) {
            match timeout(CREDIT, sender.send(Message::Binary(message))).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return (Code::TRANSPORT_CLOSED, error.to_string()),
                Err(_) => return (Code::TIMEOUT, "the server reads nothing".into()),
            }
        }
    }
}

/// Whole frames in as few messages as the bound allows.
fn messages(batch: &[Pieces]) -> Vec<Bytes> {
    let (mut messages, mut message) = (Vec::new(), BytesMut::new());
    for pieces in batch {
        let bytes: usize = pieces.iter().map(Bytes::len).sum();
        if !message.is_empty() && message.len() + bytes > MESSAGE_BYTES {
            messages.push(message.split().freeze());
        }
        pieces.iter().for_each(|piece| message.extend_from_slice(piece));
    }
    if !message.is_empty() {
        messages.push(message.freeze());
    }
    messages
}

/// Reads to the end of the connection.
async fn read(id: ConnectionId, mut receiver: SplitStream<Socket>, facts: &Facts) -> (Code, String) {
    loop {
        let message = match receiver.next().await {
            Some(Ok(message)) => message,
            Some(Err(error)) => return (Code::TRANSPORT_CLOSED, error.to_string()),
            None => return (Code::TRANSPORT_CLOSED, "ended without a close".into()),
        };
        let taken = match message {
            Message::Binary(bytes) => take(&bytes),
            Message::Close(close) => return closed(close),
            // The library answers pings by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => Some(Vec::new()),
            Message::Text(_) => None,
        };
        let Some(frames) = taken else {
            return (Code::TRANSPORT_CLOSED, "the server sent what are no frames".into());
        };
        for (lane, frame) in frames {
            let ended = lane != LaneId::CONTROL && frame.kind == UNSUBSCRIBED;
            if facts.send((id, LinkEvent::Frame(lane, frame))).await.is_err() {
                return (Code::CLOSED_BY_USER, String::new());
            }
            // As on a stream of its own, which the server would have finished.
            if ended && facts.send((id, LinkEvent::LaneClosed(lane, None))).await.is_err() {
                return (Code::CLOSED_BY_USER, String::new());
            }
        }
    }
}

/// The frames of a message, out of their wrappers and inflated; `None` when it holds anything else.
fn take(bytes: &[u8]) -> Option<Vec<(LaneId, Frame)>> {
    let (mut decoder, mut frames) = (FrameDecoder::default(), Vec::new());
    decoder.push(bytes);
    while let Some(frame) = decoder.next().ok()? {
        frames.extend(lane::unwrap(LaneId::CONTROL, frame).ok()?);
    }
    (decoder.pending_bytes() == 0).then_some(frames)
}

/// The server's code if it gave one.
fn closed(close: Option<CloseFrame>) -> (Code, String) {
    let Some(close) = close else { return (Code::TRANSPORT_CLOSED, String::new()) };
    let code = Some(u16::from(close.code)).filter(|code| *code >= 3_000);
    (code.map_or(Code::TRANSPORT_CLOSED, Code), close.reason.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_message_holds_whole_frames_and_no_more_than_its_bound() {
        let pieces = |bytes: usize| -> Pieces { Arc::from([Bytes::from(vec![0; bytes])]) };
        let sizes = |batch: &[Pieces]| messages(batch).iter().map(Bytes::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[pieces(9), pieces(MESSAGE_BYTES - 9), pieces(1)]), [MESSAGE_BYTES, 1]);
        assert_eq!(sizes(&[pieces(60_000), pieces(60_000)]), [60_000, 60_000]);
        assert_eq!(sizes(&[]), Vec::<usize>::new());
    }

    #[test]
    fn a_lane_that_counts_as_a_stream_is_closed_by_a_frame_and_a_wrapped_one_by_the_machine() {
        let mut streams = Streams::default();
        assert!(streams.pieces(Order::OpenLane(LaneId(1), Carrier::Stream)).is_none());
        assert!(streams.pieces(Order::OpenLane(LaneId(2), Carrier::Wrapped)).is_none());
        let finish = |streams: &mut Streams, lane| streams.pieces(Order::FinishLane(LaneId(lane)));
        let close = finish(&mut streams, 1).unwrap().concat();
        assert_eq!(take(&close), Some(vec![(LaneId(1), Frame { kind: CLOSE, body: Bytes::new() })]));
        assert!(finish(&mut streams, 1).is_none() && finish(&mut streams, 2).is_none());
    }

    #[test]
    fn half_a_frame_is_no_message() {
        let frame = Frame::encode(7, b"body");
        assert_eq!(take(&frame).map(|frames| frames.len()), Some(1));
        assert_eq!(take(&frame[..3]), None);
    }
}

//! WebSocket against the echo server, over TLS on the same port number.

use super::{
    client::{client_tls, within},
    echo::{CLOSE, ECHO, EchoServer, FILL, Seen},
};
use bytes::{Bytes, BytesMut};
use duet::transport::{Closed, Limits, Misbehaved, Origins};
use duet_protocol::{Frame, FrameDecoder, frame};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::pki_types::ServerName;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest as _},
};

type Socket = WebSocketStream<TlsStream<TcpStream>>;

fn server() -> EchoServer {
    EchoServer::start(Origins::only(["https://good.example"]), Limits::default())
}

async fn tls(server: &EchoServer) -> TlsStream<TcpStream> {
    let stream = within(TcpStream::connect(server.address)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    within(TlsConnector::from(Arc::new(client_tls(server))).connect(name, stream)).await.unwrap()
}

async fn open(server: &EchoServer, origin: &str) -> Socket {
    let mut request = "wss://localhost/duet/v1/ws".into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    request.headers_mut().insert("sec-websocket-protocol", "duet.v1".parse().unwrap());
    let stream = tls(server).await;
    let (socket, response) =
        within(Box::pin(tokio_tungstenite::client_async(request, stream))).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "duet.v1");
    socket
}

async fn frames(socket: &mut Socket, count: usize) -> Vec<Frame> {
    let (mut decoder, mut found) = (FrameDecoder::default(), Vec::new());
    while found.len() < count {
        match within(socket.next()).await.unwrap().unwrap() {
            Message::Binary(bytes) => decoder.push(&bytes),
            other => panic!("{other:?}"),
        }
        while let Some(frame) = decoder.next().unwrap() {
            found.push(frame);
        }
        assert_eq!(decoder.pending_bytes(), 0, "a message holds whole frames");
    }
    found
}

async fn close_code(socket: &mut Socket) -> (u16, String) {
    loop {
        if let Message::Close(Some(close)) = within(socket.next()).await.unwrap().unwrap() {
            return (close.code.into(), close.reason.as_str().to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_frames_and_lanes_travel_in_one_message() {
    let server = server();
    let mut socket = open(&server, "https://good.example").await;
    let mut message = BytesMut::from(&Frame::encode(ECHO, b"control")[..]);
    let (_, inner) = Frame::split(&Frame::encode(ECHO, b"wrapped"));
    message.extend_from_slice(&frame::lane_prefix(3, inner.len()));
    message.extend_from_slice(&inner);
    socket.send(Message::Binary(message.freeze())).await.unwrap();
    let found = frames(&mut socket, 2).await;
    assert_eq!(found[0].body, b"control"[..]);
    let (lane, wrapped) = found[1].unwrap_lane().unwrap().unwrap();
    assert_eq!((lane, &wrapped.body[..]), (3, &b"wrapped"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_passes_and_one_beyond_does_not() {
    let mut server = server();
    let mut socket = open(&server, "https://good.example").await;
    let largest = Frame::encode(ECHO, &vec![1; frame::MAX_FRAME_BYTES - 1]);
    socket.send(Message::Binary(largest.clone())).await.unwrap();
    assert_eq!(frames(&mut socket, 1).await[0].body.len(), frame::MAX_FRAME_BYTES - 1);
    socket.send(Message::Binary(Bytes::from(vec![0x80, 1, 0, 1, 9]))).await.unwrap();
    assert_eq!(close_code(&mut socket).await.0, 3501);
    assert!(matches!(server.closed().await, Closed::Misbehaved(Misbehaved::Frame { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_is_a_protocol_error() {
    let mut server = server();
    let mut socket = open(&server, "https://good.example").await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(close_code(&mut socket).await.0, 3501);
    assert_eq!(server.closed().await, Closed::Misbehaved(Misbehaved::TextMessage));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_break_the_websocket_itself_end_with_the_same_code_as_anywhere() {
    // Each as a client would put it on the wire: a frame's head, its mask of zeros, and some payload.
    let huge = [&[0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 0][..], &[0; 4], &[7; 1 << 20]].concat();
    let cases = [
        ("a message of 1 MiB", huge),
        ("a length beyond all bounds", [&[0x82, 0xff, 0x7f][..], &[0xff; 7], &[0; 4]].concat()),
        ("a frame without a mask", vec![0x82, 1, 7]),
        ("an unknown opcode", vec![0x83, 0x80, 0, 0, 0, 0]),
        ("a reserved bit", vec![0xc2, 0x80, 0, 0, 0, 0]),
        ("a ping in two frames", vec![0x09, 0x80, 0, 0, 0, 0]),
        ("a continuation of nothing", vec![0x80, 0x80, 0, 0, 0, 0]),
        ("text that is none", vec![0x81, 0x81, 0, 0, 0, 0, 0xff]),
    ];
    for (what, bytes) in cases {
        let mut server = server();
        let mut socket = open(&server, "https://good.example").await;
        // The server may close before it has read everything.
        let _ = within(socket.get_mut().write_all(&bytes)).await;
        let _ = within(socket.get_mut().flush()).await;
        println!("{what}");
        assert_eq!(close_code(&mut socket).await.0, 3501, "{what}");
        drop(socket);
        let closed = server.closed().await;
        assert!(matches!(closed, Closed::Misbehaved(_)), "{what}: {closed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_carry_code_and_reason_both_ways() {
    let mut server = server();
    let mut socket = open(&server, "https://good.example").await;
    socket.send(Message::Binary(Frame::encode(CLOSE, b"\0\0\x0d\x49moved"))).await.unwrap();
    assert_eq!(close_code(&mut socket).await, (3401, "moved".into()));
    drop(socket);
    assert_eq!(server.closed().await, Closed::ByUs { code: 3401 });

    let mut socket = open(&server, "https://good.example").await;
    let close =
        tokio_tungstenite::tungstenite::protocol::CloseFrame { code: 3999.into(), reason: "bye".into() };
    within(socket.close(Some(close))).await.unwrap();
    assert_eq!(server.closed().await, Closed::ByPeer { code: 3999, reason: "bye".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_is_told_by_a_close() {
    let server = server();
    let mut socket = open(&server, "https://evil.example").await;
    assert_eq!(close_code(&mut socket).await.0, 3502);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_never_grows_the_outbox_beyond_its_bound() {
    let mut server = server();
    let mut socket = open(&server, "https://good.example").await;
    let mut queued = 0;
    for _ in 0..60 {
        socket.send(Message::Binary(Frame::encode(FILL, b""))).await.unwrap();
        let Seen::Filled { frames, bytes_max } = server.seen().await else { continue };
        assert!(bytes_max <= Limits::default().outbox_bytes, "{bytes_max}");
        queued += frames;
    }
    assert_eq!(frames(&mut socket, queued).await.len(), queued, "nothing that was queued is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_socket_is_closed() {
    let quick = Duration::from_millis(200);
    let limits = Limits { ping_every: quick, pong_within: quick, close_flush: quick, ..Limits::default() };
    let mut server = EchoServer::start(Origins::default(), limits);
    let mut request = "wss://localhost/duet/v1/ws".into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "duet.v1".parse().unwrap());
    // Never polled again, so no ping is answered.
    let stream = tls(&server).await;
    let _socket = within(Box::pin(tokio_tungstenite::client_async(request, stream))).await.unwrap();
    assert_eq!(server.closed().await, Closed::Silent);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_https_names_http3() {
    let server = server();
    let mut stream = tls(&server).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    let _ = within(stream.read_to_string(&mut answer)).await;
    let alt_svc = format!("alt-svc: h3=\":{}\"; ma=86400", server.address.port());
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&alt_svc), "{answer}");
}

//! The WebTransport layer against a client that controls every byte.

use super::{
    client::{Client, SessionClient, h3_frame, headers, is_ok, within},
    echo::{CLOSE, ECHO, EchoServer, PATH, RESET},
};
use bytes::{Buf as _, Bytes, BytesMut};
use duet::transport::{
    Closed, Limits, Misbehaved, Origins,
    webtransport::{
        capsule::{Capsule, CapsuleDecoder, encode_close},
        codes,
        header::join_datagram,
    },
};
use duet_protocol::{Frame, frame::put_varint};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use std::time::Duration;

fn server() -> EchoServer {
    EchoServer::start(Origins::only(["https://good.example"]), Limits::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_and_datagrams_return() {
    let server = server();
    let session = SessionClient::accepted(&server).await;
    session.lane().await.echoes(b"control").await;
    let mut lane = session.lane().await;
    for size in [0, 1, 20_000, 60_000] {
        lane.echoes(&vec![9; size]).await;
    }
    session.client.connection.send_datagram(join_datagram(session.session, &[ECHO, 4])).unwrap();
    let datagram = within(session.client.connection.read_datagram()).await.unwrap();
    assert_eq!(datagram, join_datagram(session.session, &[ECHO, 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_header_byte_blocks_nobody() {
    let server = server();
    let session = SessionClient::accepted(&server).await;
    let mut withheld = session.client.lane().await;
    withheld.write(&session.head()[..1]).await;
    let mut silent_uni = within(session.client.connection.open_uni()).await.unwrap();
    silent_uni.write_all(&[0x40]).await.unwrap();
    session.lane().await.echoes(b"control").await;
    session.lane().await.echoes(b"second").await;
    withheld.write(&session.head()[1..]).await;
    withheld.echoes(b"late but fine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_comes_ends_its_stream_alone() {
    let limits = Limits { setup: Duration::from_millis(300), ..Limits::default() };
    let server = EchoServer::start(Origins::default(), limits);
    let session = SessionClient::accepted(&server).await;
    session.lane().await.echoes(b"control").await;
    let mut withheld = session.client.lane().await;
    withheld.write(&session.head()[..1]).await;
    let error = within(withheld.recv.read_chunk(1, true)).await.unwrap_err();
    assert!(
        matches!(error, quinn::ReadError::Reset(code) if code == codes::varint(codes::H3_REQUEST_INCOMPLETE))
    );
    session.lane().await.echoes(b"fine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_overtake_their_session_wait_for_it() {
    let server = server();
    let client = Client::connect(&server, b"h3", |_| {}).await;
    let mut control = within(client.connection.open_uni()).await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    let mut connect = client.lane().await;
    let mut early = client.lane().await;
    early.write(&[0x40, 0x41, 0]).await;
    early.write(&Frame::encode(ECHO, b"early")).await;
    connect
        .write(&headers(&[
            (":method", "CONNECT"),
            (":protocol", "webtransport"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", PATH),
        ]))
        .await;
    assert_eq!(early.frame().await.body, b"early"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sessions_share_a_connection_and_end_apart() {
    let mut server = server();
    let mut first = SessionClient::accepted(&server).await;
    first.lane().await.echoes(b"first").await;
    let mut connect = first.client.lane().await;
    let second = quinn::VarInt::from(connect.send.id()).into_inner();
    connect
        .write(&headers(&[
            (":method", "CONNECT"),
            (":protocol", "webtransport"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", PATH),
        ]))
        .await;
    assert!(is_ok(&h3_frame(&mut connect.recv, 1).await.unwrap()));
    let mut lane = first.client.lane().await;
    let mut head = BytesMut::new();
    put_varint(&mut head, 0x41);
    put_varint(&mut head, second);
    lane.write(&head).await;
    lane.echoes(b"second").await;

    first.connect.write(&data(&encode_close(4, "first done"))).await;
    assert_eq!(server.closed().await, Closed::ByPeer { code: 4, reason: "first done".into() });
    lane.echoes(b"second lives").await;
    connect.send.finish().unwrap();
    assert_eq!(server.closed().await, Closed::ByPeer { code: 0, reason: String::new() });
    assert_eq!(
        first.client.closed().await.0,
        codes::H3_NO_ERROR,
        "the last session takes the connection along"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_capsule_may_be_split_and_others_are_skipped() {
    let mut server = server();
    let mut session = SessionClient::accepted(&server).await;
    session.lane().await.echoes(b"here").await;
    let mut bytes = BytesMut::from(&[0x29, 3, 1, 2, 3][..]);
    bytes.extend_from_slice(&encode_close(u32::MAX, "bye"));
    for byte in bytes.iter() {
        session.connect.write(&data(&[*byte])).await;
    }
    assert_eq!(server.closed().await, Closed::ByPeer { code: u32::MAX, reason: "bye".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capsule_sent_together_with_the_connections_end_is_still_heard() {
    let mut server = server();
    for _ in 0..20 {
        let mut session = SessionClient::accepted(&server).await;
        session.lane().await.echoes(b"here").await;
        session.connect.write(&data(&encode_close(7, "bye"))).await;
        session.connect.send.finish().unwrap();
        within(session.connect.send.stopped()).await.unwrap();
        session.client.connection.close(codes::varint(codes::H3_NO_ERROR), b"");
        assert_eq!(server.closed().await, Closed::ByPeer { code: 7, reason: "bye".into() });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_close_arrives_as_a_capsule_and_a_reset_with_its_code() {
    let mut server = server();
    let mut session = SessionClient::accepted(&server).await;
    let mut control = session.lane().await;
    control.echoes(b"here").await;
    let mut lane = session.lane().await;
    lane.write(&Frame::encode(RESET, &1_000_u32.to_be_bytes())).await;
    match within(lane.recv.read_chunk(1, true)).await {
        Err(quinn::ReadError::Reset(code)) => assert_eq!(codes::from_http3(code), Some(1_000)),
        other => panic!("{other:?}"),
    }
    control.write(&Frame::encode(CLOSE, b"\0\0\x0d\x49later")).await;
    let capsule = h3_frame(&mut session.connect.recv, 0).await.expect("no capsule");
    let found = CapsuleDecoder::default().next(&mut &capsule[..]).unwrap();
    assert_eq!(found, Some(Capsule::Close { code: 3401, reason: "later".into() }));
    assert_eq!(server.closed().await, Closed::ByUs { code: 3401 });
    assert_eq!(session.client.closed().await.0, codes::H3_NO_ERROR);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin_is_told_by_a_close_and_an_unknown_path_by_a_status() {
    let server = server();
    let (mut session, answer) = SessionClient::open(&server, Some("https://evil.example"), PATH).await;
    assert!(is_ok(&answer));
    let capsule = h3_frame(&mut session.connect.recv, 0).await.expect("no capsule");
    let Ok(Some(Capsule::Close { code, .. })) = CapsuleDecoder::default().next(&mut &capsule[..]) else {
        panic!("no close")
    };
    assert_eq!(code, 3502);
    let (_, answer) = SessionClient::open(&server, Some("https://good.example"), PATH).await;
    assert!(is_ok(&answer));
    let (_, answer) = SessionClient::open(&server, None, "/elsewhere").await;
    assert!(!is_ok(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_request_is_answered() {
    let server = server();
    let client = Client::connect(&server, b"h3", |_| {}).await;
    let mut control = within(client.connection.open_uni()).await.unwrap();
    control.write_all(&[0, 4, 0]).await.unwrap();
    let mut request = client.lane().await;
    let get = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/")];
    request.write(&headers(&get)).await;
    request.send.finish().unwrap();
    assert!(is_ok(&h3_frame(&mut request.recv, 1).await.unwrap()));
    assert_eq!(h3_frame(&mut request.recv, 0).await.unwrap(), b"hello over h3"[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_any_announced_length_are_cut_off() {
    let server = server();
    let session = SessionClient::accepted(&server).await;
    let mut request = session.client.lane().await;
    let mut head = BytesMut::new();
    put_varint(&mut head, 1);
    put_varint(&mut head, 1 << 40);
    request.write(&head).await;
    let flood = vec![0; 16 << 10];
    let refused = within(async {
        loop {
            if let Err(error) = request.send.write_all(&flood).await {
                return error;
            }
        }
    });
    assert!(
        matches!(refused.await, quinn::WriteError::Stopped(code) if code == codes::varint(codes::H3_EXCESSIVE_LOAD))
    );
    session.lane().await.echoes(b"unharmed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_on_every_kind_of_stream_leave_the_server_unharmed() {
    let server = server();
    let mut runner = TestRunner::deterministic();
    for round in 0..24 {
        let junk = proptest::collection::vec(0_u8..=255, 1..400).new_tree(&mut runner).unwrap().current();
        let mut session = SessionClient::accepted(&server).await;
        let connection = session.client.connection.clone();
        match round % 6 {
            0 => drop(session.client.lane().await.send.write_all(&junk).await),
            1 => drop(within(connection.open_uni()).await.unwrap().write_all(&junk).await),
            2 => drop(session.lane().await.send.write_all(&junk).await),
            3 => drop(session.connect.send.write_all(&junk).await),
            4 => drop(session.connect.send.write_all(&data(&junk)).await),
            _ => {
                let mut uni = within(connection.open_uni()).await.unwrap();
                drop(uni.write_all(&[0x40, 0x54, 0]).await);
                drop(uni.write_all(&junk).await);
            }
        }
        let _ = connection.send_datagram(Bytes::from(junk));
        connection.close(quinn::VarInt::from_u32(0x100), b"");
    }
    SessionClient::accepted(&server).await.lane().await.echoes(b"still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_capsule_ends_the_session_alone() {
    let mut server = server();
    let mut session = SessionClient::accepted(&server).await;
    session.lane().await.echoes(b"here").await;
    session.connect.write(&data(&[0x68, 0x43, 2, 0, 0])).await;
    assert_eq!(server.closed().await, Closed::Misbehaved(Misbehaved::Capsule));
    SessionClient::accepted(&server).await.lane().await.echoes(b"still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_dialect_is_announced() {
    let server = server();
    let client = Client::connect(&server, b"h3", |_| {}).await;
    // The server's three streams come in any order; the control stream begins with 0.
    let mut settings = None;
    for _ in 0..3 {
        let mut uni = within(client.connection.accept_uni()).await.unwrap();
        let kind = within(uni.read_chunk(1, true)).await.unwrap().unwrap().bytes.get_u8();
        if kind == 0 {
            settings = h3_frame(&mut uni, 4).await;
            break;
        }
    }
    let mut settings = settings.expect("no SETTINGS");
    let mut found = std::collections::BTreeMap::new();
    while let (Some(identifier), Some(value)) =
        (duet_protocol::frame::take_varint(&mut settings), duet_protocol::frame::take_varint(&mut settings))
    {
        found.insert(identifier, value);
    }
    for identifier in [0x08, 0x33, 0x2b60_3742, 0x14e9_cd29, 0xc671_706a, 0x2c7c_f000] {
        assert_eq!(found.get(&identifier), Some(&1), "{identifier:#x} in {found:x?}");
    }
    assert_eq!(found.get(&0x06), Some(&(16 << 10)));
}

fn data(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    put_varint(&mut frame, 0);
    put_varint(&mut frame, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame.freeze()
}

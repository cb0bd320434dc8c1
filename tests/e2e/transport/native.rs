//! Raw QUIC against the echo server.

use super::{
    client::{Client, within},
    echo::{CLOSE, ECHO, EchoServer, FILL, PATIENCE, RESET, RESET_SEEN, Seen},
};
use bytes::{Buf as _, Bytes, BytesMut};
use duet::transport::{Closed, Limits, Misbehaved, Origins};
use duet_protocol::{Frame, frame};
use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use std::{net::Ipv4Addr, time::Duration};
use tokio::runtime::Runtime;

fn server() -> EchoServer {
    EchoServer::start(Origins::default(), Limits::default())
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_return_on_their_own_lane() {
    let server = server();
    let client = Client::native(&server).await;
    let mut lanes = Vec::new();
    for _ in 0..24 {
        lanes.push(client.lane().await);
    }
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.write(&Frame::encode(ECHO, &[number as u8; 1_000])).await;
    }
    for (number, lane) in lanes.iter_mut().enumerate() {
        assert_eq!(lane.frame().await.body, [number as u8; 1_000][..]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_cut_into_single_bytes_arrives_whole() {
    let server = server();
    let client = Client::native(&server).await;
    let mut lane = client.lane().await;
    for byte in Frame::encode(ECHO, &[3; 100]).iter() {
        lane.write(&[*byte]).await;
    }
    assert_eq!(lane.frame().await.body, [3; 100][..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrapped_lanes_share_the_control_stream() {
    let server = server();
    let client = Client::native(&server).await;
    let mut control = client.lane().await;
    let (_, inner) = Frame::split(&Frame::encode(ECHO, b"wrapped"));
    control.write(&frame::lane_prefix(900, inner.len())).await;
    control.write(&inner).await;
    let echoed = control.frame().await.unwrap_lane().unwrap().unwrap();
    assert_eq!((echoed.0, &echoed.1.body[..]), (900, &b"wrapped"[..]));
    control.echoes(b"plain").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_returns_and_one_too_large_returns_as_a_frame() {
    let server = server();
    let client = Client::native(&server).await;
    let mut control = client.lane().await;
    control.echoes(b"opened").await;
    client.connection.send_datagram(Bytes::from_static(&[ECHO, 1, 2])).unwrap();
    assert_eq!(within(client.connection.read_datagram()).await.unwrap(), [ECHO, 1, 2][..]);
    let large = Bytes::from(vec![ECHO; 1_100]);
    client.connection.send_datagram(large).unwrap();
    assert_eq!(control.frame().await.body, [ECHO; 1_099][..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_carry_their_code_both_ways() {
    let server = server();
    let client = Client::native(&server).await;
    let mut control = client.lane().await;
    control.echoes(b"opened").await;
    let mut lane = client.lane().await;
    lane.write(&Frame::encode(RESET, &77_u32.to_be_bytes())).await;
    match within(lane.recv.read_chunk(1, true)).await {
        Err(quinn::ReadError::Reset(code)) => assert_eq!(code.into_inner(), 77),
        other => panic!("{other:?}"),
    }
    let mut lane = client.lane().await;
    lane.echoes(b"here").await;
    lane.send.reset(quinn::VarInt::from_u32(5)).unwrap();
    let mut seen = control.frame().await;
    assert_eq!((seen.kind, seen.body.get_u32(), seen.body.get_u32()), (RESET_SEEN, 2, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_delivers_what_was_queued_then_code_and_reason() {
    let mut server = server();
    let client = Client::native(&server).await;
    let mut control = client.lane().await;
    let mut bytes = BytesMut::from(&Frame::encode(ECHO, &[1; 30_000])[..]);
    bytes.extend_from_slice(&Frame::encode(CLOSE, b"\0\0\x0b\xb9gone for now"));
    control.write(&bytes).await;
    assert_eq!(control.frame().await.body.len(), 30_000);
    assert_eq!(client.closed().await, (3001, "gone for now".into()));
    assert_eq!(server.closed().await, Closed::ByUs { code: 3001 });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_close_is_told_with_code_and_reason() {
    let mut server = server();
    let client = Client::native(&server).await;
    client.lane().await.echoes(b"here").await;
    client.connection.close(quinn::VarInt::from_u32(7), b"bye");
    assert_eq!(server.closed().await, Closed::ByPeer { code: 7, reason: "bye".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_above_the_limit_ends_the_connection_and_only_that() {
    let mut server = server();
    let client = Client::native(&server).await;
    client.lane().await.write(&[0x80, 0x10, 0, 0, 1, 2, 3]).await;
    assert_eq!(client.closed().await.0, 3501);
    assert!(matches!(server.closed().await, Closed::Misbehaved(Misbehaved::Frame { .. })));
    Client::native(&server).await.lane().await.echoes(b"still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_end_in_a_typed_error_and_the_server_goes_on() {
    let mut server = server();
    let mut runner = TestRunner::deterministic();
    for _ in 0..30 {
        let junk = proptest::collection::vec(0_u8..=255, 1..400).new_tree(&mut runner).unwrap().current();
        let client = Client::native(&server).await;
        let (mut lane, mut uni) = (client.lane().await, within(client.connection.open_uni()).await.unwrap());
        let _ = uni.write_all(&junk).await;
        let _ = client.connection.send_datagram(junk.clone().into());
        let _ = lane.send.write_all(&junk).await;
        let _ = lane.send.finish();
        client.connection.close(quinn::VarInt::from_u32(1), b"");
        assert!(matches!(
            server.closed().await,
            Closed::Misbehaved(_) | Closed::ByPeer { .. } | Closed::ByUs { .. }
        ));
    }
    Client::native(&server).await.lane().await.echoes(b"still there").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_lane_delays_no_other() {
    let mut server = server();
    let tune = |config: &mut quinn::TransportConfig| {
        config.stream_receive_window(quinn::VarInt::from_u32(16_000));
    };
    let client = Client::connect(&server, duet_protocol::ALPN_NATIVE, tune).await;
    let mut control = client.lane().await;
    control.echoes(b"opened").await;
    let mut stalled = client.lane().await;
    stalled.write(&Frame::encode(FILL, b"")).await;
    let Seen::Filled { frames, bytes_max } = server.seen().await else { panic!("not filled") };
    assert!(frames > 30 && bytes_max <= Limits::default().outbox_bytes / 2, "{frames} {bytes_max}");

    for number in 0..50_u8 {
        control.echoes(&[number; 2_000]).await;
    }
    for _ in 0..frames {
        assert_eq!(stalled.frame().await.body.len(), 4_000);
    }
    assert!(matches!(server.seen().await, Seen::Writable));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_closed_as_slow() {
    // What quinn has taken counts as sent, so it must be less than what is queued.
    let limits =
        Limits { slow_after: Duration::from_millis(400), send_window: 32 << 10, ..Limits::default() };
    let mut server = EchoServer::start(Origins::default(), limits);
    let tune = |config: &mut quinn::TransportConfig| {
        config.stream_receive_window(quinn::VarInt::from_u32(4_000));
    };
    let client = Client::connect(&server, duet_protocol::ALPN_NATIVE, tune).await;
    let mut lane = client.lane().await;
    lane.write(&Frame::encode(FILL, b"")).await;
    assert_eq!(client.closed().await.0, 3008);
    assert_eq!(server.closed().await, Closed::Slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_must_prove_its_address_gets_in() {
    let limits = Limits { retry_above_per_s: 0, ..Limits::default() };
    let server = EchoServer::start(Origins::default(), limits);
    Client::native(&server).await.lane().await.echoes(b"proven").await;
}

#[test]
fn a_restart_with_the_same_keys_is_noticed_at_the_next_packet() {
    let directory = tempfile::tempdir().unwrap();
    let start =
        |addresses| EchoServer::start_at(directory.path(), addresses, Origins::default(), Limits::default());
    let first_life = Runtime::new().unwrap();
    let server = {
        let _inside = first_life.enter();
        start(vec![(Ipv4Addr::LOCALHOST, 0).into()])
    };
    let (address, outside) = (server.address, Runtime::new().unwrap());
    let (client, mut lane) = outside.block_on(async {
        let client = Client::native(&server).await;
        let mut lane = client.lane().await;
        lane.echoes(b"before").await;
        (client, lane)
    });
    // Tasks are dropped where they stand: nobody says goodbye, as with kill -9.
    first_life.shutdown_timeout(PATIENCE);

    let second_life = Runtime::new().unwrap();
    let _server = {
        let _inside = second_life.enter();
        start(vec![address])
    };
    // Well before the idle timeout of 30 s.
    let ended = outside.block_on(async {
        lane.write(&Frame::encode(ECHO, b"after")).await;
        within(client.connection.closed()).await
    });
    assert_eq!(ended, quinn::ConnectionError::Reset);
}

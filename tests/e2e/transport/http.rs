//! Plain HTTP requests against the echo server, over TLS on the same port number.

use super::{
    client::within,
    echo::{CLOSE, ECHO, EchoServer, FILL, Seen},
    http_client::{Client, Event, Events, Way, code, request, whole},
};
use bytes::{Bytes, BytesMut};
use duet::transport::{
    Closed, Limits, Misbehaved, Origins,
    http::{CHUNK_BYTES_MAX, OPENING_BYTES_MAX},
};
use duet_protocol::{Frame, frame};
use http::{Method, StatusCode};
use std::time::Duration;

fn server() -> EchoServer {
    EchoServer::start(Origins::only(["https://good.example"]), Limits::default())
}

fn echo(byte: u8) -> Bytes {
    Frame::encode(ECHO, &[byte])
}

fn bodies(frames: &[Frame]) -> Vec<u8> {
    frames.iter().map(|frame| frame.body[0]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_come_back_in_order_on_their_lanes_whatever_tcp_connection_they_take() {
    let server = server();
    let mut client = Client::open(&server, "poll", echo(0)).await;
    for byte in 1..20 {
        client.send(echo(byte)).await;
    }
    let found = client.frames(20).await;
    assert_eq!(bodies(&found), (0..20).collect::<Vec<_>>());

    let (_, inner) = Frame::split(&Frame::encode(ECHO, b"wrapped"));
    let mut chunk = BytesMut::from(&echo(20)[..]);
    chunk.extend_from_slice(&frame::lane_prefix(3, inner.len()));
    chunk.extend_from_slice(&inner);
    client.send(chunk.freeze()).await;
    let found = client.frames(2).await;
    let (lane, wrapped) = found[1].unwrap_lane().unwrap().unwrap();
    assert_eq!((found[0].body[0], lane, &wrapped.body[..]), (20, 3, &b"wrapped"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cut_response_carried_comes_again() {
    let server = server();
    let mut client = Client::open(&server, "sse", echo(0)).await;
    let mut frames = Vec::new();
    for byte in 1..30 {
        client.send(echo(byte)).await;
        if byte % 7 == 0 {
            // An answer whose client is gone before it has read anything, by poll and by stream.
            let _ = client.poll_as(client.ack).await;
            drop(client.stream().await.next().await);
            let mut events = client.stream().await;
            let Some(Event::Batch(number, bytes)) = events.next().await else { panic!("no batch") };
            assert_eq!(number, client.ack + 1, "the first that was not acknowledged");
            client.ack = number;
            client.take(&bytes, &mut frames);
        }
    }
    let rest = 30 - frames.len();
    frames.extend(client.frames(rest).await);
    assert_eq!(bodies(&frames), (0..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_sent_again_is_taken_once() {
    let server = server();
    let mut client = Client::open(&server, "poll", echo(0)).await;
    let again = [client.send_as(1, echo(1)), client.send_as(1, echo(1)), client.send_as(1, echo(9))];
    for answer in futures_util::future::join_all(again).await {
        assert_eq!(answer.0, StatusCode::NO_CONTENT);
    }
    client.seq = 1;
    client.send(echo(2)).await;
    assert_eq!(client.send_as(1, echo(1)).await.0, StatusCode::NO_CONTENT);
    client.send(echo(3)).await;
    let found = bodies(&client.frames(4).await);
    assert!(found == [0, 1, 2, 3] || found == [0, 9, 2, 3], "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closes_carry_code_and_reason_both_ways() {
    let mut server = server();
    let close = Frame::encode(CLOSE, b"\0\0\x0d\x49moved");
    let mut both = BytesMut::from(&echo(1)[..]);
    both.extend_from_slice(&close);
    for path in ["poll", "sse"] {
        let mut client = Client::open(&server, path, both.clone().freeze()).await;
        let mut frames = Vec::new();
        if path == "sse" {
            let mut events = client.stream().await;
            let Some(Event::Batch(1, bytes)) = events.next().await else { panic!("no batch") };
            client.take(&bytes, &mut frames);
            assert_eq!(events.next().await, Some(Event::End("3401 moved".into())));
            assert_eq!(events.next().await, None);
        } else {
            frames = client.frames(1).await;
            let (status, fields, _) = client.poll_as(client.ack).await;
            assert_eq!(
                (status, code(&fields), &fields["duet-reason"]),
                (StatusCode::GONE, 3401, &"moved".parse().unwrap())
            );
        }
        assert_eq!(bodies(&frames), [1], "what came before the end is not lost");
        assert_eq!(server.closed().await, Closed::ByUs { code: 3401 });
    }
    let client = Client::open(&server, "poll", echo(0)).await;
    let fields = [("duet-carrier", client.key.as_str()), ("duet-close", "3999")];
    let bye = request(Method::POST, "send", &fields, Bytes::new());
    assert_eq!(Way::http1(&server).await.ask(bye).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(server.closed().await, Closed::ByPeer { code: 3999, reason: String::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_answers_to_its_whole_key_and_to_nothing_else() {
    let server = server();
    let mut client = Client::open(&server, "poll", echo(0)).await;
    let key = client.key.clone();
    for stranger in [&key[..31], &key.to_lowercase(), &"A".repeat(32), "", &format!("{key} ")] {
        for (method, path) in [(Method::GET, "poll"), (Method::GET, "sse"), (Method::POST, "send")] {
            if stranger.trim() == key {
                continue;
            }
            let fields = [("duet-carrier", stranger), ("duet-seq", "1")];
            let answer = Way::http1(&server).await.ask(request(method, path, &fields, echo(66))).await;
            let (status, fields, body) = whole(answer).await;
            assert_eq!((status, code(&fields)), (StatusCode::NOT_FOUND, 3014), "{path} {stranger}");
            assert!(!body.windows(32).any(|window| window == key.as_bytes()));
        }
    }
    assert_eq!(bodies(&client.frames(1).await), [0], "nothing of the stranger's was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_page_is_refused_with_a_code_that_it_can_read() {
    let server = server();
    let origin = ("origin", "https://evil.example");
    let opening = request(Method::POST, "sse", &[origin], echo(0));
    let (status, fields, _) = whole(Way::http1(&server).await.ask(opening).await).await;
    assert_eq!((status, code(&fields)), (StatusCode::FORBIDDEN, 3502));
    assert_eq!(fields["access-control-allow-origin"], origin.1);
    let client = Client::open(&server, "sse", echo(0)).await;
    let stolen = request(Method::GET, "poll", &[origin, ("duet-carrier", client.key.as_str())], Bytes::new());
    assert_eq!(Way::http1(&server).await.ask(stolen).await.status(), StatusCode::FORBIDDEN);

    let asks = request(Method::OPTIONS, "send", &[("origin", "https://good.example")], Bytes::new());
    let (status, fields, _) = whole(Way::http1(&server).await.ask(asks).await).await;
    assert_eq!(
        (status, &fields["access-control-allow-origin"]),
        (StatusCode::NO_CONTENT, &"https://good.example".parse().unwrap())
    );
    let allowed = fields["access-control-allow-headers"].to_str().unwrap();
    assert!(["duet-carrier", "duet-seq", "duet-ack", "duet-close"].iter().all(|name| allowed.contains(name)));
    assert!(!fields.contains_key("access-control-allow-credentials"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_bounds_and_rules() {
    let mut server = server();
    let large = Frame::encode(ECHO, &vec![0; OPENING_BYTES_MAX]);
    let (status, fields, _) =
        whole(Way::http1(&server).await.ask(request(Method::POST, "poll", &[], large)).await).await;
    assert_eq!((status, code(&fields)), (StatusCode::PAYLOAD_TOO_LARGE, 3501));

    type Case = (&'static str, &'static [(&'static str, &'static str)], Bytes);
    let cases: [Case; 5] = [
        ("no number", &[], echo(1)),
        ("a number that is none", &[("duet-seq", "one")], echo(1)),
        ("a number beyond the next", &[("duet-seq", "2")], echo(1)),
        ("a batch that was never made", &[("duet-ack", "99")], Bytes::new()),
        ("half a frame", &[("duet-seq", "1")], Bytes::from_static(&[5, ECHO])),
    ];
    for (what, fields, body) in cases {
        let client = Client::open(&server, "poll", echo(0)).await;
        let fields = [&[("duet-carrier", client.key.as_str())], fields].concat();
        let answer = Way::http1(&server).await.ask(request(Method::POST, "send", &fields, body)).await;
        let expected = if what == "half a frame" { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST };
        assert_eq!(answer.status(), expected, "{what}");
        let closed = server.closed().await;
        let as_expected =
            matches!(&closed, Closed::Misbehaved(Misbehaved::Request(_) | Misbehaved::CutShort(_)));
        assert!(as_expected, "{what}: {closed:?}");
    }

    let client = Client::open(&server, "poll", echo(0)).await;
    let largest = Frame::encode(ECHO, &vec![1; frame::MAX_FRAME_BYTES - 1]);
    let two = [&largest[..], &largest[..]].concat();
    assert!(two.len() > CHUNK_BYTES_MAX);
    let (status, fields, _) = client.send_as(1, two.into()).await;
    assert_eq!((status, code(&fields)), (StatusCode::PAYLOAD_TOO_LARGE, 3501));
    assert_eq!(client.send_as(1, largest).await.0, StatusCode::NO_CONTENT, "the largest frame passes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_acknowledges_nothing_is_sent_no_more_than_the_bound() {
    let mut server = server();
    let client = Client::open(&server, "sse", Frame::encode(FILL, b"")).await;
    let Seen::Filled { frames: queued, .. } = server.seen().await else { panic!("not filled") };
    let bound = Limits::default().carrier_kept_bytes;
    let (mut received, mut last) = (0, 0);
    let mut events = client.stream().await;
    while received < bound {
        let Some(Event::Batch(number, bytes)) = events.next().await else { panic!("no batch") };
        (received, last) = (received + bytes.len(), number);
    }
    // One batch may begin below the bound and end above it.
    assert!(received < bound + (32 << 10), "{received}");
    assert!(queued * 4_000 > received + (64 << 10), "more waits: {queued} frames");
    let silence = tokio::time::timeout(Duration::from_millis(300), events.next()).await;
    assert!(silence.is_err(), "sent beyond the bound: {silence:?}");

    let mut client = Client { ack: last, ..client };
    let acknowledged = client.send_as(1, echo(1)).await;
    assert_eq!(acknowledged.0, StatusCode::NO_CONTENT);
    let Some(Event::Batch(next, _)) = events.next().await else { panic!("no batch") };
    assert_eq!(next, last + 1, "an acknowledgement makes room");
    client.ack = last;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_reader_takes_the_place_of_the_first() {
    let server = server();
    let mut client = Client::open(&server, "sse", echo(0)).await;
    assert_eq!(bodies(&client.frames(1).await), [0]);
    let mut first = client.stream().await;
    let polling = {
        let (key, ack) = (client.key.clone(), client.ack.to_string());
        let mut way = Way::http1(&server).await;
        async move {
            let fields = [("duet-carrier", key.as_str()), ("duet-ack", ack.as_str())];
            whole(way.ask(request(Method::GET, "poll", &fields, Bytes::new())).await).await
        }
    };
    let polling = tokio::spawn(polling);
    assert_eq!(first.next().await, None, "the stream ends when the poll begins");
    let mut second = client.stream().await;
    assert_eq!(
        within(polling).await.unwrap().0,
        StatusCode::NO_CONTENT,
        "the poll ends when a stream begins"
    );
    client.send(echo(1)).await;
    assert!(matches!(second.next().await, Some(Event::Batch(2, _))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_fetches_nothing_is_closed_and_one_that_waits_is_not() {
    let limits = Limits {
        carrier_unread: Duration::from_millis(300),
        carrier_silent: Duration::from_millis(1_500),
        close_flush: Duration::from_millis(100),
        comment_every: Duration::from_millis(50),
        ..Limits::default()
    };
    let mut server = EchoServer::start(Origins::default(), limits);
    let begun = std::time::Instant::now();
    drop(Client::open(&server, "sse", echo(0)).await.key);
    assert_eq!(server.closed().await, Closed::Silent);
    let unread = begun.elapsed();
    let client = Client::open(&server, "sse", echo(0)).await;
    let (begun, mut events) = (std::time::Instant::now(), client.stream().await);
    assert!(matches!(events.next().await, Some(Event::Batch(1, _))));
    assert_eq!(events.next().await, Some(Event::End("3012 no_pong".into())), "and heard of nothing else");
    assert!(begun.elapsed() > unread, "a stream alone holds longer than nothing: {unread:?}");
    let Client { key, .. } = client;
    assert_eq!(server.closed().await, Closed::Silent);
    let late = request(Method::GET, "poll", &[("duet-carrier", key.as_str())], Bytes::new());
    let (status, fields, _) = whole(Way::http1(&server).await.ask(late).await).await;
    assert_eq!((status, code(&fields)), (StatusCode::NOT_FOUND, 3014), "a client that comes later resumes");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_http2_connection_carries_stream_and_chunks_side_by_side() {
    let server = server();
    let mut way = Way::http2(&server).await;
    let (status, _, key) = whole(way.ask(request(Method::POST, "sse", &[], echo(0))).await).await;
    assert_eq!(status, StatusCode::OK);
    let key = String::from_utf8(key.to_vec()).unwrap();
    let answer = way.ask(request(Method::GET, "sse", &[("duet-carrier", &key)], Bytes::new())).await;
    assert_eq!(answer.version(), http::Version::HTTP_2);
    for seq in 1..=3u8 {
        let number = seq.to_string();
        let fields = [("duet-carrier", key.as_str()), ("duet-seq", number.as_str())];
        let (status, ..) = whole(way.ask(request(Method::POST, "send", &fields, echo(seq))).await).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let (mut events, mut found) = (Events::of(answer, way), Vec::new());
    while found.len() < 4 {
        let Some(Event::Batch(_, bytes)) = events.next().await else { panic!("no batch") };
        found.extend(bytes.chunks(3).map(|frame| frame[2]));
    }
    assert_eq!(found, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_connection_on_which_nothing_moves_ends() {
    let limits = Limits { http2_idle: Duration::from_millis(200), ..Limits::default() };
    let server = EchoServer::start(Origins::default(), limits);
    let Way::Http2(way) = Way::http2(&server).await else { panic!("HTTP/1.1") };
    within(async {
        while !way.is_closed() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

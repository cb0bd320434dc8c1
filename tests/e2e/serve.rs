//! The promises of `duet serve` as an operator sees them: it starts quickly, shows how it is, refuses what it must with a
//! code, tells its clients before it stops, and says precisely what is wrong with its configuration.

use crate::{
    node::{Node, PATIENCE, duet},
    raw::{Raw, RawStream, hello},
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery,
    command::{Authenticate, CreateConversation, Durability, Open, Publish, Start},
    delivery::ConversationKind,
    event::Content,
    hello::Resumed,
};
use std::{
    fs,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

#[test]
fn a_node_is_ready_at_once_and_shows_how_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    println!("ready after {} ms", node.ready.ready_after_ms);
    let (status, body) = node.admin("/readyz");
    assert_eq!(status, 200, "{body}");
    let report: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((report["state"].as_str(), report["role"].as_str()), (Some("ready"), Some("primary")));
    assert_eq!(node.admin("/healthz").0, 200);
    let (status, metrics) = node.admin("/metrics");
    assert_eq!(status, 200);
    assert!(metrics.contains("duet_build_info{version="), "{metrics}");
    assert_eq!(node.admin("/nothing").0, 404);
}

#[test]
fn the_demo_page_hands_out_tokens_to_this_machine_only() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let (status, body) = node.page("localhost", "/dev/token?role=agent&user=bo&name=Bo+Li");
    assert_eq!(status, 200, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((answer["tenant"].as_str(), answer["user"].as_str()), (Some("demo"), Some("bo")));
    assert_eq!(answer["certificate_sha256"].as_str(), Some(node.ready.certificate_sha256.as_str()));
    assert_eq!(node.page("evil.example", "/dev/token?role=agent").0, 403);
    assert_eq!(node.page("localhost", "/dev/token?role=king").0, 400);
}

#[test]
fn a_page_of_this_machine_may_open_a_websocket_and_a_foreign_one_learns_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let own = node.ready.dev.clone().unwrap();
    let (head, _) = node.websocket(own.trim_end_matches('/'), 0);
    assert!(
        head.starts_with("HTTP/1.1 101 ") && head.to_lowercase().contains("sec-websocket-protocol: duet.v1")
    );
    // A page never sees the status of a refused upgrade, so it is let in and told by a close frame (RFC 6455 §5.5.1).
    let (head, frame) = node.websocket("https://evil.example", 4);
    assert!(head.starts_with("HTTP/1.1 101 "));
    assert_eq!((frame[0], u16::from_be_bytes([frame[2], frame[3]])), (0x88, 3502));
}

#[tokio::test]
async fn a_good_token_is_welcomed_and_a_message_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let mut raw = Raw::hello(&node, &node.token("ana", "visitor", &["--name", "Ana"])).await;
    let Some(Delivery::Welcome(welcome)) = raw.control.next().await else { panic!("a welcome") };
    assert_eq!((welcome.tenant.as_str(), welcome.name.as_str()), ("demo", "Ana"));
    assert_eq!(welcome.resumed, Resumed::New);
    let mut lane = create(&mut raw, 1).await;
    for round in 1..=3 {
        let id = publish(&mut lane, &format!("hello {round}")).await;
        let published = lane.until(|delivery| match delivery {
            Delivery::Published(published) => Some(published),
            _ => None,
        });
        let published = published.await;
        assert_eq!((published.id, published.duplicate), (id, false));
        assert_eq!(published.durability, Durability::Accepted);
    }
    let (_, metrics) = node.admin("/metrics");
    assert!(metrics.contains("duet_publish_ack_seconds_count 3"), "{metrics}");
    assert!(metrics.contains("duet_connections{transport=\"quic\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_wrong_or_expired_or_foreign_token_is_refused_with_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let other = tempfile::tempdir().unwrap();
    let foreign = Node::dev(other.path()).token("ana", "visitor", &[]);
    let good = node.token("ana", "visitor", &[]);
    let expired = expired_token(dir.path());
    for (what, token) in [("nonsense", "nonsense"), ("foreign", &foreign), ("expired", &expired)] {
        let mut raw = Raw::hello(&node, token).await;
        let Some(Delivery::Closing(closing)) = raw.control.next().await else { panic!("{what}: a closing") };
        assert_eq!(closing.code, Code::INVALID_TOKEN, "{what}");
        assert_eq!(raw.closed().await, 3500, "{what}");
        assert!(
            !node.log().contains(token.get(..40).unwrap_or(token)) || token == "nonsense",
            "no token in the log"
        );
    }
    let mut raw = Raw::hello(&node, &good).await;
    assert!(matches!(raw.control.next().await, Some(Delivery::Welcome(_))), "the server is unharmed");
    let refresh = Authenticate { request: 7, token: expired };
    raw.control.send(&Command::Authenticate(refresh)).await;
    let refusal = raw.control.until(|delivery| match delivery {
        Delivery::Refused(refusal) => Some(refusal),
        _ => None,
    });
    assert_eq!(refusal.await.code, Code::TOKEN_EXPIRED);
}

#[tokio::test]
async fn bytes_that_break_the_protocol_end_their_connection_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let token = node.token("ana", "visitor", &[]);
    let mut bystander = Raw::hello(&node, &token).await;
    assert!(matches!(bystander.control.next().await, Some(Delivery::Welcome(_))));
    let too_large = [0x80, 0x10, 0, 0, 0];
    let second_hello = Command::Hello(hello(Some(token.clone()), "device-1")).encode();
    let no_hello = Command::Ping(duet_protocol::command::Ping { nonce: 1 }).encode();
    for (what, greeted, bytes) in [
        ("a frame above the limit", true, &too_large[..]),
        ("an empty frame", true, &[0][..]),
        ("a body that is none", true, &[3, 0x11, 0xff, 0xff][..]),
        ("a second hello", true, &second_hello[..]),
        ("a ping before hello", false, &no_hello[..]),
    ] {
        let mut raw = if greeted { Raw::hello(&node, &token).await } else { Raw::connect(&node).await };
        if greeted {
            assert!(matches!(raw.control.next().await, Some(Delivery::Welcome(_))), "{what}");
        }
        raw.control.send_bytes(bytes).await;
        assert_eq!(raw.closed().await, 3501, "{what}");
    }
    bystander.control.send_bytes(&no_hello).await;
    let pong = bystander.control.until(|delivery| matches!(delivery, Delivery::Pong(_)).then_some(()));
    pong.await;
}

#[tokio::test]
async fn a_connection_that_never_says_hello_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev_with(dir.path(), &["--set", "limits.hello_timeout_ms=200"]);
    let mut raw = Raw::connect(&node).await;
    // A stream exists for the server only once something is said on it: half a frame.
    raw.control.send_bytes(&[9]).await;
    assert_eq!(raw.closed().await, 3501);
}

#[tokio::test]
async fn a_graceful_stop_tells_every_client_and_ends_well() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::dev(dir.path());
    let mut raw = Raw::hello(&node, &node.token("ana", "visitor", &[])).await;
    assert!(matches!(raw.control.next().await, Some(Delivery::Welcome(_))));
    node.ask_to_stop();
    let closing = raw.control.until(|delivery| match delivery {
        Delivery::Closing(closing) => Some(closing),
        _ => None,
    });
    let closing = closing.await;
    assert_eq!(closing.code, Code::SHUTDOWN);
    assert!(closing.retry_after_ms > 0);
    assert_eq!(raw.closed().await, 3001);
    assert_eq!(node.wait().code(), Some(0), "{}", node.log());
}

#[tokio::test]
async fn an_acknowledged_message_survives_kill_9_and_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let token = node.token("ana", "visitor", &[]);
    let mut raw = Raw::hello(&node, &token).await;
    let mut lane = create(&mut raw, 2).await;
    publish(&mut lane, "before the fall").await;
    let seq = lane.until(|delivery| match delivery {
        Delivery::Published(published) => Some(published.seq),
        _ => None,
    });
    let seq = seq.await;
    node.kill();

    let node = Node::dev(dir.path());
    println!("ready again after {} ms", node.ready.ready_after_ms);
    let mut raw = Raw::hello(&node, &token).await;
    let mut lane = RawStream::open(&raw.connection).await;
    assert!(matches!(raw.control.next().await, Some(Delivery::Welcome(_))));
    lane.send(&Command::Open(Open { conversation: conversation(2), start: Start::Latest(50) })).await;
    let found = lane.until(|delivery| match delivery {
        Delivery::Event(event) if event.seq == seq => event.decode_body().unwrap(),
        _ => None,
    });
    assert!(format!("{:?}", found.await).contains(&format!("{:?}", Content::text("before the fall"))));
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_with_key_value_place_and_rule() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("duet.toml");
    fs::write(&file, "[limits]\nlanes_max = 0\n").unwrap();
    let output = duet().arg("check-config").arg("--config").arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("duet.toml:2: limits.lanes_max = 0: must be a whole number from 1 to 4096"),
        "{error}"
    );

    let public = duet().args(["serve", "--dev", "--check", "--listen", "0.0.0.0:4433"]).output().unwrap();
    assert_eq!(public.status.code(), Some(2));
    assert!(String::from_utf8(public.stderr).unwrap().contains("must be loopback with --dev"));

    fs::remove_file(&file).unwrap();
    let mut good = duet();
    good.args(["serve", "--dev", "--check", "--json"]).current_dir(dir.path()).env("DUET_NODE", "n7");
    let output = good.output().unwrap();
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(shown["settings"].to_string().contains("environment DUET_NODE"), "{shown}");
}

#[test]
fn a_node_without_space_says_so_and_can_still_be_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--set", "store.free_floor_mib=1048576", "--set", "drain.deadline_ms=300"];
    let mut node = Node::dev_with(dir.path(), &flags);
    let begun = Instant::now();
    while !node.admin("/readyz").1.contains("read_only") {
        assert!(begun.elapsed() < PATIENCE, "{}", node.log());
    }
    assert_eq!((node.admin("/readyz").0, node.admin("/healthz").0), (503, 200), "not ready, but alive");
    assert!(node.admin("/metrics").1.contains("duet_read_only 1"));
    node.ask_to_stop();
    assert_eq!(node.wait().code(), Some(1), "what was accepted could not be written");
    assert!(node.log().contains("the store is read-only"), "{}", node.log());
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Node::dev(dir.path());
    let mut second = duet();
    second.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    second.args(["--dev-listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path().join("data"));
    let output = second.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("in use by another process"));
}

fn conversation(number: u8) -> ConversationId {
    ConversationId([number; 16])
}

async fn create(raw: &mut Raw, number: u8) -> RawStream {
    let create = CreateConversation {
        request: 1,
        conversation: conversation(number),
        kind: ConversationKind::Support,
        subject: None,
        members: Vec::new(),
    };
    raw.control.send(&Command::CreateConversation(create)).await;
    raw.control.until(|delivery| matches!(delivery, Delivery::Created(_)).then_some(())).await;
    let mut lane = RawStream::open(&raw.connection).await;
    lane.send(&Command::Open(Open { conversation: conversation(number), start: Start::Latest(50) })).await;
    lane.until(|delivery| matches!(delivery, Delivery::CaughtUp(_)).then_some(())).await;
    lane
}

async fn publish(lane: &mut RawStream, text: &str) -> ClientMessageId {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    let id = ClientMessageId::new(now_ms, random);
    let content = Content::text(text);
    lane.send(&Command::Publish(Publish { id, content, reply_to: None, durability: Durability::Accepted }))
        .await;
    id
}

/// A token of the node's own demo tenant that ended long ago.
fn expired_token(dir: &std::path::Path) -> String {
    let secret = fs::read(dir.join("data").join("dev-tenant.key")).unwrap();
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("demo-1".to_owned());
    let claims = serde_json::json!({ "sub": "ana", "role": "visitor", "exp": 1_700_000_000 });
    jsonwebtoken::encode(&header, &claims, &jsonwebtoken::EncodingKey::from_secret(&secret)).unwrap()
}

//! What one client can do to another: nothing. Tenants with the same ids never meet, and whoever sends rubbish harms only
//! their own connection. The node runs with a configuration file as in production.

use crate::{
    node::Node,
    raw::{Raw, RawStream, hello},
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, Subject,
    command::{CreateConversation, Durability, Open, Ping, Publish, Start},
    delivery::ConversationKind,
    event::Content,
    hello::capability,
    signal::TypingSignal,
};
use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

const SHARED: ConversationId = ConversationId([5; 16]);

#[tokio::test]
async fn tenants_with_the_same_ids_never_meet() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path());
    let mut visitor = enter(&node, dir.path(), "acme", "ana", "visitor").await;
    create(&mut visitor).await;
    let mut of_visitor = open(&visitor).await;
    caught_up(&mut of_visitor).await;

    let mut foreign = enter(&node, dir.path(), "other", "ana", "agent").await;
    let mut refused = open(&foreign).await;
    let refusal = refused.until(|delivery| match delivery {
        Delivery::Refused(refusal) => Some(refusal),
        other => panic!("of another tenant's conversation: {other:?}"),
    });
    assert_eq!(refusal.await.code, Code::NOT_FOUND);

    create(&mut foreign).await;
    let mut of_foreign = open(&foreign).await;
    caught_up(&mut of_foreign).await;
    let mut agent = enter(&node, dir.path(), "acme", "bo", "agent").await;
    let mut of_agent = open(&agent).await;
    caught_up(&mut of_agent).await;

    publish(&mut of_visitor, "for acme only").await;
    let seen = of_agent.until(|delivery| match delivery {
        Delivery::Event(event) => Some(event),
        _ => None,
    });
    assert_eq!(seen.await.author.unwrap().as_str(), "ana");
    let typing = TypingSignal { conversation: SHARED, version: 1, active: true };
    let frame = Command::Typing(typing).encode();
    let (_, datagram) = duet_protocol::Frame::split(&frame);
    visitor.connection.send_datagram(datagram).unwrap();
    let typed = agent.control.until(|delivery| match delivery {
        Delivery::Typing(state) => Some(state),
        _ => None,
    });
    assert_eq!(typed.await.user.as_str(), "ana");

    // Everything above has reached who it was for; what was for the other tenant would be here before the answers.
    publish(&mut of_foreign, "for other only").await;
    let own = of_foreign.until(|delivery| match delivery {
        Delivery::Event(event) => Some(format!("{:?}", event.decode_body().unwrap())),
        _ => None,
    });
    let text = own.await;
    assert!(text.contains(&format!("{:?}", Content::text("for other only"))), "{text}");
    foreign.control.send(&Command::Ping(Ping { nonce: 1 })).await;
    match foreign.control.next().await {
        Some(Delivery::Pong(_)) => {}
        other => panic!("nothing but the pong was due: {other:?}"),
    }
}

#[tokio::test]
async fn rubbish_on_any_carrier_harms_only_its_sender() {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path());
    let mut bystander = enter(&node, dir.path(), "acme", "ana", "visitor").await;
    create(&mut bystander).await;
    let mut random = vec![0; 2_000];
    getrandom::fill(&mut random).unwrap();
    // A length of 1 MiB, and then that much.
    let mut huge = vec![0x80, 0x10, 0, 0];
    huge.resize(1 << 20, 7);
    let cut_short = [40, 0x11, 1, 2, 3];
    for (what, bytes) in
        [("random bytes", &random[..]), ("a huge frame", &huge[..]), ("half a frame", &cut_short[..])]
    {
        let raw = enter(&node, dir.path(), "acme", "mallory", "visitor").await;
        let mut lane = RawStream::open(&raw.connection).await;
        lane.send_bytes(bytes).await;
        lane.finish();
        // Random bytes may happen to be the beginning of a frame of an unknown kind: then the end of the stream cuts it short.
        assert_eq!(raw.closed().await, 3501, "{what}");
    }
    let mut raw = enter(&node, dir.path(), "acme", "mallory", "visitor").await;
    for length in [0, 1, 7, 900] {
        raw.connection.send_datagram(random[..length].to_vec().into()).unwrap();
    }
    let unknown = Open { conversation: ConversationId([9; 16]), start: Start::Latest(1) };
    let mut lane = RawStream::open(&raw.connection).await;
    lane.send(&Command::Open(unknown)).await;
    match lane.next().await {
        Some(Delivery::Refused(refusal)) => {
            assert_eq!((refusal.code, refusal.subject), (Code::NOT_FOUND, Subject::Lane));
        }
        other => panic!("an unknown conversation: {other:?}"),
    }
    for client in [&mut raw, &mut bystander] {
        client.control.send(&Command::Ping(Ping { nonce: 3 })).await;
        client
            .control
            .until(|delivery| matches!(delivery, Delivery::Pong(pong) if pong.nonce == 3).then_some(()))
            .await;
    }
    let mut lane = open(&bystander).await;
    caught_up(&mut lane).await;
    publish(&mut lane, "still here").await;
}

/// Two tenants, a certificate in files, no conveniences.
fn start(dir: &Path) -> Node {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&pair).unwrap();
    fs::write(dir.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(dir.join("key.pem"), pair.serialize_pem()).unwrap();
    let mut text = String::from("[tls]\ncertificate_file = \"cert.pem\"\nkey_file = \"key.pem\"\n");
    for tenant in ["acme", "other"] {
        fs::write(dir.join(format!("{tenant}.secret")), format!("{tenant:-<40}\n")).unwrap();
        text += &format!(
            "[[tenant]]\nname = \"{tenant}\"\n[[tenant.key]]\nkid = \"{tenant}-1\"\nalg = \"HS256\"\nsecret_file = \"{tenant}.secret\"\n"
        );
    }
    fs::write(dir.join("duet.toml"), text).unwrap();
    Node::configured(dir, &dir.join("duet.toml"))
}

async fn enter(node: &Node, dir: &Path, tenant: &str, user: &str, role: &str) -> Raw {
    let mut command = crate::node::duet();
    command.args(["token", "--tenant", tenant, "--user", user, "--role", role, "--config"]);
    let output = command.arg(dir.join("duet.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let mut raw = Raw::connect(node).await;
    let mut hello = hello(Some(token), &format!("{tenant}-{user}-{role}"));
    // Who writes signals as datagrams; readers here want theirs on the control stream, in order.
    hello.capabilities = if role == "visitor" { capability::DATAGRAMS } else { 0 };
    raw.control.send(&Command::Hello(hello)).await;
    match raw.control.next().await {
        Some(Delivery::Welcome(welcome)) => assert_eq!(welcome.tenant.as_str(), tenant),
        other => panic!("{tenant}/{user}: {other:?}"),
    }
    raw
}

async fn create(raw: &mut Raw) {
    let (kind, subject, members) = (ConversationKind::Support, None, Vec::new());
    let create = CreateConversation { request: 1, conversation: SHARED, kind, subject, members };
    raw.control.send(&Command::CreateConversation(create)).await;
    raw.control.until(|delivery| matches!(delivery, Delivery::Created(_)).then_some(())).await;
}

async fn open(raw: &Raw) -> RawStream {
    let mut lane = RawStream::open(&raw.connection).await;
    lane.send(&Command::Open(Open { conversation: SHARED, start: Start::Latest(0) })).await;
    lane
}

async fn caught_up(lane: &mut RawStream) {
    lane.until(|delivery| matches!(delivery, Delivery::CaughtUp(_)).then_some(())).await;
}

async fn publish(lane: &mut RawStream, text: &str) {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    let id = ClientMessageId::new(now_ms, random);
    let (content, durability) = (Content::text(text), Durability::Accepted);
    lane.send(&Command::Publish(Publish { id, content, reply_to: None, durability })).await;
}

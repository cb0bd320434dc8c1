//! The native SDK on networks that change and networks that block: a real server behind a box in the middle.

use crate::node::{Node, PATIENCE};
use duet_client::{
    Client, Conversation, Events, FixedToken, Options,
    link::{Transport, Trust},
    machine::{Event, From, MessageStatus, State},
    protocol::delivery::ConversationKind,
};
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

/// Between one client and the server: passes UDP under an address that can change, or swallows it; passes TCP.
struct Middle {
    address: SocketAddr,
    swallows: Arc<AtomicBool>,
    /// The sockets that the server sees; the last one is in use.
    outside: watch::Sender<Arc<UdpSocket>>,
    cut: watch::Sender<u32>,
    _tasks: JoinSet<()>,
}

impl Middle {
    async fn before(node: &Node) -> Self {
        let server = node.ready.clients[0];
        let (inside, listener) = pair_of_sockets().await;
        let address = inside.local_addr().unwrap();
        let swallows = Arc::new(AtomicBool::new(false));
        let (outside, outside_now) = watch::channel(socket().await);
        let (cut, cuts) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_udp(inside, server, outside_now, Arc::clone(&swallows)));
        tasks.spawn(async move {
            let mut ways = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                ways.spawn(async move {
                    let (mut near, mut far) = (near, TcpStream::connect(server).await.unwrap());
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, swallows, outside, cut, _tasks: tasks }
    }

    /// The server sees the client under another address from now on.
    async fn change_address(&self) {
        self.outside.send_replace(socket().await);
    }

    fn swallow_udp(&self, swallows: bool) {
        self.swallows.store(swallows, Ordering::Relaxed);
    }

    /// Every TCP connection breaks.
    fn cut_tcp(&self) {
        self.cut.send_modify(|count| *count += 1);
    }
}

async fn pass_udp(
    inside: UdpSocket,
    server: SocketAddr,
    mut outside: watch::Receiver<Arc<UdpSocket>>,
    swallows: Arc<AtomicBool>,
) {
    let (mut client, mut there, mut here) = (None, vec![0; 65_536], vec![0; 65_536]);
    loop {
        let out = outside.borrow_and_update().clone();
        let sent = tokio::select! {
            _ = outside.changed() => continue,
            Ok((length, from)) = inside.recv_from(&mut there) => {
                client = Some(from);
                if swallows.load(Ordering::Relaxed) { continue }
                out.send_to(&there[..length], server).await
            }
            Ok((length, _)) = out.recv_from(&mut here) => {
                let Some(client) = client else { continue };
                if swallows.load(Ordering::Relaxed) { continue }
                inside.send_to(&here[..length], client).await
            }
        };
        // A full buffer loses packets, as a wire does.
        drop(sent);
    }
}

async fn socket() -> Arc<UdpSocket> {
    Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
}

/// UDP and TCP under one number.
async fn pair_of_sockets() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(listener.local_addr().unwrap()).await {
            return (udp, listener);
        }
    }
    panic!("no number is free for both");
}

async fn connect(node: &Node, middle: &Middle, user: &str) -> (Client, Events) {
    let token = FixedToken(node.token(user, "visitor", &[]));
    let mut options = Options::new(vec![middle.address.to_string()], Arc::new(token));
    options.trust = Trust::pinned_hex(&node.ready.certificate_sha256).unwrap();
    let client = Client::connect(options).unwrap();
    let events = client.events();
    timeout(PATIENCE, client.ready()).await.expect("connected in time").unwrap();
    (client, events)
}

/// Says something and waits until the server has acknowledged it; no state may change meanwhile.
async fn say(chat: &Conversation, events: &mut Events, text: &str) {
    let sent = chat.send_text(text.to_owned()).await.unwrap();
    let acknowledged = async {
        loop {
            match events.next().await.expect("the client lives") {
                Event::MessageStatus(change)
                    if change.id == sent.id && change.status >= MessageStatus::Accepted =>
                {
                    return;
                }
                Event::StateChanged(change) => panic!("not undisturbed: {change:?}"),
                _ => {}
            }
        }
    };
    timeout(PATIENCE, acknowledged).await.expect("acknowledged in time");
}

async fn until_state(events: &mut Events, state: State) {
    let seen = async {
        loop {
            if let Event::StateChanged(change) = events.next().await.expect("the client lives")
                && change.current == state
            {
                return;
            }
        }
    };
    timeout(PATIENCE, seen).await.expect("the state in time");
}

async fn texts(chat: &Conversation) -> Vec<String> {
    crate::writers::read_log(chat).await.into_values().map(|(_, text)| text).collect()
}

async fn chat(client: &Client) -> Conversation {
    let chat = client.create_conversation(ConversationKind::Support, None, vec![]).await.unwrap();
    chat.subscribe(From::Default).await.unwrap();
    chat
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_under_another_address_without_a_resume() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let middle = Middle::before(&node).await;
    let (client, mut events) = connect(&node, &middle, "mover").await;
    assert_eq!(client.info().transport, Some(Transport::Quic));
    until_state(&mut events, State::Connected).await;
    let chat = chat(&client).await;
    let mut said = Vec::new();
    for round in 0..4 {
        // Twice the network in between gives another address, twice the device itself has another socket.
        match round % 2 {
            0 => middle.change_address().await,
            _ => client.network_changed().await.unwrap(),
        }
        for number in 0..5 {
            said.push(format!("{round}.{number}"));
            say(&chat, &mut events, &said[said.len() - 1]).await;
        }
    }
    assert_eq!(texts(&chat).await, said, "nothing lost, nothing doubled");
    let (_, metrics) = node.admin("/metrics");
    let opened =
        metrics.lines().find(|line| line.starts_with("duet_connections_opened_total{transport=\"quic\"}"));
    assert_eq!(opened.and_then(|line| line.rsplit(' ').next()), Some("1"), "one connection all the time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_udp_is_swallowed_a_websocket_carries_and_quic_comes_back_with_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let middle = Middle::before(&node).await;
    middle.swallow_udp(true);
    let (client, mut events) = connect(&node, &middle, "walled-in").await;
    assert_eq!(client.info().transport, Some(Transport::WebSocket));
    until_state(&mut events, State::Connected).await;
    let chat = chat(&client).await;
    let mut said: Vec<String> = (0..10).map(|number| format!("walled in {number}")).collect();
    for text in &said {
        say(&chat, &mut events, text).await;
    }
    assert_eq!(texts(&chat).await, said);

    // A broken connection is resumed over the carrier that passes.
    middle.cut_tcp();
    until_state(&mut events, State::Reconnecting).await;
    until_state(&mut events, State::Connected).await;
    assert_eq!(client.info().transport, Some(Transport::WebSocket));

    middle.swallow_udp(false);
    client.network_changed().await.unwrap();
    middle.cut_tcp();
    until_state(&mut events, State::Reconnecting).await;
    until_state(&mut events, State::Connected).await;
    assert_eq!(client.info().transport, Some(Transport::Quic));
    said.push("free".to_owned());
    say(&chat, &mut events, "free").await;
    assert_eq!(texts(&chat).await, said, "nothing lost, nothing doubled");
}

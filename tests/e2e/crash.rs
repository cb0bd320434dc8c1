//! kill -9 under load: real server processes on one store, real SDK clients that keep writing, and a checker that reads
//! every client's history and the server's log.
//!
//! `DUET_CRASH_CYCLES` sets how often the server dies (10); the run is bounded by a deadline per cycle.

use crate::node::{Node, PATIENCE, address_to_keep};
use duet_client::{
    Client, Conversation, FixedToken, Options,
    link::Trust,
    machine::{Event, From, MessageStatus},
    protocol::{ClientMessageId, ConversationId, command::Page, delivery::ConversationKind},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_once_and_in_order() {
    let cycles: u32 = std::env::var("DUET_CRASH_CYCLES").map_or(10, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let address = address_to_keep();
    let mut node = Node::dev_on(dir.path(), address);

    let mut writers = Vec::new();
    for pair in 0..PAIRS {
        let visitor = Peer::connect(&node, &format!("visitor-{pair}"), "visitor").await;
        let agent = Peer::connect(&node, &format!("agent-{pair}"), "agent").await;
        let made = visitor.client.create_conversation(ConversationKind::Support, None, vec![]).await;
        let id = made.unwrap().id();
        agent.client.conversation(id).assign(None).await.unwrap();
        for peer in [&visitor, &agent] {
            peer.client.conversation(id).subscribe(From::Default).await.unwrap();
        }
        writers.push(Writer::start(visitor, id));
        writers.push(Writer::start(agent, id));
    }

    let (begun, mut starts_ms, mut in_flight) = (Instant::now(), Vec::new(), 0);
    for cycle in 0..cycles {
        all_go_on(&writers, cycle).await;
        // At a moment that no client chose: somewhere between a write and its acknowledgement.
        tokio::time::sleep(Duration::from_millis(u64::from(cycle * 37 % 113))).await;
        in_flight += writers.iter().map(|writer| writer.ledger().outstanding()).sum::<usize>();
        node.kill();
        node = Node::dev_on(dir.path(), address);
        starts_ms.push(node.ready.ready_after_ms);
        let (ready_ms, elapsed) = (node.ready.ready_after_ms, begun.elapsed().as_secs_f32());
        println!("kill {} of {cycles} after {elapsed:.1} s, ready again in {ready_ms} ms", cycle + 1);
    }
    writers.iter().for_each(Writer::stop);
    wait_until("every message has its acknowledgement", || {
        writers.iter().all(|writer| writer.ledger().outstanding() == 0)
    })
    .await;

    let mut total = 0;
    for pair in writers.chunks(2) {
        let reader = Peer::connect(&node, pair[1].user.as_str(), "agent").await;
        let log = read_log(&reader.client.conversation(pair[0].conversation)).await;
        wait_until("both clients hold the whole log", || {
            pair.iter().all(|writer| writer.ledger().seen.len() == log.len())
        })
        .await;
        for writer in pair {
            writer.check(&log);
            total += writer.ledger().acknowledged.len();
        }
    }
    starts_ms.sort_unstable();
    let (usual_ms, longest_ms) = (starts_ms[starts_ms.len() / 2], starts_ms[starts_ms.len() - 1]);
    println!(
        "{cycles} kills, {total} acknowledged messages, 0 lost, 0 doubled, 0 reordered, {} in flight at a kill, ready again \
         in {usual_ms} ms in the middle and {longest_ms} ms at most, {:.1} s",
        in_flight / cycles as usize,
        begun.elapsed().as_secs_f32()
    );
}

/// Waits until every client has a new acknowledgement. The first times the clients find out by themselves; then an
/// application says that the network is back, or the growing waits between tries would make two hundred cycles an hour.
async fn all_go_on(writers: &[Writer], cycle: u32) {
    let acknowledged = || writers.iter().map(|writer| writer.ledger().acknowledged.len()).collect::<Vec<_>>();
    let (begun, before) = (Instant::now(), acknowledged());
    while acknowledged().iter().zip(&before).any(|(now, before)| now <= before) {
        assert!(begun.elapsed() < CYCLE_DEADLINE, "a client does not come back in cycle {cycle}");
        for writer in writers.iter().filter(|_| cycle >= UNAIDED_CYCLES) {
            writer.client.reconnect().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The log of a conversation: seq of each message, its id and its text.
type Log = BTreeMap<u64, (ClientMessageId, String)>;

async fn read_log(conversation: &Conversation) -> Log {
    let (mut log, mut at) = (Log::new(), 0);
    loop {
        let page = conversation.history(Page::After(at), 200).await.unwrap();
        for entry in &page.entries {
            assert_eq!(entry.seq, at + 1, "the log has a hole");
            at = entry.seq;
            if let Some(duet_client::protocol::EventBody::Message(message)) = &entry.body {
                log.insert(at, (message.id, message.content.as_text().unwrap().to_owned()));
            }
        }
        if !page.more {
            return log;
        }
    }
}

/// A connected client.
struct Peer {
    client: Client,
    user: String,
}

impl Peer {
    async fn connect(node: &Node, user: &str, role: &str) -> Self {
        let tokens = Arc::new(FixedToken(node.token(user, role, &["--ttl", "3600"])));
        let mut options = Options::new(vec![node.ready.clients[0].to_string()], tokens);
        options.trust = Trust::pinned_hex(&node.ready.certificate_sha256).unwrap();
        let client = Client::connect(options).unwrap();
        tokio::time::timeout(PATIENCE, client.ready()).await.expect("connected in time").unwrap();
        Self { client, user: user.to_owned() }
    }
}

/// A client that keeps writing, and what it was told.
struct Writer {
    user: String,
    client: Client,
    conversation: ConversationId,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<Semaphore>,
}

#[derive(Default)]
struct Ledger {
    sent: usize,
    /// The seq that the server gave each of the client's messages.
    acknowledged: BTreeMap<ClientMessageId, u64>,
    /// The text of each, in the order of sending.
    texts: Vec<(ClientMessageId, String)>,
    /// Every message that the client was shown, with its seq.
    seen: BTreeMap<u64, ClientMessageId>,
    created: BTreeSet<ClientMessageId>,
    faults: Vec<String>,
}

impl Writer {
    fn start(peer: Peer, conversation: ConversationId) -> Self {
        let (ledger, stop) = (Arc::new(Mutex::new(Ledger::default())), Arc::new(Semaphore::new(0)));
        let room = Arc::new(Semaphore::new(OUTSTANDING_MAX));
        let mut events = peer.client.events();
        let (told, free) = (ledger.clone(), room.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                told.lock().unwrap().take_in(event, &free);
            }
        });
        let (own, ended) = (ledger.clone(), stop.clone());
        let (user, client) = (peer.user.clone(), peer.client.clone());
        tokio::spawn(async move {
            let chat = client.conversation(conversation);
            let mut pace = tokio::time::interval(PACE);
            for number in 0.. {
                pace.tick().await;
                let Ok(permit) = room.acquire().await else { break };
                permit.forget();
                if ended.available_permits() > 0 {
                    break;
                }
                let text = format!("{user} {number}");
                let sent = chat.send_text(text.clone()).await.expect("the outbox has room");
                let mut ledger = own.lock().unwrap();
                ledger.sent += 1;
                ledger.texts.push((sent.id, text));
            }
        });
        Self { user: peer.user, client: peer.client, conversation, ledger, stop }
    }

    fn stop(&self) {
        self.stop.add_permits(1);
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    fn check(&self, log: &Log) {
        let ledger = self.ledger();
        assert_eq!(ledger.faults, Vec::<String>::new(), "{}", self.user);
        let mut last = 0;
        for (id, text) in &ledger.texts {
            let seq = ledger.acknowledged[id];
            assert_eq!(log.get(&seq), Some(&(*id, text.clone())), "lost or moved: {text}");
            assert!(seq > last, "reordered: {text}");
            last = seq;
        }
        let stored = log.values().filter(|(_, text)| text.starts_with(&format!("{} ", self.user)));
        assert_eq!(stored.count(), ledger.texts.len(), "a message of {} is doubled", self.user);
        let told: BTreeMap<u64, ClientMessageId> = log.iter().map(|(seq, (id, _))| (*seq, *id)).collect();
        assert_eq!(ledger.seen, told, "{} was shown another log", self.user);
    }
}

impl Ledger {
    /// Messages that wait for their acknowledgement.
    fn outstanding(&self) -> usize {
        self.sent.saturating_sub(self.acknowledged.len())
    }

    fn take_in(&mut self, event: Event, room: &Semaphore) {
        match event {
            Event::MessageCreated { message, .. } => {
                if !self.created.insert(message.id) {
                    self.faults.push(format!("shown twice: {}", message.id));
                }
                if let Some(seq) = message.seq {
                    self.show(seq, message.id);
                }
            }
            Event::MessageStatus(change) => {
                if let (true, Some(seq)) = (change.status >= MessageStatus::Accepted, change.seq) {
                    match self.acknowledged.insert(change.id, seq) {
                        None => room.add_permits(1),
                        Some(before) if before == seq => {}
                        Some(before) => self.faults.push(format!("moved from {before} to {seq}")),
                    }
                    self.show(seq, change.id);
                }
                if change.status == MessageStatus::Failed {
                    self.faults.push(format!("refused: {:?}", change.error));
                }
            }
            Event::Discontinuity { reason, .. } => self.faults.push(format!("discontinuity: {reason}")),
            Event::Lagged { missed } => self.faults.push(format!("the test read too slowly: {missed}")),
            _ => {}
        }
    }

    fn show(&mut self, seq: u64, id: ClientMessageId) {
        if let Some(before) = self.seen.insert(seq, id)
            && before != id
        {
            self.faults.push(format!("two messages at {seq}"));
        }
    }
}

/// Polls `done`; nothing here has an event of its own to wait for.
async fn wait_until(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < CYCLE_DEADLINE, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Kills after which no client is told that the server is back.
const UNAIDED_CYCLES: u32 = 3;
/// Conversations with a visitor and an agent who both write.
const PAIRS: usize = 3;
/// Messages of one client that wait for their acknowledgement.
const OUTSTANDING_MAX: usize = 16;
/// A client writes a message in this time on average, and catches up in a burst when it could not: so that every kill
/// comes under load, and two hundred of them leave hundreds of thousands of messages, not millions.
const PACE: Duration = Duration::from_millis(5);
/// A client is back and has an acknowledgement after this time, or something is wrong.
const CYCLE_DEADLINE: Duration = Duration::from_secs(60);

//! Clients that keep writing, whatever happens to the servers: each remembers what it was told, and is compared in the
//! end with the log that the server tells.

use crate::node::PATIENCE;
use duet_client::{
    Client, Conversation, FixedToken, Options,
    link::Trust,
    machine::{Event, From, MessageStatus},
    protocol::{ClientMessageId, ConversationId, command::Page, delivery::ConversationKind},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// Where clients connect, and which certificate they accept there.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) endpoints: Vec<String>,
    pub(crate) certificate_sha256: String,
}

/// A connected client.
pub(crate) struct Guest {
    pub(crate) client: Client,
    pub(crate) user: String,
}

impl Guest {
    pub(crate) async fn connect(door: &Door, user: &str, token: String) -> Self {
        let mut options = Options::new(door.endpoints.clone(), Arc::new(FixedToken(token)));
        options.trust = Trust::pinned_hex(&door.certificate_sha256).unwrap();
        let client = Client::connect(options).unwrap();
        tokio::time::timeout(PATIENCE, client.ready()).await.expect("connected in time").unwrap();
        Self { client, user: user.to_owned() }
    }
}

/// The log of a conversation: seq of each message, its id and its text.
pub(crate) type Log = BTreeMap<u64, (ClientMessageId, String)>;

/// The whole log as the server tells it; it has no hole.
pub(crate) async fn read_log(conversation: &Conversation) -> Log {
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

/// How much a client writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// A message in so long on average.
    pub(crate) pace: Duration,
    /// Bytes of a message, about.
    pub(crate) bytes: usize,
}

impl std::convert::From<Duration> for Load {
    fn from(pace: Duration) -> Self {
        Self { pace, bytes: FILLER.len() }
    }
}

/// A visitor and an agent in a conversation of their own who both begin to write.
pub(crate) async fn start_two(visitor: Guest, agent: Guest, load: impl Into<Load>) -> [Writer; 2] {
    let load = load.into();
    let made = visitor.client.create_conversation(ConversationKind::Support, None, vec![]).await;
    let id = made.unwrap().id();
    agent.client.conversation(id).assign(None).await.unwrap();
    for guest in [&visitor, &agent] {
        guest.client.conversation(id).subscribe(From::Default).await.unwrap();
    }
    [Writer::start(visitor, id, load), Writer::start(agent, id, load)]
}

/// A client that keeps writing, and what it was told.
pub(crate) struct Writer {
    pub(crate) user: String,
    pub(crate) client: Client,
    pub(crate) conversation: ConversationId,
    ledger: Arc<Mutex<Ledger>>,
    stop: Arc<Semaphore>,
}

#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) sent: usize,
    /// The seq that the server gave each of the client's messages.
    pub(crate) acknowledged: BTreeMap<ClientMessageId, u64>,
    /// When each acknowledgement came, and how long after its message was sent.
    pub(crate) took: Vec<(Instant, Duration)>,
    /// The first of the two moments of a message that is under way.
    moments: BTreeMap<ClientMessageId, Instant>,
    /// The text of each, in the order of sending.
    texts: Vec<(ClientMessageId, String)>,
    /// Every message that the client was shown, with its seq.
    pub(crate) seen: BTreeMap<u64, ClientMessageId>,
    created: BTreeSet<ClientMessageId>,
    /// The first and the last acknowledgement under each reign; 0 is a node that stands alone.
    pub(crate) reigns: BTreeMap<u64, (Instant, Instant)>,
    /// Acknowledgements that came while the server's last word was that one disk has the message.
    pub(crate) alone: usize,
    pub(crate) faults: Vec<String>,
}

impl Writer {
    pub(crate) fn start(guest: Guest, conversation: ConversationId, load: Load) -> Self {
        let (ledger, stop) = (Arc::new(Mutex::new(Ledger::default())), Arc::new(Semaphore::new(0)));
        let room = Arc::new(Semaphore::new(OUTSTANDING_MAX));
        let mut events = guest.client.events();
        let (told, free) = (ledger.clone(), room.clone());
        let watched = guest.client.clone();
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let info = watched.info();
                told.lock().unwrap().take_in(event, (info.epoch, info.replicas), &free);
            }
        });
        let (own, ended) = (ledger.clone(), stop.clone());
        let (user, client) = (guest.user.clone(), guest.client.clone());
        tokio::spawn(async move {
            let chat = client.conversation(conversation);
            let mut pace = tokio::time::interval(load.pace);
            let filler = FILLER.repeat(load.bytes.div_ceil(FILLER.len()));
            for number in 0.. {
                pace.tick().await;
                let Ok(permit) = room.acquire().await else { break };
                permit.forget();
                if ended.available_permits() > 0 {
                    break;
                }
                let text = format!("{user} {number} {filler}");
                let begun = Instant::now();
                let sent = chat.send_text(text.clone()).await.expect("the outbox has room");
                let mut ledger = own.lock().unwrap();
                ledger.sent += 1;
                ledger.timed(sent.id, begun);
                ledger.texts.push((sent.id, text));
            }
        });
        Self { user: guest.user, client: guest.client, conversation, ledger, stop }
    }

    pub(crate) fn stop(&self) {
        self.stop.add_permits(1);
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// Every message that this client was told is stored is in the log, once, where and in the order in which it was
    /// told; and the client was shown the log, no more and no less.
    pub(crate) fn check(&self, log: &Log) {
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
    pub(crate) fn outstanding(&self) -> usize {
        self.sent.saturating_sub(self.acknowledged.len())
    }

    fn take_in(&mut self, event: Event, stand: (u64, Option<u8>), room: &Semaphore) {
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
                        None => {
                            room.add_permits(1);
                            self.timed(change.id, Instant::now());
                            self.count(stand);
                        }
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

    /// A message was sent or acknowledged; either may be heard of first.
    fn timed(&mut self, id: ClientMessageId, at: Instant) {
        let Some(other) = self.moments.remove(&id) else {
            self.moments.insert(id, at);
            return;
        };
        let (sent, acknowledged) = (at.min(other), at.max(other));
        self.took.push((acknowledged, acknowledged - sent));
    }

    fn count(&mut self, (epoch, replicas): (u64, Option<u8>)) {
        self.alone += usize::from(replicas == Some(1));
        let now = Instant::now();
        self.reigns.entry(epoch).or_insert((now, now)).1 = now;
    }

    fn show(&mut self, seq: u64, id: ClientMessageId) {
        if let Some(before) = self.seen.insert(seq, id)
            && before != id
        {
            self.faults.push(format!("two messages at {seq}"));
        }
    }
}

/// Stops all writers, waits for what is under way, and compares each with what the server tells; how many messages were
/// acknowledged. `writers` are two for each conversation; `reader` connects as this user.
pub(crate) async fn check_all(
    writers: &[Writer],
    deadline: Duration,
    reader: impl AsyncFn(&str) -> Guest,
) -> usize {
    writers.iter().for_each(Writer::stop);
    wait_until(deadline, "every message has its acknowledgement", || {
        writers.iter().all(|writer| writer.ledger().outstanding() == 0)
    })
    .await;
    let mut total = 0;
    for pair in writers.chunks(2) {
        let reader = reader(pair[1].user.as_str()).await;
        let log = read_log(&reader.client.conversation(pair[0].conversation)).await;
        wait_until(deadline, "both clients hold the whole log", || {
            pair.iter().all(|writer| writer.ledger().seen.len() == log.len())
        })
        .await;
        for writer in pair {
            writer.check(&log);
            total += writer.ledger().acknowledged.len();
        }
    }
    total
}

/// Polls `done`; nothing here has an event of its own to wait for.
pub(crate) async fn wait_until(deadline: Duration, what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Messages of one client that wait for their acknowledgement.
const OUTSTANDING_MAX: usize = 16;
/// Makes messages long enough to fill logs.
const FILLER: &str = "The quick brown fox jumps over the lazy dog, again and again, until the log is long enough to be cut. \
     Pack my box with five dozen liquor jugs; how quickly daft jumping zebras vex; sphinx of black quartz, judge my vow.";

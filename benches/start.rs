//! How long a server with many stored messages takes until it is ready, and how much memory it then holds.
//!
//! A process of its own lets the real core and the real store take in the messages of one day, as clients would send
//! them, and dies without closing. Then the real binary is started on its data: cold after the death, warm after another
//! death, and after an orderly stop. `cargo bench --bench start`; `DUET_BENCH_MESSAGES` sets how many (1,000,000),
//! `DUET_BENCH_CHECKPOINT` how many entries lie between two checkpoints (the default of `store.checkpoint_every`), and
//! `TMPDIR` the disk. With `cargo bench --profile dev` it measures the development build.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark stops at what it did not expect"
)]

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{self, Child, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use duet::core::{ConnectionId, Core, CoreConfig, Effect, Identity, Input, Lane, State};
use duet::store::{EventRow, GROUP_ENTRIES_MAX, LogItem, Opened, Store, StoreOptions, Writer};
use duet_protocol::command::{Assign, CreateConversation, Durability, Open, Publish, Start};
use duet_protocol::delivery::ConversationKind;
use duet_protocol::event::Content;
use duet_protocol::hello::Role;
use duet_protocol::{
    ClientMessageId, Command, ConversationId, DeviceId, DisplayName, Hello, TenantName, UserId,
};

const MESSAGES: &str = "DUET_BENCH_MESSAGES";
const CHECKPOINT: &str = "DUET_BENCH_CHECKPOINT";
const FILL: &str = "DUET_BENCH_FILL";
/// Support conversations, each with a visitor and one of the agents, who speak in turn.
const CONVERSATIONS: u64 = 1_000;
const AGENTS: u64 = 50;
/// All messages lie within this time before now: shorter than the deduplication window.
const DAY_MS: u64 = 20 * 3_600_000;
const TEXT: &str = "Two hundred bytes are about what people write to each other in a support chat: a question with a \
                    detail or two, an answer with a link, a thank you that names the person who has helped them out.";

fn main() {
    let messages = std::env::var(MESSAGES).map_or(1_000_000, |text| text.parse().unwrap());
    match std::env::var(FILL) {
        Ok(dir) => fill(Path::new(&dir), messages),
        Err(_) => start(messages),
    }
}

/// Fills, then starts the server again and again.
fn start(messages: u64) {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let status =
        process::Command::new(std::env::current_exe().unwrap()).env(FILL, dir.path()).status().unwrap();
    assert!(!status.success(), "the filling process dies");
    println!("filled with {messages} messages in {:.1?}", begin.elapsed());
    drop_page_cache();
    for (what, orderly) in
        [("after a death, cold", false), ("after a death, warm", true), ("after a stop, warm", false)]
    {
        let begin = Instant::now();
        let mut server = serve(dir.path());
        let mut line = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: serde_json::Value = serde_json::from_str(&line).unwrap();
        let rss = resident_mib(&server.id().to_string());
        println!(
            "{what}: ready after {} ms ({:.1?} with the start of the process), {rss} MiB resident",
            ready["ready_after_ms"],
            begin.elapsed()
        );
        stop(server, orderly);
    }
}

fn serve(dir: &Path) -> Child {
    let mut command = process::Command::new(env!("CARGO_BIN_EXE_duet"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUET_")) {
        command.env_remove(name);
    }
    let any = "127.0.0.1:0";
    command.args(["serve", "--dev", "--json", "--listen", any, "--admin-listen", any]);
    command.args(["--dev-listen", any, "--set", "store.free_floor_mib=1", "--log-level", "warn"]);
    command.arg("--data-dir").arg(dir).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

fn stop(mut server: Child, orderly: bool) {
    if orderly {
        let id = server.id().to_string();
        assert!(process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    } else {
        server.kill().unwrap();
    }
    server.wait().unwrap();
}

/// The core and its disk.
struct Node {
    core: Core,
    writer: Writer,
    now_ms: u64,
    group: Vec<LogItem>,
    slowest: Duration,
    checkpoints: Vec<Duration>,
}

impl Node {
    fn open(dir: &Path, now_ms: u64) -> Self {
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { writer, .. } = Store::open(&dir.join("store"), options).unwrap();
        let default = std::env::var(CHECKPOINT).map_or(CHECKPOINT_EVERY, |text| text.parse().unwrap());
        let config = CoreConfig {
            checkpoint_every: default,
            checkpoint_after_ms: DAY_MS,
            dedup_entries_max: DEDUP_ENTRIES_MAX,
            ..CoreConfig::default()
        };
        let mut core = Core::restore(config, State::default(), []).unwrap();
        core.start(now_ms, &[TenantName::parse("demo").unwrap()]);
        let (group, slowest, checkpoints) = (Vec::new(), Duration::ZERO, Vec::new());
        Self { core, writer, now_ms, group, slowest, checkpoints }
    }

    fn hello(&mut self, connection: ConnectionId, user: &str, role: Role) {
        let (tenant, user) = (TenantName::parse("demo").unwrap(), UserId::parse(user).unwrap());
        let name = DisplayName::parse(user.as_str()).unwrap();
        let identity = Some(Identity { tenant, user, name, role, expires_ms: 0, made_ms: 0, token: None });
        let hello = Hello {
            versions: vec![1],
            token: None,
            resume: None,
            device: DeviceId::parse("device").unwrap(),
            sdk: DisplayName::parse("bench").unwrap(),
            epoch_seen: 0,
            capabilities: 0,
        };
        let mut entropy = [0; 48];
        entropy[..8].copy_from_slice(&connection.0.to_be_bytes());
        self.tell(Input::Hello { connection, identity, hello, entropy });
        self.flush();
    }

    fn say(&mut self, connection: ConnectionId, lane: u32, command: Command) {
        self.tell(Input::Command { connection, lane: Lane(lane), command });
    }

    fn tell(&mut self, input: Input) {
        self.core.handle(self.now_ms, input);
        self.carry_out();
        if self.group.len() >= GROUP_ENTRIES_MAX {
            self.flush();
        }
    }

    /// Makes durable what was appended, and lets the core release it.
    fn flush(&mut self) {
        let mut group = std::mem::take(&mut self.group);
        while !group.is_empty() {
            let rest = group.split_off(group.len().min(GROUP_ENTRIES_MAX));
            let durable = self.writer.commit(&group).unwrap();
            self.slowest = self.slowest.max(durable.took);
            self.core.handle(self.now_ms, Input::Persisted { upto: durable.upto });
            self.carry_out();
            group = rest;
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            match effect {
                Effect::Append(append) => {
                    let events = append.events.into_iter().map(|row| EventRow {
                        tenant: row.conversation.tenant.0,
                        conversation: row.conversation.conversation.0,
                        seq: row.seq,
                        bytes: row.bytes,
                    });
                    let (index, epoch, bytes) = (append.index, append.epoch, append.bytes);
                    self.group.push(LogItem { index, epoch, bytes, events: events.collect() });
                }
                Effect::Checkpoint { index, rows } => {
                    self.checkpoints.push(self.writer.checkpoint(index, &rows).unwrap().took);
                    while self.writer.truncate_front(index.saturating_sub(LOG_KEEP)).unwrap().more {}
                }
                Effect::Disconnect { code, reason, .. } => panic!("refused: {code} {reason}"),
                _ => {}
            }
        }
    }
}

fn fill(dir: &Path, messages: u64) {
    let end_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let begin_ms = end_ms - DAY_MS;
    let mut node = Node::open(dir, begin_ms);
    for agent in 0..AGENTS {
        node.hello(agent_connection(agent), &format!("agent-{agent}"), Role::Agent);
    }
    for number in 0..CONVERSATIONS {
        converse(&mut node, number);
    }
    let begin = Instant::now();
    for number in 0..messages {
        node.now_ms = begin_ms + DAY_MS * number / messages;
        let conversation = scatter(number) % CONVERSATIONS;
        let (visitor, agent) = connections(conversation);
        let (connection, lane) = match scatter(number) >> 63 {
            0 => (visitor, 1),
            _ => (agent, agent_lane(conversation)),
        };
        let mut random = [0; 10];
        random[..8].copy_from_slice(&scatter(number).to_be_bytes());
        let publish = Publish {
            id: ClientMessageId::new(node.now_ms, random),
            content: Content::text(TEXT),
            reply_to: None,
            durability: Durability::Accepted,
        };
        node.say(connection, lane, Command::Publish(publish));
    }
    node.flush();
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(node.core.state().dedup.len() as u64, messages.min(DEDUP_ENTRIES_MAX as u64));
    node.checkpoints.sort_unstable();
    let checkpoint = |part: usize| node.checkpoints.get(node.checkpoints.len() * part / 100).unwrap();
    println!(
        "{:.0} durable messages a second, slowest group {:.1?}; {} checkpoints, {:.1?} in the middle, {:.1?} for one in \
         a hundred, {:.1} % of the time; {} MiB resident",
        messages as f64 / seconds,
        node.slowest,
        node.checkpoints.len(),
        checkpoint(50),
        checkpoint(99),
        node.checkpoints.iter().sum::<Duration>().as_secs_f64() / seconds * 100.0,
        resident_mib("self"),
    );
    process::abort();
}

/// A visitor begins a conversation, an agent takes it, both listen.
fn converse(node: &mut Node, number: u64) {
    let (visitor, agent) = connections(number);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&scatter(number).to_be_bytes());
    let conversation = ConversationId(id);
    node.hello(visitor, &format!("visitor-{number}"), Role::Visitor);
    let (kind, subject, members) = (ConversationKind::Support, None, Vec::new());
    let create = CreateConversation { request: 1, conversation, kind, subject, members };
    node.say(visitor, 0, Command::CreateConversation(create));
    node.say(agent, 0, Command::Assign(Assign { request: 1, conversation, agent: None }));
    for (connection, lane) in [(visitor, 1), (agent, agent_lane(number))] {
        node.say(connection, lane, Command::Open(Open { conversation, start: Start::Latest(0) }));
    }
    node.flush();
}

fn connections(conversation: u64) -> (ConnectionId, ConnectionId) {
    (ConnectionId(1_000_000 + conversation), agent_connection(conversation % AGENTS))
}

fn agent_connection(agent: u64) -> ConnectionId {
    ConnectionId(1 + agent)
}

fn agent_lane(conversation: u64) -> u32 {
    1 + (conversation / AGENTS) as u32
}

/// Scatters numbers over the whole range, the same every time (SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn resident_mib(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn drop_page_cache() {
    assert!(process::Command::new("sync").status().unwrap().success());
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
        println!("(the page cache could not be dropped: the next figure is warm)");
    }
}

/// The defaults of `store.checkpoint_every`, `store.log_keep` and `limits.dedup_entries_max`.
const CHECKPOINT_EVERY: u64 = 240;
const LOG_KEEP: u64 = 10_000;
const DEDUP_ENTRIES_MAX: usize = 1_000_000;

//! A pair under test: `duet pair init`, two `duet serve`, one `duet witness`, on ports of their own, in a directory of
//! their own. Their logs are printed when a test fails, or with `DUET_PAIR_LOGS` set.

use super::{
    files::{COMMON, write_certificate},
    logs,
    wires::Wires,
};
use crate::{
    node::{PATIENCE, address_to_keep, duet, get},
    raw::{Raw, hello},
    writers::{Door, Guest, Load, Writer, start_two, wait_until},
};
use duet::{
    config::{Arguments, Config},
    server::{TokenRequest, token},
};
use duet_protocol::{Command, Delivery};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command as Program, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Node a and node b.
pub(super) const NODES: [usize; 2] = [0, 1];

/// What a node says of itself.
#[derive(Debug, Clone, serde::Deserialize)]
pub(super) struct Report {
    pub(super) role: String,
    pub(super) epoch: u64,
    pub(super) in_sync: bool,
    pub(super) serving: bool,
    pub(super) solo: bool,
    pub(super) log_index: u64,
    pub(super) commit_index: u64,
}

/// How a pair is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Make {
    pub(super) policy: &'static str,
    /// Whether everything between the machines goes through wires that can be cut.
    pub(super) wired: bool,
    /// Whether there is a witness; otherwise an operator decides.
    pub(super) witness: bool,
    /// Further flags of each node.
    pub(super) flags: &'static [&'static str],
}

impl Default for Make {
    fn default() -> Self {
        Self { policy: "solo", wired: false, witness: true, flags: &[] }
    }
}

/// The machines. Processes that run are killed when it is dropped.
pub(super) struct Rig {
    pub(super) dir: tempfile::TempDir,
    clients: [SocketAddr; 2],
    admins: [SocketAddr; 2],
    witness_address: SocketAddr,
    flags: &'static [&'static str],
    certificate_sha256: String,
    pub(super) wires: Option<Wires>,
    nodes: Mutex<[Option<Child>; 2]>,
    witness: Mutex<Option<Child>>,
}

impl Rig {
    /// Writes every configuration and starts nothing.
    pub(super) async fn new(make: Make) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [peer_a, peer_b, client_a, client_b, admin_a, admin_b, witness] = distinct_addresses();
        let mut init = duet();
        init.args(["pair", "init", "--dir"]).arg(dir.path());
        for (flag, address) in
            [("--a", peer_a), ("--b", peer_b), ("--client-a", client_a), ("--client-b", client_b)]
        {
            init.args([flag, &address.to_string()]);
        }
        if make.witness {
            init.args(["--witness", &witness.to_string()]);
        }
        let output = init.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let wires = match make.wired {
            true => Some(Wires::to([peer_a, peer_b], witness).await),
            false => None,
        };
        let certificate_sha256 = write_certificate(dir.path());
        fs::write(dir.path().join("acme.secret"), format!("{:-<40}\n", "acme")).unwrap();
        for (node, (name, peer)) in [("a", peer_b), ("b", peer_a)].into_iter().enumerate() {
            let file = dir.path().join(format!("{name}.toml"));
            let mut pair = fs::read_to_string(&file).unwrap();
            if let Some(wires) = &wires {
                let own = format!("peer = {:?}", peer.to_string());
                assert!(pair.contains(&own), "{pair}");
                pair = pair.replace(&own, &format!("peer = {:?}", wires.peers[node].address().to_string()));
                pair = pair.replace(&witness.to_string(), &wires.witness[node].address().to_string());
            }
            pair = pair.replace("policy = \"solo\"", &format!("policy = {:?}", make.policy));
            fs::write(file, format!("{COMMON}{pair}")).unwrap();
        }
        Self {
            dir,
            clients: [client_a, client_b],
            admins: [admin_a, admin_b],
            witness_address: witness,
            flags: make.flags,
            certificate_sha256,
            wires,
            nodes: Mutex::new([None, None]),
            witness: Mutex::new(None),
        }
    }

    /// A pair that is in sync, with its witness.
    pub(super) async fn in_sync(make: Make) -> Self {
        let rig = Self::new(make).await;
        if make.witness {
            rig.start_witness();
        }
        NODES.into_iter().for_each(|node| rig.start(node));
        rig.settled().await;
        rig
    }

    /// The data directory of a node.
    pub(super) fn data(&self, node: usize) -> PathBuf {
        self.dir.path().join(format!("data-{}", name(node)))
    }

    /// Starts a node and does not wait.
    pub(super) fn start(&self, node: usize) {
        let file = self.dir.path().join(format!("{}.toml", name(node)));
        let mut command = duet();
        command.args(["serve", "--log-format", "text", "--config"]).arg(file);
        command.args(["--listen", &self.clients[node].to_string()]);
        command.args(["--admin-listen", &self.admins[node].to_string()]);
        command.arg("--data-dir").arg(self.data(node)).args(self.flags);
        let child = self.spawn(command, name(node));
        let before = self.nodes.lock().unwrap()[node].replace(child);
        assert!(before.is_none(), "node {} runs already", name(node));
    }

    pub(super) fn start_witness(&self) {
        let mut command = duet();
        command.args(["witness", "--allow-same-machine", "--log-format", "text", "--config"]);
        command.arg(self.dir.path().join("witness.toml"));
        command.args(["--listen", &self.witness_address.to_string(), "--data-dir"]);
        command.arg(self.dir.path().join("data-witness"));
        *self.witness.lock().unwrap() = Some(self.spawn(command, "witness"));
    }

    pub(super) fn kill_witness(&self) {
        let mut child = self.witness.lock().unwrap().take().expect("the witness runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// kill -9.
    pub(super) fn kill(&self, node: usize) {
        let mut child = self.nodes.lock().unwrap()[node].take().expect("the node runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A signal by its name, as in `STOP`.
    pub(super) fn signal(&self, node: usize, signal: &str) {
        send(signal, self.nodes.lock().unwrap()[node].as_ref().expect("the node runs"));
    }

    /// The same for the witness.
    pub(super) fn signal_witness(&self, signal: &str) {
        send(signal, self.witness.lock().unwrap().as_ref().expect("the witness runs"));
    }

    /// Whether its process has not ended by itself.
    pub(super) fn runs(&self, node: usize) -> bool {
        let mut nodes = self.nodes.lock().unwrap();
        let ended = nodes[node].as_mut().is_none_or(|child| child.try_wait().unwrap().is_some());
        if ended {
            nodes[node] = None;
        }
        !ended
    }

    /// Asks it to stop, and waits for its end.
    pub(super) fn stop(&self, node: usize) {
        self.signal(node, "TERM");
        let mut child = self.nodes.lock().unwrap()[node].take().expect("the node runs");
        let begun = Instant::now();
        while child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "node {} does not stop", name(node));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// How the node stands; `None` while it does not answer.
    pub(super) fn status(&self, node: usize) -> Option<Report> {
        let (status, body) = ask(self.admins[node], "GET", "/api/v1/pair", "")?;
        (status == 200).then(|| serde_json::from_str(&body).unwrap())
    }

    /// An operator's order; its status and what was said.
    pub(super) fn order(&self, node: usize, order: &str, body: &str) -> (u16, String) {
        ask(self.admins[node], "POST", &format!("/api/v1/pair/{order}"), body).expect("the node answers")
    }

    /// The value of a metric on this node.
    pub(super) fn metric(&self, node: usize, metric: &str) -> Option<f64> {
        let (_, text) = get(self.admins[node], "localhost", "/metrics");
        text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))?.parse().ok()
    }

    /// What a node, or the witness, logged.
    pub(super) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    /// The node that reigns and serves.
    pub(super) fn primary(&self) -> Option<usize> {
        let reigns = |node: &usize| self.status(*node).is_some_and(|it| it.role == "primary" && it.serving);
        NODES.into_iter().find(reigns)
    }

    /// Waits until one node serves and the other is in sync.
    pub(super) async fn settled(&self) -> usize {
        self.settled_within(SETTLED_WITHIN).await
    }

    pub(super) async fn settled_within(&self, deadline: Duration) -> usize {
        wait_until(deadline, "one reigns, the other is in sync", || self.is_settled()).await;
        self.primary().expect("a moment ago there was one")
    }

    fn is_settled(&self) -> bool {
        let [Some(a), Some(b)] = NODES.map(|node| self.status(node)) else { return false };
        let both = |primary: &Report, standby: &Report| {
            primary.role == "primary"
                && primary.serving
                && primary.in_sync
                && standby.role == "standby"
                && standby.in_sync
        };
        both(&a, &b) || both(&b, &a)
    }

    /// Waits until this node reigns and serves.
    pub(super) async fn reigns(&self, node: usize) {
        wait_until(SETTLED_WITHIN, "it reigns", || self.primary() == Some(node)).await;
    }

    /// Waits until this node says something of itself for which `what` holds.
    pub(super) async fn until(&self, node: usize, why: &str, what: impl Fn(&Report) -> bool) {
        wait_until(SETTLED_WITHIN, why, || self.status(node).as_ref().is_some_and(&what)).await;
    }

    /// Where clients connect: to both nodes, the one named first.
    pub(super) fn door(&self, first: usize) -> Door {
        let endpoints = [first, 1 - first].map(|node| self.clients[node].to_string()).to_vec();
        Door { endpoints, certificate_sha256: self.certificate_sha256.clone() }
    }

    /// A token, signed with the tenant's key.
    pub(super) fn token(&self, user: &str, role: &str) -> String {
        let file = Some(self.dir.path().join("a.toml"));
        let config = Config::load(&Arguments { file, ..Arguments::default() }, std::iter::empty()).unwrap();
        let (tenant, user, role) = ("acme".to_owned(), user.to_owned(), role.to_owned());
        let request = TokenRequest { tenant, user, role, name: None, ttl_s: 36_000, kid: None };
        token(&config, &request).unwrap().token
    }

    /// A client without manners that knows one node, and is welcome there.
    pub(super) async fn raw(&self, node: usize, user: &str, role: &str) -> Raw {
        let mut raw = Raw::at(self.clients[node], &self.certificate_sha256).await;
        raw.control.send(&Command::Hello(hello(Some(self.token(user, role)), "raw-1"))).await;
        raw.control.until(|delivery| matches!(delivery, Delivery::Welcome(_)).then_some(())).await;
        raw
    }

    /// A client that knows both nodes.
    pub(super) async fn guest(&self, user: &str, role: &str) -> Guest {
        Guest::connect(&self.door(0), user, self.token(user, role)).await
    }

    /// So many conversations with two clients each, who all write.
    pub(super) async fn writers(&self, conversations: usize, load: impl Into<Load>) -> Vec<Writer> {
        let load = load.into();
        let mut writers = Vec::new();
        for number in 0..conversations {
            let visitor = self.guest(&format!("visitor-{number}"), "visitor").await;
            let agent = self.guest(&format!("agent-{number}"), "agent").await;
            writers.extend(start_two(visitor, agent, load).await);
        }
        writers
    }

    /// Compares every client with the log that the pair tells, then both logs with each other; how many messages were
    /// acknowledged. Ends both nodes.
    pub(super) async fn check(&self, writers: &[Writer]) -> usize {
        let total =
            crate::writers::check_all(writers, ALL_GO_ON, async |user| self.guest(user, "agent").await).await;
        self.compare_logs().await;
        total
    }

    /// Both logs are equal, entry by entry, as far as both keep them; ends both nodes.
    pub(super) async fn compare_logs(&self) {
        self.settled().await;
        wait_until(SETTLED_WITHIN, "both logs end at the same entry", || {
            let ends = NODES.map(|node| self.status(node).map_or(0, |it| it.log_index));
            ends[0] == ends[1] && ends[0] > 0
        })
        .await;
        let end = NODES.map(|node| self.status(node).expect("it runs").commit_index)[0];
        NODES.into_iter().for_each(|node| self.kill(node));
        logs::compare(NODES.map(|node| self.data(node).join("store")), end);
    }

    fn spawn(&self, mut command: Program, name: &str) -> Child {
        let file = self.dir.path().join(format!("{name}.log"));
        let log = fs::OpenOptions::new().create(true).append(true).open(file).unwrap();
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let nodes = self.nodes.get_mut().map(|nodes| nodes.iter_mut().filter_map(Option::take).collect());
        let nodes: Vec<Child> = nodes.unwrap_or_default();
        let witness = self.witness.get_mut().ok().and_then(Option::take);
        for mut child in nodes.into_iter().chain(witness) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() || std::env::var_os("DUET_PAIR_LOGS").is_some() {
            for name in ["a", "b", "witness"] {
                let log = self.log(name);
                let lines: Vec<&str> = log.lines().collect();
                println!("── the end of the log of {name} ──");
                lines[lines.len().saturating_sub(LOG_LINES)..].iter().for_each(|line| println!("{line}"));
            }
        }
    }
}

fn send(signal: &str, to: &Child) {
    let id = to.id().to_string();
    assert!(Program::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
}

/// The name of a node, as in its configuration.
pub(super) fn name(node: usize) -> &'static str {
    ["a", "b"][node]
}

/// A request to an admin listener; `None` when nobody answers at once.
fn ask(address: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let patience = if method == "GET" { Duration::from_millis(500) } else { PATIENCE };
    let mut stream = TcpStream::connect_timeout(&address, patience).ok()?;
    stream.set_read_timeout(Some(patience)).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nx-duet-operator: 1\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn distinct_addresses<const N: usize>() -> [SocketAddr; N] {
    let mut taken = Vec::new();
    while taken.len() < N {
        let address = address_to_keep();
        if !taken.contains(&address) {
            taken.push(address);
        }
    }
    taken.try_into().unwrap()
}

/// A pair is in sync again after this time, or something is wrong.
pub(super) const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// Every client is back after this time, or something is wrong.
pub(super) const ALL_GO_ON: Duration = Duration::from_secs(60);
const LOG_LINES: usize = 150;

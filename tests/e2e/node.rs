//! A node under test: the real binary as a process of its own, on ports that the system chose, in a directory of its own.

use std::{
    fs,
    hash::{BuildHasher as _, Hasher as _},
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

/// Longest time that anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server says when it is ready.
#[derive(Debug, Clone, serde::Deserialize)]
pub(crate) struct Ready {
    pub(crate) clients: Vec<SocketAddr>,
    pub(crate) admin: SocketAddr,
    pub(crate) dev: Option<String>,
    pub(crate) certificate_sha256: String,
    pub(crate) ready_after_ms: u64,
}

/// A running server; killed when it is dropped.
pub(crate) struct Node {
    child: Child,
    dir: PathBuf,
    pub(crate) ready: Ready,
}

impl Node {
    /// Starts `duet serve --dev` with its data in `dir`, and waits until it is ready.
    pub(crate) fn dev(dir: &Path) -> Self {
        Self::dev_with(dir, &[])
    }

    /// The same, on an address of one's own choice: that of an earlier one, or [`address_to_keep`].
    pub(crate) fn dev_on(dir: &Path, listen: SocketAddr) -> Self {
        Self::start(dir, &listen.to_string(), &[])
    }

    /// The same, with further flags.
    pub(crate) fn dev_with(dir: &Path, flags: &[&str]) -> Self {
        Self::start(dir, "127.0.0.1:0", flags)
    }

    fn start(dir: &Path, listen: &str, flags: &[&str]) -> Self {
        let ready_file = dir.join("ready.json");
        let _ = fs::remove_file(&ready_file);
        let mut command = duet();
        command.args(["serve", "--dev", "--listen", listen, "--admin-listen", "127.0.0.1:0"]);
        command.args([
            "--dev-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
            "--set",
            "store.free_floor_mib=1",
        ]);
        command.arg("--data-dir").arg(dir.join("data")).arg("--ready-file").arg(&ready_file).args(flags);
        Self::launch(command, dir, &ready_file)
    }

    /// Starts `duet serve` with a configuration file, without any convenience of `--dev`.
    pub(crate) fn configured(dir: &Path, file: &Path) -> Self {
        let ready_file = dir.join("ready.json");
        let _ = fs::remove_file(&ready_file);
        let mut command = duet();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--config"]);
        command.arg(file).args(["--log-format", "json", "--set", "store.free_floor_mib=1"]);
        command.arg("--data-dir").arg(dir.join("data")).arg("--ready-file").arg(&ready_file);
        Self::launch(command, dir, &ready_file)
    }

    fn launch(mut command: Command, dir: &Path, ready_file: &Path) -> Self {
        let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        loop {
            if let Ok(text) = fs::read_to_string(ready_file) {
                let ready = serde_json::from_str(&text).unwrap();
                return Self { child, dir: dir.to_owned(), ready };
            }
            let ended = child.try_wait().unwrap();
            let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(ended.is_none(), "the server ended before it was ready: {ended:?}\n{}", log());
            assert!(begun.elapsed() < PATIENCE, "the server is not ready\n{}", log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }

    /// The status and body of `GET path` on the admin listener.
    pub(crate) fn admin(&self, path: &str) -> (u16, String) {
        get(self.ready.admin, "localhost", path)
    }

    /// The status and body of `GET path` on the demo page's listener, under the name `host`.
    pub(crate) fn page(&self, host: &str, path: &str) -> (u16, String) {
        get(self.page_address(), host, path)
    }

    /// The answer to a WebSocket request of a page of `origin` on the demo page's listener, and `bytes` of what follows.
    pub(crate) fn websocket(&self, origin: &str, bytes: usize) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect_timeout(&self.page_address(), PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!(
            "GET /duet/v1/ws HTTP/1.1\r\nHost: localhost\r\nOrigin: {origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: duet.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        let mut rest = vec![0; bytes];
        stream.read_exact(&mut rest).unwrap();
        (String::from_utf8(answer).unwrap(), rest)
    }

    /// A token of the demo tenant from `duet token`.
    pub(crate) fn token(&self, user: &str, role: &str, more: &[&str]) -> String {
        let mut command = duet();
        command.args(["token", "--tenant", "demo", "--user", user, "--role", role]);
        let output = command.arg("--data-dir").arg(self.dir.join("data")).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn page_address(&self) -> SocketAddr {
        let url = self.ready.dev.as_deref().unwrap();
        let port: u16 = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        ([127, 0, 0, 1], port).into()
    }

    /// Asks it to stop, and does not wait.
    pub(crate) fn ask_to_stop(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not stop\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// kill -9.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free loopback address for a server that will be away in between. Its port is none that the system hands out by
/// itself, or a client's socket could take it while the server is dead.
pub(crate) fn address_to_keep() -> SocketAddr {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let lowest: u16 = range.split_whitespace().next().unwrap().parse().unwrap();
    let begun = Instant::now();
    loop {
        let random = std::hash::RandomState::new().build_hasher().finish();
        let port = 10_000 + (random % u64::from(lowest - 10_000)) as u16;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
        assert!(begun.elapsed() < PATIENCE, "no free port between 10000 and {lowest}");
    }
}

/// The binary, without any configuration from the surroundings.
pub(crate) fn duet() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_duet"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DUET_")) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// A plain HTTP/1.1 request, its status and body.
pub(crate) fn get(address: SocketAddr, host: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

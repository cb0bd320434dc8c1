//! The servers: how each is started, pinned, and ended.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Which {
    DuetNative,
    DuetWebtransport,
    DuetWebsocket,
    Floor,
    Mosquitto,
    Nats,
    Ws,
    Socketio,
}

impl Which {
    pub(crate) fn all() -> Vec<Self> {
        use Which::{DuetNative, DuetWebsocket, DuetWebtransport, Floor, Mosquitto, Nats, Socketio, Ws};
        vec![DuetNative, DuetWebtransport, DuetWebsocket, Floor, Mosquitto, Nats, Ws, Socketio]
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DuetNative => "duet, raw QUIC",
            Self::DuetWebtransport => "duet, WebTransport",
            Self::DuetWebsocket => "duet, WebSocket",
            Self::Floor => "smallest quinn",
            Self::Mosquitto => "mosquitto",
            Self::Nats => "nats-server",
            Self::Ws => "ws",
            Self::Socketio => "Socket.IO",
        }
    }

    pub(crate) fn is_duet(self) -> bool {
        self.carrier().is_some()
    }

    pub(crate) fn carrier(self) -> Option<duet_load::Carrier> {
        match self {
            Self::DuetNative => Some(duet_load::Carrier::Native),
            Self::DuetWebtransport => Some(duet_load::Carrier::WebTransport),
            Self::DuetWebsocket => Some(duet_load::Carrier::WebSocket),
            _ => None,
        }
    }
}

/// What servers are made of.
pub(crate) struct Place<'a> {
    /// Certificate, key, configuration files.
    pub(crate) folder: &'a Path,
    pub(crate) duet: &'a Path,
    pub(crate) node_servers: &'a Path,
    pub(crate) core: Option<usize>,
}

/// A server that listens; killed when dropped.
pub(crate) struct Server {
    pub(crate) which: Which,
    pub(crate) address: SocketAddr,
    /// Of Duet: what signs tokens.
    pub(crate) secret: Vec<u8>,
    child: Child,
    data: Option<tempfile::TempDir>,
}

impl Server {
    pub(crate) fn start(which: Which, place: &Place<'_>) -> Self {
        let address = free_address();
        let (certificate, key) = (place.folder.join("cert.pem"), place.folder.join("key.pem"));
        let data = which.is_duet().then(|| tempfile::tempdir().unwrap());
        let port = address.port().to_string();
        let mut command = match which {
            Which::DuetNative | Which::DuetWebtransport | Which::DuetWebsocket => {
                let data = data.as_ref().unwrap().path();
                let mut command = pinned(place.core, place.duet);
                command.args([
                    "serve",
                    "--dev",
                    "--admin-listen",
                    "127.0.0.1:0",
                    "--dev-listen",
                    "127.0.0.1:0",
                ]);
                command.args(["--log-level", "error", "--listen", &address.to_string()]);
                // All of the load comes from one address.
                command.args(["--set", "limits.connections_per_address_max=20000"]);
                command.arg("--data-dir").arg(data.join("data"));
                command.arg("--ready-file").arg(data.join("ready.json"));
                command
            }
            Which::Floor => {
                let mut command = pinned(place.core, &std::env::current_exe().unwrap());
                fs::write(place.folder.join("floor.address"), address.to_string()).unwrap();
                command.arg("--floor").arg(place.folder);
                command
            }
            Which::Mosquitto => {
                let file = place.folder.join("mosquitto.conf");
                let text = format!(
                    "listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {}\nkeyfile {}\ntls_version tlsv1.3\n\
                     max_connections -1\nset_tcp_nodelay true\nmax_queued_messages 10000\nuser root\n",
                    certificate.display(),
                    key.display()
                );
                fs::write(&file, text).unwrap();
                let mut command = pinned(place.core, Path::new("mosquitto"));
                command.arg("-c").arg(file);
                command
            }
            Which::Nats => {
                let mut command = pinned(place.core, Path::new("nats-server"));
                command.args(["-a", "127.0.0.1", "-p", &port, "--tls"]);
                command.arg("--tlscert").arg(&certificate).arg("--tlskey").arg(&key);
                command
            }
            Which::Ws | Which::Socketio => {
                let file = if which == Which::Ws { "ws.mjs" } else { "socketio.mjs" };
                let mut command = pinned(place.core, Path::new("node"));
                command.arg(place.node_servers.join(file)).arg(&port).arg(&certificate).arg(&key);
                command
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{} cannot be started: {error}", which.name()));
        let mut server = Self { which, address, secret: Vec::new(), child, data };
        server.wait_until_ready();
        server
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_ready(&mut self) {
        let begun = Instant::now();
        while !self.is_ready() {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended at once: {ended:?}", self.which.name());
            assert!(begun.elapsed() < READY_TIMEOUT, "{} is not ready", self.which.name());
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(data) = &self.data {
            self.secret = fs::read(data.path().join("data/dev-tenant.key")).unwrap();
        }
    }

    fn is_ready(&self) -> bool {
        match (&self.data, self.which) {
            (Some(data), _) => data.path().join("ready.json").exists(),
            // UDP tells nothing; its handshakes are tried again.
            (None, Which::Floor) => true,
            (None, _) => TcpStream::connect(self.address).is_ok(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate on P-256 for `localhost`, like Duet's own.
pub(crate) fn certificate(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

fn pinned(core: Option<usize>, program: &Path) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            // It becomes the program: the process keeps its number.
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

const READY_TIMEOUT: Duration = Duration::from_secs(20);

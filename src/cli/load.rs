//! `duet load`: many sessions against a server, and what they saw.

use super::{failed, line, misconfigured, settings::Settings};
use clap::{Args, Subcommand, ValueEnum};
use duet::{
    config::Config,
    server::{self, TokenRequest},
};
use duet_load::{Plan, Pressure, Shape, Tokens, tls::Trust};
use std::{
    io::Write as _,
    net::{SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// What the sessions do.
#[derive(Debug, Subcommand)]
pub(crate) enum Load {
    /// Rooms: what one session says, all of its room hear.
    Rooms {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        talk: Talk,
        /// Sessions in a room; `--room` equal to `--sessions` is one broadcast.
        #[arg(long, default_value_t = 10)]
        room: usize,
    },
    /// Conversations of two, with typing and receipts, every message stored.
    Pairs {
        #[command(flatten)]
        common: Common,
        /// Messages a second, all conversations together.
        #[arg(long, default_value_t = 500.0)]
        rate: f64,
        /// Bytes of a message.
        #[arg(long, default_value_t = 200, value_name = "BYTES")]
        payload: usize,
    },
    /// Connected, and silent: what it costs to be there.
    Idle {
        #[command(flatten)]
        common: Common,
    },
    /// Every connection breaks at once, and every session comes back; --seconds is how long that may take.
    Storm {
        #[command(flatten)]
        common: Common,
        /// Sessions in the room that each has open.
        #[arg(long, default_value_t = 10)]
        room: usize,
    },
}

/// Where to, as whom, how many, how long.
#[derive(Debug, Args)]
pub(crate) struct Common {
    #[command(flatten)]
    settings: Settings,
    /// The server's address for clients. Otherwise that of --server-ready, otherwise localhost:4433.
    #[arg(long, value_name = "HOST:PORT")]
    target: Option<String>,
    /// The file that `duet serve --ready-file` wrote: address, certificate and process of a server on this machine.
    #[arg(long, value_name = "FILE")]
    server_ready: Option<PathBuf>,
    /// The server's process on this machine, whose processor time and memory are measured.
    #[arg(long, value_name = "PID")]
    server_pid: Option<u32>,
    /// SHA-256 of the server's certificate, hexadecimal. On loopback any certificate is taken without it.
    #[arg(long, value_name = "HEX")]
    certificate_sha256: Option<String>,
    /// A PEM file with the authorities of the server's certificate.
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_sha256")]
    ca: Option<PathBuf>,
    /// The tenant whose key signs the sessions' tokens; the key comes from the configuration, as for `duet token`.
    #[arg(long, default_value = "demo")]
    tenant: String,
    /// How many sessions.
    #[arg(long, default_value_t = 100)]
    sessions: usize,
    /// How they travel; with several, one after the other gets the next.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "native")]
    carrier: Vec<Carrier>,
    /// How long to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long before that nothing counts.
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    warm_up: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Say nothing while it runs.
    #[arg(long)]
    quiet: bool,
}

/// What is said, and how fast.
#[derive(Debug, Args)]
pub(crate) struct Talk {
    /// Messages a second, all rooms together: an open loop.
    #[arg(long, default_value_t = 400.0, conflicts_with = "in_flight")]
    rate: f64,
    /// A closed loop instead: each session has so many of its messages on the way, as fast as they come back.
    #[arg(long, value_name = "MESSAGES")]
    in_flight: Option<usize>,
    /// Bytes of a message.
    #[arg(long, default_value_t = 200, value_name = "BYTES")]
    payload: usize,
    /// How safe a message must be before it is acknowledged.
    #[arg(long, value_enum, default_value = "ephemeral")]
    durability: Durability,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Carrier {
    Native,
    Webtransport,
    Websocket,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Durability {
    Ephemeral,
    Accepted,
    Mirrored,
}

impl Load {
    /// Runs it to its end.
    pub(crate) fn run(self) -> ExitCode {
        let (common, shape) = match self {
            Self::Rooms { common, talk, room } => (common, talk.shape(room)),
            Self::Pairs { common, rate, payload } => {
                let shape = Shape::Rooms {
                    size: 2,
                    pressure: Pressure::PerSecond(rate),
                    payload_bytes: payload,
                    durability: duet_load::Durability::Accepted,
                    lively: true,
                };
                (common, shape)
            }
            Self::Idle { common } => (common, Shape::Idle),
            Self::Storm { common, room } => (common, Shape::Storm { size: room }),
        };
        common.run(shape)
    }
}

impl Talk {
    fn shape(&self, size: usize) -> Shape {
        let durability = match self.durability {
            Durability::Ephemeral => duet_load::Durability::Ephemeral,
            Durability::Accepted => duet_load::Durability::Accepted,
            Durability::Mirrored => duet_load::Durability::Mirrored,
        };
        let pressure = self.in_flight.map_or(Pressure::PerSecond(self.rate), Pressure::InFlight);
        Shape::Rooms { size, pressure, payload_bytes: self.payload, durability, lively: false }
    }
}

impl Common {
    fn run(self, shape: Shape) -> ExitCode {
        let (json, quiet) = (self.json, self.quiet);
        let (plan, signer) = match self.plan(shape) {
            Ok(both) => both,
            Err(sentence) => return misconfigured(&sentence),
        };
        let mut progress = |said: &str| {
            if !quiet {
                // A closed standard error is nobody who watches.
                let _ = writeln!(std::io::stderr(), "{said}");
            }
        };
        match duet_load::run(&plan, &signer, &mut progress) {
            Ok(report) if json => match serde_json::to_string(&report) {
                Ok(text) => line(&text),
                Err(error) => failed(&error.to_string()),
            },
            Ok(report) => line(&report.to_string()),
            Err(error) => failed(&error.to_string()),
        }
    }

    fn plan(self, shape: Shape) -> Result<(Plan, Signer), String> {
        let ready = self.server_ready.as_ref().map(read_ready).transpose()?;
        let target = match (self.target, &ready) {
            (Some(target), _) => target,
            (None, Some(ready)) => ready.clients.first().ok_or("that server has no address")?.to_string(),
            (None, None) => "localhost:4433".to_owned(),
        };
        let address = target.to_socket_addrs().map_err(|error| format!("{target}: {error}"))?.next();
        let address = address.ok_or_else(|| format!("{target} has no address"))?;
        let host = target.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        let pin = self.certificate_sha256.or_else(|| Some(ready.as_ref()?.certificate_sha256.clone()));
        let trust = match (self.ca, pin) {
            (Some(file), _) => Trust::Authorities(file),
            (None, Some(hex)) => Trust::Pinned(pinned(&hex)?),
            (None, None) if address.ip().is_loopback() => Trust::Any,
            (None, None) => {
                return Err(
                    "a server that is not on this machine needs --ca or --certificate-sha256".to_owned()
                );
            }
        };
        let plan = Plan {
            address,
            host: host.to_owned(),
            trust,
            carriers: self.carrier.into_iter().map(Carrier::plan).collect(),
            sessions: self.sessions,
            shape,
            warm_up: Duration::from_secs(self.warm_up),
            duration: Duration::from_secs(self.seconds),
            server: self.server_pid.or(ready.map(|ready| ready.pid)),
            run: std::process::id().to_string(),
        };
        plan.check().map_err(|error| error.to_string())?;
        let ttl_s = TOKENS_LIVE_S + self.seconds + self.warm_up;
        Ok((plan, Signer { config: self.settings.load(false)?, tenant: self.tenant, ttl_s }))
    }
}

impl Carrier {
    fn plan(self) -> duet_load::Carrier {
        match self {
            Self::Native => duet_load::Carrier::Native,
            Self::Webtransport => duet_load::Carrier::WebTransport,
            Self::Websocket => duet_load::Carrier::WebSocket,
        }
    }
}

/// Signs tokens with a tenant's key.
struct Signer {
    config: Config,
    tenant: String,
    ttl_s: u64,
}

impl Tokens for Signer {
    fn token(&self, user: &str, role: &str) -> Result<String, String> {
        let request = TokenRequest {
            tenant: self.tenant.clone(),
            user: user.to_owned(),
            role: role.to_owned(),
            name: None,
            ttl_s: self.ttl_s,
            kid: None,
        };
        server::token(&self.config, &request).map(|minted| minted.token)
    }
}

/// What is needed of a ready file.
#[derive(Debug, serde::Deserialize)]
struct Ready {
    clients: Vec<SocketAddr>,
    certificate_sha256: String,
    pid: u32,
}

fn read_ready(file: &PathBuf) -> Result<Ready, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
    serde_json::from_str(&text).map_err(|error| failed(&error))
}

fn pinned(hex: &str) -> Result<[u8; 32], String> {
    let wrong = || "--certificate-sha256 takes 64 hexadecimal digits".to_owned();
    if hex.len() != 64 || !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (place, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * place..2 * place + 2], 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

/// Beyond the run itself: connecting takes its time.
const TOKENS_LIVE_S: u64 = 3_600;

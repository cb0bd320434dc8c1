//! `duet witness`: the third machine of a pair. It keeps one register and has no clients, no messages and no peers.
//!
//! ```text
//! open register ─► listen ─► ready ─► serve both nodes ─► SIGTERM, SIGINT ─► questions under way answered ─► exit 0
//!                                       └─ the disk fails in doubt ─► exit 1, so that a fresh start reads what is there
//! ```
//!
//! Bounds: [`CONNECTIONS_MAX`] connections, [`PER_ADDRESS_MAX`] from one address; one more is closed unheard. A file descriptor
//! shortage pauses accepting for [`PAUSE`].

use super::{
    ServeError, ServeOptions,
    admission::Admission,
    drain::{Asked, Signals},
    http,
};
use crate::{
    admin::{
        self, logs,
        metrics::{self as name, Metrics},
    },
    arbiter::{
        self, Register, RunBlocking, WitnessService,
        witness::{Ended, Seen, WireError},
    },
    config::{Config, TlsFiles},
    core::{Cfg, ClusterId, Side},
    peer::{Identity, IdentityFiles, Member},
};
use metrics::{counter, gauge};
use serde::Serialize;
use std::{io::Write as _, net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

/// Connections at most. A node has one.
const CONNECTIONS_MAX: usize = 128;
/// Connections from one address at most.
const PER_ADDRESS_MAX: usize = 16;
/// How long a stopping witness waits for questions that are under way.
const GRACE: Duration = Duration::from_secs(2);
/// How long nobody is accepted after the system refused to.
const PAUSE: Duration = Duration::from_millis(100);

/// How `duet witness` runs.
#[derive(Debug, Clone, Default)]
pub struct WitnessOptions {
    /// How it tells that it is ready.
    pub ready: ServeOptions,
    /// Serve nodes on this very machine too.
    pub same_machine: bool,
}

/// Where a witness that is ready can be reached.
#[derive(Debug, Clone, Serialize)]
struct Ready {
    listen: SocketAddr,
    pid: u32,
}

/// Serves until SIGTERM or SIGINT. Once for the process.
///
/// # Errors
/// [`ServeError`] when it cannot start, or its register failed.
pub fn witness(config: &Config, options: &WitnessOptions) -> Result<(), ServeError> {
    let (cluster, files) = required(config)?;
    logs::start(&config.log).map_err(|error| ServeError::system("logging", &error))?;
    let metrics = Metrics::start().map_err(|error| ServeError::system("metrics", &error))?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(2)
        .thread_name("witness")
        .build()
        .map_err(|error| ServeError::system("the runtime", &error))?;
    let result = runtime.block_on(run(config, cluster, &files, options, metrics));
    if let Err(error) = &result {
        tracing::error!(%error, "stopped");
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// Gives a lost register the newest of the values in `files`, copies that the nodes kept. The nodes must be stopped.
///
/// # Errors
/// A sentence for the operator; the register is as it was then.
pub fn restore_witness(config: &Config, files: &[PathBuf]) -> Result<Cfg, String> {
    let cluster = required_cluster(config).map_err(|error| error.to_string())?;
    let mut newest: Option<Cfg> = None;
    for path in files {
        let found = arbiter::file::read(path).map_err(|error| error.to_string())?;
        let found = found.ok_or_else(|| format!("{}: there is no such file", path.display()))?;
        if found.cluster != cluster {
            return Err(format!("{} belongs to another pair", path.display()));
        }
        newest = newest.filter(|newest| newest.ver >= found.ver).or(Some(found));
    }
    let newest = newest.ok_or("no file was named")?;
    let opened = arbiter::file::RegisterFile::open(&config.witness.data_dir, cluster);
    let (mut register, held) = opened.map_err(|error| error.to_string())?;
    if let Some(held) = held.filter(|held| held.ver >= newest.ver) {
        return Err(format!("the register holds version {} already, which is not older", held.ver));
    }
    register.write(&newest).map_err(|error| error.to_string())?;
    Ok(newest)
}

/// Runs what may block on the disk on a thread for that.
pub(super) fn run_blocking() -> RunBlocking {
    Arc::new(|job| drop(tokio::task::spawn_blocking(job)))
}

fn required_cluster(config: &Config) -> Result<ClusterId, ServeError> {
    config.witness.cluster.ok_or_else(|| missing("witness.cluster"))
}

fn missing(key: &'static str) -> ServeError {
    ServeError::Missing { command: "duet witness", key }
}

fn required(config: &Config) -> Result<(ClusterId, IdentityFiles), ServeError> {
    let witness = &config.witness;
    let cluster = required_cluster(config)?;
    let ca = witness.ca_file.clone().ok_or_else(|| missing("witness.ca_file"))?;
    let TlsFiles { certificate, key } =
        witness.tls.clone().ok_or_else(|| missing("witness.certificate_file"))?;
    Ok((cluster, IdentityFiles { ca, certificate, key }))
}

async fn run(
    config: &Config,
    cluster: ClusterId,
    files: &IdentityFiles,
    options: &WitnessOptions,
    metrics: Metrics,
) -> Result<(), ServeError> {
    let mut signals = Signals::listen()?;
    let identity = Identity::load(files, cluster, Member::Witness)?;
    let register = Register::open(&config.witness.data_dir, cluster, run_blocking())?;
    let service = WitnessService::new(register.clone(), cluster, &identity, options.same_machine)?;
    let service = service.seen_by(Arc::new(count));
    gauge!(name::WITNESS_VERSION).set(register.held().flatten().map_or(0, |cfg| cfg.ver) as f64);
    if options.same_machine {
        tracing::warn!(
            "--allow-same-machine: a witness that dies together with a node is no help; for development only"
        );
    }
    let failed = |source| ServeError::Listen { what: "the nodes", address: config.witness.listen, source };
    let listener = TcpListener::bind(config.witness.listen).await.map_err(failed)?;
    let ready = Ready { listen: listener.local_addr().map_err(failed)?, pid: std::process::id() };
    tell(&ready, &options.ready, register.held().flatten().map_or(0, |cfg| cfg.ver))?;

    let mut pages = JoinSet::new();
    if let Some(address) = config.witness.admin {
        http::serve_alone(&mut pages, address, admin::witness_router(metrics)).await?;
    }
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let result = {
        let mut accepting = pin!(accept(&listener, &service, &stopping, &mut connections));
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Reload => reload(&service, files, cluster),
                    Asked::Stop(signal) => {
                        tracing::info!(signal, "stopping");
                        break Ok(());
                    }
                },
                () = register.broken() => break Err(ServeError::Defect("the register")),
                () = &mut accepting => break Err(ServeError::Defect("the listener")),
            }
        }
    };
    drop(listener);
    stop.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(GRACE, ended).await.is_err() {
        connections.abort_all();
    }
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result
}

fn count(seen: Seen) {
    let asked = |side: Side, question: &'static str| {
        counter!(name::WITNESS_ASKED, "side" => side.to_string(), "question" => question).increment(1);
    };
    match seen {
        Seen::Read(side) => asked(side, "read"),
        Seen::Swapped(side, ver) => {
            asked(side, "swap");
            gauge!(name::WITNESS_VERSION).set(ver as f64);
        }
        Seen::SwapRefused(side) => asked(side, "swap_refused"),
        Seen::Stranger(member) => {
            let side = member.map_or_else(|| "nobody".to_owned(), |member| member.to_string());
            counter!(name::WITNESS_REFUSED, "side" => side).increment(1);
        }
    }
}

/// Reads the certificate again; it is shown from the next connection on.
fn reload(service: &WitnessService, files: &IdentityFiles, cluster: ClusterId) {
    let renewed =
        Identity::load(files, cluster, Member::Witness).and_then(|identity| service.renew(&identity));
    match renewed {
        Ok(()) => tracing::info!("the pair's certificates were read again"),
        Err(error) => tracing::error!(%error, "the pair's certificates in use stay"),
    }
}

/// Accepts as long as it is polled; what it accepted lives on in `connections`.
async fn accept(
    listener: &TcpListener,
    service: &WitnessService,
    stopping: &watch::Receiver<bool>,
    connections: &mut JoinSet<()>,
) {
    let admission = Admission::new(CONNECTIONS_MAX, PER_ADDRESS_MAX);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, address)) => match admission.enter(address.ip()) {
                    Ok(place) => {
                        let served = serve(tcp, address, service.clone(), stopping.clone());
                        connections.spawn(async move {
                            served.await;
                            drop(place);
                        });
                    }
                    Err(turned) => tracing::warn!(%address, reason = turned.name(), "a connection was turned away"),
                },
                Err(error) => {
                    tracing::warn!(%error, "nobody is accepted for a moment");
                    sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(
    tcp: TcpStream,
    address: SocketAddr,
    service: WitnessService,
    stopping: watch::Receiver<bool>,
) {
    match service.serve(tcp, stopping).await {
        Ok(Ended::Quiet | Ended::Stopped) => tracing::debug!(%address, "a connection ended"),
        Err(WireError::Refused(refusal)) => tracing::debug!(%address, error = %refusal, "a node was refused"),
        Err(error) => tracing::warn!(%address, %error, "a connection failed"),
    }
}

fn tell(ready: &Ready, options: &ServeOptions, ver: u64) -> Result<(), ServeError> {
    tracing::info!(listen = %ready.listen, ver, "ready");
    let line = serde_json::to_string(ready).map_err(|error| ServeError::system("the ready line", &error))?;
    if let Some(file) = &options.ready_file {
        super::ready::write_whole(file, &line).map_err(|error| ServeError::file(file, error))?;
    }
    if options.print_ready {
        let mut out = std::io::stdout().lock();
        // A closed standard output is nobody who waits for this line.
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
    Ok(())
}

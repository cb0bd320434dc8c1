//! The server: the only place that sees transport, core, store and admin, and the only one that starts tasks and threads or
//! makes channels ([`queues`] lists them all).
//!
//! ```text
//! open store ─► core ─► listeners ─► driver, store thread, readers, acceptors ─► ready ─► (signal) ─► drain ─► stopped
//! ```
//!
//! Whatever ends without having been asked to ends the process, with a sentence: there is no half of a server.

mod accept;
mod admission;
mod auth;
mod clock;
mod connection;
mod dev;
mod drain;
mod driver;
mod error;
mod fallback;
mod http;
mod mint;
mod outlets;
mod pair;
mod persist;
mod progress;
mod queues;
mod reads;
mod ready;
mod revoking;
mod start;
mod upkeep;
mod witness;

pub use auth::{AuthError, BadKey, Claims, Keyring, LEEWAY_S, TOKEN_BYTES_MAX};
pub use error::ServeError;
pub use mint::Mint;
pub use ready::Ready;
pub use witness::{WitnessOptions, restore_witness, witness};

use crate::{
    admin::{
        self, Admin,
        health::{Health, Phase},
        logs,
        metrics::Metrics,
    },
    config::Config,
};
use serde::Serialize;
use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, Instant},
};
use tokio::{runtime, sync::oneshot, task::JoinSet};

/// How `duet serve` tells that it is ready.
#[derive(Debug, Clone, Default)]
pub struct ServeOptions {
    /// Print a line of JSON on standard output.
    pub print_ready: bool,
    /// Write the same JSON into a file, whole or not at all.
    pub ready_file: Option<PathBuf>,
}

/// How a server ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// It was told to stop.
    Stopped,
    /// A node of a pair has to begin anew: run the same program with the same arguments in this process's place.
    Again,
}

/// Serves until SIGTERM or SIGINT. Once for the process: it starts logging and counting.
///
/// # Errors
/// [`ServeError`] when it cannot start, or a part of it failed.
pub fn serve(config: Config, options: ServeOptions) -> Result<Served, ServeError> {
    let started = Instant::now();
    logs::start(&config.log).map_err(|error| ServeError::system("logging", &error))?;
    let metrics = Metrics::start().map_err(|error| ServeError::system("metrics", &error))?;
    let runtime = runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("duet")
        .build()
        .map_err(|error| ServeError::system("the runtime", &error))?;
    let result = runtime.block_on(Box::pin(run(config, options, metrics, started)));
    if let Err(error) = &result {
        tracing::error!(%error, "stopped");
    }
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

/// What `serve` would find wrong before it starts.
///
/// # Errors
/// [`ServeError`] for a key that is none.
pub fn check(config: &Config) -> Result<(), ServeError> {
    Keyring::new(&config.tenants)?;
    Ok(())
}

/// For whom `duet token` signs.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is the flag of its name")]
pub struct TokenRequest {
    pub tenant: String,
    pub user: String,
    pub role: String,
    pub name: Option<String>,
    pub ttl_s: u64,
    pub kid: Option<String>,
}

/// A token that was signed.
#[derive(Debug, Clone, Serialize)]
pub struct MintedToken {
    /// The JWT.
    pub token: String,
    /// The tenant whose key signed it.
    pub tenant: String,
    /// Its `sub`.
    pub user: String,
    /// Its `exp`, Unix milliseconds.
    pub expires_ms: u64,
}

/// Signs a token, and proves it by verifying it.
///
/// # Errors
/// A sentence for the operator.
pub fn token(config: &Config, request: &TokenRequest) -> Result<MintedToken, String> {
    let demo = match request.tenant.as_str() {
        dev::TENANT => dev::tenant(&config.data_dir, false).map_err(|error| error.to_string())?,
        _ => None,
    };
    let tenants: Vec<_> = config.tenants.iter().cloned().chain(demo).collect();
    let tenant = tenants.iter().find(|tenant| tenant.name.as_str() == request.tenant).ok_or_else(|| {
        let names: Vec<&str> = tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        format!("there is no tenant {:?}; configured: {}", request.tenant, names.join(", "))
    })?;
    let wanted = |kid: &str| request.kid.as_ref().is_none_or(|wanted| wanted == kid);
    let key = tenant.keys.iter().find(|key| wanted(&key.kid)).ok_or("the tenant has no such key")?;
    let now_ms = clock::system_ms();
    let name = request.name.as_deref();
    let token = Mint::new(key)?.token(&request.user, name, &request.role, now_ms / 1_000, request.ttl_s)?;
    let keyring = Keyring::new(&tenants).map_err(|error| error.to_string())?;
    keyring.verify(&token, now_ms).map_err(|error| format!("no server would accept it: {error}"))?;
    let expires_ms = (now_ms / 1_000 + request.ttl_s) * 1_000;
    Ok(MintedToken { token, tenant: request.tenant.clone(), user: request.user.clone(), expires_ms })
}

async fn run(
    mut config: Config,
    options: ServeOptions,
    metrics: Metrics,
    started: Instant,
) -> Result<Served, ServeError> {
    let signals = drain::Signals::listen()?;
    start::make_data_dir(&config.data_dir)?;
    let demo = if config.dev { dev::tenant(&config.data_dir, true)? } else { None };
    config.tenants.extend(demo);
    let (keyring, mut lookers) = Keyring::with_issuers(&config.tenants)?;
    let keyring = Arc::new(keyring);
    for looker in &mut lookers {
        looker.begin().await.map_err(ServeError::Issuer)?;
    }
    let membership = pair::Membership::new(&config)?;
    let opened = start::open(&config, membership.as_ref()).await?;
    let health = Arc::new(Health::new());
    let admission =
        admission::Admission::new(config.limits.connections_max, config.limits.connections_per_address_max);

    let (arrivals, arrivals_in) = queues::arrivals();
    let (facts, facts_in) = queues::facts();
    let (jobs, jobs_out) = queues::jobs();
    let entrance = connection::Entrance {
        arrivals,
        keyring,
        hello_timeout: Duration::from_millis(config.limits.hello_timeout_ms.into()),
        silences: accept::limits(&config).silences(),
        last_id: Arc::new(AtomicU64::new(0)),
    };
    let mut tasks = JoinSet::new();
    for looker in lookers {
        tasks.spawn(looker.run());
    }
    let http = http::bind(&config).await?;
    let mut ports = accept::open(&config, &http, entrance, admission.clone())?;
    let mut ready = Ready::new(&config, &ports, &http);
    let page = dev_page(&config, &ready, &ports)?;
    let paired = match membership {
        Some(membership) => membership.start(&config, &mut tasks, &facts, opened.reader.clone())?,
        None => None,
    };
    let (port, pages, pair_certificates) = match paired {
        Some(pair::Part { port, pages, certificates }) => (Some(port), Some(pages), Some(certificates)),
        None => (None, None, None),
    };
    http.serve(
        &mut tasks,
        admin::router(Admin {
            health: Arc::clone(&health),
            metrics: metrics.clone(),
            pair: pages,
            revoke: revoking::grant(facts.clone()),
        }),
        page.as_ref(),
    );

    let mut readers = Vec::new();
    for number in 0..start::READERS {
        let (reads, reads_out) = queues::reads();
        let (reader, facts) = (opened.reader.clone(), facts.clone());
        thread(format!("read-{number}"), move || reads::run(&reader, &reads_out, &facts))?;
        readers.push(reads);
    }
    // Before the store thread begins, which may find the disk short.
    health.enter(Phase::Ready);
    let store_done = {
        let (writer, facts, keep) = (opened.writer, facts.clone(), start::retention(&config));
        let own_entries = || pair::OwnEntries::new(opened.reader.clone(), &config.data_dir);
        let own = config.pair.is_some().then(own_entries);
        thread("store".to_owned(), move || persist::run(writer, &jobs_out, &facts, keep, own.as_ref()))?
    };
    let elsewhere = config.pair.as_ref().map(|pair| pair.peer_endpoint().to_owned());
    let driver = driver::Driver::new(
        opened.core,
        opened.last_index,
        jobs,
        readers,
        Arc::clone(&health),
        port,
        elsewhere,
    );
    let driver_done = tokio::spawn(driver.run(arrivals_in, facts_in));
    upkeep::start(&mut tasks, metrics, opened.reader, ports.certificates());
    ports.serve(&mut tasks);
    ready.tell(&options, started.elapsed())?;

    let ended = drain::until_stopped(drain::Parts {
        signals,
        store_done,
        driver_done,
        tasks,
        facts,
        admission,
        ports,
        pair_certificates,
        deadline: config.drain_deadline,
    })
    .await?;
    match ended {
        drain::Ended::Stopped => Ok(Served::Stopped),
        drain::Ended::Again(aside) => {
            pair::LostAndFound::new(&config.data_dir).note(aside)?;
            Ok(Served::Again)
        }
    }
}

fn dev_page(
    config: &Config,
    ready: &Ready,
    ports: &accept::Ports,
) -> Result<Option<axum::Router>, ServeError> {
    let tenant = config.tenants.iter().find(|tenant| tenant.name.as_str() == dev::TENANT);
    let Some(key) = tenant.and_then(|tenant| tenant.keys.first()).filter(|_| config.dev) else {
        return Ok(None);
    };
    let certificates = ports.certificates();
    let page = dev::router(dev::Page {
        mint: Mint::new(key).map_err(ServeError::Dev)?,
        endpoints: ready.local_endpoints(),
        certificate_hash: Box::new(move || certificates.hash()),
    });
    Ok(Some(page.merge(ports.loopback_routes())))
}

/// Starts a thread; its result arrives when it ends, and nothing arrives when it panicked.
fn thread<T: Send + 'static>(
    name: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<oneshot::Receiver<T>, ServeError> {
    let (done, ended) = oneshot::channel();
    let body = move || {
        // Nobody waits for a thread whose result is of no interest.
        let _ = done.send(work());
    };
    match std::thread::Builder::new().name(name).spawn(body) {
        Ok(_) => Ok(ended),
        Err(error) => Err(ServeError::system("a thread", &error)),
    }
}

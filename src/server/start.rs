//! From the disk to a core: opens the store, reads the checkpoint and the log behind it, folds both.

use super::{
    ServeError,
    clock::{boot_ms, system_ms},
    pair::{LostAndFound, Membership},
    persist::MAX_EPOCH,
};
use crate::{
    config::Config,
    core::{Core, CoreConfig, Now, PairConfig, State, StoreId},
    store::{Opened, Reader, Recovered, Retention, Store, StoreError, StoreOptions, Writer},
};
use bytes::Bytes;
use duet_protocol::{Limits, TenantName};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::task::spawn_blocking;

/// Threads that read history.
pub(super) const READERS: usize = 2;

/// A core and the store from which it came.
pub(super) struct Start {
    pub(super) core: Core,
    pub(super) last_index: u64,
    pub(super) writer: Writer,
    pub(super) reader: Reader,
}

/// The highest epoch that a node of a pair has seen, as the store remembers it.
fn max_epoch(writer: &Writer) -> Result<u64, StoreError> {
    let stored = writer.meta_get(MAX_EPOCH)?;
    Ok(stored.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes))
}

/// Makes the data directory, readable by its owner only.
pub(super) fn make_data_dir(dir: &Path) -> Result<(), ServeError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| ServeError::file(dir, error))
}

/// Opens the store, restores the core, and begins a reign.
pub(super) async fn open(config: &Config, membership: Option<&Membership>) -> Result<Start, ServeError> {
    let places = LostAndFound::new(&config.data_dir);
    let options = StoreOptions {
        cache_bytes: config.store.cache_bytes,
        free_floor_bytes: config.store.free_floor_bytes,
        ..StoreOptions::default()
    };
    let core_config = core_config(config);
    let tenants: Vec<TenantName> = config.tenants.iter().map(|tenant| tenant.name.clone()).collect();
    let paired = membership.is_some();
    let opening = spawn_blocking(move || {
        if paired {
            return open_store(&places, options);
        }
        let dir = places.store();
        Store::open(&dir, options).map_err(|error| refused(error, &dir, options))
    });
    let Opened { writer, reader, recovered } =
        opening.await.unwrap_or(Err(ServeError::Defect("opening the store")))?;
    let max_epoch = max_epoch(&writer)?;
    let member = membership.and_then(|it| it.core_config(config, StoreId(recovered.node), max_epoch));
    let restoring = spawn_blocking(move || {
        let last_index = recovered.last_index;
        let core = restore(core_config, member, &recovered, &tenants)?;
        Ok(Start { core, last_index, writer, reader })
    });
    restoring.await.unwrap_or(Err(ServeError::Defect("reading the store")))
}

/// Opens the store of a node of a pair. One that is damaged is put aside: the peer has everything that counts.
fn open_store(places: &LostAndFound, options: StoreOptions) -> Result<Opened, ServeError> {
    places.settle(options)?;
    let (dir, snapshot) = (places.store(), places.snapshot());
    if snapshot.exists() {
        let imported = Store::import(&snapshot, &dir, options);
        std::fs::remove_file(&snapshot).map_err(|error| ServeError::file(&snapshot, error))?;
        match imported {
            Ok(_) => tracing::info!("the peer's snapshot is in place"),
            Err(error) => tracing::error!(%error, "the peer's snapshot is of no use; another one will come"),
        }
    }
    match Store::open(&dir, options) {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(%error, "this store is damaged: it is put aside, and the peer's taken");
            places.keep_store()?;
            Store::open(&dir, options).map_err(|error| refused(error, &dir, options))
        }
        opened => opened.map_err(|error| refused(error, &dir, options)),
    }
}

/// How much of the log is kept: for a peer that was away, so much that it need not take everything; for nobody, little.
pub(super) fn retention(config: &Config) -> Retention {
    let store = &config.store;
    match config.pair {
        Some(_) => Retention { entries: u64::MAX, bytes: store.log_keep_bytes, age: store.log_keep_age },
        None => Retention { entries: store.log_keep, bytes: store.log_keep_bytes, age: Duration::MAX },
    }
}

/// sled writes when it opens: on a disk without any room left it cannot, and the operator must know which one.
fn refused(error: StoreError, dir: &Path, options: StoreOptions) -> ServeError {
    match error {
        StoreError::Io { what, source } if source.kind() == std::io::ErrorKind::StorageFull => {
            let (dir, required_mib) = (dir.to_owned(), options.free_floor_bytes >> 20);
            ServeError::DiskFull { dir, what, source, required_mib }
        }
        error => error.into(),
    }
}

fn restore(
    config: CoreConfig,
    member: Option<PairConfig>,
    recovered: &Recovered,
    tenants: &[TenantName],
) -> Result<Core, ServeError> {
    let started = Instant::now();
    let mut failed: Option<StoreError> = None;
    let rows = good(recovered.state().map(|row| row.map(|(key, value)| (key, value.to_vec()))), &mut failed);
    let state = State::from_rows(rows);
    if let Some(error) = failed.take() {
        return Err(error.into());
    }
    let state = state.map_err(|error| ServeError::State(error.to_string()))?;
    let tail = good(recovered.log().map(|entry| entry.map(|entry| -> Bytes { entry.bytes })), &mut failed);
    let core = match member {
        Some(member) => Core::restore_member(config, member, state, tail),
        None => Core::restore(config, state, tail),
    };
    if let Some(error) = failed {
        return Err(error.into());
    }
    let mut core = core.map_err(|error| ServeError::State(error.to_string()))?;
    tracing::info!(
        created = recovered.created,
        checkpoint = recovered.checkpoint,
        last_index = recovered.last_index,
        conversations = core.state().conversations.len(),
        took_ms = started.elapsed().as_millis() as u64,
        "the store is open"
    );
    if core.role().is_some() {
        core.join(Now { unix_ms: system_ms(), mono_ms: boot_ms() }, tenants);
    } else {
        core.start(system_ms(), tenants);
    }
    Ok(core)
}

/// The values up to the first error, which is kept.
fn good<T>(
    results: impl Iterator<Item = Result<T, StoreError>>,
    failed: &mut Option<StoreError>,
) -> impl Iterator<Item = T> {
    results.map_while(|result| result.map_err(|error| *failed = Some(error)).ok())
}

fn core_config(config: &Config) -> CoreConfig {
    let limits = &config.limits;
    CoreConfig {
        node: config.node.clone(),
        peers: config.pair.iter().map(|pair| pair.peer_endpoint().to_owned()).collect(),
        limits: Limits {
            message_bytes_max: limits.message_bytes_max,
            lanes_max: limits.lanes_max,
            streams_max: limits.streams_max,
            ping_every_ms: limits.ping_every_ms,
            idle_timeout_ms: limits.idle_timeout_ms,
            presence_grace_ms: limits.presence_grace_ms,
            resume_window_ms: limits.resume_window_ms,
            dedup_window_ms: limits.dedup_window_ms,
            typing_ttl_ms: limits.typing_ttl_ms,
        },
        dedup_entries_max: limits.dedup_entries_max,
        session_ttl_ms: limits.session_ttl_ms,
        user_sessions_max: limits.user_sessions_max,
        members_max: limits.members_max,
        user_conversations_max: limits.user_conversations_max,
        checkpoint_every: config.store.checkpoint_every,
        ..CoreConfig::default()
    }
}

//! From the disk to a core: opens the store, reads the checkpoint and the log behind it, folds both.

use super::{ServeError, clock::system_ms};
use crate::{
    config::Config,
    core::{Core, CoreConfig, State},
    store::{Opened, Reader, Recovered, Store, StoreError, StoreOptions, Writer},
};
use bytes::Bytes;
use duet_protocol::{Limits, TenantName};
use std::{path::Path, time::Instant};
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

/// Makes the data directory, readable by its owner only.
pub(super) fn make_data_dir(dir: &Path) -> Result<(), ServeError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(|error| ServeError::file(dir, error))
}

/// Opens the store, restores the core, and begins a reign.
pub(super) async fn open(config: &Config) -> Result<Start, ServeError> {
    let dir = config.data_dir.join("store");
    let options = StoreOptions {
        cache_bytes: config.store.cache_bytes,
        free_floor_bytes: config.store.free_floor_bytes,
        ..StoreOptions::default()
    };
    let core_config = core_config(config);
    let tenants: Vec<TenantName> = config.tenants.iter().map(|tenant| tenant.name.clone()).collect();
    let opening = spawn_blocking(move || {
        let Opened { writer, reader, recovered } =
            Store::open(&dir, options).map_err(|error| refused(error, &dir, options))?;
        let last_index = recovered.last_index;
        let mut core = restore(core_config, &recovered)?;
        core.start(system_ms(), &tenants);
        Ok(Start { core, last_index, writer, reader })
    });
    opening.await.unwrap_or(Err(ServeError::Defect("opening the store")))
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

fn restore(config: CoreConfig, recovered: &Recovered) -> Result<Core, ServeError> {
    let started = Instant::now();
    let mut failed: Option<StoreError> = None;
    let rows = good(recovered.state().map(|row| row.map(|(key, value)| (key, value.to_vec()))), &mut failed);
    let state = State::from_rows(rows);
    if let Some(error) = failed.take() {
        return Err(error.into());
    }
    let state = state.map_err(|error| ServeError::State(error.to_string()))?;
    let tail = good(recovered.log().map(|entry| entry.map(|entry| -> Bytes { entry.bytes })), &mut failed);
    let core = Core::restore(config, state, tail);
    if let Some(error) = failed {
        return Err(error.into());
    }
    let core = core.map_err(|error| ServeError::State(error.to_string()))?;
    tracing::info!(
        created = recovered.created,
        checkpoint = recovered.checkpoint,
        last_index = recovered.last_index,
        conversations = core.state().conversations.len(),
        took_ms = started.elapsed().as_millis() as u64,
        "the store is open"
    );
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
        peers: Vec::new(),
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

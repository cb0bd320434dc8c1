//! Snapshots on their way between the nodes: written beside the store, sent at a pace, put in place at the next start.

use super::LostAndFound;
use crate::{
    admin::metrics as name,
    core::PairFact,
    peer::{LinkFiles, Pace},
    server::{driver::Fact, queues::Facts},
    store::{ExportPace, LogHold, Reader},
};
use metrics::counter;
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::task::spawn_blocking;

/// Sends snapshots, one at a time.
pub(in crate::server) struct Courier {
    reader: Reader,
    places: LostAndFound,
    bytes_per_s: u64,
    facts: Facts,
    busy: Arc<AtomicBool>,
    /// Keeps the log that follows the last snapshot, until the peer has it.
    hold: Arc<Mutex<Option<LogHold>>>,
}

impl Courier {
    pub(super) fn new(reader: Reader, places: LostAndFound, bytes_per_s: u64, facts: Facts) -> Self {
        let (busy, hold) = (Arc::default(), Arc::default());
        Self { reader, places, bytes_per_s, facts, busy, hold }
    }

    /// Begins to make and send one; false while another is under way. What came of it arrives as a fact.
    pub(super) fn send(&self, files: LinkFiles) -> bool {
        if self.busy.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (reader, path, rate) = (self.reader.clone(), self.places.outgoing_snapshot(), self.bytes_per_s);
        let (facts, busy, hold) = (self.facts.clone(), Arc::clone(&self.busy), Arc::clone(&self.hold));
        tokio::spawn(async move {
            let taken = deliver(reader, path, files, rate, &hold).await;
            busy.store(false, Ordering::Release);
            // Without a driver nobody waits for it.
            let _ = facts.send(Fact::Pair(PairFact::SnapshotDone(taken))).await;
        });
        true
    }

    /// The peer has everything: the log need not be kept for it any longer.
    pub(super) fn release_log(&self) {
        self.hold.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// This node is in sync: what was put aside is not needed any more.
    pub(super) fn forget_old_store(&self) {
        let places = self.places.clone();
        spawn_blocking(move || places.forget_old_store());
    }
}

async fn deliver(
    reader: Reader,
    path: PathBuf,
    files: LinkFiles,
    rate: u64,
    hold: &Mutex<Option<LogHold>>,
) -> bool {
    let target = path.clone();
    let exported = spawn_blocking(move || reader.export(&target, &ExportPace::bytes_per_s(rate))).await;
    let exported = match exported {
        Ok(Ok(exported)) => exported,
        Ok(Err(error)) => {
            tracing::error!(%error, "no snapshot for the peer");
            return false;
        }
        Err(_) => return false,
    };
    *hold.lock().unwrap_or_else(PoisonError::into_inner) = Some(exported.hold);
    tracing::info!(index = exported.index, bytes = exported.bytes, "sending the peer a snapshot");
    let sent = files.send(&path, SNAPSHOT, &Pace::bytes_per_s(rate), TAKEN_WITHIN).await;
    if let Err(error) = tokio::fs::remove_file(&path).await {
        tracing::warn!(%error, "a sent snapshot stays on the disk");
    }
    match &sent {
        Ok(bytes) => {
            counter!(name::PAIR_SNAPSHOTS).increment(1);
            tracing::info!(bytes, "the peer took the snapshot");
        }
        Err(error) => {
            tracing::warn!(%error, "the peer did not take the snapshot");
            hold.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
    sent.is_ok()
}

/// Takes what the peer sends, as long as the link lives; the driver decides whether it is wanted.
pub(super) async fn receive(files: LinkFiles, incoming: PathBuf, facts: Facts) {
    while let Ok(arriving) = files.next().await {
        if arriving.meta != SNAPSHOT {
            continue;
        }
        let (wanted, wants) = tokio::sync::oneshot::channel();
        if facts.send(Fact::SnapshotOffered(wanted)).await.is_err() {
            return;
        }
        if !wants.await.unwrap_or(false) {
            tracing::warn!("a snapshot came that nobody asked for");
            continue;
        }
        match arriving.receive(&incoming, SNAPSHOT_BYTES_MAX).await {
            Ok(received) => {
                tracing::info!(bytes = received.length, "a snapshot of the peer arrived");
                if let Err(error) = received.taken().await {
                    // It is whole and here; the peer may send another one, which is refused then.
                    tracing::warn!(%error, "the peer does not know that its snapshot arrived");
                }
                // Without a driver the process is about to end anyway.
                let _ = facts.send(Fact::SnapshotArrived).await;
                return;
            }
            Err(error) => tracing::warn!(%error, "a snapshot did not arrive"),
        }
    }
}

const SNAPSHOT: &[u8] = b"snapshot/1";
/// From the last byte sent until the peer has it on its disk.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// A snapshot above this size is refused: 1 TiB.
const SNAPSHOT_BYTES_MAX: u64 = 1 << 40;

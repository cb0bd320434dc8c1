//! Sets a node's part in its pair up: the pair's port, the arbiter, the tasks that carry between them and the driver.

use super::{
    LostAndFound, Port,
    asker::{self, asks},
    link,
    snapshot::Courier,
    status::{Board, Reply},
};
use crate::{
    admin::pair::{Grant, PairPages, Refused},
    arbiter::{Arbiter, Place, RunBlocking, WitnessRenewal},
    config::Config,
    core::{ClusterId, Nonce, PairConfig, Side, StoreId},
    peer::{Identity, IdentityFiles, Member, PeerConfig, PeerEndpoint, PeerRenewal},
    server::{ServeError, driver::Fact, queues::Facts},
    store::Reader,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

/// The arbiter, and this process's identity: known before the store is opened.
pub(in crate::server) struct Membership {
    arbiter: Arbiter,
    nonce: Nonce,
}

impl Membership {
    /// What a node of a pair is; `None` for a node that stands alone.
    pub(in crate::server) fn new(config: &Config) -> Result<Option<Self>, ServeError> {
        let Some(pair) = &config.pair else { return Ok(None) };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| ServeError::Entropy(error.to_string()))?;
        let place = Place {
            directory: config.data_dir.join("arbiter"),
            cluster: pair.cluster,
            side: pair.side,
            identity: pair.identity.clone(),
        };
        let run: RunBlocking = Arc::new(|job| drop(spawn_blocking(job)));
        let arbiter = Arbiter::open(&config.arbiter, &place, run)?;
        tracing::info!(side = %pair.side, arbiter = arbiter.name(), "one of a pair");
        Ok(Some(Self { arbiter, nonce: Nonce(nonce) }))
    }

    /// What the core of this process is told.
    pub(in crate::server) fn core_config(
        &self,
        config: &Config,
        store: StoreId,
        max_epoch: u64,
    ) -> Option<PairConfig> {
        let pair = config.pair.as_ref()?;
        let core = PairConfig::new(pair.side, pair.cluster, self.nonce, store);
        Some(PairConfig { max_epoch, policy: pair.policy, automatic: self.arbiter.is_automatic(), ..core })
    }

    /// Binds the port and starts what carries; the driver gets the rest.
    pub(in crate::server) fn start(
        self,
        config: &Config,
        tasks: &mut JoinSet<&'static str>,
        facts: &Facts,
        reader: Reader,
    ) -> Result<Option<Part>, ServeError> {
        let Some(pair) = &config.pair else { return Ok(None) };
        let endpoint = PeerEndpoint::bind(PeerConfig {
            listen: pair.listen,
            peer: pair.peer.clone(),
            cluster: pair.cluster,
            side: pair.side,
            nonce: self.nonce,
            identity: pair.identity.clone(),
            log_queue_bytes: 2 * PairConfig::WINDOW_BYTES,
        })?;
        let places = LostAndFound::new(&config.data_dir);
        let (wishes, wished) = asks();
        let (board, status) = Board::new(pair.side, self.arbiter.name());
        let courier = Courier::new(reader, places.clone(), pair.snapshot_bytes_per_s, facts.clone());
        let certificates = PairCertificates {
            peer: endpoint.renewal(),
            witness: self.arbiter.renewal(),
            files: pair.identity.clone(),
            cluster: pair.cluster,
            side: pair.side,
        };
        tasks.spawn(link::run(endpoint, facts.clone(), places.snapshot()));
        tasks.spawn(asker::run(self.arbiter, wished, facts.clone()));
        let port = Port::new(wishes, courier, board);
        Ok(Some(Part { port, pages: PairPages { status, grant: grant(facts.clone()) }, certificates }))
    }
}

/// A node's part in its pair, as the rest of the server needs it.
pub(in crate::server) struct Part {
    /// For the driver.
    pub(in crate::server) port: Port,
    /// For the admin listener.
    pub(in crate::server) pages: PairPages,
    /// For whoever hears that certificates were renewed.
    pub(in crate::server) certificates: PairCertificates,
}

/// The certificates with which a node shows its peer and the witness who it is.
#[derive(Debug)]
pub(in crate::server) struct PairCertificates {
    peer: PeerRenewal,
    witness: Option<WitnessRenewal>,
    files: IdentityFiles,
    cluster: ClusterId,
    side: Side,
}

impl PairCertificates {
    /// Reads them again; they are used from the next link on. Those in use stay when the files are of no use.
    pub(in crate::server) fn reload(&self) {
        let renewed = self.peer.reload().and_then(|()| match &self.witness {
            Some(witness) => {
                let identity = Identity::load(&self.files, self.cluster, Member::Node(self.side))?;
                Ok(witness.renew(&identity)?)
            }
            None => Ok(()),
        });
        match renewed {
            Ok(()) => tracing::info!("the pair's certificates were read again"),
            Err(error) => tracing::error!(%error, "the pair's certificates in use stay"),
        }
    }
}

/// An operator's way to the driver and back.
fn grant(facts: Facts) -> Grant {
    Arc::new(move |wish| {
        let facts = facts.clone();
        Box::pin(async move {
            let (reply, answer): (Reply, _) = oneshot::channel();
            let asked = facts.send(Fact::Wish(wish, reply)).await;
            match timeout(ANSWER_MAX, answer).await {
                Ok(Ok(answer)) if asked.is_ok() => answer,
                _ => Err(Refused::NoAnswer),
            }
        })
    })
}

/// An operator waits no longer than this.
const ANSWER_MAX: Duration = Duration::from_secs(10);

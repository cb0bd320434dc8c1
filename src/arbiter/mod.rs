//! The arbiter of a pair: one linearizable compare-and-swap register that holds the [`Cfg`]. The core asks, this answers.
//!
//! ```text
//!                      ┌── manual:  a file on this node's disk; an operator decides, the peer's newer value is adopted
//! Question ─answer()─► ┼── witness: a file on a third machine                    ┐ what is learnt is copied into the
//!                      └── etcd:    a key, compared by its revision               ┘ file on this node's disk, for restoring
//! ```
//!
//! What it promises, whichever it is: an answer within [`DEADLINE`]; [`Answer::Swapped`] only when the swap is durable;
//! [`Answer::Value`] to a swap only when it certainly did not happen; [`Answer::NotSent`] only when nothing was sent;
//! [`Answer::Unknown`] in every other case, never a guess. `docs/arbiters.md` tells operators which to use. It starts no task
//! and makes no queue: who opens it brings the threads that may block on a disk.

#[cfg(feature = "etcd")]
pub mod etcd;
pub mod file;
mod machine;
pub mod register;
pub mod witness;

pub use file::RegisterError;
pub use register::{Register, RunBlocking};
pub use witness::{WitnessRenewal, WitnessService};

use crate::{
    config,
    core::{Answer, Cfg, ClusterId, Question, Side},
    peer::{BadIdentity, Identity, IdentityFiles, Member},
};
use register::place;
use std::{
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::time::{Instant, timeout, timeout_at};
use witness::WitnessCaller;

/// Every question is answered within this time.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long an answer waits at most until what it says is copied.
const COPY_MAX: Duration = Duration::from_millis(250);

/// What an arbiter must know of its node beyond the configuration's `arbiter`.
#[derive(Debug, Clone)]
pub struct Place {
    /// A directory of this node's own, where the register or its copy lies: `<data_dir>/arbiter`.
    pub directory: PathBuf,
    /// Which pair.
    pub cluster: ClusterId,
    /// This node's side.
    pub side: Side,
    /// Its certificate of the pair; read for the witness only.
    pub identity: IdentityFiles,
}

/// Why there is no arbiter.
#[derive(Debug, thiserror::Error)]
pub enum ArbiterError {
    /// The file on this node's disk.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The node's certificate.
    #[error(transparent)]
    Identity(#[from] BadIdentity),
    /// A file that the configuration names.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The configuration asks for what this binary does not have.
    #[error("pair.arbiter = \"etcd\": this binary was built without the feature `etcd`")]
    NoEtcd,
}

/// The arbiter of a pair.
#[derive(Debug)]
pub struct Arbiter {
    kind: Kind,
    /// The register itself without an arbiter, otherwise a copy of what was seen.
    local: Register,
    /// Whether the arbiter was found to hold less than it once told.
    set_back: AtomicBool,
}

#[derive(Debug)]
enum Kind {
    Manual,
    Witness(Box<WitnessCaller>),
    #[cfg(feature = "etcd")]
    Etcd(Box<etcd::EtcdCaller>),
}

impl Arbiter {
    /// The configured arbiter. Blocks on the disk: at the start only. Nobody is called yet.
    ///
    /// # Errors
    /// [`ArbiterError`].
    pub fn open(config: &config::Arbiter, place: &Place, run: RunBlocking) -> Result<Self, ArbiterError> {
        let kind = match config {
            config::Arbiter::Manual => Kind::Manual,
            config::Arbiter::Witness(address) => {
                let identity = Identity::load(&place.identity, place.cluster, Member::Node(place.side))?;
                Kind::Witness(Box::new(WitnessCaller::new(address, place.cluster, &identity)?))
            }
            #[cfg(feature = "etcd")]
            config::Arbiter::Etcd(etcd) => Kind::Etcd(Box::new(etcd::EtcdCaller::new(etcd, place.cluster)?)),
            #[cfg(not(feature = "etcd"))]
            config::Arbiter::Etcd(_) => return Err(ArbiterError::NoEtcd),
        };
        let local = Register::open(&place.directory, place.cluster, run)?;
        Ok(Self { kind, local, set_back: AtomicBool::new(false) })
    }

    /// Whether it decides by itself who is primary: false without an arbiter.
    #[must_use]
    pub fn is_automatic(&self) -> bool {
        !matches!(self.kind, Kind::Manual)
    }

    /// What shows the witness another certificate of this node, if there is a witness.
    #[must_use]
    pub fn renewal(&self) -> Option<WitnessRenewal> {
        match &self.kind {
            Kind::Witness(witness) => Some(witness.renewal()),
            _ => None,
        }
    }

    /// Its name in the configuration, for logs and status.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Manual => "manual",
            Kind::Witness(_) => "witness",
            #[cfg(feature = "etcd")]
            Kind::Etcd(_) => "etcd",
        }
    }

    /// The answer, within [`DEADLINE`] and the time that a copy takes. May be dropped; a swap may happen nevertheless.
    pub async fn answer(&self, question: Question) -> Answer {
        let deadline = Instant::now() + DEADLINE;
        let answer = match &self.kind {
            Kind::Manual => {
                let answer = timeout_at(deadline, self.local.answer(question)).await;
                return answer.unwrap_or(Answer::Unknown);
            }
            Kind::Witness(witness) => witness.answer(question, deadline).await,
            #[cfg(feature = "etcd")]
            Kind::Etcd(etcd) => Box::pin(etcd.answer(question, deadline)).await,
        };
        if let Answer::Value(value) = answer
            && self.is_set_back(value)
        {
            return Answer::Unknown;
        }
        let learnt = match (answer, question) {
            (Answer::Value(value), _) => value,
            (Answer::Swapped, Question::Swap(next)) => Some(next),
            _ => None,
        };
        if let Some(cfg) = learnt {
            self.copy(cfg).await;
        }
        answer
    }

    /// Whether the arbiter holds less than it once told this node: an old copy of its register was put back, or none. What it
    /// says then is not the truth of any moment since, and is not believed.
    fn is_set_back(&self, value: Option<Cfg>) -> bool {
        let held = self.local.held().flatten();
        let set_back = place(value) < place(held);
        if set_back && !self.set_back.swap(true, Ordering::Relaxed) {
            tracing::error!(
                register = value.map_or(0, |cfg| cfg.ver),
                known = held.map_or(0, |cfg| cfg.ver),
                "THE ARBITER LOST ITS REGISTER: it holds an older value than this node's copy, and is not believed; \
                 restore it from the nodes' copies as docs/arbiters.md says"
            );
        } else if !set_back {
            self.set_back.store(false, Ordering::Relaxed);
        }
        set_back
    }

    /// Without an arbiter: raises this node's register to a newer value that the peer told. True when it holds that value
    /// or a newer one afterwards, durably.
    pub async fn adopt(&self, learnt: Cfg) -> bool {
        match timeout(DEADLINE, self.local.adopt(learnt)).await {
            Ok(Answer::Swapped) => true,
            Ok(Answer::Value(held)) => place(held) >= place(Some(learnt)),
            _ => false,
        }
    }

    /// Keeps what the arbiter said, for the day when the arbiter is lost. An answer does not fail because of it.
    async fn copy(&self, cfg: Cfg) {
        let held = self.local.held().flatten();
        if place(held) < place(Some(cfg)) && timeout(COPY_MAX, self.local.adopt(cfg)).await.is_err() {
            tracing::warn!(ver = cfg.ver, "the disk is too slow for a copy of the arbiter's value");
        }
    }
}

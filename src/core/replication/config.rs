//! The numbers of a pair. Times are milliseconds of a clock that never jumps and counts sleep (`CLOCK_BOOTTIME`).

use super::cfg::{ClusterId, Nonce, Side, StoreId};

/// What a node of a pair is told when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairConfig {
    /// Its place.
    pub side: Side,
    /// Which pair.
    pub cluster: ClusterId,
    /// Fresh for every process start.
    pub nonce: Nonce,
    /// Its store.
    pub store: StoreId,
    /// The highest epoch of [`PairEffect::SaveEpoch`](super::PairEffect::SaveEpoch) that was saved.
    pub max_epoch: u64,
    /// What to do when the peer is silent.
    pub policy: Policy,
    /// Whether the arbiter decides who is primary, so that nobody else has to: false without an arbiter.
    pub automatic: bool,
    /// How often the primary is heard.
    pub beat_every_ms: u64,
    /// A peer that acknowledged nothing for so long is silent.
    pub silent_after_ms: u64,
    /// A standby that heard nothing for so long promotes itself. Above `lease_ms`.
    pub promote_after_ms: u64,
    /// How long a primary may serve after it sent what was answered.
    pub lease_ms: u64,
    /// How long after the end of its lease a primary keeps its clients.
    pub linger_ms: u64,
    /// A peer that hears but makes no progress for so long is silent as well.
    pub disk_stuck_ms: u64,
    /// A switchover that is not done after so long is given up.
    pub switchover_max_ms: u64,
    /// Bytes of entries on their way to the standby at most.
    pub window_bytes: usize,
    /// A deliberate defect; only with the feature `mutants`.
    pub mutant: Option<super::PairMutant>,
}

/// What a primary does when its peer is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Goes on alone, and says so in every acknowledgement.
    Solo,
    /// Acknowledges nothing until the peer is back.
    Block,
}

impl PairConfig {
    /// What [`window_bytes`](Self::window_bytes) is unless somebody says otherwise.
    pub const WINDOW_BYTES: usize = 4 * 1024 * 1024;

    /// The numbers of `docs/replication.md`, for a node of a pair.
    #[must_use]
    pub fn new(side: Side, cluster: ClusterId, nonce: Nonce, store: StoreId) -> Self {
        Self {
            side,
            cluster,
            nonce,
            store,
            max_epoch: 0,
            policy: Policy::Solo,
            automatic: true,
            beat_every_ms: 100,
            silent_after_ms: 1_000,
            promote_after_ms: 1_500,
            lease_ms: 1_000,
            linger_ms: 250,
            disk_stuck_ms: 3_000,
            switchover_max_ms: 5_000,
            window_bytes: Self::WINDOW_BYTES,
            mutant: None,
        }
    }
}

//! The numbers that the core obeys. Checked where they enter, in the server's configuration.

use super::state::DedupBounds;
use duet_protocol::{DisplayName, Limits, hello::capability};

/// What a core is told when it is made.
#[derive(Debug, Clone, PartialEq)]
pub struct CoreConfig {
    /// The node's name, for `Welcome`.
    pub node: DisplayName,
    /// Further addresses at which a session can be resumed, for `Welcome`.
    pub peers: Vec<String>,
    /// Numbers for clients; the core enforces those that concern it.
    pub limits: Limits,
    /// Message ids remembered at most; the window is in `limits`.
    pub dedup_entries_max: usize,
    /// A session without a connection ends after this time, milliseconds.
    pub session_ttl_ms: u64,
    /// Sessions of one user at most; the one that has been gone longest makes room.
    pub user_sessions_max: usize,
    /// Members of one conversation at most.
    pub members_max: usize,
    /// Conversations of which one user is a member at most.
    pub user_conversations_max: usize,
    /// Entries between two checkpoints at most.
    pub checkpoint_every: u64,
    /// A checkpoint is taken this long after the first change at the latest, milliseconds.
    pub checkpoint_after_ms: u64,
    /// A deliberate defect; only with the feature `mutants`.
    pub mutant: Option<super::Mutant>,
    /// With so many entries on their way to the disk, [`Core::is_saturated`](super::Core::is_saturated).
    pub in_flight_max: u64,
}

impl CoreConfig {
    /// The bounds of the table of message ids.
    #[must_use]
    pub fn dedup_bounds(&self) -> DedupBounds {
        let window_ms = u64::from(self.limits.dedup_window_ms);
        DedupBounds { window_ms, entries_max: self.dedup_entries_max }
    }

    /// Whether this deliberate defect is on; never without the feature `mutants`.
    pub(super) fn has_mutant(&self, mutant: super::Mutant) -> bool {
        cfg!(feature = "mutants") && self.mutant == Some(mutant)
    }
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            node: match DisplayName::parse("duet") {
                Ok(name) => name,
                Err(error) => unreachable!("{error}"),
            },
            peers: Vec::new(),
            limits: Limits {
                message_bytes_max: 16 * 1024,
                lanes_max: 256,
                streams_max: 24,
                ping_every_ms: 15_000,
                idle_timeout_ms: 25_000,
                presence_grace_ms: 30_000,
                resume_window_ms: 120_000,
                dedup_window_ms: 24 * 3_600_000,
                typing_ttl_ms: 10_000,
            },
            dedup_entries_max: 1_000_000,
            session_ttl_ms: 24 * 3_600_000,
            user_sessions_max: 32,
            members_max: 10_000,
            user_conversations_max: 10_000,
            checkpoint_every: 240,
            checkpoint_after_ms: 30_000,
            mutant: None,
            in_flight_max: 8_192,
        }
    }
}

/// What this server can do that a client must ask for.
pub(super) const GRANTED: u64 = capability::DATAGRAMS
    | capability::DEFLATE
    | capability::PRESENCE
    | capability::IDENTIFY
    | capability::AMENDMENTS
    | capability::CALLS
    | capability::BROADCASTS;

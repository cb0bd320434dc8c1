//! Deliberate defects, for the simulator: each must be found by its checkers, or the checkers prove nothing.
//!
//! Compiled in only with the feature `mutants`, which no release has.

/// A deliberate defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mutant {
    /// Acknowledges and delivers before the entry is on disk.
    ReleaseBeforeDurable,
    /// Appends a message again when its id comes again.
    NoDedup,
    /// Answers a repeated id at once, although the first one is still on its way to the disk.
    DuplicateAnsweredEarly,
    /// Forgets old ids without raising the floor.
    ForgetWithoutFloor,
    /// Goes live after a backlog page without looking whether more was released meanwhile.
    LiveTooEarly,
    /// Goes on delivering after an event found no room.
    OverflowIgnored,
    /// Loses the rows of the table of ids at a checkpoint.
    CheckpointWithoutDedup,
    /// Reads history beyond the commit index.
    HistoryBeyondCommit,
    /// Begins a new reign under the old epoch.
    EpochKept,
}

impl Mutant {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::ReleaseBeforeDurable,
        Self::NoDedup,
        Self::DuplicateAnsweredEarly,
        Self::ForgetWithoutFloor,
        Self::LiveTooEarly,
        Self::OverflowIgnored,
        Self::CheckpointWithoutDedup,
        Self::HistoryBeyondCommit,
        Self::EpochKept,
    ];
}

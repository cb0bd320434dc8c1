//! Deliberate defects of the pair, for the simulator: each must be found by its checkers, or the checkers prove nothing.
//!
//! Compiled in only with the feature `mutants`, which no release has.

/// A deliberate defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PairMutant {
    /// The primary acknowledges alone before its swap to `isr = {self}` succeeded.
    SoloBeforeSwap,
    /// A standby promotes itself although it is not in sync.
    PromoteOutOfSync,
    /// The standby is taken back before it has caught up.
    ExpandBeforeCaughtUp,
    /// The standby counts as in sync only after the swap, not from before it on.
    RequireAfterExpand,
    /// A primary that restarts keeps its epoch.
    SameEpochOnRestart,
    /// The primary counts entries as its own before they are on its disk.
    AckBeforeOwnDisk,
    /// The standby acknowledges before entries are on its disk.
    AckBeforePeerDisk,
    /// Entries are released before the standby has them.
    CommitAlone,
    /// The standby acknowledges the end of its log instead of what was verified.
    AckLogEnd,
    /// The standby takes entries of an old epoch.
    NoFence,
    /// The highest epoch is not remembered over a restart.
    ForgetMaxEpoch,
    /// A swap of unknown outcome is forgotten when the old version is read again.
    SettleOnStaleRead,
    /// A swap of unknown outcome is forgotten when its time is over.
    SettleOnTimeout,
    /// A node takes an epoch for its own because the numbers are equal.
    OwnByEpoch,
    /// The standby does not truncate at a mismatch.
    NoTruncate,
    /// What a truncation took back still counts as on the disk.
    DurableOverTruncate,
    /// The primary serves on after its lease.
    NoLease,
    /// The lease counts from the receipt of the answer.
    LeaseFromReceipt,
    /// A standby that asks to be promoted still renews the old primary's lease.
    EchoWhilePromoting,
    /// A node that lost its disk still counts as in sync.
    TrustLostDisk,
    /// The standby folds entries that are not committed.
    ApplyUncommitted,
    /// A switchover does not wait until the peer has everything.
    SwitchoverWithoutDrain,
    /// The prefix is believed when the index fits, whatever the chain says.
    PrefixByIndex,
    /// An acknowledgement of an earlier epoch counts.
    AckOfOldEpoch,
    /// Every acknowledgement says two disks.
    AlwaysTwoReplicas,
    /// A new primary serves and acknowledges before its epoch is on its disk.
    ServeBeforeSaved,
    /// Neither node compares epochs: the standby takes entries of an old one, and the primary counts what was said in
    /// another one.
    IgnoreEpochs,
}

impl PairMutant {
    /// Every one of them.
    pub const ALL: &[Self] = &[
        Self::SoloBeforeSwap,
        Self::PromoteOutOfSync,
        Self::ExpandBeforeCaughtUp,
        Self::RequireAfterExpand,
        Self::SameEpochOnRestart,
        Self::AckBeforeOwnDisk,
        Self::AckBeforePeerDisk,
        Self::CommitAlone,
        Self::AckLogEnd,
        Self::NoFence,
        Self::ForgetMaxEpoch,
        Self::SettleOnStaleRead,
        Self::SettleOnTimeout,
        Self::OwnByEpoch,
        Self::NoTruncate,
        Self::DurableOverTruncate,
        Self::NoLease,
        Self::LeaseFromReceipt,
        Self::EchoWhilePromoting,
        Self::TrustLostDisk,
        Self::ApplyUncommitted,
        Self::SwitchoverWithoutDrain,
        Self::PrefixByIndex,
        Self::AckOfOldEpoch,
        Self::AlwaysTwoReplicas,
        Self::ServeBeforeSaved,
        Self::IgnoreEpochs,
    ];

    /// The defects that this one has as well.
    pub(super) fn parts(self) -> &'static [Self] {
        match self {
            Self::IgnoreEpochs => &[Self::NoFence, Self::AckOfOldEpoch],
            _ => &[],
        }
    }
}

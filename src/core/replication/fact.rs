//! What a node of a pair is told beyond what concerns clients, and what it wants done.

use super::{
    cfg::{Answer, AskId, Cfg, Question, Side},
    message::PeerMessage,
};
use bytes::Bytes;

/// A fact about the pair, for [`Input::Pair`](crate::core::Input::Pair).
#[derive(Debug, Clone)]
pub enum PairFact {
    /// A link to the peer is up; whatever was said on an earlier one may be lost.
    LinkUp,
    /// The link is gone.
    LinkDown,
    /// The peer said something.
    Peer(PeerMessage),
    /// The arbiter answered, or did not.
    Answered {
        /// Which question.
        ask: AskId,
        /// The answer.
        answer: Answer,
    },
    /// The epoch of [`PairEffect::SaveEpoch`] is durable.
    EpochSaved(u64),
    /// A [`PairEffect::Truncate`] is done and durable. What was reported as persisted before it counts no more.
    Truncated,
    /// Answer to [`PairEffect::ReadLog`]: encoded entries from there on, at least one, or why there are none.
    LogRead {
        /// The first index that was asked for.
        from: u64,
        /// The entries.
        result: Result<Vec<Bytes>, LogGone>,
    },
    /// An operator wants something; answered with [`PairEffect::Told`].
    Operator {
        /// Comes back in the answer.
        request: u64,
        /// What.
        order: PairOrder,
    },
    /// The disk takes longer than [`PairConfig::disk_stuck_ms`](super::PairConfig) for one barrier, or failed.
    DiskStuck,
    /// This process is about to stop on purpose.
    Stopping,
    /// The snapshot that the peer needs was sent whole and taken (`true`), or was not.
    SnapshotDone(bool),
}

/// Why a log cannot be read from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogGone {
    /// It begins later.
    Truncated,
    /// The store could not read now.
    Failed,
}

/// What an operator can order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairOrder {
    /// This node becomes primary; the operator says that the peer is off and stays off.
    Promote {
        /// Even if acknowledged entries may be missing here.
        accept_data_loss: bool,
    },
    /// This primary hands over to its peer.
    Switchover,
}

/// What a node wants done for its pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairEffect {
    /// Say something on the link, if there is one.
    Say(PeerMessage),
    /// Ask the arbiter; answer with [`PairFact::Answered`] within a second, with `Unknown` if need be.
    Ask {
        /// Comes back in the answer.
        ask: AskId,
        /// The question.
        question: Question,
    },
    /// Take back every entry above `after`, after everything that was ordered before; answer with [`PairFact::Truncated`].
    Truncate {
        /// The last index that stays.
        after: u64,
    },
    /// Remember the epoch durably; answer with [`PairFact::EpochSaved`].
    SaveEpoch(u64),
    /// Read encoded entries from an index on, about `bytes_max` of them; answer with [`PairFact::LogRead`].
    ReadLog {
        /// The first index.
        from: u64,
        /// Where to stop.
        bytes_max: usize,
    },
    /// Send the peer a snapshot; answer with [`PairFact::SnapshotDone`].
    SendSnapshot,
    /// This node's log cannot go on: keep what lies above `fork` in `lost+found`, put the store aside, begin with an empty
    /// one. Nothing else is done with this core.
    Resync {
        /// The last index that both logs share, if entries above it are this node's own; without any it only lags too far
        /// behind.
        fork: Option<u64>,
    },
    /// Without an arbiter: the peer knows a newer value; make this node's register hold it.
    Adopt(Cfg),
    /// The role changed: for logs, metrics, readiness and the page of the operator.
    Role(Role),
    /// Everything in memory is to be thrown away and read from the disk again, as a process that starts does: what this
    /// node appended and nobody acknowledged may be taken back.
    Restart,
    /// This primary follows from now on, and its clients were sent away.
    SteppedDown,
    /// Answer to an operator.
    Told {
        /// Which request.
        request: u64,
        /// What came of it.
        result: Result<(), OrderRefused>,
    },
}

/// What a node is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has just started and does not know.
    Joining,
    /// It reigns.
    Primary {
        /// Its reign.
        epoch: u64,
        /// Whether every acknowledgement means both disks.
        in_sync: bool,
        /// Whether it may serve now: its lease holds.
        serving: bool,
    },
    /// It follows.
    Standby {
        /// The highest epoch that it has seen.
        epoch: u64,
        /// Whether it holds every acknowledged entry, as far as it knows.
        in_sync: bool,
        /// Who reigns.
        primary: Side,
    },
}

/// Why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// Switchover of a node that does not reign.
    #[error("this node is not the primary")]
    NotPrimary,
    /// Promotion of a node that reigns already.
    #[error("this node is the primary already")]
    AlreadyPrimary,
    /// Switchover to a peer that lacks something.
    #[error("the peer is not in sync")]
    PeerNotInSync,
    /// Promotion of a node that may lack acknowledged entries, without the word that accepts their loss.
    #[error("acknowledged messages may be missing here; say --accept-data-loss to go on without them")]
    MayLoseData,
    /// The peer is alive: it was heard a moment ago.
    #[error("the peer is alive: it was heard a moment ago; use switchover")]
    PeerAlive,
    /// The arbiter did not take it.
    #[error("the arbiter did not take the change: another node was faster, or it cannot be reached")]
    Arbiter,
    /// It took too long.
    #[error("it took too long; nothing was changed")]
    TimedOut,
    /// Another order is being carried out.
    #[error("another order is being carried out")]
    Busy,
    /// The node does not know yet where it stands.
    #[error("the node has just started; try again in a moment")]
    Joining,
}

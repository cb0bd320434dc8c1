//! The arbiter's record: who is primary, in which epoch, and who holds every acknowledged entry.
//!
//! One value in one linearizable compare-and-swap register; `ver` grows by one with every success. Whoever has seen a
//! version has seen the truth of that moment, whoever told it: a `Cfg` may be passed on.

use duet_protocol::codec::{Decode, Encode};

/// A node's place in its pair; set by its configuration, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Side {
    /// The node that may begin a pair.
    A,
    /// The other one.
    B,
}

impl Side {
    /// The peer.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

/// 128 random bits of one process start: an earlier process of the same node is somebody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Nonce(pub [u8; 16]);

/// Which pair; minted by `duet pair init` and checked before anything else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClusterId(pub [u8; 16]);

/// Identity of a store, minted when it is created: a node that lost its disk comes back with another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct StoreId(pub [u8; 16]);

/// The register's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Cfg {
    /// Grows by one with every successful swap; the first value has 1.
    pub ver: u64,
    /// The reign. No two processes ever hold one epoch.
    pub epoch: u64,
    /// Who reigns.
    pub primary: Side,
    /// The stores that hold every acknowledged entry, by side; the primary's is always there.
    pub in_sync: InSync,
    /// The process that reigns. Any other process of that node does not.
    pub holder: Nonce,
    /// Which pair.
    pub cluster: ClusterId,
}

/// The set `isr` of the protocol: a store per side, or none.
///
/// It names stores and not only sides, so that a node that lost its disk is out of it by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct InSync {
    /// Of side a.
    pub a: Option<StoreId>,
    /// Of side b.
    pub b: Option<StoreId>,
}

impl InSync {
    /// One store alone.
    #[must_use]
    pub fn alone(side: Side, store: StoreId) -> Self {
        Self::default().with(side, store)
    }

    /// The same with a store in it.
    #[must_use]
    pub fn with(mut self, side: Side, store: StoreId) -> Self {
        match side {
            Side::A => self.a = Some(store),
            Side::B => self.b = Some(store),
        }
        self
    }

    /// The store of a side.
    #[must_use]
    pub fn store(&self, side: Side) -> Option<StoreId> {
        match side {
            Side::A => self.a,
            Side::B => self.b,
        }
    }

    /// Whether this very store of this side is in it.
    #[must_use]
    pub fn holds(&self, side: Side, store: StoreId) -> bool {
        self.store(side) == Some(store)
    }
}

/// Names a question to the arbiter; never used twice by one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AskId(pub u64);

/// What the arbiter is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// The register's value.
    Read,
    /// Replace the value whose version is `next.ver - 1` (with 1: no value at all) by `next`.
    Swap(Cfg),
}

/// What the arbiter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The value at some moment between question and answer: answers a read, and a swap that certainly did not happen.
    Value(Option<Cfg>),
    /// The swap happened.
    Swapped,
    /// The question certainly never reached the arbiter: no connection was there. Nothing happened, and nothing is known.
    NotSent,
    /// Nobody knows: no answer, or one that does not say. A swap may have happened or may yet happen.
    Unknown,
}

//! The pair: one log on two nodes, one primary, no acknowledgement that either death can take back.
//!
//! Pure, like all of the core. Basis: PacificA (Lin et al., 2008) with two replicas; the configuration lies in an external
//! register, the arbiter. `docs/replication.md` tells the rules and why they hold.

mod asking;
mod cfg;
mod config;
mod fact;
mod following;
mod fork;
mod leading;
mod lease;
mod log;
mod message;
mod mutant;
mod orders;
mod reign;
mod replica;
mod stream;

pub use cfg::{Answer, AskId, Cfg, ClusterId, InSync, Nonce, Question, Side, StoreId};
pub use config::{PairConfig, Policy};
pub use fact::{LogGone, OrderRefused, PairEffect, PairFact, PairOrder, Role};
pub(super) use fork::shared_end;
pub use message::{Acked, AppendEntries, Beat, Echo, PeerMessage, Position};
pub use mutant::PairMutant;
pub(super) use replica::{Outcome, Replica};

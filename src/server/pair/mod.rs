//! A node of a pair, beside its driver: the link to the peer, the arbiter, snapshots, and what an operator sees.
//!
//! ```text
//!  peer ◄──frames──► link task ──Fact──► driver ──Order to say──► sender ──► peer
//!  arbiter ◄──────── asker task ◄─question── driver
//!  admin page ──Fact::Order──► driver ──answer──► admin page
//! ```
//!
//! None of the tasks decides anything: they carry, with deadlines, and the core is told what came of it.

mod aside;
mod asker;
mod link;
mod open;
mod port;
mod snapshot;
mod status;

pub(super) use aside::{Aside, LostAndFound, OwnEntries};
pub(super) use link::Line;
pub(super) use open::{Membership, PairCertificates, Part};
pub(super) use port::{Port, Todo};
pub(super) use status::{Reply, role_name};

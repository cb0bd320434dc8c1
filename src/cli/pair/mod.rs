//! `duet pair`: sets up a pair of nodes, and looks after one that runs.

mod mint;
mod order;
pub(super) mod place;
mod status;

use clap::Subcommand;
use std::process::ExitCode;

/// The commands of the group.
#[derive(Debug, Subcommand)]
pub(crate) enum Pair {
    /// Mint what the machines of a pair need to trust each other: a private authority, certificates, a shared key, and the
    /// [pair] section for each node's duet.toml. Nothing is overwritten.
    Init(mint::Init),
    /// Sign new certificates, valid for ten years, with the authority in the folder. The old ones stay valid.
    Renew(mint::Renew),
    /// Show how the pair stands, as its running nodes see it.
    ///
    /// Exit status: 0 when the pair is in sync and serves, 1 when it is degraded (alone, catching up, no link, nobody serving,
    /// or one of the asked nodes does not answer), 2 when no asked node answers or the configuration cannot be used.
    Status(status::Status),
    /// Hand over from the primary to its peer, without losing or refusing a message. Ask the primary.
    ///
    /// Exit status: 0 when the peer reigns, 1 when it was refused and nothing changed, 2 when the node does not answer or the
    /// configuration cannot be used.
    Switchover(order::Switchover),
    /// Make this standby the primary because the other node is off. It must stay off until it can hear this one.
    ///
    /// Needed with pair.arbiter = "manual"; with a witness or etcd a standby in sync promotes itself within seconds.
    /// If the other node still runs and clients reach it, both acknowledge messages and one of the two histories will be put
    /// aside: switch its machine off, or cut it from the network, before you say --fenced.
    ///
    /// Exit status: 0 when this node reigns, 1 when it was refused and nothing changed, 2 when the node does not answer or the
    /// configuration cannot be used.
    Promote(order::Promote),
    /// Make this standby put its store aside and take everything from the primary anew.
    ///
    /// For a standby whose disk is in doubt. Until it has caught up, the primary is the only one that has everything. What was
    /// put aside lies in `store.old` in the data directory until the node is in sync again.
    ///
    /// Exit status: 0 when the node begins anew, 1 when it was refused, 2 when the node does not answer or the configuration
    /// cannot be used.
    Rejoin(order::Rejoin),
}

impl Pair {
    /// Does what was asked.
    pub(crate) fn run(self) -> ExitCode {
        match self {
            Self::Init(init) => init.run(),
            Self::Renew(renew) => renew.run(),
            Self::Status(status) => status.run(),
            Self::Switchover(switchover) => switchover.run(),
            Self::Promote(promote) => promote.run(),
            Self::Rejoin(rejoin) => rejoin.run(),
        }
    }
}

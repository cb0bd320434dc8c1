//! `duet token revoke`: takes a token, a user's tokens or a session back, on the node that runs on this machine.

use super::{
    line, misconfigured,
    pair::place::{Place, block_on, call_failed},
};
use clap::Args;
use duet::admin::{client, revoke::Order};
use std::{net::SocketAddr, process::ExitCode};

/// What is taken back, and where.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["jti", "user", "session"]))]
pub(crate) struct Revoke {
    #[command(flatten)]
    place: Place,
    /// The tenant of the token or user.
    #[arg(long, required_unless_present = "session")]
    tenant: Option<String>,
    /// One token, by its `jti`.
    #[arg(long)]
    jti: Option<String>,
    /// All tokens of a user that were made up to now, and all of the user's sessions.
    #[arg(long)]
    user: Option<String>,
    /// One session; its token stays good.
    #[arg(long, value_name = "UUID")]
    session: Option<String>,
    /// When the last of the tokens ends, Unix seconds. Left out: as long as a token may live at most.
    #[arg(long, value_name = "SECONDS", conflicts_with = "session")]
    until: Option<u64>,
    /// The node's admin listener, instead of the one that the configuration names. In a pair, that of the primary.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Print JSON: `ended`, the number of sessions that ended.
    #[arg(long)]
    json: bool,
}

impl Revoke {
    pub(crate) fn run(self) -> ExitCode {
        let Self { place, tenant, jti, user, session, until, admin, json } = self;
        let address = match place.admin(admin) {
            Ok(address) => address,
            Err(error) => return misconfigured(&error),
        };
        let order = Order { tenant, token: jti, user, session, until };
        match block_on(client::revoke(address, &order)) {
            Err(error) => super::failed(&error),
            Ok(Err(error)) => call_failed(&error),
            Ok(Ok(ended)) if json => line(&serde_json::json!({ "ended": ended }).to_string()),
            Ok(Ok(1)) => line("Revoked; one session ended."),
            Ok(Ok(ended)) => line(&format!("Revoked; {ended} sessions ended.")),
        }
    }
}

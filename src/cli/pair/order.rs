//! `duet pair switchover`, `promote` and `rejoin`: an operator's orders to the node on this machine.

use super::place::{Place, block_on, call_failed};
use crate::cli::{line, misconfigured};
use clap::Args;
use duet::{
    admin::{
        client::{self, CallFailed},
        pair::{PairReport, Wish},
    },
    core::PairOrder,
};
use serde_json::json;
use std::{net::SocketAddr, process::ExitCode};

/// To whom an order goes, and how the answer is told.
#[derive(Debug, Args)]
struct To {
    #[command(flatten)]
    place: Place,
    /// The node's admin listener, instead of the one that the configuration names.
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Print JSON: `order`, and `side`, the node that was asked. Refusals are a sentence on standard error all the same.
    #[arg(long)]
    json: bool,
}

/// `duet pair switchover`.
#[derive(Debug, Args)]
pub(crate) struct Switchover {
    #[command(flatten)]
    to: To,
}

impl Switchover {
    pub(super) fn run(self) -> ExitCode {
        let allowed = |node: &PairReport| match node.role.as_str() {
            "primary" => Ok(()),
            role => Err(CallFailed::Refused(format!(
                "node {} is {role}: ask the primary, node {}, to hand over",
                node.side,
                other(&node.side)
            ))),
        };
        self.to.carry(
            "switchover",
            Wish::Order(PairOrder::Switchover),
            |node| format!("Node {} has handed over: node {} is the primary.", node.side, other(&node.side)),
            allowed,
        )
    }
}

/// `duet pair promote`.
#[derive(Debug, Args)]
pub(crate) struct Promote {
    /// The other node, a or b: you say that it is off, or cut from every client, and stays so.
    #[arg(long, value_name = "NODE", value_parser = ["a", "b"])]
    fenced: String,
    /// Go on even if messages that were acknowledged may be missing on this node. They stay on the other node's disk, and are
    /// kept in its lost+found when it comes back.
    #[arg(long)]
    accept_data_loss: bool,
    #[command(flatten)]
    to: To,
}

impl Promote {
    pub(super) fn run(self) -> ExitCode {
        let Self { fenced, accept_data_loss, to } = self;
        let allowed = |node: &PairReport| {
            if node.side == fenced {
                return Err(CallFailed::Refused(format!(
                    "node {fenced} is the node that you ask: --fenced names the other one, node {}, which you have \
                     made sure is off",
                    other(&node.side)
                )));
            }
            Ok(())
        };
        to.carry(
            "promote",
            Wish::Order(PairOrder::Promote { accept_data_loss }),
            |node| {
                format!(
                    "Node {} is the primary and acknowledges alone. Node {} may come back once it can hear this one.",
                    node.side,
                    other(&node.side)
                )
            },
            allowed,
        )
    }
}

/// `duet pair rejoin`.
#[derive(Debug, Args)]
pub(crate) struct Rejoin {
    #[command(flatten)]
    to: To,
}

impl Rejoin {
    pub(super) fn run(self) -> ExitCode {
        self.to.carry(
            "rejoin",
            Wish::Rejoin,
            |node| {
                format!(
                    "Node {} begins anew and takes everything from node {}.",
                    node.side,
                    other(&node.side)
                )
            },
            |_| Ok(()),
        )
    }
}

impl To {
    /// Asks who the node is, refuses what makes no sense there, and gives the order.
    fn carry(
        self,
        order: &str,
        wish: Wish,
        say: impl Fn(&PairReport) -> String,
        allowed: impl Fn(&PairReport) -> Result<(), CallFailed>,
    ) -> ExitCode {
        let address = match self.place.admin(self.admin) {
            Ok(address) => address,
            Err(error) => return misconfigured(&error),
        };
        let called = block_on(async {
            let node = client::status(address).await?;
            allowed(&node)?;
            client::wish(address, wish).await?;
            Ok(node)
        });
        match called {
            Ok(Ok(node)) if self.json => line(&json!({ "order": order, "side": node.side }).to_string()),
            Ok(Ok(node)) => line(&say(&node)),
            Ok(Err(error)) => call_failed(&error),
            Err(error) => misconfigured(&error),
        }
    }
}

fn other(side: &str) -> &'static str {
    if side == "a" { "b" } else { "a" }
}

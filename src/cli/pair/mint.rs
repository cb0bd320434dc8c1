//! `duet pair init` and `duet pair renew`: the files with which the machines of a pair trust each other.

use crate::cli::{failed, line, misconfigured};
use clap::Args;
use duet::{
    config::is_endpoint,
    core::{ClusterId, Side},
    peer::{self, InitFailed, Member, PairFiles, PairPlan},
};
use std::{path::PathBuf, process::ExitCode};

/// `duet pair init`.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder for the files; made if need be.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where node b reaches node a, as in a.example.org:4434 (UDP).
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    a: String,
    /// Where node a reaches node b.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    b: String,
    /// Where clients reach node a; port 4433 of the same host unless given.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    client_a: Option<String>,
    /// Where clients reach node b; port 4433 of the same host unless given.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    client_b: Option<String>,
    /// Where both nodes reach the witness; without one an operator decides who reigns.
    #[arg(long, value_name = "HOST:PORT", value_parser = endpoint)]
    witness: Option<String>,
    /// The id of a pair that exists, to replace its authority; a new one unless given.
    #[arg(long, value_name = "ID", value_parser = cluster)]
    cluster: Option<ClusterId>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(self) -> ExitCode {
        let Self { dir, a, b, client_a, client_b, witness, cluster, json } = self;
        let client = |given: Option<String>, node: &str| {
            given.unwrap_or_else(|| {
                let host = node.rsplit_once(':').map_or(node, |(host, _)| host);
                format!("{host}:4433")
            })
        };
        let clients = [client(client_a, &a), client(client_b, &b)];
        let with_witness = witness.is_some();
        let plan = PairPlan { peers: [a, b], clients, witness };
        minted(peer::init_as(&dir, &plan, cluster), json, |cluster| {
            let files =
                |member: &str| format!("pair-ca.pem shared.key {member}.pem {member}.key {member}.toml");
            let mut text = format!(
                "Pair {cluster} is minted.\n\
                 Node a:  copy {}; append a.toml to its duet.toml.\n\
                 Node b:  copy {}; append b.toml to its duet.toml.\n",
                files("a"),
                files("b"),
            );
            if with_witness {
                text.push_str("Witness: copy pair-ca.pem witness.pem witness.key witness.toml.\n");
            }
            text.push_str(
                "Keep pair-ca.key offline: whoever has it can join the pair. `duet pair renew` needs it.",
            );
            text
        })
    }
}

/// `duet pair renew`.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// The folder of `duet pair init`, with pair-ca.key in it.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// For whom: a, b, witness; all three unless named. May be repeated.
    #[arg(long, value_name = "MEMBER", value_parser = member)]
    member: Vec<Member>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Renew {
    pub(super) fn run(self) -> ExitCode {
        let Self { dir, member, json } = self;
        let members = if member.is_empty() { Member::ALL.to_vec() } else { member };
        minted(peer::renew(&dir, &members), json, |_| {
            "Copy each certificate and key to its machine and send Duet a SIGHUP there: they are used from the next link on."
                .to_owned()
        })
    }
}

/// What both say.
fn minted(result: Result<PairFiles, InitFailed>, json: bool, say: impl Fn(&str) -> String) -> ExitCode {
    match result {
        Ok(PairFiles { cluster, files }) => {
            let cluster = peer::hex(&cluster.0);
            if json {
                return line(&serde_json::json!({ "cluster": cluster, "files": files }).to_string());
            }
            let files = files.iter().map(|path| format!("{}\n", path.display()));
            line(&format!("{}{}", files.collect::<String>(), say(&cluster)))
        }
        Err(error @ InitFailed::Exists(_)) => misconfigured(&error.to_string()),
        Err(error) => failed(&error.to_string()),
    }
}

fn endpoint(text: &str) -> Result<String, String> {
    is_endpoint(text).then(|| text.to_owned()).ok_or_else(|| "must be HOST:PORT".to_owned())
}

fn cluster(text: &str) -> Result<ClusterId, String> {
    peer::parse_cluster(text).ok_or_else(|| "must be 32 hexadecimal digits".to_owned())
}

fn member(text: &str) -> Result<Member, String> {
    match text {
        "a" => Ok(Member::Node(Side::A)),
        "b" => Ok(Member::Node(Side::B)),
        "witness" => Ok(Member::Witness),
        _ => Err("must be a, b or witness".to_owned()),
    }
}

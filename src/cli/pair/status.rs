//! `duet pair status`: how the pair stands, as one node sees it or as both do.

use super::place::{Place, block_on};
use crate::cli::{line, misconfigured};
use clap::Args;
use duet::admin::{
    client::{self, CallFailed},
    pair::PairReport,
};
use serde_json::json;
use std::{
    net::SocketAddr,
    process::ExitCode,
    time::{Duration, Instant},
};

/// `duet pair status`.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    place: Place,
    /// The admin listener of a node, instead of the one that the configuration names. May be given twice, for both nodes; it
    /// listens on loopback only, so the other node's comes through a tunnel (ssh -N -L 9533:127.0.0.1:9433 other-node).
    #[arg(long, value_name = "ADDRESS", num_args = 1..=2)]
    admin: Vec<SocketAddr>,
    /// Wait for this many seconds at most until the pair is in sync and serves, asking twice a second.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn run(self) -> ExitCode {
        let mut addresses = self.admin.clone();
        if addresses.len() > 2 {
            return misconfigured("a pair has two nodes: give --admin at most twice");
        }
        if addresses.is_empty() {
            match self.place.admin(None) {
                Ok(address) => addresses.push(address),
                Err(error) => return misconfigured(&error),
            }
        }
        let until = Instant::now() + Duration::from_secs(self.wait.unwrap_or(0));
        let seen = block_on(async {
            loop {
                let seen = View::of(&addresses).await;
                if seen.verdict() == Verdict::InSync || Instant::now() >= until {
                    return seen;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        });
        match seen {
            Ok(seen) => seen.tell(self.json),
            Err(error) => misconfigured(&error),
        }
    }
}

/// What the asked nodes said.
struct View {
    nodes: Vec<(SocketAddr, Result<PairReport, CallFailed>)>,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    InSync,
    Degraded,
    Unreachable,
}

impl View {
    async fn of(addresses: &[SocketAddr]) -> Self {
        let mut nodes = Vec::new();
        for &address in addresses {
            nodes.push((address, client::status(address).await));
        }
        Self { nodes }
    }

    fn verdict(&self) -> Verdict {
        let reports: Vec<&PairReport> = self.reports().collect();
        if reports.is_empty() {
            return Verdict::Unreachable;
        }
        let primaries = reports.iter().filter(|report| report.role == "primary" && report.serving).count();
        let one_primary = reports.len() < 2 && reports[0].role == "standby" || primaries == 1;
        let all = reports.len() == self.nodes.len();
        let healthy = reports.iter().all(|report| {
            report.in_sync && report.link && report.arbiter_answers && report.role != "joining"
        });
        if all && healthy && one_primary { Verdict::InSync } else { Verdict::Degraded }
    }

    fn reports(&self) -> impl Iterator<Item = &PairReport> {
        self.nodes.iter().filter_map(|(_, report)| report.as_ref().ok())
    }

    fn tell(&self, json: bool) -> ExitCode {
        let verdict = self.verdict();
        let told = if json { line(&self.json(verdict)) } else { line(&self.text(verdict)) };
        match verdict {
            Verdict::InSync => told,
            Verdict::Degraded => ExitCode::FAILURE,
            Verdict::Unreachable => ExitCode::from(2),
        }
    }

    fn json(&self, verdict: Verdict) -> String {
        let nodes = self.nodes.iter().map(|(address, report)| match report {
            Ok(report) => json!({ "admin": address, "report": report, "error": null }),
            Err(error) => json!({ "admin": address, "report": null, "error": error.to_string() }),
        });
        let state = match verdict {
            Verdict::InSync => "in_sync",
            Verdict::Degraded => "degraded",
            Verdict::Unreachable => "unreachable",
        };
        json!({ "state": state, "nodes": nodes.collect::<Vec<_>>() }).to_string()
    }

    /// A column for each node that answered, then one sentence for each thing that is not as it should be.
    fn text(&self, verdict: Verdict) -> String {
        let reports: Vec<&PairReport> = self.reports().collect();
        let mut lines = Vec::new();
        if !reports.is_empty() {
            for (what, of) in ROWS {
                let cells = reports.iter().map(|report| format!("{:<WIDTH$}", of(report)));
                lines.push(format!("{what:<WIDTH$}{}", cells.collect::<String>()).trim_end().to_owned());
            }
            lines.push(String::new());
        }
        lines.extend(self.nodes.iter().filter_map(|(_, report)| Some(report.as_ref().err()?.to_string())));
        lines.extend(reports.iter().flat_map(|report| complaints(report)));
        if reports.len() == 2 && reports.iter().all(|report| report.role == "primary") {
            lines.push(
                "Both nodes say that they are the primary: only the one of the higher epoch is.".to_owned(),
            );
        }
        lines.push(match verdict {
            Verdict::InSync => "In sync: every acknowledged message is on both disks.".to_owned(),
            Verdict::Degraded => "Degraded.".to_owned(),
            Verdict::Unreachable => "No answer.".to_owned(),
        });
        lines.join("\n")
    }
}

/// What is not as it should be, in sentences.
fn complaints(report: &PairReport) -> Vec<String> {
    let node = &report.side;
    let mut found = Vec::new();
    if report.role == "joining" {
        found.push(format!(
            "Node {node} does not know yet who reigns: it has just started, or hears no arbiter."
        ));
    }
    if report.role == "primary" && !report.serving {
        found.push(format!("Node {node} reigns but serves nobody: its lease is not renewed."));
    }
    if report.solo {
        found.push(format!(
            "Node {node} is ALONE: an acknowledgement means one disk until its peer is in sync."
        ));
        found.push(format!(
            "Should node {node} be lost now, its peer lacks messages that were acknowledged: promoting it by hand needs \
             --accept-data-loss."
        ));
    } else if report.role == "standby" && !report.in_sync {
        found.push(format!(
            "Node {node} is not in sync: it will not be promoted by itself, and by hand only with --accept-data-loss."
        ));
    }
    if !report.arbiter_answers {
        found.push(format!(
            "Node {node} hears no answer from its arbiter ({}): until it does, nobody can be promoted.",
            report.arbiter
        ));
    }
    if !report.link {
        found.push(format!("Node {node} has no link to its peer."));
    }
    found
}

/// A row's name, and how its cell is made.
type Row = (&'static str, fn(&PairReport) -> String);

const ROWS: [Row; 9] = [
    ("node", |report| report.side.clone()),
    ("role", |report| report.role.clone()),
    ("serves clients", |report| yes(report.serving)),
    ("in sync", |report| yes(report.in_sync)),
    ("epoch", |report| report.epoch.to_string()),
    ("arbiter", |report| {
        let silent = if report.arbiter_answers { "" } else { ", silent" };
        format!("{}{silent}", report.arbiter)
    }),
    (
        "link",
        |report| {
            if report.link { format!("up, {:.1} ms", report.link_rtt_ms) } else { "down".to_owned() }
        },
    ),
    ("log, committed", |report| format!("{}, {}", report.log_index, report.commit_index)),
    ("peer lacks", |report| match report.role.as_str() {
        "primary" => format!("{} ({:.1} s)", report.lag_entries, report.lag_s),
        _ => "-".to_owned(),
    }),
];

fn yes(it: bool) -> String {
    if it { "yes" } else { "no" }.to_owned()
}

const WIDTH: usize = 18;
const ASK_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn report(side: &str, role: &str) -> PairReport {
        PairReport {
            side: side.to_owned(),
            role: role.to_owned(),
            epoch: 3,
            in_sync: true,
            serving: role == "primary",
            solo: false,
            link: true,
            link_rtt_ms: 0.4,
            arbiter: "witness".to_owned(),
            arbiter_answers: true,
            log_index: 70,
            commit_index: 70,
            lag_entries: 0,
            lag_s: 0.0,
        }
    }

    fn view(nodes: Vec<Result<PairReport, CallFailed>>) -> View {
        let address = SocketAddr::from(([127, 0, 0, 1], 9433));
        View { nodes: nodes.into_iter().map(|node| (address, node)).collect() }
    }

    fn silent() -> CallFailed {
        CallFailed::Unreachable { address: ([127, 0, 0, 1], 9433).into(), reason: "refused".to_owned() }
    }

    #[test]
    fn a_pair_is_in_sync_only_when_every_asked_node_says_so_and_one_serves() {
        let both = || vec![report("a", "primary"), report("b", "standby")];
        assert_eq!(view(both().into_iter().map(Ok).collect()).verdict(), Verdict::InSync);
        for node in both() {
            assert_eq!(view(vec![Ok(node.clone())]).verdict(), Verdict::InSync);
            assert_eq!(view(vec![Ok(node), Err(silent())]).verdict(), Verdict::Degraded);
        }
        assert_eq!(view(vec![Err(silent()), Err(silent())]).verdict(), Verdict::Unreachable);
        let spoilt: [fn(&mut Vec<PairReport>); 7] = [
            |nodes| nodes[0].serving = false,
            |nodes| nodes[0].in_sync = false,
            |nodes| nodes[1].in_sync = false,
            |nodes| nodes[1].link = false,
            |nodes| nodes[0].arbiter_answers = false,
            |nodes| nodes[1].role = "joining".to_owned(),
            |nodes| nodes[1] = report("b", "primary"),
        ];
        for spoil in spoilt {
            let mut nodes = both();
            spoil(&mut nodes);
            assert_eq!(view(nodes.into_iter().map(Ok).collect()).verdict(), Verdict::Degraded);
        }
    }

    #[test]
    fn a_primary_that_is_alone_is_told_in_words() {
        let mut alone = report("a", "primary");
        (alone.in_sync, alone.solo, alone.link) = (false, true, false);
        let view = view(vec![Ok(alone), Err(silent())]);
        let text = view.text(view.verdict());
        for word in
            ["ALONE", "--accept-data-loss", "no link", "no node answers on 127.0.0.1:9433", "Degraded."]
        {
            assert!(text.contains(word), "{word} is missing in\n{text}");
        }
    }
}

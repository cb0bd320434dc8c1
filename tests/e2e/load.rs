//! The load generator against a real server: it must see what there is to see, or its figures are worth nothing.

use crate::node::{Node, duet};
use serde_json::Value;
use std::path::Path;

fn load(node: &Node, dir: &Path, flags: &[&str]) -> Value {
    let mut command = duet();
    command.arg("load").args(flags).args(["--json", "--quiet", "--warm-up", "0", "--data-dir"]);
    command.arg(dir.join("data")).arg("--server-ready").arg(dir.join("ready.json"));
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{}", node.log());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn what_one_session_says_its_whole_room_hears_on_every_carrier() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    for durability in ["ephemeral", "accepted"] {
        let flags = ["rooms", "--carrier", "native,webtransport,websocket", "--sessions", "6", "--room", "3"];
        let more = ["--in-flight", "2", "--seconds", "1", "--durability", durability];
        let report = load(&node, dir.path(), &[&flags[..], &more[..]].concat());
        assert_eq!((&report["lost"], &report["refused"]), (&0.into(), &0.into()), "{report}");
        let [published, delivered] =
            ["published_per_s", "delivered_per_s"].map(|rate| report[rate].as_f64().unwrap());
        assert!(published > 0.0 && delivered > published, "a room has three members: {report}");
        assert!(report["delivery"]["count"].as_u64() > Some(0), "{report}");
        assert!(report["acknowledgement"]["count"].as_u64() > Some(0), "{report}");
        assert!(report["server"]["rss_kib"].as_u64() > Some(0), "{report}");
    }
}

#[test]
fn after_a_storm_every_session_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let flags =
        ["storm", "--carrier", "native,webtransport,websocket", "--sessions", "30", "--seconds", "15"];
    let report = load(&node, dir.path(), &flags);
    assert_eq!((&report["lost"], &report["resume"]["count"]), (&0.into(), &30.into()), "{report}");
}

#[test]
fn a_plan_that_makes_no_sense_is_refused_with_status_2() {
    for flags in [["rooms", "--room=11", "--sessions=10"], ["idle", "--sessions=0", "--quiet"]] {
        let output = duet().arg("load").args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{flags:?}");
        assert!(!output.stderr.is_empty());
    }
}

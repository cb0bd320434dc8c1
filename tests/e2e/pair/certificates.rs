//! How the machines of a pair get other certificates without a restart.

use super::{
    laws::{PACE, go_on},
    rig::{Make, Rig, name},
};
use crate::{node::duet, writers::wait_until};
use std::{fs, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_another_authority_are_used_after_a_sighup() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(1, PACE).await;
    let primary = rig.settled().await;
    let (dir, other) = (rig.dir.path(), rig.dir.path().join("other"));
    let configured = fs::read_to_string(dir.join("a.toml")).unwrap();
    let cluster = configured.lines().find_map(|line| line.strip_prefix("cluster = ")).expect("it has an id");
    let mut mint = duet();
    mint.args(["pair", "init", "--a", "localhost:1", "--b", "localhost:1", "--witness", "localhost:1"]);
    mint.args(["--cluster", cluster.trim_matches('"'), "--dir"]).arg(&other);
    assert!(mint.output().unwrap().status.success());

    // A certificate without its key is of no use, and changes nothing.
    fs::copy(other.join("a.pem"), dir.join("a.pem")).unwrap();
    fs::copy(other.join("b.pem"), dir.join("b.pem")).unwrap();
    rig.signal(primary, "HUP");
    told(&rig, name(primary), "certificates in use stay").await;
    for file in ["pair-ca.pem", "a.key", "b.key", "witness.pem", "witness.key"] {
        fs::copy(other.join(file), dir.join(file)).unwrap();
    }
    rig.signal(primary, "HUP");
    rig.signal_witness("HUP");
    for who in [name(primary), "witness"] {
        told(&rig, who, "certificates were read again").await;
    }
    go_on(&writers).await;
    // The standby knows the new authority only: who had not read it again would refuse it.
    rig.kill(1 - primary);
    rig.start(1 - primary);
    assert_eq!(rig.settled().await, primary);
    rig.kill(primary);
    rig.reigns(1 - primary).await;
    rig.start(primary);
    rig.settled().await;
    rig.check(&writers).await;
}

async fn told(rig: &Rig, who: &str, what: &str) {
    wait_until(Duration::from_secs(20), what, || rig.log(who).contains(what)).await;
}

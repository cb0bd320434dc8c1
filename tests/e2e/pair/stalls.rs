//! Machines that stand still for a moment, as virtual ones do: nobody takes that for a death.
//!
//! `DUET_STALL_SECONDS` says for how long (300). A measure of patience more than a law, so `make stalls` runs it.

use super::{
    laws::{acknowledged, go_on},
    rig::{Make, NODES, Rig},
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes of waiting: make stalls"]
async fn stalls_of_up_to_half_a_second_are_no_failover() {
    let seconds: u64 = std::env::var("DUET_STALL_SECONDS").map_or(300, |text| text.parse().unwrap());
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(4, Duration::from_millis(20)).await;
    let primary = rig.settled().await;
    go_on(&writers).await;
    let epoch = rig.status(primary).expect("it answers").epoch;
    let (begun, mut random, mut stalls) = (Instant::now(), 20_261_121_u64, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let stall = Duration::from_millis(50 + (random >> 33) % (STALL_MAX_MS - 49));
        let pause = Duration::from_millis((random >> 13) % 700);
        let signal = |signal: &str| match (random >> 60) % 3 {
            2 => rig.signal_witness(signal),
            node => rig.signal(node as usize, signal),
        };
        signal("STOP");
        tokio::time::sleep(stall).await;
        signal("CONT");
        tokio::time::sleep(pause).await;
        stalls += 1;
    }
    assert_eq!(rig.settled().await, primary, "the same node reigns");
    for node in NODES {
        assert_eq!(rig.status(node).expect("it answers").epoch, epoch, "nobody was promoted");
    }
    let alone = rig.log(super::rig::name(primary)).matches("ALONE").count();
    let total = acknowledged(&writers);
    rig.check(&writers).await;
    println!(
        "{stalls} stalls of up to {STALL_MAX_MS} ms in {seconds} s, {total} messages acknowledged, epoch {epoch} all the \
         time, {alone} times alone"
    );
    assert!(stalls > 0);
}

const STALL_MAX_MS: u64 = 500;

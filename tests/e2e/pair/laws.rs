//! What a pair promises when its machines, the wires between them and its witness fail, one by one and together.

use super::rig::{ALL_GO_ON, Make, NODES, Rig, name};
use crate::{
    raw::RawStream,
    writers::{Writer, wait_until},
};
use duet_protocol::{
    ClientMessageId, Command, Delivery,
    command::{Durability, HistoryRequest, Open, Page, Publish, Start},
    event::Content,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_without_its_standby_goes_on_and_says_so_everywhere() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    let primary = rig.settled().await;
    go_on(&writers).await;
    assert_eq!(alone(&writers), [0; 4], "both nodes had every message");

    let killed = Instant::now();
    rig.kill(1 - primary);
    rig.until(primary, "it says that it is alone", |it| it.solo).await;
    let seen = killed.elapsed();
    wait_until(ALL_GO_ON, "acknowledgements of one disk", || alone(&writers).iter().all(|count| *count > 0))
        .await;
    assert_eq!(rig.metric(primary, "duet_pair_solo"), Some(1.0));
    assert!(rig.log(name(primary)).contains("ALONE"));
    println!("alone: seen after {seen:.2?}, acknowledged by one disk after {:.2?}", killed.elapsed());

    rig.start(1 - primary);
    assert_eq!(rig.settled().await, primary, "the standby came back, nobody was sent away");
    assert_eq!(rig.metric(primary, "duet_pair_solo"), Some(0.0));
    wait_until(ALL_GO_ON, "acknowledgements of two disks again", || {
        writers.iter().all(|writer| writer.client.info().replicas == Some(2))
    })
    .await;
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_the_policy_block_nothing_is_ever_acknowledged_by_one_disk() {
    let rig = Rig::in_sync(Make { policy: "block", ..Make::default() }).await;
    let writers = rig.writers(2, PACE).await;
    for round in 0..2 {
        let primary = rig.settled().await;
        go_on(&writers).await;
        rig.kill(1 - primary);
        let before = acknowledged(&writers);
        // What was on its way may still come; then nothing, for longer than it takes to notice.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let settled = acknowledged(&writers);
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(acknowledged(&writers), settled, "round {round}: acknowledged alone ({before} before)");
        rig.start(1 - primary);
        rig.settled().await;
        go_on(&writers).await;
    }
    assert_eq!(alone(&writers), [0; 4]);
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_killed_at_once_come_back_with_everything() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    for _ in 0..3 {
        rig.settled().await;
        go_on(&writers).await;
        NODES.into_iter().for_each(|node| rig.kill(node));
        NODES.into_iter().for_each(|node| rig.start(node));
        rig.settled().await;
    }
    go_on(&writers).await;
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_slept_acknowledges_nothing_and_shows_nothing_old() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(1, PACE).await;
    let conversation = writers[0].conversation;
    for round in 0..2 {
        let primary = rig.settled().await;
        go_on(&writers).await;
        let raw = rig.raw(primary, &writers[1].user, "agent").await;
        let mut lane = RawStream::open(&raw.connection).await;
        lane.send(&Command::Open(Open { conversation, start: Start::Latest(0) })).await;
        lane.until(|delivery| matches!(delivery, Delivery::CaughtUp(_)).then_some(())).await;
        let known = newest(&writers);

        let slept = Instant::now();
        rig.signal(primary, "STOP");
        rig.reigns(1 - primary).await;
        go_on(&writers).await;
        tokio::time::sleep(Duration::from_secs(5).saturating_sub(slept.elapsed())).await;
        let told = newest(&writers);
        // Asked while it sleeps; it finds this when it wakes, before anything else.
        lane.send(&Command::Publish(message(round))).await;
        let mut history = RawStream::open(&raw.connection).await;
        let page = HistoryRequest { request: 1, conversation, page: Page::After(known), limit: 500 };
        history.send(&Command::HistoryRequest(page)).await;
        rig.signal(primary, "CONT");
        while let Some(delivery) = history.next().await {
            if let Delivery::HistoryPage(page) = delivery {
                let last = page.events.last().map_or(known, |event| event.seq);
                assert!(page.more || last >= told, "it shows what ended at {last}; {told} was acknowledged");
            }
        }
        while let Some(delivery) = lane.next().await {
            assert!(
                !matches!(delivery, Delivery::Published(_)),
                "acknowledged by a node that does not reign"
            );
        }
        rig.until(primary, "it follows", |it| it.role == "standby").await;
    }
    rig.settled().await;
    writers.iter().for_each(Writer::stop);
    rig.compare_logs().await;
}

/// The newest seq that a client was told.
fn newest(writers: &[Writer]) -> u64 {
    writers.iter().filter_map(|it| it.ledger().seen.keys().next_back().copied()).max().unwrap_or(0)
}

fn message(round: u8) -> Publish {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let (id, content) = (ClientMessageId::new(now_ms, [round; 10]), Content::text("said to a sleeper"));
    Publish { id, content, reply_to: None, durability: Durability::Accepted }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_pair_whose_link_is_cut_one_acknowledges_at_most() {
    let rig = Rig::in_sync(Make { wired: true, ..Make::default() }).await;
    let writers = rig.writers(2, PACE).await;
    for _ in 0..2 {
        rig.settled().await;
        go_on(&writers).await;
        rig.wires.as_ref().unwrap().cut_link(true);
        wait_until(ALL_GO_ON, "one of them is alone", || {
            NODES.into_iter().any(|node| rig.status(node).is_some_and(|it| it.serving && it.solo))
        })
        .await;
        go_on(&writers).await;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            let serving = NODES.map(|node| rig.status(node).is_some_and(|it| it.serving));
            assert_ne!(serving, [true, true], "both serve");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        rig.wires.as_ref().unwrap().cut_link(false);
        rig.settled().await;
        go_on(&writers).await;
    }
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_witness_a_pair_goes_on_and_without_both_it_waits_and_loses_nothing() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    rig.kill_witness();
    let primary = rig.settled().await;
    // Longer than any lease.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        go_on(&writers).await;
    }
    assert_eq!(alone(&writers), [0; 4], "in sync all the time");
    assert_eq!(rig.settled().await, primary);

    rig.kill(primary);
    let settled = acknowledged(&writers);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let came = acknowledged(&writers);
    // What was on its way when the primary died may have come.
    assert!(came <= settled + writers.len() * 16, "acknowledged by nobody: {settled}, then {came}");
    assert_eq!(rig.primary(), None, "nobody may reign");

    rig.start_witness();
    rig.reigns(1 - primary).await;
    go_on(&writers).await;
    rig.start(primary);
    rig.settled().await;
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_is_stopped_gracefully_is_missed_at_most_for_a_moment() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    let primary = rig.settled().await;
    go_on(&writers).await;
    let stopped = Instant::now();
    rig.stop(1 - primary);
    rig.until(primary, "it says that it is alone", |it| it.solo).await;
    println!("alone {:.2?} after the standby was told to stop", stopped.elapsed());
    rig.start(1 - primary);
    assert_eq!(rig.settled().await, primary);

    // And a primary that is stopped hands over.
    let begun = Instant::now();
    rig.stop(primary);
    rig.reigns(1 - primary).await;
    println!("the other node reigns {:.2?} after the primary was told to stop", begun.elapsed());
    go_on(&writers).await;
    rig.start(primary);
    rig.settled().await;
    rig.check(&writers).await;
}

/// Waits until every client has a new acknowledgement.
pub(super) async fn go_on(writers: &[Writer]) {
    let count = |writer: &Writer| writer.ledger().acknowledged.len();
    let before: Vec<_> = writers.iter().map(count).collect();
    wait_until(ALL_GO_ON, "every client goes on", || {
        writers.iter().zip(&before).all(|(writer, before)| count(writer) > *before)
    })
    .await;
}

/// How many messages of each client were acknowledged by one disk.
fn alone(writers: &[Writer]) -> Vec<usize> {
    writers.iter().map(|writer| writer.ledger().alone).collect()
}

pub(super) fn acknowledged(writers: &[Writer]) -> usize {
    writers.iter().map(|writer| writer.ledger().acknowledged.len()).sum()
}

pub(super) const PACE: Duration = Duration::from_millis(10);

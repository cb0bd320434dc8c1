//! kill -9 under load: real server processes on one store, real SDK clients that keep writing, and a checker that reads
//! every client's history and the server's log.
//!
//! `DUET_CRASH_CYCLES` sets how often the server dies (10); the run is bounded by a deadline per cycle.

use crate::{
    node::{Node, address_to_keep},
    writers::{Door, Guest, Writer, check_all, start_two},
};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_once_and_in_order() {
    let cycles: u32 = std::env::var("DUET_CRASH_CYCLES").map_or(10, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let address = address_to_keep();
    let mut node = Node::dev_on(dir.path(), address);

    let mut writers = Vec::new();
    for pair in 0..PAIRS {
        let visitor = connect(&node, &format!("visitor-{pair}"), "visitor").await;
        let agent = connect(&node, &format!("agent-{pair}"), "agent").await;
        writers.extend(start_two(visitor, agent, PACE).await);
    }

    let (begun, mut starts_ms, mut in_flight) = (Instant::now(), Vec::new(), 0);
    for cycle in 0..cycles {
        all_go_on(&writers, cycle).await;
        // At a moment that no client chose: somewhere between a write and its acknowledgement.
        tokio::time::sleep(Duration::from_millis(u64::from(cycle * 37 % 113))).await;
        in_flight += writers.iter().map(|writer| writer.ledger().outstanding()).sum::<usize>();
        node.kill();
        node = Node::dev_on(dir.path(), address);
        starts_ms.push(node.ready.ready_after_ms);
        let (ready_ms, elapsed) = (node.ready.ready_after_ms, begun.elapsed().as_secs_f32());
        println!("kill {} of {cycles} after {elapsed:.1} s, ready again in {ready_ms} ms", cycle + 1);
    }
    let total = check_all(&writers, CYCLE_DEADLINE, async |user| connect(&node, user, "agent").await).await;
    starts_ms.sort_unstable();
    let (usual_ms, longest_ms) = (starts_ms[starts_ms.len() / 2], starts_ms[starts_ms.len() - 1]);
    println!(
        "{cycles} kills, {total} acknowledged messages, 0 lost, 0 doubled, 0 reordered, {} in flight at a kill, ready again \
         in {usual_ms} ms in the middle and {longest_ms} ms at most, {:.1} s",
        in_flight / cycles as usize,
        begun.elapsed().as_secs_f32()
    );
}

/// Waits until every client has a new acknowledgement. The first times the clients find out by themselves; then an
/// application says that the network is back, or the growing waits between tries would make two hundred cycles an hour.
async fn all_go_on(writers: &[Writer], cycle: u32) {
    let acknowledged = || writers.iter().map(|writer| writer.ledger().acknowledged.len()).collect::<Vec<_>>();
    let (begun, before) = (Instant::now(), acknowledged());
    while acknowledged().iter().zip(&before).any(|(now, before)| now <= before) {
        assert!(begun.elapsed() < CYCLE_DEADLINE, "a client does not come back in cycle {cycle}");
        for writer in writers.iter().filter(|_| cycle >= UNAIDED_CYCLES) {
            writer.client.reconnect().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn connect(node: &Node, user: &str, role: &str) -> Guest {
    let endpoints = vec![node.ready.clients[0].to_string()];
    let door = Door { endpoints, certificate_sha256: node.ready.certificate_sha256.clone() };
    Guest::connect(&door, user, node.token(user, role, &["--ttl", "3600"])).await
}

/// Kills after which no client is told that the server is back.
const UNAIDED_CYCLES: u32 = 3;
/// Conversations with a visitor and an agent who both write.
const PAIRS: usize = 3;
/// A client writes a message in this time on average, and catches up in a burst when it could not: so that every kill
/// comes under load, and two hundred of them leave hundreds of thousands of messages, not millions.
const PACE: Duration = Duration::from_millis(5);
/// A client is back and has an acknowledgement after this time, or something is wrong.
const CYCLE_DEADLINE: Duration = Duration::from_secs(60);

//! What the lanes promise about order and about waiting.

use super::node::{Pair, append, beat, soon};
use duet::{
    core::PeerMessage,
    peer::{Lane, SendRefused},
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn the_messages_of_a_lane_arrive_in_order_each_once_and_whole() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let (from, mut to) = (on_a.split(), on_b.split());
    tokio::spawn(from.writer.run());
    let sent: Vec<PeerMessage> = (0..600)
        .map(|number| match number % 30 {
            0 => beat(number),
            1 => append(number, 40, 64 * 1024),
            2 => append(number, 2_000, 5),
            _ => append(number, usize::try_from(number % 7).unwrap(), 300),
        })
        .collect();
    let of = |lane: Lane, messages: &[PeerMessage]| -> Vec<PeerMessage> {
        messages.iter().filter(|it| duet::peer::frame::lane(it) == lane).cloned().collect()
    };
    for message in &sent {
        from.sender.send(message).unwrap();
    }
    let mut arrived = Vec::new();
    while arrived.len() < sent.len() {
        arrived.push(soon("a message", to.receiver.recv()).await.unwrap());
    }
    for lane in [Lane::Pulse, Lane::Log] {
        assert!(of(lane, &arrived) == of(lane, &sent), "the {lane:?} lane is not what was sent");
    }
}

#[tokio::test]
async fn a_heartbeat_overtakes_64_mib_of_entries() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let (from, mut to) = (on_a.split(), on_b.split());
    for number in 0..64 {
        from.sender.send(&append(number, 16, 64 * 1024)).unwrap();
    }
    assert!(from.sender.waiting_bytes(Lane::Log) > 64 * MIB);
    let sender = from.sender.clone();
    tokio::spawn(from.writer.run());
    // As much is under way as can be: the windows are full, and the heartbeat comes last.
    soon("the windows fill", async {
        let mut before = 0;
        loop {
            let statistics = sender.statistics();
            if statistics.sent_bytes == before && statistics.waiting_bytes < 62 * MIB {
                return;
            }
            before = statistics.sent_bytes;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    sender.send(&beat(1)).unwrap();
    let mut entries_before = 0;
    loop {
        match soon("a message", to.receiver.recv()).await.unwrap() {
            PeerMessage::Append(append) => entries_before += append.entries.len() * 64 * 1024,
            other => break assert_eq!(other, beat(1)),
        }
    }
    assert!(entries_before <= 8 * MIB, "{entries_before} bytes of entries came before the heartbeat");
    assert!(sender.waiting_bytes(Lane::Log) > 40 * MIB);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_fills_a_bounded_queue_and_its_heartbeats_still_come() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let (from, to) = (on_a.split(), on_b.split());
    let mut back = from.receiver;
    tokio::spawn(from.writer.run());
    tokio::spawn(to.writer.run());
    // b reads nothing at all, and speaks.
    let refused = (0..).find_map(|number| from.sender.send(&append(number, 16, 64 * 1024)).err());
    assert_eq!(refused, Some(SendRefused::Full(Lane::Log)));
    to.sender.send(&beat(5)).unwrap();
    assert_eq!(soon("the heartbeat", back.recv()).await, Ok(beat(5)));
    from.sender.send(&beat(6)).unwrap();
}

#[tokio::test]
async fn a_sender_hears_that_its_link_is_no_more() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let from = on_a.split();
    drop(on_b);
    let ended = soon("the end", from.writer.run()).await;
    assert_eq!(from.sender.send(&beat(1)), Err(SendRefused::Ended(ended)));
}

#[tokio::test]
async fn a_sender_whose_writer_was_dropped_is_told_so_and_never_finds_its_lane_full() {
    let pair = Pair::mint();
    let (_a, _b, on_a, _on_b) = pair.linked().await;
    let from = on_a.split();
    let running = tokio::spawn(from.writer.run());
    from.sender.send(&beat(0)).unwrap();
    running.abort();
    assert!(running.await.is_err_and(|error| error.is_cancelled()));
    for number in 1..1_000 {
        let refused = from.sender.send(&beat(number)).unwrap_err();
        assert!(matches!(refused, SendRefused::Ended(_)), "message {number}: {refused}");
    }
}

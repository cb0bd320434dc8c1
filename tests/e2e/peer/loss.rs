//! Wires that are cut, processes that die: both ends hear of it, and there is a link again when there can be one.

use super::node::{Pair, Running, beat, soon};
use duet::{
    core::{Nonce, Side},
    peer::{LinkEnded, PeerConfig, PeerEndpoint},
};
use duet_wire::Wire;

#[tokio::test]
async fn a_cut_wire_ends_the_link_at_both_ends_and_a_mended_one_brings_another() {
    let pair = Pair::mint();
    let (mut a, b) = pair.nodes();
    let wire = Wire::to(b.local_address().unwrap(), 1).await.unwrap();
    a.set_peer(&wire.address().to_string());
    let (mut a, mut b) = (Running::start(a), Running::start(b));
    let (mut on_a, mut on_b) = (a.link().await.split(), b.link().await.split());

    wire.cut(true);
    assert_eq!(soon("a hears", on_a.receiver.recv()).await, Err(LinkEnded::Silent));
    assert_eq!(soon("b hears", on_b.receiver.recv()).await, Err(LinkEnded::Silent));
    assert!(a.another().is_none() && b.another().is_none(), "a link through a cut wire");

    wire.cut(false);
    let (on_a, mut on_b) = (a.link().await.split(), b.link().await.split());
    let writer = on_a.writer;
    tokio::spawn(writer.run());
    on_a.sender.send(&beat(3)).unwrap();
    assert_eq!(soon("a message", on_b.receiver.recv()).await, Ok(beat(3)));
}

#[tokio::test]
async fn a_process_that_starts_anew_gets_a_link_although_its_old_one_was_never_closed() {
    let pair = Pair::mint();
    let (a, b) = pair.nodes();
    // The old process of b is behind a wire that is cut: a does not hear of its death.
    let wire = Wire::to(a.local_address().unwrap(), 1).await.unwrap();
    let mut b = b;
    let mut a = a;
    b.set_peer(&wire.address().to_string());
    a.set_peer("nowhere");
    let (mut a, mut b) = (Running::start(a), Running::start(b));
    let (old, _old_b) = (a.link().await, b.link().await);
    assert_eq!(old.info().peer, Nonce([2; 16]));
    wire.cut(true);
    drop(b);

    let config = PeerConfig { peer: a.address.to_string(), ..pair.config(Side::B, 3) };
    let mut b = Running::start(PeerEndpoint::bind(config).unwrap());
    let new = a.link().await;
    assert_eq!(new.info().peer, Nonce([3; 16]));
    let ended = soon("the old link ends", old.split().receiver.recv()).await;
    assert!(ended.is_err(), "{ended:?}");
    let (mut new, other) = (new.split(), b.link().await.split());
    let sender = other.sender.clone();
    tokio::spawn(other.writer.run());
    sender.send(&beat(4)).unwrap();
    assert_eq!(soon("a message", new.receiver.recv()).await, Ok(beat(4)));
}

#[tokio::test]
async fn a_node_that_stops_says_so() {
    let pair = Pair::mint();
    let (mut a, mut b) = pair.nodes();
    let (on_a, on_b) = soon("a link", async { tokio::join!(a.next_link(), b.next_link()) }).await;
    let (_on_a, mut on_b) = (on_a.unwrap(), on_b.unwrap().split());
    soon("a stops", a.close(std::time::Duration::from_secs(1))).await;
    assert_eq!(soon("b hears", on_b.receiver.recv()).await, Err(LinkEnded::PeerStopped));
}

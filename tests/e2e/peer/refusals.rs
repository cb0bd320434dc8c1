//! Who gets no link, and what they and the node's log are told; and what no frame does to a node.

use super::{
    node::{Pair, Running, soon},
    stranger::{Stranger, call_as_a, code, greeting},
};
use duet::{
    core::Side,
    peer::{Authority, FrameError, Lane, LinkEnded, LinkError, Member, PeerEndpoint},
};
use std::{fs, time::SystemTime};

const A: Member = Member::Node(Side::A);
const B: Member = Member::Node(Side::B);

/// Runs both until both know why there is no link.
async fn reasons(mut a: PeerEndpoint, mut b: PeerEndpoint) -> (LinkError, LinkError) {
    soon("both refuse", async {
        loop {
            tokio::select! {
                _ = a.next_link() => panic!("a has a link"),
                _ = b.next_link() => panic!("b has a link"),
                () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
            }
            let telling = |reason: &&LinkError| !matches!(reason, LinkError::Unreachable { .. });
            let (on_a, on_b) = (a.last_failure().filter(telling), b.last_failure().filter(telling));
            if let (Some(on_a), Some(on_b)) = (on_a, on_b) {
                return (on_a.clone(), on_b.clone());
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_node_whose_certificate_another_authority_signed_gets_no_link() {
    let pair = Pair::mint();
    let (a, b) = pair.nodes();
    let (forger, its) = Authority::mint(pair.cluster, SystemTime::now()).unwrap();
    let forged = forger.sign(A, SystemTime::now()).unwrap();
    fs::write(pair.file("forged-ca.pem"), its.certificate).unwrap();
    fs::write(pair.file("a.pem"), forged.certificate).unwrap();
    fs::write(pair.file("a.key"), forged.key).unwrap();
    // It trusts the right one and shows the wrong one: the called node refuses.
    a.reload().unwrap();
    let (on_a, on_b) = reasons(a, b).await;
    assert!(matches!(on_a, LinkError::UntrustedByPeer(_)), "{on_a}");
    assert!(matches!(on_b, LinkError::Untrusted(_)), "{on_b}");
    assert!(on_b.to_string().contains("not signed by this pair's authority"), "{on_b}");
}

#[tokio::test]
async fn a_node_that_trusts_another_authority_makes_no_link() {
    let (pair, other) = (Pair::mint(), Pair::mint());
    let mut a = PeerEndpoint::bind(other.config(Side::A, 1)).unwrap();
    let b = PeerEndpoint::bind(pair.config(Side::B, 2)).unwrap();
    a.set_peer(&b.local_address().unwrap().to_string());
    let (on_a, on_b) = reasons(a, b).await;
    assert!(matches!(on_a, LinkError::Untrusted(_)), "{on_a}");
    assert!(matches!(on_b, LinkError::UntrustedByPeer(_)), "{on_b}");
}

#[tokio::test]
async fn a_node_that_calls_itself_makes_no_link() {
    let pair = Pair::mint();
    let (mut a, _) = pair.nodes();
    a.set_peer(&a.local_address().unwrap().to_string());
    let reason = soon("the reason", async {
        loop {
            let link = tokio::time::timeout(std::time::Duration::from_millis(50), a.next_link()).await;
            assert!(link.is_err(), "a link with itself");
            if let Some(LinkError::Untrusted(reason)) = a.last_failure() {
                return reason.clone();
            }
        }
    })
    .await;
    assert!(reason.contains("names somebody else"), "{reason}");
}

/// How b answers a certificate and a greeting; it has no link afterwards.
async fn answer(pair: &Pair, member: Member, greeting: &[u8]) -> quinn::ConnectionError {
    let mut b = Running::start(PeerEndpoint::bind(pair.config(Side::B, 2)).unwrap());
    let stranger = Stranger::new(&pair.files(member), pair.cluster, member);
    let refused = stranger.call(b.address, B, pair.cluster, greeting).await;
    assert!(b.another().is_none(), "b has a link");
    refused.err().expect("b greeted back")
}

#[tokio::test]
async fn a_node_of_another_pair_is_told_so_before_anything_else_is_read() {
    let pair = Pair::mint();
    let mut nonsense = vec![0xff; 300];
    nonsense[..16].copy_from_slice(&Pair::mint().cluster.0);
    assert_eq!(code(&answer(&pair, A, &nonsense).await), Some(2));
}

#[tokio::test]
async fn a_node_of_the_same_side_gets_no_link() {
    let pair = Pair::mint();
    assert_eq!(code(&answer(&pair, B, &greeting(&pair, Side::B)).await), Some(3));
    assert_eq!(code(&answer(&pair, A, &greeting(&pair, Side::B)).await), Some(3));
}

#[tokio::test]
async fn the_witness_gets_no_link() {
    let pair = Pair::mint();
    let refused = answer(&pair, Member::Witness, &greeting(&pair, Side::A)).await;
    assert!(matches!(LinkError::from(refused.clone()), LinkError::UntrustedByPeer(_)), "{refused}");
}

#[tokio::test]
async fn a_node_of_no_common_version_and_one_that_talks_nonsense_are_told_so() {
    let pair = Pair::mint();
    let mut newer = greeting(&pair, Side::A);
    newer[18..20].copy_from_slice(&[200, 201]);
    assert_eq!(code(&answer(&pair, A, &newer).await), Some(6));
    let mut nonsense = greeting(&pair, Side::A);
    nonsense[16..].fill(0xff);
    assert_eq!(code(&answer(&pair, A, &nonsense).await), Some(7));
}

#[tokio::test]
async fn what_is_no_message_ends_the_link_with_a_reason_and_the_next_link_works() {
    let pair = Pair::mint();
    let mut b = Running::start(PeerEndpoint::bind(pair.config(Side::B, 2)).unwrap());
    let too_long = [&u32::MAX.to_be_bytes()[..], &[8; 100]].concat();
    let garbage = [&100_u32.to_be_bytes()[..], &[0xee; 100]].concat();
    let bad_batch = [&6_u32.to_be_bytes()[..], &[8, 250, 1, 2, 3, 4]].concat();
    let cases = [
        (Lane::Pulse, too_long.clone()),
        (Lane::Log, too_long),
        (Lane::Pulse, garbage.clone()),
        (Lane::Log, garbage),
        (Lane::Log, bad_batch),
        (Lane::Log, vec![0; 4]),
    ];
    for (lane, bytes) in cases {
        let mut called = call_as_a(&pair, b.address).await;
        let mut on_b = b.link().await.split();
        let stream = if lane == Lane::Pulse { &mut called.pulse.0 } else { &mut called.log.0 };
        stream.write_all(&bytes).await.unwrap();
        let ended = soon("the end", on_b.receiver.recv()).await.unwrap_err();
        assert!(matches!(ended, LinkEnded::Malformed(_)), "{lane:?}: {ended}");
        let told = soon("the reason", called.connection.closed()).await;
        assert_eq!(code(&told), Some(8), "{lane:?}: {told}");
    }
    assert_eq!(
        LinkEnded::Malformed(FrameError::Empty).to_string(),
        "the peer sent what is no message: an empty frame"
    );
}

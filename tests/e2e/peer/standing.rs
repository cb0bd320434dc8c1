//! Both nodes call at once, again and again: one link stands, the same at both ends.

use super::node::{Pair, Running, beat, soon};
use duet::{
    core::Side,
    peer::{Link, LinkParts, PeerEndpoint},
};

#[tokio::test]
async fn of_two_links_that_come_at_once_one_stands_at_both_ends_and_stays() {
    for _ in 0..10 {
        let pair = Pair::mint();
        let (a, b) = both_call(&pair);
        let (mut a, mut b) = (Running::start(a), Running::start(b));
        let (mut on_a, mut on_b) = (latest(&mut a).await, latest(&mut b).await);
        // Twenty questions and answers; whoever is superseded meanwhile takes the newer link, twice at most.
        let (mut links, mut answered) = (2, 0);
        while answered < 20 {
            if let Some(link) = a.another() {
                (on_a, links) = (start(link), links + 1);
            }
            if let Some(link) = b.another() {
                (on_b, links) = (start(link), links + 1);
            }
            let asked = on_a.1.0.send(&beat(answered)).is_ok();
            let question = tokio::time::timeout(std::time::Duration::from_millis(300), on_b.1.1.recv());
            if let (true, Ok(Ok(question))) = (asked, question.await) {
                assert_eq!(question, beat(answered));
                answered += 1;
            }
        }
        assert_eq!(on_a.0, on_b.0, "the ends disagree on which link stands");
        assert!(links <= 4, "{links} links came and went");
    }
}

type Started = (Side, (duet::peer::LinkSender, duet::peer::LinkReceiver));

fn start(link: Link) -> Started {
    let dialled_by = link.info().dialled_by;
    let LinkParts { sender, writer, receiver, .. } = link.split();
    tokio::spawn(writer.run());
    (dialled_by, (sender, receiver))
}

async fn latest(node: &mut Running) -> Started {
    start(soon("a link", node.link()).await)
}

fn both_call(pair: &Pair) -> (PeerEndpoint, PeerEndpoint) {
    let (a, mut b) = pair.nodes();
    b.set_peer(&a.local_address().unwrap().to_string());
    (a, b)
}

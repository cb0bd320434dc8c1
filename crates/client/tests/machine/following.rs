//! Laws of a client between two nodes: it finds the one that reigns, soon, and nothing is lost or shown twice on the way.

use crate::{
    pair::{A, B, Node, Pair},
    rig::conversation,
    server::OTHER,
};
use duet_client::machine::{Event, Input, MessageStatus, Saved, SavedSession, State};
use duet_protocol::{
    Code, Delivery, UserId,
    delivery::{Availability, Connectivity, Presence},
    signal::TypingState,
};
use proptest::prelude::*;

fn at(pair: &Pair, endpoint: &str) -> bool {
    pair.machine.state() == State::Connected && pair.here().as_deref() == Some(endpoint)
}

fn accepted(pair: &Pair) -> bool {
    pair.machine.outbox().is_empty()
}

#[test]
fn a_redirect_with_an_address_leads_there_at_once() {
    let room = conversation(1);
    let mut pair = Pair::showing(1, room);
    pair.peers = vec!["c:1".into()];
    pair.set("c:1", Node::Primary);
    pair.set(A, Node::Standby(None));
    pair.close(Code::DRAIN, Some("c:1"));
    assert!(pair.until(1_000, |pair| at(pair, "c:1")) <= 60);
    assert!(pair.states().last().is_some_and(|change| change.resumed && change.retry_in_ms.is_none()));
}

#[test]
fn a_redirect_without_an_address_leads_to_the_other_node_at_once() {
    let room = conversation(1);
    let mut pair = Pair::showing(2, room);
    pair.set(A, Node::Standby(None));
    pair.promote_b();
    pair.close(Code::NOT_PRIMARY, None);
    assert!(pair.until(1_000, |pair| at(pair, B)) <= 60);
    assert_eq!(pair.states().last().map(|change| change.epoch), Some(2));
}

#[test]
fn a_redirect_to_a_host_outside_of_what_the_application_trusts_is_not_followed() {
    let mut pair = Pair::showing(3, conversation(1));
    pair.set("evil.example.net:1", Node::Primary);
    pair.set(A, Node::Standby(Some("evil.example.net:1")));
    pair.promote_b();
    pair.close(Code::NOT_PRIMARY, Some("evil.example.net:1"));
    pair.until(1_000, |pair| at(pair, B));
    assert!(pair.dialed.iter().all(|(_, endpoint)| endpoint == A || endpoint == B));
}

#[test]
fn while_both_nodes_are_away_the_client_keeps_asking_and_finds_whichever_comes_back() {
    for back in [A, B] {
        let mut pair = Pair::showing(4, conversation(1));
        for node in [A, B] {
            pair.set(node, Node::Gone);
        }
        pair.cut();
        pair.pass(1_600);
        let tries = pair.dialed.iter().filter(|(_, endpoint)| endpoint == back).count();
        assert!(tries >= 3, "{tries} tries in 1.6 s");
        pair.set(back, Node::Primary);
        assert!(pair.until(2_000, |pair| at(pair, back)) <= 1_000);
    }
}

#[test]
fn long_absence_is_met_with_patience() {
    let mut pair = Pair::showing(5, conversation(1));
    for node in [A, B] {
        pair.set(node, Node::Gone);
    }
    pair.cut();
    pair.pass(60_000);
    let before = pair.dialed.len();
    pair.pass(600_000);
    let rounds = (pair.dialed.len() - before) / 2;
    assert!((30..=120).contains(&rounds), "{rounds} rounds in ten minutes");
}

#[test]
fn a_swallowed_first_address_costs_less_than_a_second() {
    let mut pair = Pair::new(6, &[A, B]);
    pair.set(A, Node::Swallowed);
    pair.set(B, Node::Primary);
    pair.input(Input::Connect);
    assert!(pair.until(2_000, |pair| at(pair, B)) < 1_000);
    let loser = pair.closed.iter().any(|(endpoint, _)| endpoint == A);
    assert!(loser, "the loser is closed: {:?}", pair.closed);
    assert_eq!(pair.hellos.len(), 1, "and never said hello");
}

#[test]
fn a_node_that_takes_the_hello_and_says_nothing_is_left_for_one_that_answers() {
    let mut pair = Pair::new(7, &[A, B]);
    pair.set(A, Node::Mute);
    pair.set(B, Node::Primary);
    pair.input(Input::Connect);
    assert!(pair.until(4_000, |pair| at(pair, B)) <= 2_200);
    pair.pass(20_000);
    assert!(at(&pair, B));
}

#[test]
fn a_node_of_an_earlier_reign_is_not_believed_even_after_a_restart_of_the_client() {
    let mut pair = Pair::new(8, &[A, B]);
    pair.server.session_lives = true;
    let session = Some(SavedSession { resume: vec![9], epoch: 7, peers: vec![] });
    pair.input(Input::Restore(Saved { session, outbox: vec![] }));
    pair.set(A, Node::Stale(6));
    pair.set(B, Node::Primary);
    pair.server.epoch = 7;
    pair.input(Input::Connect);
    assert!(pair.until(2_000, |pair| at(pair, B)) <= 200);
    assert!(pair.hellos.iter().all(|(_, _, hello)| hello.epoch_seen == 7));
    assert_eq!(pair.machine.epoch(), 7);
}

#[test]
fn nodes_that_name_each_other_do_not_make_a_client_spin() {
    let mut pair = Pair::new(9, &[A, B]);
    pair.set(A, Node::Standby(Some(B)));
    pair.set(B, Node::Standby(Some(A)));
    pair.input(Input::Connect);
    pair.pass(60_000);
    assert!(pair.dialed.len() < 60, "{} dials in a minute", pair.dialed.len());
    assert_eq!(pair.states().last().and_then(|change| change.code), Some(Code::NOT_PRIMARY));
}

#[test]
fn a_message_whose_answer_was_lost_in_a_failover_is_stored_once_shown_once_and_acknowledged() {
    let room = conversation(1);
    let mut pair = Pair::showing(10, room);
    pair.lose_answers = 2;
    let id = pair.say(room, "mind the gap");
    pair.pass(100);
    assert_eq!((pair.logged(room), accepted(&pair)), (vec![id], false));
    pair.set(A, Node::Swallowed);
    pair.pass(1_600);
    pair.promote_b();
    pair.until(1_000, accepted);
    pair.pass(5_000);
    assert_eq!((pair.logged(room), pair.shown()), (vec![id], vec![id]));
    assert!(!pair.names().contains(&"discontinuity"));
    let there: Vec<_> = pair.hellos.iter().filter(|(_, endpoint, _)| endpoint == B).collect();
    assert!(there.len() == 1 && there[0].2.resume.is_some());
}

#[test]
fn how_safe_a_message_is_reaches_the_application() {
    let room = conversation(1);
    let mut pair = Pair::showing(11, room);
    // The event of the message comes before its answer in this model: without it the answer tells.
    pair.lose_answers = 1;
    let id = pair.say(room, "one");
    pair.pass(200);
    let told = pair.events.iter().filter_map(|event| match event {
        Event::MessageStatus(change) if change.id == id => Some((change.status, change.replicas)),
        _ => None,
    });
    assert_eq!(pair.machine.replicas(), Some(1));
    assert!(
        told.clone().any(|told| told == (MessageStatus::Accepted, Some(1))),
        "{:?}",
        told.collect::<Vec<_>>()
    );
}

#[test]
fn a_client_finds_the_tenth_failover_in_a_row_as_soon_as_the_first() {
    for seed in 20..30 {
        let room = conversation(1);
        let mut pair = Pair::showing(seed, room);
        for round in 0..10 {
            let (dies, takes_over) = if round % 2 == 0 { (A, B) } else { (B, A) };
            pair.set(dies, Node::Gone);
            pair.cut();
            pair.say(room, "hello?");
            pair.pass(1_600);
            pair.server.epoch += 1;
            pair.set(takes_over, Node::Primary);
            let took_ms = pair.until(2_000, accepted);
            assert!(
                took_ms <= 600,
                "round {round} of seed {seed}: {took_ms} ms after the other node reigned"
            );
            pair.pass(100);
        }
    }
}

/// Cuts every connection a moment after its welcome, for ten minutes; how many there were in the last five.
fn cut_for_ten_minutes(pair: &mut Pair) -> usize {
    let (begun, mut cuts) = (pair.now_ms, 0);
    while pair.now_ms < begun + 600_000 {
        pair.pass(20);
        if pair.machine.state() == State::Connected {
            pair.pass(60);
            pair.cut();
            cuts += usize::from(pair.now_ms >= begun + 300_000);
        }
    }
    cuts
}

#[test]
fn a_server_that_lets_clients_in_and_drops_them_at_once_meets_growing_waits() {
    let mut pair = Pair::new(31, &[A, B]);
    pair.input(Input::Connect);
    let cuts = cut_for_ten_minutes(&mut pair);
    assert!((15..=60).contains(&cuts), "{cuts} connections in five minutes");
}

#[test]
fn a_server_that_falls_over_a_message_meets_growing_waits_until_it_takes_it() {
    let room = conversation(1);
    let mut pair = Pair::showing(32, room);
    pair.lose_answers = usize::MAX;
    pair.say(room, "poison");
    let cuts = cut_for_ten_minutes(&mut pair);
    assert!((15..=60).contains(&cuts), "{cuts} connections in five minutes");
    pair.lose_answers = 0;
    pair.until(30_000, accepted);
    pair.cut();
    let wait = pair.states().last().and_then(|change| change.retry_in_ms);
    assert!(wait.is_some_and(|wait| wait <= 500), "{wait:?} after it was served");
}

proptest! {
    #[test]
    fn a_client_that_writes_hardly_notices_the_death_of_the_primary(seed: u8, needs_ms in 0u64..2_000) {
        let room = conversation(1);
        let mut pair = Pair::showing(seed, room);
        pair.set(A, Node::Swallowed);
        let id = pair.say(room, "hello?");
        pair.pass(needs_ms);
        pair.promote_b();
        let took_ms = needs_ms + pair.until(3_000, accepted);
        prop_assert!(took_ms <= needs_ms.max(1_000) + 500, "{took_ms} ms");
        prop_assert!(pair.states().iter().all(|change| change.current != State::Reconnecting));
        prop_assert_eq!(pair.shown(), vec![id]);
    }
}

#[test]
fn a_client_that_only_looks_on_notices_as_well() {
    let mut pair = Pair::showing(12, conversation(1));
    pair.set(A, Node::Swallowed);
    pair.promote_b();
    assert!(pair.until(10_000, |pair| at(pair, B)) <= 4_500);
}

#[test]
fn a_node_that_was_only_slow_keeps_its_session() {
    let room = conversation(1);
    let mut pair = Pair::showing(13, room);
    pair.set(A, Node::Mute);
    pair.say(room, "slow");
    pair.pass(2_500);
    pair.set(A, Node::Primary);
    let asked = pair.dialed.iter().filter(|(_, endpoint)| endpoint == B).count();
    assert!((3..=20).contains(&asked), "the other node was asked {asked} times");
    pair.pass(10_000);
    assert!(at(&pair, A) && accepted(&pair));
    assert_eq!(pair.states().iter().filter(|change| change.current != State::Connecting).count(), 1);
}

#[test]
fn a_session_taken_by_an_abandoned_hello_to_the_other_node_is_taken_back_once() {
    let mut pair = Pair::new(14, &[A, B]);
    pair.set(A, Node::Mute);
    pair.set(B, Node::Primary);
    pair.input(Input::Connect);
    pair.until(4_000, |pair| at(pair, B));
    pair.close(Code::REPLACED, None);
    pair.pass(3_000);
    assert!(at(&pair, B), "its own hello to the first node came late");
    pair.close(Code::REPLACED, None);
    pair.pass(3_000);
    assert_eq!(pair.machine.state(), State::Failed, "this was somebody else");
}

#[test]
fn a_refused_hello_takes_no_session_so_that_a_replaced_session_is_replaced() {
    let mut pair = Pair::new(15, &[B, A]);
    pair.input(Input::Connect);
    pair.until(1_000, |pair| at(pair, A));
    pair.close(Code::REPLACED, None);
    pair.pass(3_000);
    assert_eq!(pair.machine.state(), State::Failed);
}

#[test]
fn a_planned_switchover_shows_neither_a_gap_nor_an_error() {
    let room = conversation(1);
    let mut pair = Pair::showing(16, room);
    pair.peers = vec![B.into()];
    pair.drain(Some(B));
    pair.promote_b();
    let id = pair.say(room, "on the way");
    pair.until(1_000, |pair| at(pair, B));
    pair.until(500, accepted);
    assert_eq!((pair.logged(room), pair.shown()), (vec![id], vec![id]));
    assert!(pair.states().iter().all(|change| change.code.is_none()));
    assert!(!pair.names().contains(&"error"));
}

#[test]
fn the_peers_of_a_welcome_are_known_to_the_next_process() {
    let mut pair = Pair::new(17, &[A]);
    pair.peers = vec![B.into(), A.into(), "evil.example.net:1".into()];
    pair.input(Input::Connect);
    pair.until(1_000, |pair| at(pair, A));
    let session = pair.session.clone();
    assert_eq!(session.as_ref().map(|session| session.peers.clone()), Some(vec![B.to_owned(), A.to_owned()]));
    let mut next = Pair::new(18, &[A]);
    next.server.session_lives = true;
    next.set(A, Node::Gone);
    next.set(B, Node::Primary);
    next.input(Input::Restore(Saved { session, outbox: vec![] }));
    next.input(Input::Connect);
    assert!(next.until(1_000, |pair| at(pair, B)) <= 100);
    assert!(next.states().last().is_some_and(|change| change.resumed));
}

#[test]
fn presence_and_typing_do_not_flicker_over_a_failover() {
    let room = conversation(1);
    let mut pair = Pair::showing(19, room);
    let user = UserId::parse(OTHER).unwrap();
    let presence = |version| {
        Delivery::Presence(Presence {
            user: UserId::parse(OTHER).unwrap(),
            availability: Availability::Online,
            connectivity: Connectivity::Connected,
            last_seen_ms: 1,
            version,
        })
    };
    pair.tell(presence(5));
    pair.tell(Delivery::Typing(TypingState { conversation: room, user, version: 9, ttl_ms: 6_000 }));
    pair.pass(50);
    pair.set(A, Node::Standby(None));
    pair.promote_b();
    pair.events.retain(|event| matches!(event, Event::StateChanged(_)));
    pair.close(Code::NOT_PRIMARY, None);
    pair.until(1_000, |pair| at(pair, B));
    pair.pass(500);
    let told = pair.names();
    assert!(!told.contains(&"typing.stopped") && !told.contains(&"presence.updated"), "{told:?}");
    pair.pass(6_000);
    assert!(pair.names().contains(&"typing.stopped"), "it ends in its time all the same");
}

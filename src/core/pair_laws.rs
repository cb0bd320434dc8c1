//! Laws of a pair, one rule each; the simulator has the storms.

use super::{
    Cfg, ConnectionId, Lane, PairOrder, Role, Side,
    pair_rig::Pair,
    rig::{CONVERSATION, closed, open, publish, told, welcome},
};
use duet_protocol::{
    Code, Command, Delivery, UserId,
    command::{CreateConversation, Start, WatchPresence},
    delivery::{Connectivity, ConversationKind, Published},
};

const A: usize = 0;
const B: usize = 1;
const CLIENT: ConnectionId = ConnectionId(1);

fn chat(pair: &mut Pair, at: usize) {
    pair.hello(at, CLIENT, "ann");
    assert!(welcome(&pair.take_told(at)).is_some(), "welcome on {at}");
    let (conversation, kind, members) = (CONVERSATION, ConversationKind::Group, Vec::new());
    let create = CreateConversation { request: 1, conversation, kind, subject: None, members };
    pair.say(at, CLIENT, Lane::CONTROL, Command::CreateConversation(create));
    pair.say(at, CLIENT, Lane(1), open(CONVERSATION, Start::Latest(0)));
    pair.take_told(at);
}

fn acknowledged(pair: &mut Pair, at: usize) -> Vec<Published> {
    let sent = |frame| match frame {
        Delivery::Published(published) => Some(published),
        _ => None,
    };
    told(&pair.take_told(at)).into_iter().filter_map(sent).collect()
}

fn holder(pair: &Pair) -> Cfg {
    pair.register.expect("a register with a value")
}

#[test]
fn side_a_begins_and_takes_its_peer_in_when_it_has_everything() {
    let mut pair = Pair::with(|config| config);
    pair.start(B);
    pair.pass(3_000);
    assert_eq!(pair.role(B), Role::Joining, "b never begins a pair");
    pair.start(A);
    pair.pass(400);
    assert_eq!(pair.role(A), Role::Primary { epoch: 1, in_sync: true, serving: true });
    assert_eq!(pair.role(B), Role::Standby { epoch: 1, in_sync: true, primary: Side::A });
    assert_eq!(pair.nodes[A].log, pair.nodes[B].log);
}

#[test]
fn a_message_is_acknowledged_when_both_disks_have_it_and_says_so() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.nodes[B].slow = true;
    pair.say(A, CLIENT, Lane(1), publish(1));
    assert!(acknowledged(&mut pair, A).is_empty(), "b's disk does not have it");
    pair.finish_disk(B);
    let sent = acknowledged(&mut pair, A);
    assert!(matches!(&sent[..], [sent] if sent.replicas == 2), "{sent:?}");
    pair.nodes[A].slow = true;
    pair.say(A, CLIENT, Lane(1), publish(2));
    assert!(acknowledged(&mut pair, A).is_empty(), "a's disk does not have it");
    pair.finish_disk(A);
    assert_eq!(acknowledged(&mut pair, A).len(), 1);
}

#[test]
fn a_dead_standby_is_left_behind_and_every_acknowledgement_says_so() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.kill(B);
    pair.say(A, CLIENT, Lane(1), publish(1));
    pair.pass(700);
    assert!(acknowledged(&mut pair, A).is_empty(), "b may still be alive");
    pair.pass(800);
    let sent = acknowledged(&mut pair, A);
    assert!(matches!(&sent[..], [sent] if sent.replicas == 1), "{sent:?}");
    assert_eq!(holder(&pair).in_sync.b, None);
    pair.start(B);
    pair.pass(500);
    assert_eq!(pair.role(B), Role::Standby { epoch: 1, in_sync: true, primary: Side::A });
    pair.say(A, CLIENT, Lane(1), publish(2));
    assert_eq!(acknowledged(&mut pair, A)[0].replicas, 2);
}

#[test]
fn a_standby_follows_a_dead_primary_with_everything_that_was_acknowledged() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.say(A, CLIENT, Lane(1), publish(1));
    assert_eq!(acknowledged(&mut pair, A).len(), 1);
    pair.kill(A);
    pair.pass(1_800);
    assert_eq!(pair.role(B), Role::Primary { epoch: 2, in_sync: false, serving: true });
    pair.hello(B, CLIENT, "ann");
    pair.say(B, CLIENT, Lane(1), open(CONVERSATION, Start::Latest(0)));
    pair.take_told(B);
    pair.say(B, CLIENT, Lane(1), publish(1));
    let sent = acknowledged(&mut pair, B);
    assert!(matches!(&sent[..], [sent] if sent.duplicate && sent.replicas == 1), "{sent:?}");
    pair.start(A);
    pair.pass(600);
    assert_eq!(pair.role(A), Role::Standby { epoch: 2, in_sync: true, primary: Side::B });
    assert_eq!(pair.nodes[A].log, pair.nodes[B].log);
}

#[test]
fn a_primary_that_is_cut_off_stops_serving_before_its_peer_begins() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    // Neither node hears the other, and nobody reaches the arbiter.
    pair.set_link(false);
    pair.arbiter = false;
    pair.pass(1_100);
    assert!(matches!(pair.role(A), Role::Primary { serving: false, .. }), "{:?}", pair.role(A));
    assert!(pair.core(A).is_saturated(), "commands wait for a moment: the lease may be renewed");
    pair.pass(300);
    assert_eq!(closed(&pair.take_told(A), CLIENT), Some(Code::NOT_PRIMARY));
    assert!(!pair.core(A).is_saturated(), "whoever comes now is taken, to be sent on");
    pair.hello(A, ConnectionId(2), "bob");
    pair.pass(300);
    assert_eq!(closed(&pair.take_told(A), ConnectionId(2)), Some(Code::NOT_PRIMARY));
}

#[test]
fn what_was_never_acknowledged_is_taken_back_when_the_old_primary_follows() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.link = false;
    pair.say(A, CLIENT, Lane(1), publish(1));
    assert!(acknowledged(&mut pair, A).is_empty());
    pair.kill(A);
    let lost = pair.nodes[A].log.len();
    pair.pass(2_000);
    assert!(pair.nodes[B].log.len() <= lost, "b has less or replaced it");
    pair.link = true;
    pair.start(A);
    pair.pass(1_000);
    assert_eq!(pair.nodes[A].log, pair.nodes[B].log);
    assert_eq!(pair.role(A), Role::Standby { epoch: 2, in_sync: true, primary: Side::B });
}

#[test]
fn a_switchover_hands_over_everything_and_both_stay_in_sync() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.say(A, CLIENT, Lane(1), publish(1));
    let order = PairOrder::Switchover;
    pair.tell(A, super::Input::Pair(super::PairFact::Operator { request: 7, order }));
    pair.pass(200);
    assert_eq!(pair.role(B), Role::Primary { epoch: 2, in_sync: true, serving: true });
    assert_eq!(pair.role(A), Role::Standby { epoch: 2, in_sync: true, primary: Side::B });
    let effects = pair.take_told(A);
    assert_eq!(closed(&effects, CLIENT), Some(Code::NOT_PRIMARY));
    let done = super::PairEffect::Told { request: 7, result: Ok(()) };
    assert!(effects.contains(&super::Effect::Pair(done)), "{effects:?}");
    chat_again(&mut pair, B);
}

fn chat_again(pair: &mut Pair, at: usize) {
    pair.hello(at, CLIENT, "ann");
    pair.say(at, CLIENT, Lane(1), open(CONVERSATION, Start::Latest(0)));
    pair.take_told(at);
    pair.say(at, CLIENT, Lane(1), publish(9));
    let sent = acknowledged(pair, at);
    assert!(matches!(&sent[..], [sent] if sent.replicas == 2), "{sent:?}");
}

#[test]
fn a_restarted_primary_takes_a_new_epoch() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.kill(A);
    pair.start(A);
    pair.pass(500);
    assert_eq!(pair.role(A), Role::Primary { epoch: 2, in_sync: true, serving: true });
    chat_again(&mut pair, A);
}

#[test]
fn without_an_arbiter_nobody_promotes_itself_and_an_operator_can() {
    let mut pair = Pair::with(|config| super::PairConfig { automatic: false, ..config });
    pair.start(A);
    pair.pass(2_000);
    assert_eq!(pair.role(A), Role::Joining, "the peer has to be heard first");
    pair.start(B);
    pair.pass(500);
    assert_eq!(pair.role(A), Role::Primary { epoch: 1, in_sync: true, serving: true });
    chat(&mut pair, A);
    pair.kill(A);
    pair.pass(10_000);
    assert!(matches!(pair.role(B), Role::Standby { .. }));
    let mut promote = |accept_data_loss| {
        let order = PairOrder::Promote { accept_data_loss };
        pair.tell(B, super::Input::Pair(super::PairFact::Operator { request: 1, order }));
        pair.pass(300);
        pair.take_told(B)
    };
    let refused = super::PairEffect::Told { request: 1, result: Err(super::OrderRefused::MayLoseData) };
    assert!(promote(false).contains(&super::Effect::Pair(refused)));
    promote(true);
    assert!(matches!(pair.role(B), Role::Primary { epoch: 2.., serving: true, .. }));
}

#[test]
fn under_block_nothing_is_acknowledged_alone_and_whoever_waits_is_answered() {
    let block = |config| super::PairConfig { policy: super::Policy::Block, automatic: false, ..config };
    let mut pair = Pair::with(block);
    pair.start(A);
    pair.start(B);
    pair.pass(1_000);
    chat(&mut pair, A);
    pair.kill(B);
    pair.say(A, CLIENT, Lane(1), publish(1));
    pair.pass(6_000);
    let answers = told(&pair.take_told(A));
    assert!(matches!(&answers[..], [Delivery::Refused(no)] if no.code == Code::READ_ONLY), "{answers:?}");
    pair.say(A, CLIENT, Lane(1), publish(2));
    let answers = told(&pair.take_told(A));
    assert!(matches!(&answers[..], [Delivery::Refused(no)] if no.code.retryable()), "{answers:?}");
    pair.start(B);
    pair.pass(1_000);
    pair.take_told(A);
    pair.say(A, CLIENT, Lane(1), publish(2));
    let sent = acknowledged(&mut pair, A);
    assert!(matches!(&sent[..], [sent] if sent.replicas == 2), "{sent:?}");
}

#[test]
fn a_standby_that_stops_on_purpose_is_left_behind_at_once() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    pair.tell(B, super::Input::Pair(super::PairFact::Stopping));
    pair.pass(60);
    pair.kill(B);
    pair.say(A, CLIENT, Lane(1), publish(1));
    pair.pass(60);
    let sent = acknowledged(&mut pair, A);
    assert!(matches!(&sent[..], [sent] if sent.replicas == 1), "{sent:?}");
}

#[test]
fn nothing_is_handed_over_to_a_peer_that_stops() {
    let mut pair = Pair::in_sync();
    pair.tell(B, super::Input::Pair(super::PairFact::Stopping));
    let order = PairOrder::Switchover;
    pair.tell(A, super::Input::Pair(super::PairFact::Operator { request: 3, order }));
    let refused = super::PairEffect::Told { request: 3, result: Err(super::OrderRefused::PeerNotInSync) };
    assert!(pair.take_told(A).contains(&super::Effect::Pair(refused)));
    pair.pass(200);
    assert!(
        matches!(pair.role(A), Role::Primary { in_sync: false, serving: true, .. }),
        "{:?}",
        pair.role(A)
    );
}

#[test]
fn a_primary_whose_disk_was_put_back_to_an_old_copy_lets_its_peer_reign() {
    let mut pair = Pair::in_sync();
    chat(&mut pair, A);
    let old = pair.nodes[A].log.clone();
    (1..5).for_each(|n| pair.say(A, CLIENT, Lane(1), publish(n)));
    assert_eq!(acknowledged(&mut pair, A).len(), 4);
    pair.pass(200);
    pair.kill(A);
    pair.nodes[A].log = old;
    pair.start(A);
    pair.pass(3_000);
    assert!(matches!(pair.role(B), Role::Primary { serving: true, .. }), "{:?}", pair.role(B));
    assert!(matches!(pair.role(A), Role::Standby { in_sync: true, .. }), "{:?}", pair.role(A));
    assert_eq!(pair.nodes[A].log, pair.nodes[B].log);
    chat_again(&mut pair, B);
}

fn presences(pair: &mut Pair, at: usize) -> Vec<(String, Connectivity)> {
    let shown = |frame| match frame {
        Delivery::Presence(shown) => Some((shown.user.as_str().to_owned(), shown.connectivity)),
        _ => None,
    };
    told(&pair.take_told(at)).into_iter().filter_map(shown).collect()
}

#[test]
fn nobody_goes_offline_because_of_a_failover() {
    let mut pair = Pair::in_sync();
    for (connection, user) in [(1, "ann"), (2, "bob"), (3, "cy")] {
        pair.hello(A, ConnectionId(connection), user);
    }
    pair.kill(A);
    pair.pass(1_800);
    pair.hello(B, CLIENT, "ann");
    pair.take_told(B);
    let users = ["bob", "cy"].map(|user| UserId::parse(user).expect("a name")).to_vec();
    pair.say(B, CLIENT, Lane::CONTROL, Command::WatchPresence(WatchPresence { request: 2, users }));
    let expected = |user: &str| (user.to_owned(), Connectivity::Reconnecting);
    assert_eq!(presences(&mut pair, B), [expected("bob"), expected("cy")]);
    pair.pass(10_000);
    assert_eq!(presences(&mut pair, B), [], "they are held");
    pair.hello(B, ConnectionId(2), "bob");
    assert_eq!(presences(&mut pair, B), [("bob".to_owned(), Connectivity::Connected)]);
    pair.pass(25_000);
    assert_eq!(presences(&mut pair, B), [("cy".to_owned(), Connectivity::Offline)], "cy never came back");
}

//! Laws of sessions: coming back, tokens that end, grace, too many devices, and positions in a log that changed.

use super::{
    ConnectionId, CoreConfig, Effect, Input, Lane, Record,
    rig::{AGENT, CONVERSATION, NOW_MS, Node, VISITOR, closed, identity, open, publish, told, welcome},
};
use duet_protocol::{
    Code, Command, Delivery, Position, Resumed, UserId,
    command::{Close, Goodbye, Ping, Start, WatchPresence},
    delivery::{Connectivity, Opened},
    hello::Role,
};

const GRACE_MS: u64 = 30_000;
const WINDOW_MS: u64 = 120_000;
const TTL_MS: u64 = 24 * 3_600_000;
const FIRST: ConnectionId = ConnectionId(10);
const SECOND: ConnectionId = ConnectionId(11);

#[test]
fn who_drops_is_reconnecting_for_the_grace_and_then_offline() {
    let mut node = Node::with_a_conversation();
    assert_eq!(watch(&mut node, "vera"), Connectivity::Connected);
    node.pass(1_000);
    let effects = node.tell(Input::Disconnected { connection: VISITOR });
    assert_eq!(seen(&effects), [Connectivity::Reconnecting]);
    assert!(seen(&node.pass(GRACE_MS - 1)).is_empty(), "not yet");
    assert_eq!(seen(&node.pass(1)), [Connectivity::Offline]);
}

#[test]
fn who_comes_back_within_the_grace_was_never_offline() {
    let mut node = Node::with_a_conversation();
    let resume = welcome(&node.hello(FIRST, "mia", Role::Visitor)).expect("a welcome").resume;
    watch(&mut node, "mia");
    node.pass(1_000);
    node.tell(Input::Disconnected { connection: FIRST });
    node.pass(GRACE_MS - 1);
    let effects = node.greet(SECOND, None, Some(resume.clone()), "device");
    assert_eq!(seen(&effects), [Connectivity::Connected]);
    node.pass(1_000);
    assert_eq!(seen(&node.tell(Input::Disconnected { connection: SECOND })), [Connectivity::Reconnecting]);
    assert!(seen(&node.pass(GRACE_MS - 1)).is_empty(), "the grace counts from the last drop");
    assert_eq!(seen(&node.pass(1)), [Connectivity::Offline]);
    let effects = node.greet(FIRST, None, Some(resume), "device");
    assert_eq!(welcome(&effects).map(|welcome| welcome.resumed), Some(Resumed::Full), "offline, not gone");
}

#[test]
fn goodbye_skips_the_grace_and_another_device_keeps_the_user_there() {
    let mut node = Node::with_a_conversation();
    node.hello(FIRST, "mia", Role::Visitor);
    node.hello(SECOND, "mia", Role::Visitor);
    watch(&mut node, "mia");
    node.pass(1_000);
    let leave = |node: &mut Node, id| seen(&node.say(id, Lane::CONTROL, Command::Goodbye(Goodbye {})));
    assert!(leave(&mut node, FIRST).is_empty(), "the other device is still there");
    assert_eq!(leave(&mut node, SECOND), [Connectivity::Offline]);
}

#[test]
fn an_ended_token_stops_commands_at_once_and_the_connection_after_the_window() {
    let mut node = Node::with_a_conversation();
    let (ends_ms, device) = (NOW_MS + 60_000, "device");
    node.greet(FIRST, Some(identity("vera", Role::Visitor, ends_ms)), None, device);
    node.say(FIRST, Lane(1), open(CONVERSATION, Start::Latest(0)));
    assert!(matches!(told(&node.pass(59_999))[..], []));
    let answer = |node: &mut Node, command| told(&node.say(FIRST, Lane(1), command)).remove(0);
    assert!(matches!(answer(&mut node, publish(1)), Delivery::Published(_) | Delivery::Event(_)));
    node.pass(1);
    assert!(matches!(answer(&mut node, publish(2)), Delivery::Refused(no) if no.code == Code::TOKEN_EXPIRED));
    let pong = told(&node.say(FIRST, Lane::CONTROL, Command::Ping(Ping { nonce: 1 })));
    assert!(matches!(&pong[..], [Delivery::Pong(_)]), "a ping is answered");
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let effects = node.say(VISITOR, Lane(1), publish(3));
    let reaches = |effect: &Effect| matches!(effect, Effect::Deliver { targets, .. } if targets.iter().any(|t| t.connection == FIRST));
    assert!(effects.iter().any(reaches), "what it has subscribed to goes on");
    assert!(matches!(answer(&mut node, Command::Close(Close {})), Delivery::Unsubscribed(_)));
    assert_eq!(closed(&node.pass(WINDOW_MS - 1), FIRST), None);
    assert_eq!(closed(&node.pass(1), FIRST), Some(Code::INVALID_TOKEN));
}

#[test]
fn a_fresh_token_counts_for_the_connection_and_for_every_resume_after_it() {
    let mut node = Node::with_a_conversation();
    let ends_ms = NOW_MS + 60_000;
    let mine = |expires_ms| identity("vera", Role::Visitor, expires_ms);
    let resume = welcome(&node.greet(FIRST, Some(mine(ends_ms)), None, "device")).expect("a welcome").resume;
    let later_ms = ends_ms + 10 * WINDOW_MS;
    node.tell(Input::Reauthenticated { connection: FIRST, request: 1, identity: mine(later_ms) });
    assert_eq!(closed(&node.pass(60_000 + WINDOW_MS), FIRST), None, "the old token's end is past");
    node.tell(Input::Disconnected { connection: FIRST });
    let effects = node.greet(SECOND, None, Some(resume.clone()), "device");
    assert_eq!(welcome(&effects).map(|welcome| welcome.token_expires_ms), Some(later_ms));
    assert_eq!(closed(&node.pass(1), SECOND), None);

    let last_ms = later_ms + WINDOW_MS;
    node.greet(FIRST, Some(mine(last_ms)), Some(resume.clone()), "device");
    let mut node = Node::with(CoreConfig::default(), node.log);
    node.now_ms = later_ms + 1;
    let effects = node.greet(SECOND, None, Some(resume.clone()), "device");
    assert_eq!(welcome(&effects).map(|w| w.token_expires_ms), Some(last_ms), "also after a restart");
    node.greet(FIRST, Some(mine(last_ms - 1)), Some(resume.clone()), "device");
    let effects = node.greet(SECOND, None, Some(resume), "device");
    assert_eq!(welcome(&effects).map(|w| w.token_expires_ms), Some(last_ms), "an older token takes nothing");
}

#[test]
fn one_session_too_many_takes_the_place_of_the_same_devices_oldest_connection() {
    let mut node = Node::with(CoreConfig { user_sessions_max: 3, ..CoreConfig::default() }, Vec::new());
    let come = |node: &mut Node, id, device: &str| {
        node.greet(ConnectionId(id), Some(identity("vera", Role::Visitor, 0)), None, device)
    };
    for (id, device) in [(1, "phone"), (2, "desk"), (3, "desk")] {
        assert!(welcome(&come(&mut node, id, device)).is_some());
    }
    let effects = come(&mut node, 4, "desk");
    assert!(welcome(&effects).is_some(), "the client's own dead connection is in the way, not another's");
    assert_eq!(closed(&effects, ConnectionId(2)), Some(Code::CONNECTION_LIMIT));
    let effects = come(&mut node, 5, "tablet");
    assert_eq!(closed(&effects, ConnectionId(5)), Some(Code::CONNECTION_LIMIT), "everyone else is there");
    node.tell(Input::Disconnected { connection: ConnectionId(1) });
    let effects = come(&mut node, 6, "desk");
    assert!(
        welcome(&effects).is_some() && closed(&effects, ConnectionId(3)).is_none(),
        "who is gone goes first"
    );
    assert_eq!(node.core.state().sessions.len(), 3);
}

#[test]
fn a_client_that_comes_and_goes_all_day_leaves_no_pile_of_timers() {
    let mut node = Node::new();
    let mine = identity("vera", Role::Visitor, NOW_MS + TTL_MS);
    let resume = welcome(&node.greet(FIRST, Some(mine.clone()), None, "device")).expect("a welcome").resume;
    for n in 0..1_000 {
        let id = ConnectionId(100 + n);
        node.greet(id, Some(mine.clone()), Some(resume.clone()), "device");
        node.tell(Input::Disconnected { connection: id });
        node.greet(ConnectionId(5_000 + n), Some(mine.clone()), None, "device");
        node.say(ConnectionId(5_000 + n), Lane::CONTROL, Command::Goodbye(Goodbye {}));
    }
    assert!(node.core.timers.len() < 10, "{} timers", node.core.timers.len());
    node.pass(TTL_MS);
    assert!(node.core.state().sessions.is_empty(), "the session ended when its time had come");
}

#[test]
fn a_position_of_a_reign_that_numbered_its_events_otherwise_is_told_as_a_loss() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let shared = node.log.len();
    for n in 0..10 {
        node.say(VISITOR, Lane(1), publish(n));
    }
    // Another node goes on from a log that lacks those messages, under the next epoch, and has others in their place.
    let mut other = Node::with(CoreConfig::default(), node.log[..shared].to_vec());
    assert_eq!(other.core.state().tip.epoch, 2);
    other.hello(VISITOR, "vera", Role::Visitor);
    other.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    for n in 100..120 {
        other.say(VISITOR, Lane(1), publish(n));
    }
    let begin = first_seq_of(&node);
    let mut from = |epoch, seq| {
        let start = Start::After(Position { epoch, seq });
        opened(&other.say(VISITOR, Lane(2), open(CONVERSATION, start)), &mut other)
    };
    for (epoch, seq, complete) in [
        (1, begin - 1, true),
        (1, begin, false),
        (1, begin + 9, false),
        (2, begin + 9, true),
        (3, begin, false),
        (0, begin - 1, false),
        (0, 0, true),
        (2, begin + 1_000, false),
    ] {
        let opened = from(epoch, seq);
        assert_eq!(opened.complete, complete, "after epoch {epoch}, seq {seq}: {opened:?}");
        assert!(!complete || opened.after == seq);
    }
}

#[test]
fn a_position_before_the_first_event_that_is_kept_is_told_as_a_loss_and_the_one_right_before_it_is_not() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    for n in 0..10 {
        node.say(VISITOR, Lane(1), publish(n));
    }
    let state = node.core.state();
    let head = &state.conversations.values().next().expect("the conversation").head;
    let has = |seq, first_seq| node.core.has(head, Position { epoch: 1, seq }, first_seq);
    assert!(has(0, 1) && has(5, 1) && has(head.seq, 1), "everything is kept");
    for (seq, whole) in [(0, false), (3, false), (4, true), (5, true)] {
        assert_eq!(has(seq, 5), whole, "after {seq}, when 5 is the first that is kept");
    }
    assert!(!has(u64::MAX - 1, 5), "nor is what never was");
}

/// Watches a user as the agent; how they are now.
fn watch(node: &mut Node, user: &str) -> Connectivity {
    let users = vec![UserId::parse(user).expect("a name")];
    let watch = Command::WatchPresence(WatchPresence { request: 1, users });
    *seen(&node.say(AGENT, Lane::CONTROL, watch)).last().expect("the present state")
}

/// What is told of a user's connectivity.
fn seen(effects: &[Effect]) -> Vec<Connectivity> {
    let presence = told(effects).into_iter().filter_map(|frame| match frame {
        Delivery::Presence(presence) => Some(presence.connectivity),
        _ => None,
    });
    presence.collect()
}

/// What an `Open` was answered; its lane is closed again.
fn opened(effects: &[Effect], node: &mut Node) -> Opened {
    node.tell(Input::LaneClosed { connection: VISITOR, lane: Lane(2) });
    match told(effects).into_iter().next() {
        Some(Delivery::Opened(opened)) => opened,
        other => panic!("not opened: {other:?}"),
    }
}

/// The seq of the first message.
fn first_seq_of(node: &Node) -> u64 {
    let records = node.log.iter().map(|bytes| super::Entry::decode(bytes).expect("an entry").record);
    let mut messages = records.filter_map(|record| match record {
        Record::MessagePublished { seq, .. } => Some(seq),
        _ => None,
    });
    messages.next().expect("a message")
}

//! Laws of a full disk: reading goes on, and nobody waits for ever.

use super::{
    ConnectionId, Effect, Input, Lane,
    full_disk::ANSWER_WITHIN_MS,
    rig::{AGENT, CONVERSATION, Node, VISITOR, closed, identity, open, publish, told, welcome},
};
use duet_protocol::{
    Code, Command, Delivery, Resumed, Subject,
    command::{Assign, HistoryRequest, Page, Start, WatchInbox},
    delivery::ConversationKind,
    hello::Role,
};

#[test]
fn a_message_taken_when_the_disk_fills_is_answered_in_time_and_stored_once() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    node.full = true;
    assert!(told(&node.say(VISITOR, Lane(1), publish(1))).is_empty(), "nothing is promised yet");
    node.tell(Input::ReadOnly(true));
    let answers = told(&node.pass(ANSWER_WITHIN_MS));
    let Command::Publish(message) = publish(1) else { unreachable!() };
    let [Delivery::Refused(refusal)] = &answers[..] else { panic!("one answer: {answers:?}") };
    assert_eq!((refusal.code, refusal.subject), (Code::READ_ONLY, Subject::Message(message.id)));
    assert!(refusal.code.retryable() && refusal.retry_after_ms > 0);

    assert!(told(&node.say(VISITOR, Lane(1), publish(1))).is_empty(), "sent again, as it was told");
    let again = told(&node.pass(ANSWER_WITHIN_MS));
    assert!(matches!(&again[..], [Delivery::Refused(no)] if no.code == Code::READ_ONLY), "{again:?}");
    let told_later = told(&node.fill_up(false));
    let events = told_later.iter().filter(|frame| matches!(frame, Delivery::Event(_))).count();
    assert_eq!(events, 1, "it became durable after all: {told_later:?}");
    let answers = told(&node.say(VISITOR, Lane(1), publish(1)));
    assert!(matches!(&answers[..], [Delivery::Published(sent)] if sent.duplicate), "{answers:?}");
}

#[test]
fn commands_that_wait_for_a_full_disk_are_answered_in_time() {
    let mut node = Node::with_a_conversation();
    node.full = true;
    let assign = Assign { request: 7, conversation: CONVERSATION, agent: None };
    node.say(AGENT, Lane::CONTROL, Command::Assign(assign.clone()));
    node.say(AGENT, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let page = Page::Before(u64::MAX);
    let history = HistoryRequest { request: 8, conversation: CONVERSATION, page, limit: 10 };
    node.say(AGENT, Lane(2), Command::HistoryRequest(history));
    node.tell(Input::ReadOnly(true));
    let effects = node.pass(ANSWER_WITHIN_MS);
    let refused: Vec<_> = told(&effects)
        .into_iter()
        .map(|frame| match frame {
            Delivery::Refused(refusal) => (refusal.subject, refusal.code),
            other => panic!("not a refusal: {other:?}"),
        })
        .collect();
    let expected = [
        (Subject::Request(7), Code::READ_ONLY),
        (Subject::Lane, Code::UNAVAILABLE),
        (Subject::Request(8), Code::UNAVAILABLE),
    ];
    assert_eq!(refused, expected);
    assert!(effects.contains(&Effect::CloseLane { connection: AGENT, lane: Lane(1) }), "its lane is over");
    assert!(told(&node.say(AGENT, Lane::CONTROL, Command::Assign(assign))).is_empty());
    assert!(!told(&node.pass(ANSWER_WITHIN_MS)).is_empty(), "and so is whoever asks again");
}

#[test]
fn a_session_resumes_on_a_full_disk_and_reads_what_is_stored() {
    let mut node = Node::with_a_conversation();
    let other = duet_protocol::ConversationId([8; 16]);
    node.create(VISITOR, other, ConversationKind::Support, &[]);
    let resume = {
        let reader = ConnectionId(3);
        let resume = welcome(&node.hello(reader, "vera", Role::Visitor)).expect("a welcome").resume;
        node.tell(Input::Disconnected { connection: reader });
        resume
    };
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    node.full = true;
    node.say(VISITOR, Lane(1), publish(1));
    node.tell(Input::ReadOnly(true));
    let back = ConnectionId(4);
    let effects = node.greet(back, None, Some(resume), "device");
    assert_eq!(welcome(&effects).map(|welcome| welcome.resumed), Some(Resumed::Full), "at once");
    let frames = told(&node.say(back, Lane(1), open(other, Start::Latest(0))));
    assert!(matches!(&frames[..], [Delivery::Opened(_), Delivery::CaughtUp(_)]), "{frames:?}");
    let frames = told(&node.say(back, Lane(1), publish(2)));
    assert!(matches!(&frames[..], [Delivery::Refused(no)] if no.code == Code::READ_ONLY), "{frames:?}");
    let frames =
        told(&node.say(back, Lane::CONTROL, Command::WatchInbox(WatchInbox { request: 1, on: true })));
    let listed = frames.iter().filter(|frame| matches!(frame, Delivery::InboxEntry(_))).count();
    assert_eq!(listed, 1, "what is stored whole is listed: {frames:?}");
}

#[test]
fn a_reader_who_comes_anew_is_let_in_on_a_full_disk_and_nothing_is_written_for_them() {
    let mut node = Node::with_a_conversation();
    node.fill_up(true);
    let (log, reader) = (node.log.len(), ConnectionId(3));
    let effects = node.hello(reader, "vera", Role::Visitor);
    let session = welcome(&effects).expect("a welcome");
    let frames = told(&node.say(reader, Lane(1), open(CONVERSATION, Start::Latest(0))));
    assert!(matches!(frames.first(), Some(Delivery::Opened(_))), "{frames:?}");
    node.tell(Input::Disconnected { connection: reader });
    assert_eq!(node.log.len(), log, "nothing was written");
    let effects = node.greet(ConnectionId(4), None, Some(session.resume.clone()), "device");
    assert_eq!(closed(&effects, ConnectionId(4)), Some(Code::INVALID_TOKEN), "it ended with its connection");
    node.fill_up(false);
    let identity = Some(identity("vera", Role::Visitor, 0));
    let effects = node.greet(ConnectionId(5), identity, Some(session.resume), "device");
    assert_eq!(welcome(&effects).map(|welcome| welcome.resumed), Some(Resumed::None));
}

#[test]
fn nobody_waits_for_the_welcome_of_a_session_that_cannot_be_stored() {
    let mut node = Node::with_a_conversation();
    node.full = true;
    let late = ConnectionId(3);
    assert_eq!(welcome(&node.hello(late, "vera", Role::Visitor)), None, "its session is not stored");
    node.tell(Input::ReadOnly(true));
    assert_eq!(closed(&node.pass(ANSWER_WITHIN_MS), late), Some(Code::OVERLOADED));
    assert!(Code::OVERLOADED.retryable());
    assert!(welcome(&node.hello(ConnectionId(4), "vera", Role::Visitor)).is_some(), "the next try succeeds");
}

#[test]
fn a_full_disk_keeps_no_command_out() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(CONVERSATION, Start::Latest(0)));
    node.full = true;
    for n in 0..=255 {
        node.say(VISITOR, Lane(1), publish(n));
    }
    node.core.config.in_flight_max = 100;
    assert!(node.core.is_saturated());
    node.tell(Input::ReadOnly(true));
    assert!(!node.core.is_saturated(), "commands are taken, to be refused");
    node.pass(ANSWER_WITHIN_MS);
    node.fill_up(false);
    assert!(!node.core.is_saturated());
}

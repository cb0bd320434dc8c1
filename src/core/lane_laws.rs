//! Laws of lanes: how they end, and what is told on them besides events; and of who gets a conversation.

use super::{
    ConnectionId, Effect, Input, Lane,
    rig::{AGENT, CONVERSATION, NOW_MS, Node, VISITOR, told},
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, UserId,
    command::{
        Assign, Close, Durability, HistoryRequest, Open, Page, Publish, Receipt, RemoveMember, SetStatus,
        Start,
    },
    delivery::Status,
    event::Content,
    hello::Role,
    signal::TypingSignal,
};

#[test]
fn a_lane_that_the_client_finishes_is_finished_by_the_server_too() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(Start::Latest(0)));
    let effects = node.tell(Input::LaneClosed { connection: VISITOR, lane: Lane(1) });
    assert_eq!(effects, [Effect::CloseLane { connection: VISITOR, lane: Lane(1) }]);
}

#[test]
fn close_ends_a_bulk_lane_like_any_other() {
    let mut node = Node::with_a_conversation();
    let page = Page::Before(u64::MAX);
    let history = HistoryRequest { request: 1, conversation: CONVERSATION, page, limit: 10 };
    node.say(VISITOR, Lane(1), Command::HistoryRequest(history));
    let effects = node.say(VISITOR, Lane(1), Command::Close(Close {}));
    assert!(
        matches!(&told(&effects)[..], [Delivery::Unsubscribed(ended)] if ended.code == Code::UNSUBSCRIBED)
    );
    assert!(effects.contains(&Effect::CloseLane { connection: VISITOR, lane: Lane(1) }));
    let effects = node.say(VISITOR, Lane(1), open(Start::Latest(0)));
    assert!(matches!(told(&effects).first(), Some(Delivery::Opened(_))), "the number is free: {effects:?}");
}

#[test]
fn a_refused_first_frame_ends_its_lane_and_frees_the_number() {
    let mut node = Node::with_a_conversation();
    let (page, unknown) = (Page::Before(u64::MAX), ConversationId([9; 16]));
    let history = HistoryRequest { request: 1, conversation: unknown, page, limit: 10 };
    for (lane, limit) in [(Lane(1), 10), (Lane(2), 0)] {
        let effects = node.say(VISITOR, lane, Command::HistoryRequest(HistoryRequest { limit, ..history }));
        assert!(matches!(&told(&effects)[..], [Delivery::Refused(_)]), "{effects:?}");
        assert!(effects.contains(&Effect::CloseLane { connection: VISITOR, lane }));
        let effects = node.say(VISITOR, lane, open(Start::Latest(0)));
        assert!(
            matches!(told(&effects).first(), Some(Delivery::Opened(_))),
            "the number is free: {effects:?}"
        );
    }
}

#[test]
fn an_answer_that_was_still_owed_does_not_follow_the_end_of_its_lane() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(Start::Latest(0)));
    let (id, durability) = (ClientMessageId::new(NOW_MS, [1; 10]), Durability::Accepted);
    let publish = Publish { id, content: Content::text("Hello"), reply_to: None, durability };
    let say = |node: &mut Node, command| {
        node.core.handle(NOW_MS, Input::Command { connection: VISITOR, lane: Lane(1), command });
    };
    say(&mut node, Command::Publish(publish));
    say(&mut node, Command::Close(Close {}));
    say(&mut node, open(Start::Latest(0)));
    let told = told(&node.settle());
    let last = told.iter().position(|frame| matches!(frame, Delivery::Unsubscribed(_))).expect("the end");
    assert!(!told[last..].iter().any(|frame| matches!(frame, Delivery::Published(_))), "{told:?}");
    assert!(told[last..].iter().any(|frame| matches!(frame, Delivery::Opened(_))), "{told:?}");
}

#[test]
fn an_ephemeral_message_is_acknowledged_without_a_position() {
    let mut node = Node::with_a_conversation();
    node.say(VISITOR, Lane(1), open(Start::Latest(0)));
    let (id, durability) = (ClientMessageId::new(NOW_MS, [1; 10]), Durability::Ephemeral);
    let publish = Publish { id, content: Content::text("42 %"), reply_to: None, durability };
    let effects = node.say(VISITOR, Lane(1), Command::Publish(publish));
    let told = told(&effects);
    assert!(told.iter().any(|frame| matches!(frame, Delivery::Ephemeral(_))), "{told:?}");
    let sent =
        told.iter().find_map(|frame| if let Delivery::Published(sent) = frame { Some(*sent) } else { None });
    let sent = sent.expect("an answer");
    assert_eq!((sent.id, sent.seq, sent.durability, sent.replicas), (id, 0, Durability::Ephemeral, 0));
}

#[test]
fn what_changes_while_a_backlog_is_read_is_told_once_the_client_is_level() {
    let mut node = Node::with_a_conversation();
    let assign = Assign { request: 1, conversation: CONVERSATION, agent: None };
    node.say(AGENT, Lane::CONTROL, Command::Assign(assign));
    node.say(AGENT, Lane(1), open(Start::Latest(0)));
    let effects = node.say(VISITOR, Lane(1), open(Start::Latest(500)));
    let read = effects
        .iter()
        .find_map(|effect| if let Effect::Read { read, .. } = effect { Some(*read) } else { None });
    let publish = |n| Publish {
        id: ClientMessageId::new(NOW_MS, [n; 10]),
        content: Content::text("Hello"),
        reply_to: None,
        durability: Durability::Accepted,
    };
    node.say(AGENT, Lane(1), Command::Publish(publish(1)));
    node.say(VISITOR, Lane(1), Command::Receipt(Receipt { received: 3, read: 3 }));
    let effects = node.say(AGENT, Lane(1), Command::Receipt(Receipt { received: 5, read: 5 }));
    assert!(!effects.iter().any(|effect| concerns(effect, VISITOR)), "the visitor is not level: {effects:?}");
    let rows = node.rows.iter().filter(|row| row.seq <= 4).map(|row| (row.seq, row.bytes.clone())).collect();
    let mut effects = node.tell(Input::EventsRead { read: read.expect("a read"), result: Ok(rows) });
    let rest = effects
        .iter()
        .find_map(|effect| if let Effect::Read { read, .. } = effect { Some(*read) } else { None });
    let rows = node.rows.iter().filter(|row| row.seq > 4).map(|row| (row.seq, row.bytes.clone())).collect();
    effects.extend(node.tell(Input::EventsRead { read: rest.expect("another read"), result: Ok(rows) }));
    let told = told(&effects);
    let level = told.iter().position(|frame| matches!(frame, Delivery::CaughtUp(_))).expect("CaughtUp");
    let marks = told[level..].iter().filter(|frame| matches!(frame, Delivery::ReceiptUpdated(_))).count();
    assert_eq!(marks, 2, "the watermarks of both members: {told:?}");
}

#[test]
fn of_two_agents_who_take_a_conversation_exactly_one_gets_it() {
    let mut node = Node::with_a_conversation();
    let other = ConnectionId(3);
    node.hello(other, "berta", Role::Agent);
    let assign = || Command::Assign(Assign { request: 1, conversation: CONVERSATION, agent: None });
    for agent in [AGENT, other] {
        node.core
            .handle(NOW_MS, Input::Command { connection: agent, lane: Lane::CONTROL, command: assign() });
    }
    let told = told(&node.settle());
    assert_eq!(told.iter().filter(|frame| matches!(frame, Delivery::Done(_))).count(), 1, "{told:?}");
    let refused = |frame: &&Delivery| matches!(frame, Delivery::Refused(no) if no.code == Code::CONFLICT);
    assert_eq!(told.iter().filter(refused).count(), 1, "{told:?}");
}

#[test]
fn a_closed_conversation_stays_closed_when_its_agent_leaves() {
    let mut node = Node::with_a_conversation();
    let conversation = CONVERSATION;
    node.say(AGENT, Lane::CONTROL, Command::Assign(Assign { request: 1, conversation, agent: None }));
    let closed = SetStatus { request: 2, conversation, status: Status::Closed };
    node.say(AGENT, Lane::CONTROL, Command::SetStatus(closed));
    let user = UserId::parse("adam").expect("a name");
    node.say(AGENT, Lane::CONTROL, Command::RemoveMember(RemoveMember { request: 3, conversation, user }));
    let head = &node.core.state().conversations.values().next().expect("the conversation").head;
    assert_eq!((head.status, head.assignee.as_ref()), (Status::Closed, None));
}

#[test]
fn a_stream_beyond_the_limit_is_refused_and_a_wrapped_lane_is_not() {
    let mut node = Node::with_a_conversation();
    node.core.config.limits.streams_max = 2;
    let mut open_one = |lane| told(&node.say(VISITOR, Lane(lane), open(Start::Latest(0)))).remove(0);
    for lane in 1..=10 {
        assert!(matches!(open_one(lane), Delivery::Opened(_)), "two, and eight that may be ending");
    }
    assert!(matches!(open_one(11), Delivery::Refused(no) if no.code == Code::LIMIT_REACHED));
    assert!(matches!(open_one(Lane::WRAPPED | 11), Delivery::Opened(_)));
    node.tell(Input::LaneClosed { connection: VISITOR, lane: Lane(3) });
    let effects = node.say(VISITOR, Lane(11), open(Start::Latest(0)));
    assert!(matches!(told(&effects).first(), Some(Delivery::Opened(_))), "one has ended: {effects:?}");
}

#[test]
fn typing_is_told_to_the_others_and_never_to_who_types() {
    let mut node = Node::with_a_conversation();
    let second = ConnectionId(3);
    node.hello(second, "vera", Role::Visitor);
    for connection in [VISITOR, AGENT, second] {
        node.say(connection, Lane(1), open(Start::Latest(0)));
    }
    let typing = TypingSignal { conversation: CONVERSATION, version: 1, active: true };
    let effects = node.say(VISITOR, Lane::CONTROL, Command::Typing(typing));
    let told = effects.iter().find_map(|effect| match effect {
        Effect::Signal { connections, .. } => Some(connections.clone()),
        _ => None,
    });
    assert_eq!(told, Some(vec![AGENT]), "not on another device of the same user either");
}

fn open(start: Start) -> Command {
    Command::Open(Open { conversation: CONVERSATION, start })
}

fn concerns(effect: &Effect, connection: ConnectionId) -> bool {
    match effect {
        Effect::Send { connection: to, .. } => *to == connection,
        Effect::Deliver { targets, .. } => targets.iter().any(|target| target.connection == connection),
        _ => false,
    }
}

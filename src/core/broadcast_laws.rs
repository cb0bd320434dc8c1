//! Laws of large groups: what ten thousand members cost, counted in effects.

use super::{
    ConnectionId, Effect, Lane,
    rig::{NOW_MS, Node, identity, open, told},
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, UserId,
    amend::{Amend, Change, React},
    command::{AddMembers, Durability, Publish, Receipt, Start, WatchInbox},
    delivery::ConversationKind,
    event::Content,
    hello::Role,
    ids::Emoji,
    signal::TypingSignal,
};

const NEWS: ConversationId = ConversationId([3; 16]);
const EDITOR: ConnectionId = ConnectionId(1);
const MEMBERS: u64 = 10_000;
const LISTENERS: u64 = 1_000;
const LANE: Lane = Lane(1);

#[test]
fn ten_thousand_members_cost_what_they_are_told_and_no_more() {
    let mut node = broadcast();
    assert_eq!(node.core.state().conversations.values().next().expect("one").members.len() as u64, MEMBERS);

    let effects = publish(&mut node, EDITOR, 1);
    assert_eq!(delivered(&effects), [LISTENERS as usize + 1], "one frame for everyone who listens");
    assert_eq!(effects.len(), 2, "that, and the acknowledgement: {effects:?}");
    assert!(told(&effects).iter().any(|frame| matches!(frame, Delivery::Published(_))));
    for number in 2..12 {
        publish(&mut node, EDITOR, number);
    }

    let effects = node.say(ConnectionId(100), LANE, Command::Receipt(Receipt { received: 5, read: 5 }));
    let frames: Vec<_> = told(&effects);
    assert!(
        frames.iter().all(|frame| matches!(frame, Delivery::InboxEntry(_))),
        "nobody else hears: {frames:?}"
    );
    let typing = TypingSignal { conversation: NEWS, version: 1, active: true };
    assert_eq!(node.say(ConnectionId(100), Lane::CONTROL, Command::Typing(typing)), []);

    let mut lists = std::collections::BTreeMap::new();
    let mut longest = 0;
    for _ in 0..400 {
        let effects = node.pass(10);
        let entries: Vec<_> = told(&effects)
            .into_iter()
            .filter_map(|frame| if let Delivery::InboxEntry(entry) = frame { Some(entry) } else { None })
            .collect();
        longest = longest.max(entries.len());
        for effect in &effects {
            if let Effect::Send { connection, .. } = effect {
                *lists.entry(*connection).or_insert(0) += 1;
            }
        }
        let head = node.core.state().conversations.values().next().expect("one").head.seq;
        assert!(entries.iter().all(|entry| entry.head == head), "as it is now");
    }
    assert_eq!(lists.len() as u64, LISTENERS, "everyone who has a list open");
    assert!(lists.values().all(|told| *told == 1), "eleven messages, one entry for each");
    assert!(longest <= 500, "no step is long: {longest}");
}

#[test]
fn in_a_broadcast_staff_speak_and_members_react() {
    let mut node = broadcast();
    node.serves_reads = true;
    let seq = node.core.state().conversations.values().next().expect("one").head.seq + 1;
    publish(&mut node, EDITOR, 1);
    assert_eq!(refused(&publish(&mut node, ConnectionId(100), 2)), Some(Code::FORBIDDEN));
    let change = Change::React(React { target: seq, emoji: Emoji::parse("👍").expect("one"), on: true });
    let amend = Amend { id: id(100, 3), change, durability: Durability::Accepted };
    let effects = node.say(ConnectionId(100), LANE, Command::Amend(amend));
    assert_eq!((refused(&effects), delivered(&effects)), (None, vec![LISTENERS as usize + 1]));
}

#[test]
fn a_broadcast_shows_no_members_however_few_there_are() {
    let mut node = Node::new();
    node.hello(EDITOR, "editor", Role::Agent);
    node.create(EDITOR, NEWS, ConversationKind::Broadcast, &[]);
    let effects = node.say(EDITOR, LANE, open(NEWS, Start::Latest(0)));
    let frames = told(&effects);
    let Some(Delivery::Opened(opened)) = frames.first() else { panic!("{frames:?}") };
    assert_eq!((opened.members.len(), opened.member_count), (0, 1));
}

/// An editor and ten thousand members but one; a thousand listen and watch their lists.
fn broadcast() -> Node {
    let mut node = Node::new();
    node.hello(EDITOR, "editor", Role::Agent);
    let members: Vec<_> =
        (100..100 + MEMBERS - 1).map(|number| (ConnectionId(number), name(number))).collect();
    for (connection, user) in &members {
        node.greet(*connection, Some(identity(user, Role::Visitor, 0)), None, "d");
    }
    node.create(EDITOR, NEWS, ConversationKind::Broadcast, &[]);
    for step in members.chunks(100) {
        let users = step.iter().map(|(_, user)| UserId::parse(user).expect("a name")).collect();
        let add = AddMembers { request: 1, conversation: NEWS, users };
        let effects = node.say(EDITOR, Lane::CONTROL, Command::AddMembers(add));
        assert_eq!(effects.len(), 1, "nobody listens yet; the answer: {effects:?}");
    }
    for (connection, _) in members.iter().take(LISTENERS as usize) {
        node.say(*connection, Lane::CONTROL, Command::WatchInbox(WatchInbox { request: 1, on: true }));
        node.say(*connection, LANE, open(NEWS, Start::Latest(0)));
    }
    node.say(EDITOR, LANE, open(NEWS, Start::Latest(0)));
    for _ in 0..400 {
        node.pass(10);
    }
    node
}

fn publish(node: &mut Node, connection: ConnectionId, number: u64) -> Vec<Effect> {
    let (content, durability) = (Content::text("News"), Durability::Accepted);
    let publish = Publish { id: id(connection.0, number), content, reply_to: None, durability };
    node.say(connection, LANE, Command::Publish(publish))
}

fn id(user: u64, number: u64) -> ClientMessageId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&(user * 1_000 + number).to_be_bytes());
    ClientMessageId::new(NOW_MS, random)
}

fn name(number: u64) -> String {
    format!("user-{number}")
}

/// To how many lanes each event went.
fn delivered(effects: &[Effect]) -> Vec<usize> {
    let counts = effects.iter().filter_map(|effect| match effect {
        Effect::Deliver { targets, .. } => Some(targets.len()),
        _ => None,
    });
    counts.collect()
}

fn refused(effects: &[Effect]) -> Option<Code> {
    told(effects).into_iter().find_map(|frame| match frame {
        Delivery::Refused(refusal) => Some(refusal.code),
        _ => None,
    })
}

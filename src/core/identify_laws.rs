//! Laws of a visitor who proves who they are: they keep the conversation, everywhere, once, and nobody else gets it.

use super::{
    ConnectionId, CoreConfig, Effect, Identity, Input, Lane, State,
    rig::{AGENT, CONVERSATION, NOW_MS, Node, closed, identity, open, publish, told, welcome},
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, EventBody, UserId,
    command::{CreateConversation, Receipt, Start, WatchInbox, WatchPresence},
    delivery::{Connectivity, ConversationKind},
    hello::Role,
};

const ANON: ConnectionId = ConnectionId(60);
const OTHER: ConnectionId = ConnectionId(61);
const KNOWN: ConnectionId = ConnectionId(62);
const SECOND: ConversationId = ConversationId([8; 16]);
const END_MS: u64 = NOW_MS + 3_600_000;

#[test]
fn a_visitor_who_logs_in_keeps_conversation_watermarks_session_and_open_lanes() {
    let mut node = chat();
    let resume = welcome(&node.greet(ANON, Some(anon()), None, "phone")).expect("a welcome").resume;
    node.say(ANON, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let read = Receipt { received: 3, read: 3 };
    node.say(ANON, Lane(1), Command::Receipt(read));
    let effects = identify(&mut node, ANON, vera());
    let seen: Vec<_> = told(&effects).into_iter().filter_map(named).collect();
    assert_eq!(seen, [("anon-1".to_owned(), "vera".to_owned())], "an event on the open lane");
    assert!(
        told(&effects)
            .iter()
            .any(|frame| matches!(frame, Delivery::Identified(it) if it.user == user("vera")))
    );
    let conversation = node.core.state().conversations.values().next().expect("the chat");
    assert!(!conversation.members.contains_key(&user("anon-1")));
    assert_eq!(conversation.members[&user("vera")].read, 3);
    assert_eq!(conversation.head.creator, user("vera"));
    let effects = node.say(ANON, Lane(1), publish(40));
    assert!(told(&effects).iter().any(|frame| matches!(frame, Delivery::Published(_))), "the lane goes on");
    node.tell(Input::Disconnected { connection: ANON });
    let back = welcome(&node.greet(OTHER, None, Some(resume), "phone")).expect("the session goes on");
    assert_eq!((back.user, back.token_expires_ms), (user("vera"), END_MS));
}

#[test]
fn what_was_said_before_is_recognised_when_it_is_sent_again_after() {
    let mut node = chat();
    node.greet(ANON, Some(anon()), None, "phone");
    node.say(ANON, Lane(1), open(CONVERSATION, Start::Latest(0)));
    node.say(ANON, Lane(1), publish(50));
    identify(&mut node, ANON, vera());
    let head = head(&node);
    let again = told(&node.say(ANON, Lane(1), publish(50)));
    assert!(matches!(&again[..], [Delivery::Published(it)] if it.duplicate), "{again:?}");
    assert_eq!(self::head(&node), head, "stored once");
}

#[test]
fn others_see_one_member_replaced_and_the_known_user_is_there_in_their_stead() {
    let mut node = chat();
    node.greet(ANON, Some(anon()), None, "phone");
    node.say(AGENT, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let users = vec![user("anon-1"), user("vera")];
    node.say(AGENT, Lane::CONTROL, Command::WatchPresence(WatchPresence { request: 1, users }));
    node.pass(1_000);
    let frames = told(&identify(&mut node, ANON, vera()));
    let event = frames.iter().position(|frame| matches!(frame, Delivery::Event(_))).expect("an event");
    let presence = |name: &str, wanted| {
        frames.iter().position(|frame| {
            matches!(frame, Delivery::Presence(p) if p.user == user(name) && p.connectivity == wanted)
        })
    };
    assert!(presence("anon-1", Connectivity::Offline).is_some(), "{frames:?}");
    assert!(presence("vera", Connectivity::Connected).expect("vera is here") > event, "the name comes first");
}

#[test]
fn who_is_a_member_already_stays_one_with_the_higher_watermarks() {
    let mut node = chat();
    node.greet(ANON, Some(anon()), None, "phone");
    node.greet(KNOWN, Some(vera()), None, "desk");
    let members = vec![user("anon-1"), user("vera")];
    let create = CreateConversation {
        request: 1,
        conversation: SECOND,
        kind: ConversationKind::Group,
        subject: None,
        members,
    };
    node.say(AGENT, Lane::CONTROL, Command::CreateConversation(create));
    node.say(AGENT, Lane(2), open(SECOND, Start::Latest(0)));
    node.say(AGENT, Lane(2), publish(60));
    node.say(ANON, Lane(2), open(SECOND, Start::Latest(0)));
    node.say(ANON, Lane(2), Command::Receipt(Receipt { received: 5, read: 4 }));
    identify(&mut node, ANON, vera());
    let group = node.core.state().conversations.iter().find(|(key, _)| key.conversation == SECOND);
    let group = group.expect("the group").1;
    assert_eq!(group.members.len(), 2);
    assert_eq!((group.members[&user("vera")].received, group.members[&user("vera")].read), (5, 4));
}

#[test]
fn only_the_session_that_showed_the_proof_goes_over_and_the_anonymous_token_is_worth_nothing_after() {
    let mut node = chat();
    let mine = welcome(&node.greet(ANON, Some(anon()), None, "phone")).expect("a welcome").resume;
    let theirs = welcome(&node.greet(OTHER, Some(anon()), None, "desk")).expect("a welcome").resume;
    let effects = identify(&mut node, ANON, vera());
    assert_eq!(closed(&effects, OTHER), Some(Code::INVALID_TOKEN), "has proven nothing");
    assert_eq!(closed(&effects, ANON), None);
    let late = ConnectionId(70);
    assert_eq!(closed(&node.greet(late, Some(anon()), None, "desk"), late), Some(Code::INVALID_TOKEN));
    let effects = node.greet(late, Some(anon()), Some(theirs.clone()), "desk");
    assert_eq!(closed(&effects, late), Some(Code::INVALID_TOKEN));
    let effects = node.greet(late, None, Some(theirs), "desk");
    assert_eq!(closed(&effects, late), Some(Code::INVALID_TOKEN));
    let effects = node.greet(late, Some(anon()), Some(mine), "phone");
    assert_eq!(welcome(&effects).expect("its own session").user, user("vera"), "a reload with the old token");
    let effects = node.greet(ConnectionId(71), Some(vera()), None, "desk");
    assert!(welcome(&effects).is_some(), "with a token of the user, the other device finds the conversation");
    let watch = Command::WatchInbox(WatchInbox { request: 1, on: true });
    let list = told(&node.say(ConnectionId(71), Lane::CONTROL, watch));
    assert!(
        list.iter()
            .any(|frame| matches!(frame, Delivery::InboxEntry(entry) if entry.conversation == CONVERSATION))
    );
}

#[test]
fn who_is_not_anonymous_cannot_be_identified_nor_can_anybody_be_made_staff_or_anonymous() {
    for (before, after, code) in [
        (vera(), of("tom", Role::Visitor), Code::NOT_ANONYMOUS),
        (anon(), of("anon-2", Role::Visitor), Code::NOT_ANONYMOUS),
        (anon(), of("adam", Role::Agent), Code::NOT_ANONYMOUS),
        (
            anon(),
            Identity { tenant: duet_protocol::TenantName::parse("other").expect("a name"), ..vera() },
            Code::UNAUTHENTICATED,
        ),
    ] {
        let mut node = chat();
        node.greet(ANON, Some(before), None, "phone");
        let entries = node.log.len();
        let frames = told(&identify(&mut node, ANON, after));
        assert!(matches!(&frames[..], [Delivery::Refused(refusal)] if refusal.code == code), "{frames:?}");
        assert_eq!(node.log.len(), entries, "nothing changed");
    }
}

#[test]
fn who_they_are_survives_a_restart_from_the_log_and_from_a_checkpoint_alike() {
    let mut node = chat();
    let resume = welcome(&node.greet(ANON, Some(anon()), None, "phone")).expect("a welcome").resume;
    node.say(ANON, Lane(1), open(CONVERSATION, Start::Latest(0)));
    node.say(ANON, Lane(1), publish(50));
    identify(&mut node, ANON, vera());
    let mut whole = State::default();
    let tail = node.log.clone();
    let bounds = CoreConfig::default().dedup_bounds();
    for bytes in &tail {
        whole.apply(&super::Entry::decode(bytes).expect("an entry"), bytes, bounds);
    }
    let rows = whole.take_dirty_rows();
    let stored = rows.into_iter().filter_map(|(key, value)| Some((key, value?)));
    let mut read = State::from_rows(stored).expect("good rows");
    assert_eq!((read.users.len(), read.sessions.len()), (whole.users.len(), whole.sessions.len()));
    assert_eq!((&read.memberships, &read.directs), (&whole.memberships, &whole.directs));
    assert_eq!(read.conversations, whole.conversations);
    assert_eq!(read.standing.identified, whole.standing.identified);
    let until_ms = whole.standing.identified.values().next().expect("a fact").until_ms;
    read.forget_standing(until_ms - 1);
    assert_eq!(read.standing.identified.len(), 1, "not yet");
    read.forget_standing(until_ms);
    assert!(read.standing.identified.is_empty(), "forgotten when no token of the anonymous user lives");

    let mut next = Node::with(CoreConfig::default(), tail);
    let late = ConnectionId(80);
    assert_eq!(closed(&next.greet(late, Some(anon()), None, "desk"), late), Some(Code::INVALID_TOKEN));
    assert_eq!(welcome(&next.greet(late, None, Some(resume), "phone")).expect("resumed").user, user("vera"));
    next.say(late, Lane(1), open(CONVERSATION, Start::Latest(0)));
    let again = told(&next.say(late, Lane(1), publish(50)));
    assert!(matches!(&again[..], [Delivery::Published(it)] if it.duplicate), "{again:?}");
}

/// An anonymous visitor's chat with an agent; the visitor is away.
fn chat() -> Node {
    let mut node = Node::new();
    node.hello(AGENT, "adam", Role::Agent);
    node.greet(ANON, Some(anon()), None, "phone");
    node.create(ANON, CONVERSATION, ConversationKind::Support, &[]);
    node.say(
        AGENT,
        Lane::CONTROL,
        Command::Assign(duet_protocol::command::Assign {
            request: 1,
            conversation: CONVERSATION,
            agent: None,
        }),
    );
    node.say(ANON, Lane::CONTROL, Command::Goodbye(duet_protocol::command::Goodbye {}));
    node
}

fn identify(node: &mut Node, connection: ConnectionId, identity: Identity) -> Vec<Effect> {
    let mut effects = node.tell(Input::Identified { connection, request: 9, identity });
    effects.extend(node.pass(1_000));
    effects
}

fn of(name: &str, role: Role) -> Identity {
    identity(name, role, END_MS)
}

fn anon() -> Identity {
    identity("anon-1", Role::Visitor, END_MS - 1)
}

fn vera() -> Identity {
    of("vera", Role::Visitor)
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

fn head(node: &Node) -> u64 {
    node.core.state().conversations.values().next().expect("the chat").head.seq
}

fn named(frame: Delivery) -> Option<(String, String)> {
    let Delivery::Event(event) = frame else { return None };
    match event.decode_body() {
        Ok(Some(EventBody::MemberIdentified(it))) => {
            Some((it.before.as_str().to_owned(), it.user.as_str().to_owned()))
        }
        _ => None,
    }
}

//! Who may do what: the table of `docs/protocol.md`, cell by cell, each on a node of its own.
//!
//! A cell is `+` allowed, `F` forbidden, `.` not found (what one may not see does not exist), `B` makes no sense, `C` somebody
//! else was first. Columns: visitor, agent, supervisor, service; each as a member and as a stranger.

use super::{
    ConnectionId, Lane,
    rig::{Node, identity, open, publish, told},
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, UserId,
    command::{AddMembers, Assign, RemoveMember, SetStatus, Start, WatchPresence},
    delivery::{ConversationKind, Status},
    hello::Role,
};

const ROLES: [Role; 4] = [Role::Visitor, Role::Agent, Role::Supervisor, Role::Service];
const ACTOR: ConnectionId = ConnectionId(50);
const ADAM: ConnectionId = ConnectionId(51);
const VERA: ConnectionId = ConnectionId(52);
const SUE: ConnectionId = ConnectionId(53);
const ROOM: ConversationId = ConversationId([1; 16]);

/// What the actor tries.
#[derive(Debug, Clone, Copy)]
enum Attempt {
    Open,
    Publish,
    Add,
    RemoveOther,
    Leave,
    Take,
    Give,
    Resolve,
    Close,
}

#[test]
fn a_support_conversation_is_open_to_staff_and_to_its_visitor() {
    use Attempt::*;
    for (attempt, cells) in [
        (Open, "+. ++ ++ ++"),
        (Publish, "+. +F +F +F"),
        (Add, "F. FF FF FF"),
        (RemoveOther, "F. FF ++ ++"),
        (Leave, "+. ++ ++ ++"),
        (Take, "F. ++ ++ ++"),
        (Give, "F. FF ++ ++"),
        (Resolve, "+. ++ ++ ++"),
        (Close, "F. ++ ++ ++"),
    ] {
        check(ConversationKind::Support, attempt, cells);
    }
}

#[test]
fn a_group_is_for_its_members_and_only_services_add_to_it_from_outside() {
    use Attempt::*;
    for (attempt, cells) in [
        (Open, "+. +. +. +."),
        (Publish, "+. +. +. +."),
        (Add, "F. +. +. ++"),
        (RemoveOther, "F. F. +. +."),
        (Leave, "+. +. +. +."),
        (Take, "F. F. F. F."),
        (Give, "F. F. F. F."),
        (Resolve, "B. B. B. B."),
        (Close, "B. B. B. B."),
    ] {
        check(ConversationKind::Group, attempt, cells);
    }
}

#[test]
fn a_broadcast_is_a_group_in_which_only_staff_publish() {
    use Attempt::*;
    for (attempt, cells) in [
        (Open, "+. +. +. +."),
        (Publish, "F. +. +. +."),
        (Add, "F. +. +. ++"),
        (RemoveOther, "F. F. +. +."),
        (Leave, "+. +. +. +."),
        (Take, "F. F. F. F."),
        (Resolve, "B. B. B. B."),
    ] {
        check(ConversationKind::Broadcast, attempt, cells);
    }
}

#[test]
fn a_direct_conversation_has_two_members_for_ever() {
    use Attempt::*;
    for (attempt, cells) in [
        (Open, "+. +. +. +."),
        (Publish, "+. +. +. +."),
        (Add, "F. F. F. F."),
        (RemoveOther, "F. F. F. F."),
        (Leave, "F. F. F. F."),
        (Take, "F. F. F. F."),
        (Give, "F. F. F. F."),
        (Resolve, "B. B. B. B."),
        (Close, "B. B. B. B."),
    ] {
        check(ConversationKind::Direct, attempt, cells);
    }
}

#[test]
fn who_may_begin_a_conversation_and_with_whom() {
    for (kind, members, cells) in [
        (ConversationKind::Direct, &["adam"][..], "+++F"),
        (ConversationKind::Direct, &["vera"], "F++F"),
        (ConversationKind::Direct, &[], "BBBF"),
        (ConversationKind::Direct, &["actor"], "BBBF"),
        (ConversationKind::Direct, &["nobody"], "...F"),
        (ConversationKind::Group, &["adam", "vera"], "F+++"),
        (ConversationKind::Broadcast, &["adam", "vera"], "F+++"),
        (ConversationKind::Support, &[], "+++B"),
        (ConversationKind::Support, &["vera"], "BBB+"),
    ] {
        for (role, expected) in ROLES.into_iter().zip(cells.chars()) {
            let mut node = people(role);
            let found = cell(&told(&node.create(ACTOR, ROOM, kind, members)));
            assert_eq!(found, expected, "{role:?} creates {kind:?} with {members:?}");
        }
    }
}

#[test]
fn an_agent_yields_to_the_responsible_one_and_a_supervisor_does_not() {
    use Attempt::*;
    for (attempt, cells) in [(Take, "C++"), (Give, "F++"), (Resolve, "F++"), (Close, "F++"), (Publish, "FFF")]
    {
        for (role, expected) in [Role::Agent, Role::Supervisor, Role::Service].into_iter().zip(cells.chars())
        {
            let mut node = people(role);
            node.create(VERA, ROOM, ConversationKind::Support, &[]);
            node.say(SUE, Lane::CONTROL, assign("adam"));
            assert_eq!(attempted(&mut node, attempt), expected, "{role:?} tries {attempt:?}");
        }
    }
}

#[test]
fn a_closed_conversation_takes_nothing_more_from_anybody() {
    use Attempt::*;
    for role in ROLES {
        let mut node = people(role);
        room(&mut node, ConversationKind::Support, role, true);
        let close = SetStatus { request: 1, conversation: ROOM, status: Status::Closed };
        node.say(SUE, Lane::CONTROL, Command::SetStatus(close));
        assert_eq!(attempted(&mut node, Publish), 'X', "{role:?}");
        assert_eq!(attempted(&mut node, Resolve), 'X', "{role:?}");
    }
}

#[test]
fn visitors_watch_only_who_shares_a_conversation_with_them() {
    for (role, strangers) in ROLES.into_iter().zip("F+++".chars()) {
        let mut node = people(role);
        let users = vec![user("vera")];
        let watch = Command::WatchPresence(WatchPresence { request: 1, users });
        assert_eq!(cell(&told(&node.say(ACTOR, Lane::CONTROL, watch.clone()))), strangers, "{role:?}");
        node.create(ADAM, ROOM, ConversationKind::Group, &["vera", "actor"]);
        assert_eq!(cell(&told(&node.say(ACTOR, Lane::CONTROL, watch))), '+', "{role:?} in a common group");
    }
}

fn check(kind: ConversationKind, attempt: Attempt, cells: &str) {
    let places = ROLES.into_iter().flat_map(|role| [(role, true), (role, false)]);
    let expected = cells.chars().filter(|cell| *cell != ' ');
    for ((role, member), expected) in places.zip(expected) {
        let mut node = people(role);
        room(&mut node, kind, role, member);
        let found = attempted(&mut node, attempt);
        assert_eq!(found, expected, "{role:?}, member {member}, tries {attempt:?} in {kind:?}");
    }
}

/// The actor, an agent, a visitor and a supervisor.
fn people(role: Role) -> Node {
    let mut node = Node::new();
    let everyone = [
        (ACTOR, "actor", role),
        (ADAM, "adam", Role::Agent),
        (VERA, "vera", Role::Visitor),
        (SUE, "sue", Role::Supervisor),
    ];
    for (connection, user, role) in everyone {
        node.greet(connection, Some(identity(user, role, 0)), None, user);
    }
    node
}

/// A conversation in which there is somebody else, with the actor or without.
fn room(node: &mut Node, kind: ConversationKind, role: Role, member: bool) {
    match (kind, member) {
        (ConversationKind::Support, true) if role == Role::Visitor => {
            node.create(ACTOR, ROOM, kind, &[]);
            node.say(SUE, Lane::CONTROL, assign("adam"));
        }
        (ConversationKind::Support, true) => {
            node.create(VERA, ROOM, kind, &[]);
            node.say(SUE, Lane::CONTROL, assign("actor"));
        }
        (ConversationKind::Support, false) => drop(node.create(VERA, ROOM, kind, &[])),
        (ConversationKind::Group | ConversationKind::Broadcast, true) => {
            drop(node.create(ADAM, ROOM, kind, &["vera", "actor"]));
        }
        (ConversationKind::Group | ConversationKind::Broadcast, false) => {
            drop(node.create(ADAM, ROOM, kind, &["vera"]));
        }
        (ConversationKind::Direct, true) => drop(node.create(ADAM, ROOM, kind, &["actor"])),
        (ConversationKind::Direct, false) => drop(node.create(ADAM, ROOM, kind, &["vera"])),
    }
    assert_eq!(node.core.state().conversations.len(), 1, "the room is there");
}

fn attempted(node: &mut Node, attempt: Attempt) -> char {
    let (request, conversation) = (1, ROOM);
    let set = |status| Command::SetStatus(SetStatus { request, conversation, status });
    let remove = |who: &str| Command::RemoveMember(RemoveMember { request, conversation, user: user(who) });
    let members = |node: &Node| {
        let conversation = node.core.state().conversations.values().next().expect("the room");
        conversation.members.keys().map(|user| user.as_str().to_owned()).collect::<Vec<_>>()
    };
    let command = match attempt {
        Attempt::Open => return cell(&told(&node.say(ACTOR, Lane(1), open(ROOM, Start::Latest(0))))),
        Attempt::Publish => {
            let opened = cell(&told(&node.say(ACTOR, Lane(1), open(ROOM, Start::Latest(0)))));
            if opened != '+' {
                return opened;
            }
            return cell(&told(&node.say(ACTOR, Lane(1), publish(1))));
        }
        Attempt::Add => Command::AddMembers(AddMembers { request, conversation, users: vec![user("sue")] }),
        Attempt::RemoveOther => {
            let other = members(node).into_iter().find(|member| member != "actor").expect("another member");
            remove(&other)
        }
        Attempt::Leave => remove("actor"),
        Attempt::Take => Command::Assign(Assign { request, conversation, agent: None }),
        Attempt::Give => assign("sue"),
        Attempt::Resolve => set(Status::Resolved),
        Attempt::Close => set(Status::Closed),
    };
    cell(&told(&node.say(ACTOR, Lane::CONTROL, command)))
}

fn assign(agent: &str) -> Command {
    Command::Assign(Assign { request: 1, conversation: ROOM, agent: Some(user(agent)) })
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

/// What the answer among these frames says.
fn cell(frames: &[Delivery]) -> char {
    let answer = frames.iter().find_map(|frame| match frame {
        Delivery::Refused(refusal) => Some(match refusal.code {
            Code::FORBIDDEN => 'F',
            Code::NOT_FOUND => '.',
            Code::BAD_REQUEST => 'B',
            Code::CONFLICT => 'C',
            Code::CONVERSATION_CLOSED => 'X',
            code => panic!("an unexpected refusal: {code}"),
        }),
        Delivery::Done(_) | Delivery::Created(_) | Delivery::Opened(_) | Delivery::Published(_) => Some('+'),
        _ => None,
    });
    answer.unwrap_or_else(|| panic!("no answer: {frames:?}"))
}

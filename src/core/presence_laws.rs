//! Laws of presence: what watchers are told equals what is, by counting devices; and no more often than they agreed to.

use super::{
    ConnectionId, CoreConfig, Effect, Input, Lane,
    rig::{AGENT, CONVERSATION, NOW_MS, Node, VISITOR, identity, open, told, welcome},
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, UserId,
    command::{AddMembers, Goodbye, RemoveMember, SetAvailability, Start, WatchMembers, WatchPresence},
    delivery::{Availability, Connectivity, ConversationKind, Presence, PresenceCounts},
    hello::Role,
    signal::{Activity, ActivitySignal},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const GRACE_MS: u64 = 30_000;
const QUIET_MS: u64 = super::presence::QUIET_MS;
const GROUP: ConversationId = ConversationId([9; 16]);
const WATCHER: ConnectionId = ConnectionId(9_000);

/// What one of a few devices of one user does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Come(u8),
    Drop(u8),
    Lose(u8),
    Leave(u8),
    Attend(u8, u8),
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let device = 0..4u8;
    prop_oneof![
        device.clone().prop_map(Step::Come),
        device.clone().prop_map(Step::Drop),
        device.clone().prop_map(Step::Lose),
        device.clone().prop_map(Step::Leave),
        (device, 0..3u8).prop_map(|(device, activity)| Step::Attend(device, activity)),
        (0..40_000u16).prop_map(Step::Pass),
        (0..300u16).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn what_is_told_is_the_best_of_all_devices_and_at_most_once_in_a_quarter_of_a_second(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut node = Node::with_a_conversation();
        let mut told_as = watch(&mut node, AGENT, &["mia"]).pop().expect("a snapshot").connectivity;
        let mut model = Model::default();
        let mut frames = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let effects = model.take(&mut node, step, n as u64);
            for presence in presences(&effects) {
                told_as = presence.connectivity;
                frames.push((node.now_ms, presence.version));
            }
            for presence in presences(&node.pass(QUIET_MS)) {
                told_as = presence.connectivity;
                frames.push((node.now_ms, presence.version));
            }
            prop_assert_eq!(told_as, model.connectivity(node.now_ms), "after step {} ({:?})", n, step);
        }
        for pair in frames.windows(2) {
            prop_assert!(pair[1].0 >= pair[0].0 + QUIET_MS, "{:?}", pair);
            prop_assert!(pair[1].1 > pair[0].1, "versions grow: {:?}", pair);
        }
    }
}

#[test]
fn three_tabs_opened_and_closed_are_one_user_who_leaves_with_the_last() {
    let mut node = Node::with_a_conversation();
    watch(&mut node, AGENT, &["mia"]);
    for tab in 1..=3 {
        node.hello(ConnectionId(100 + tab), "mia", Role::Visitor);
        node.pass(QUIET_MS);
    }
    for tab in 1..=2 {
        let effects = node.tell(Input::Disconnected { connection: ConnectionId(100 + tab) });
        assert_eq!(presences(&effects), [], "another tab is still there");
    }
    assert_eq!(presences(&node.pass(2 * GRACE_MS)), []);
    let effects = node.tell(Input::Disconnected { connection: ConnectionId(103) });
    assert_eq!(how(&effects), [Connectivity::Reconnecting]);
    assert_eq!(how(&node.pass(GRACE_MS)), [Connectivity::Offline]);
}

#[test]
fn whoever_begins_to_watch_in_the_middle_of_a_flap_is_not_left_with_it() {
    let mut node = Node::with_a_conversation();
    watch(&mut node, AGENT, &["mia"]);
    node.hello(ConnectionId(101), "mia", Role::Visitor);
    node.tell(Input::Disconnected { connection: ConnectionId(101) });
    let other = ConnectionId(102);
    node.hello(other, "otto", Role::Agent);
    let snapshot = watch(&mut node, other, &["mia"]).pop().expect("a snapshot");
    node.hello(ConnectionId(103), "mia", Role::Visitor);
    let last = presences(&node.pass(QUIET_MS)).pop().unwrap_or(snapshot);
    assert_eq!(last.connectivity, Connectivity::Connected);
}

#[test]
fn the_grace_of_a_silent_client_counts_from_its_last_sign_of_life() {
    let mut node = Node::with_a_conversation();
    watch(&mut node, AGENT, &["vera"]);
    node.pass(60_000);
    let lost = Input::Lost { connection: VISITOR, silent_ms: 25_000 };
    assert_eq!(how(&node.tell(lost)), [Connectivity::Reconnecting]);
    assert_eq!(how(&node.pass(4_999)), []);
    let offline = presences(&node.pass(1));
    assert_eq!(offline.iter().map(|p| p.connectivity).collect::<Vec<_>>(), [Connectivity::Offline]);
    assert_eq!(offline[0].last_seen_ms, NOW_MS + 35_000, "last seen is when they were last heard");
    let mut node = Node::with_a_conversation();
    watch(&mut node, AGENT, &["vera"]);
    node.pass(60_000);
    node.tell(Input::Lost { connection: VISITOR, silent_ms: 40_000 });
    assert_eq!(how(&node.pass(QUIET_MS)), [Connectivity::Offline], "a silence counts once");
}

#[test]
fn an_application_in_the_background_is_reachable_and_neither_connected_nor_gone() {
    let mut node = Node::with_a_conversation();
    watch(&mut node, AGENT, &["vera"]);
    let attend = |node: &mut Node, id, version, activity| {
        let signal = Command::Activity(ActivitySignal { version, activity });
        let mut effects = node.say(id, Lane::CONTROL, signal);
        effects.extend(node.pass(QUIET_MS));
        how(&effects)
    };
    assert_eq!(attend(&mut node, VISITOR, 5, Activity::Background), [Connectivity::Reachable]);
    assert_eq!(attend(&mut node, VISITOR, 4, Activity::Active), [], "a late signal changes nothing");
    node.hello(ConnectionId(50), "vera", Role::Visitor);
    node.pass(QUIET_MS);
    assert_eq!(attend(&mut node, ConnectionId(50), 1, Activity::Idle), [Connectivity::Idle]);
    assert_eq!(attend(&mut node, VISITOR, 6, Activity::Active), [Connectivity::Connected]);
    assert_eq!(attend(&mut node, VISITOR, 7, Activity::Background), [Connectivity::Idle]);
    assert_eq!(attend(&mut node, ConnectionId(50), 2, Activity::Background), [Connectivity::Reachable]);
    node.pass(10 * GRACE_MS);
    assert_eq!(
        watch(&mut node, AGENT, &["vera"])[0].connectivity,
        Connectivity::Reachable,
        "for as long as it lasts"
    );
}

#[test]
fn a_node_that_starts_anew_shows_nobody_whom_nobody_has_seen() {
    let mut node = Node::with_a_conversation();
    node.hello(ConnectionId(50), "mia", Role::Visitor);
    let mut next = Node::with(CoreConfig::default(), node.log.clone());
    next.hello(AGENT, "adam", Role::Agent);
    let seen = watch(&mut next, AGENT, &["mia", "vera"]);
    assert!(seen.iter().all(|presence| presence.connectivity == Connectivity::Reconnecting), "{seen:?}");
    next.hello(ConnectionId(51), "mia", Role::Visitor);
    let offline = presences(&next.pass(GRACE_MS));
    let gone: Vec<_> = offline.iter().map(|p| (p.user.as_str(), p.connectivity)).collect();
    assert_eq!(gone, [("vera", Connectivity::Offline)]);
}

#[test]
fn members_of_a_watched_conversation_are_told_first_all_then_changes_then_who_joins() {
    let mut node = Node::with_a_conversation();
    node.hello(ConnectionId(50), "mia", Role::Visitor);
    node.hello(ConnectionId(51), "tom", Role::Visitor);
    node.create(AGENT, GROUP, ConversationKind::Group, &["mia"]);
    node.pass(QUIET_MS);
    let effects = watch_members(&mut node, AGENT, &[GROUP]);
    assert!(matches!(told(&effects)[0], Delivery::Done(_)));
    assert_eq!(names(&effects), ["adam", "mia"], "the snapshot");
    let effects = node.tell(Input::Disconnected { connection: ConnectionId(50) });
    assert_eq!(names(&effects), ["mia"], "one frame, on the control lane: {effects:?}");
    let add = AddMembers { request: 2, conversation: GROUP, users: vec![user("tom")] };
    assert_eq!(names(&node.say(AGENT, Lane::CONTROL, Command::AddMembers(add))), ["tom"]);
    watch_members(&mut node, AGENT, &[]);
    assert_eq!(names(&node.tell(Input::Disconnected { connection: ConnectionId(51) })), Vec::<String>::new());
}

#[test]
fn what_a_user_may_not_see_cannot_be_watched_and_who_leaves_hears_no_more() {
    let mut node = Node::with_a_conversation();
    node.hello(ConnectionId(50), "mia", Role::Visitor);
    node.hello(ConnectionId(51), "tom", Role::Visitor);
    node.create(AGENT, GROUP, ConversationKind::Group, &["mia", "tom"]);
    node.pass(QUIET_MS);
    let refused = |effects: &[Effect]| match told(effects).first() {
        Some(Delivery::Refused(refusal)) => Some(refusal.code),
        _ => None,
    };
    let stranger = watch_members(&mut node, ConnectionId(50), &[GROUP, CONVERSATION]);
    assert_eq!(refused(&stranger), Some(Code::NOT_FOUND), "the whole list");
    let many: Vec<_> = (0..33).map(|n| ConversationId([n; 16])).collect();
    assert_eq!(refused(&watch_members(&mut node, AGENT, &many)), Some(Code::LIMIT_REACHED));

    watch_members(&mut node, ConnectionId(50), &[GROUP]);
    watch(&mut node, ConnectionId(50), &["tom"]);
    let leave = RemoveMember { request: 1, conversation: GROUP, user: user("mia") };
    node.say(ConnectionId(50), Lane::CONTROL, Command::RemoveMember(leave));
    let effects = node.tell(Input::Disconnected { connection: ConnectionId(51) });
    assert!(!reaches(&effects, ConnectionId(50)), "neither by the conversation nor by name: {effects:?}");
}

#[test]
fn a_large_conversation_is_counted_and_its_numbers_are_right_after_any_number_of_changes() {
    let mut node = large_group(300);
    let effects = watch_members(&mut node, WATCHER, &[GROUP]);
    assert_eq!(counts(&effects).last().map(three), Some((1, 0, 300)), "{:?}", told(&effects));
    assert!(presences(&effects).is_empty(), "numbers only");
    let mut frames = Vec::new();
    for n in 0..100u64 {
        node.hello(ConnectionId(200 + n), &format!("m{n:03}"), Role::Visitor);
        frames.extend(counts(&node.pass(20)));
    }
    assert!(frames.len() <= 2, "{frames:?} within two seconds");
    frames.extend(counts(&node.pass(3_000)));
    let last = frames.pop().expect("a count");
    assert_eq!(three(&last), (101, 0, 200));
    let signal = Command::Activity(ActivitySignal { version: 1, activity: Activity::Background });
    node.say(ConnectionId(200), Lane::CONTROL, signal);
    let away = SetAvailability { request: 1, availability: Availability::Away };
    node.say(ConnectionId(201), Lane::CONTROL, Command::SetAvailability(away));
    let hidden = SetAvailability { request: 1, availability: Availability::Offline };
    node.say(ConnectionId(202), Lane::CONTROL, Command::SetAvailability(hidden));
    node.tell(Input::Disconnected { connection: ConnectionId(203) });
    let mut effects = node.pass(QUIET_MS);
    effects.extend(node.pass(3_000));
    let next = counts(&effects).pop().expect("a count");
    assert_eq!(three(&next), (97, 3, 201));
    assert!(next.version > last.version);
    assert!(counts(&node.pass(10_000)).is_empty(), "nothing changed, nothing is told");
}

#[test]
fn who_opens_a_large_conversation_gets_its_numbers_behind_the_backlog() {
    let mut node = large_group(300);
    let effects = node.say(WATCHER, Lane(1), open(GROUP, Start::Latest(0)));
    let frames = told(&effects);
    let place = |wanted: fn(&Delivery) -> bool| frames.iter().position(wanted);
    let caught_up = place(|frame| matches!(frame, Delivery::CaughtUp(_))).expect("level");
    let numbers = place(|frame| matches!(frame, Delivery::PresenceCounts(_))).expect("numbers");
    assert!(numbers > caught_up);
    node.tell(Input::LaneClosed { connection: WATCHER, lane: Lane(1) });
    assert!(node.core.counted.is_empty(), "nobody follows: nothing is kept");
    node.hello(ConnectionId(200), "m001", Role::Visitor);
    assert!(counts(&node.pass(20_000)).is_empty());
    let effects = node.say(WATCHER, Lane(1), open(GROUP, Start::Latest(0)));
    assert_eq!(counts(&effects).last().map(three), Some((2, 0, 299)), "counted afresh");
}

/// A group of the watcher, a supervisor, and so many others, who are not there.
fn large_group(others: usize) -> Node {
    let mut node = Node::new();
    node.greet(WATCHER, Some(identity("zoe", Role::Supervisor, 0)), None, "desk");
    let names: Vec<_> = (0..others).map(|n| format!("m{n:03}")).collect();
    for (n, name) in names.iter().enumerate() {
        let id = ConnectionId(10_000 + n as u64);
        node.hello(id, name, Role::Visitor);
        node.say(id, Lane::CONTROL, Command::Goodbye(Goodbye {}));
    }
    node.create(WATCHER, GROUP, ConversationKind::Group, &[]);
    for names in names.chunks(100) {
        let users = names.iter().map(|name| user(name)).collect();
        let add = AddMembers { request: 1, conversation: GROUP, users };
        node.say(WATCHER, Lane::CONTROL, Command::AddMembers(add));
    }
    node.pass(QUIET_MS);
    node
}

/// What is, by counting.
#[derive(Debug, Default)]
struct Model {
    devices: BTreeMap<u8, (ConnectionId, Activity)>,
    came_ms: u64,
    seen_ms: Option<u64>,
    /// The last one to go said goodbye.
    left: bool,
}

impl Model {
    fn take(&mut self, node: &mut Node, step: Step, n: u64) -> Vec<Effect> {
        let now_ms = node.now_ms;
        match step {
            Step::Come(device) if !self.devices.contains_key(&device) => {
                let id = ConnectionId(1_000 + n);
                self.devices.insert(device, (id, Activity::Active));
                (self.came_ms, self.left) = (now_ms, false);
                let effects = node.greet(id, Some(identity("mia", Role::Visitor, 0)), None, "device");
                assert!(welcome(&effects).is_some());
                effects
            }
            Step::Drop(device) => match self.devices.remove(&device) {
                Some((connection, _)) => {
                    self.seen_ms = Some(now_ms);
                    node.tell(Input::Disconnected { connection })
                }
                None => Vec::new(),
            },
            Step::Lose(device) => match self.devices.remove(&device) {
                Some((connection, _)) => {
                    let silent_ms = 20_000;
                    let seen_ms = self.seen_ms.unwrap_or(0).max(self.came_ms);
                    self.seen_ms = Some(seen_ms.max(now_ms - silent_ms));
                    node.tell(Input::Lost { connection, silent_ms })
                }
                None => Vec::new(),
            },
            Step::Leave(device) => match self.devices.remove(&device) {
                Some((connection, _)) => {
                    (self.seen_ms, self.left) = (Some(now_ms), self.devices.is_empty());
                    node.say(connection, Lane::CONTROL, Command::Goodbye(Goodbye {}))
                }
                None => Vec::new(),
            },
            Step::Attend(device, activity) => match self.devices.get_mut(&device) {
                Some((connection, held)) => {
                    *held = [Activity::Active, Activity::Idle, Activity::Background][usize::from(activity)];
                    let signal = ActivitySignal { version: n + 1, activity: *held };
                    node.say(*connection, Lane::CONTROL, Command::Activity(signal))
                }
                None => Vec::new(),
            },
            Step::Pass(ms) => node.pass(u64::from(ms)),
            Step::Come(_) => Vec::new(),
        }
    }

    fn connectivity(&self, now_ms: u64) -> Connectivity {
        let has = |wanted| self.devices.values().any(|(_, activity)| *activity == wanted);
        if has(Activity::Active) {
            Connectivity::Connected
        } else if has(Activity::Idle) {
            Connectivity::Idle
        } else if has(Activity::Background) {
            Connectivity::Reachable
        } else if !self.left && self.seen_ms.is_some_and(|seen_ms| now_ms < seen_ms + GRACE_MS) {
            Connectivity::Reconnecting
        } else {
            Connectivity::Offline
        }
    }
}

fn watch(node: &mut Node, id: ConnectionId, users: &[&str]) -> Vec<Presence> {
    let users = users.iter().map(|name| user(name)).collect();
    presences(&node.say(id, Lane::CONTROL, Command::WatchPresence(WatchPresence { request: 1, users })))
}

fn watch_members(node: &mut Node, id: ConnectionId, conversations: &[ConversationId]) -> Vec<Effect> {
    let watch = WatchMembers { request: 1, conversations: conversations.to_vec() };
    node.say(id, Lane::CONTROL, Command::WatchMembers(watch))
}

fn presences(effects: &[Effect]) -> Vec<Presence> {
    let presence = |frame| if let Delivery::Presence(presence) = frame { Some(presence) } else { None };
    told(effects).into_iter().filter_map(presence).collect()
}

fn how(effects: &[Effect]) -> Vec<Connectivity> {
    presences(effects).iter().map(|presence| presence.connectivity).collect()
}

fn names(effects: &[Effect]) -> Vec<String> {
    presences(effects).iter().map(|presence| presence.user.as_str().to_owned()).collect()
}

fn counts(effects: &[Effect]) -> Vec<PresenceCounts> {
    let counts = |frame| if let Delivery::PresenceCounts(counts) = frame { Some(counts) } else { None };
    told(effects).into_iter().filter_map(counts).collect()
}

fn three(counts: &PresenceCounts) -> (u32, u32, u32) {
    (counts.connected, counts.away, counts.offline)
}

/// Whether a frame goes to this connection.
fn reaches(effects: &[Effect], wanted: ConnectionId) -> bool {
    effects.iter().any(|effect| match effect {
        Effect::Send { connection, .. } => *connection == wanted,
        Effect::Deliver { targets, .. } => targets.iter().any(|target| target.connection == wanted),
        _ => false,
    })
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

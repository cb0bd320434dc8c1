//! Laws of calls: each has one end, whatever goes away in between.

use super::{
    ConnectionId, Effect, Input, Lane,
    calls::{CALLER_MAX, SERVER_MAX},
    rig::{AGENT, Node, VISITOR, identity, told},
};
use duet_protocol::{
    Code, Command, Delivery, Subject, TenantName,
    call::{Answer, Call, CallAsked, Failure, Outcome, Serve},
    hello::Role,
    ids::Label,
};

const ROBOT: ConnectionId = ConnectionId(5);
const OTHER: ConnectionId = ConnectionId(6);

#[test]
fn a_call_reaches_a_service_and_its_answer_comes_back_to_who_asked() {
    let mut node = served();
    let asked = asked(&ask(&mut node, VISITOR, 7, 1_000));
    assert_eq!((asked.user.as_str(), asked.role, &asked.body[..]), ("vera", Role::Visitor, &b"{}"[..]));
    let failure = Failure { code: 404, message: "none".into() };
    for (request, outcome) in [(7, Outcome::Returned(b"42".to_vec())), (8, Outcome::Failed(failure))] {
        let call =
            if request == 7 { asked.call } else { self::asked(&ask(&mut node, VISITOR, 8, 1_000)).call };
        let effects = answer(&mut node, ROBOT, call, outcome.clone());
        let found = to(&effects, VISITOR);
        assert!(
            matches!(&found[..], [Delivery::Answered(a)] if (a.request, &a.outcome) == (request, &outcome)),
            "{found:?}"
        );
        assert!(answer(&mut node, ROBOT, call, outcome).is_empty(), "a second answer has no effect");
    }
    assert!(
        node.pass(60_000).iter().all(|effect| !matches!(effect, Effect::Send { .. })),
        "no deadline is left"
    );
}

#[test]
fn a_call_that_nobody_answers_ends_in_time_and_the_service_is_told() {
    let mut node = served();
    let call = asked(&ask(&mut node, VISITOR, 7, 1_000)).call;
    assert!(to(&node.pass(999), VISITOR).is_empty());
    let effects = node.pass(1);
    assert_eq!(refused(&effects, VISITOR), Some((7, Code::CALL_TIMEOUT)));
    assert!(matches!(&to(&effects, ROBOT)[..], [Delivery::CallEnded(ended)] if ended.call == call));
    assert!(answer(&mut node, ROBOT, call, Outcome::Returned(Vec::new())).is_empty(), "too late");
}

#[test]
fn a_service_that_leaves_or_serves_a_method_no_more_ends_its_calls() {
    let leave = |node: &mut Node| node.tell(Input::Disconnected { connection: ROBOT });
    let stop = |node: &mut Node| serve(node, ROBOT, &["another"]);
    for end in [leave as fn(&mut Node) -> Vec<Effect>, stop] {
        let mut node = served();
        ask(&mut node, VISITOR, 7, 1_000);
        let effects = end(&mut node);
        assert_eq!(refused(&effects, VISITOR), Some((7, Code::SERVICE_GONE)));
        let effects = ask(&mut node, VISITOR, 8, 1_000);
        assert_eq!(refused(&effects, VISITOR), Some((8, Code::NO_SERVICE)));
    }
}

#[test]
fn a_service_is_told_when_the_caller_leaves() {
    let mut node = served();
    let call = asked(&ask(&mut node, VISITOR, 7, 1_000)).call;
    let effects = node.tell(Input::Disconnected { connection: VISITOR });
    assert!(matches!(&to(&effects, ROBOT)[..], [Delivery::CallEnded(ended)] if ended.call == call));
}

#[test]
fn open_calls_are_bounded_for_callers_and_for_services() {
    let mut node = served();
    for request in 0..CALLER_MAX as u32 {
        assert_eq!(refused(&ask(&mut node, VISITOR, request, 1_000), VISITOR), None);
    }
    let refusal = refused(&ask(&mut node, VISITOR, 99, 1_000), VISITOR);
    assert_eq!(refusal, Some((99, Code::RATE_LIMITED)));
    for caller in 0..SERVER_MAX as u64 {
        let caller = ConnectionId(100 + caller);
        node.greet(caller, Some(identity(&format!("user-{}", caller.0), Role::Visitor, 0)), None, "d");
        let expected =
            (caller.0 - 100 >= (SERVER_MAX - CALLER_MAX) as u64).then_some((1, Code::RATE_LIMITED));
        assert_eq!(refused(&ask(&mut node, caller, 1, 1_000), caller), expected, "{caller:?}");
    }
}

#[test]
fn the_service_with_the_fewest_open_calls_is_asked_in_turn_among_equals() {
    let mut node = served();
    node.hello(OTHER, "robot-2", Role::Service);
    serve(&mut node, OTHER, &["find"]);
    let mut order = Vec::new();
    for request in 0..4 {
        let effects = ask(&mut node, VISITOR, request, 1_000);
        order.push(if to(&effects, ROBOT).is_empty() { OTHER } else { ROBOT });
    }
    assert_eq!(order, [ROBOT, OTHER, ROBOT, OTHER]);
    node.tell(Input::Disconnected { connection: OTHER });
    let third = asked(&ask(&mut node, AGENT, 1, 1_000));
    assert_eq!(third.user.as_str(), "adam", "the one that is left");
}

#[test]
fn only_services_serve_and_only_within_their_tenant() {
    let mut node = Node::with_a_conversation();
    let effects = serve(&mut node, AGENT, &["find"]);
    assert_eq!(refused(&effects, AGENT).map(|(_, code)| code), Some(Code::FORBIDDEN));
    let mut node = served();
    let stranger = ConnectionId(9);
    let mut identity = identity("eve", Role::Visitor, 0);
    identity.tenant = TenantName::parse("other").expect("a name");
    node.core.start(node.now_ms, &[identity.tenant.clone()]);
    node.settle();
    node.greet(stranger, Some(identity), None, "d");
    let refusal = refused(&ask(&mut node, stranger, 1, 1_000), stranger);
    assert_eq!(refusal, Some((1, Code::NO_SERVICE)), "methods of another tenant do not exist");
}

#[test]
fn a_call_that_makes_no_sense_is_refused_and_one_that_is_answered_too_largely_fails() {
    let mut node = served();
    for timeout_ms in [0, 60_001] {
        let refusal = refused(&ask(&mut node, VISITOR, 1, timeout_ms), VISITOR);
        assert_eq!(refusal, Some((1, Code::BAD_REQUEST)));
    }
    let call = asked(&ask(&mut node, VISITOR, 1, 1_000)).call;
    assert!(answer(&mut node, AGENT, call, Outcome::Returned(Vec::new())).is_empty(), "not its call");
    let effects = answer(&mut node, ROBOT, call, Outcome::Returned(vec![0; 70_000]));
    assert_eq!(refused(&effects, VISITOR), Some((1, Code::SERVICE_GONE)));
}

#[test]
fn calls_leave_no_trace_in_the_log() {
    let mut node = served();
    let before = node.log.len();
    let call = asked(&ask(&mut node, VISITOR, 1, 1_000)).call;
    answer(&mut node, ROBOT, call, Outcome::Returned(Vec::new()));
    assert_eq!(node.log.len(), before);
}

fn served() -> Node {
    let mut node = Node::with_a_conversation();
    node.hello(ROBOT, "robot", Role::Service);
    let done = serve(&mut node, ROBOT, &["find", "find"]);
    assert!(matches!(&told(&done)[..], [Delivery::Done(_)]));
    node
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a label")
}

fn serve(node: &mut Node, connection: ConnectionId, methods: &[&str]) -> Vec<Effect> {
    let methods = methods.iter().map(|text| label(text)).collect();
    node.say(connection, Lane::CONTROL, Command::Serve(Serve { request: 1, methods }))
}

fn ask(node: &mut Node, connection: ConnectionId, request: u32, timeout_ms: u32) -> Vec<Effect> {
    let call = Call { request, method: label("find"), body: b"{}".to_vec(), timeout_ms };
    node.say(connection, Lane::CONTROL, Command::Call(call))
}

fn answer(node: &mut Node, connection: ConnectionId, call: u64, outcome: Outcome) -> Vec<Effect> {
    node.say(connection, Lane::CONTROL, Command::Answer(Answer { call, outcome }))
}

fn asked(effects: &[Effect]) -> CallAsked {
    let asked = told(effects).into_iter().find_map(|frame| match frame {
        Delivery::CallAsked(asked) => Some(asked),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("nobody was asked: {:?}", told(effects)))
}

fn to(effects: &[Effect], connection: ConnectionId) -> Vec<Delivery> {
    let here = |effect: &&Effect| matches!(effect, Effect::Send { connection: c, .. } if *c == connection);
    told(&effects.iter().filter(here).cloned().collect::<Vec<_>>())
}

fn refused(effects: &[Effect], connection: ConnectionId) -> Option<(u32, Code)> {
    to(effects, connection).into_iter().find_map(|frame| match frame {
        Delivery::Refused(refusal) => match refusal.subject {
            Subject::Request(request) => Some((request, refusal.code)),
            _ => None,
        },
        _ => None,
    })
}

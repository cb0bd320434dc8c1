//! Laws of revocation: at once, after a restart as well, for exactly what was named, and no longer than it matters.

use super::{
    ConnectionId, CoreConfig, Effect, Identity, Input, Lane, Revoke, RevokeRefused, State, TokenMark,
    rig::{NOW_MS, Node, closed, identity, told, welcome},
};
use duet_protocol::{Code, Delivery, SessionId, Subject, TenantName, UserId, hello::Role};

const FIRST: ConnectionId = ConnectionId(10);
const SECOND: ConnectionId = ConnectionId(11);
const THIRD: ConnectionId = ConnectionId(12);
const END_MS: u64 = NOW_MS + 3_600_000;

#[test]
fn a_revoked_token_ends_every_connection_and_session_that_lives_by_it_and_no_other() {
    let mut node = Node::new();
    let resume = welcome(&node.greet(FIRST, Some(by("one")), None, "phone")).expect("a welcome").resume;
    node.greet(SECOND, Some(by("two")), None, "desk");
    let gone = welcome(&node.greet(THIRD, Some(by("one")), None, "tablet")).expect("a welcome").resume;
    node.tell(Input::Disconnected { connection: THIRD });
    let effects = revoke(&mut node, token("one"));
    assert_eq!(closed(&effects, FIRST), Some(Code::REVOKED));
    assert_eq!(closed(&effects, SECOND), None);
    assert_eq!(outcome(&effects), Ok(2), "the one that was away as well");
    for resume in [resume, gone] {
        let effects = node.greet(THIRD, None, Some(resume.clone()), "phone");
        assert_eq!(closed(&effects, THIRD), Some(Code::INVALID_TOKEN), "the session is gone");
        let effects = node.greet(THIRD, Some(by("one")), Some(resume), "phone");
        assert_eq!(closed(&effects, THIRD), Some(Code::REVOKED));
    }
    assert!(welcome(&node.greet(THIRD, Some(by("three")), None, "phone")).is_some(), "another token is good");
}

#[test]
fn a_revoked_user_is_out_on_every_device_until_a_token_that_was_made_later() {
    let mut node = Node::new();
    node.greet(FIRST, Some(made(0)), None, "phone");
    node.greet(SECOND, Some(made(NOW_MS)), None, "desk");
    node.greet(THIRD, Some(identity("tom", Role::Visitor, END_MS)), None, "desk");
    node.now_ms += 5_000;
    let order = Revoke::User { tenant: acme(), user: user("vera"), until_ms: END_MS };
    let effects = revoke(&mut node, order);
    assert_eq!(
        (closed(&effects, FIRST), closed(&effects, SECOND)),
        (Some(Code::REVOKED), Some(Code::REVOKED))
    );
    assert_eq!((closed(&effects, THIRD), outcome(&effects)), (None, Ok(2)));
    for made_ms in [0, NOW_MS, NOW_MS + 5_000] {
        assert_eq!(
            closed(&node.greet(FIRST, Some(made(made_ms)), None, "phone"), FIRST),
            Some(Code::REVOKED)
        );
    }
    assert!(welcome(&node.greet(FIRST, Some(made(NOW_MS + 5_001)), None, "phone")).is_some());
    let fresh = Input::Reauthenticated { connection: FIRST, request: 4, identity: made(NOW_MS) };
    let frames = told(&node.tell(fresh));
    let refused = |frame: &Delivery| matches!(frame, Delivery::Refused(it) if it.subject == Subject::Request(4) && it.code == Code::UNAUTHENTICATED);
    assert!(refused(&frames[0]), "an old token refreshes nothing: {frames:?}");
}

#[test]
fn a_revoked_session_ends_and_its_user_stays_welcome() {
    let mut node = Node::new();
    let one = welcome(&node.greet(FIRST, Some(by("one")), None, "phone")).expect("a welcome");
    node.greet(SECOND, Some(by("one")), None, "desk");
    let effects = revoke(&mut node, Revoke::Session { session: one.session });
    assert_eq!((closed(&effects, FIRST), closed(&effects, SECOND)), (Some(Code::REVOKED), None));
    let effects = node.greet(FIRST, None, Some(one.resume), "phone");
    assert_eq!(closed(&effects, FIRST), Some(Code::INVALID_TOKEN));
    assert!(welcome(&node.greet(FIRST, Some(by("one")), None, "phone")).is_some());
    let unknown = Revoke::Session { session: SessionId([0xee; 16]) };
    assert_eq!(outcome(&revoke(&mut node, unknown)), Err(RevokeRefused::UnknownSession));
}

#[test]
fn a_session_lives_by_the_token_that_refreshed_it_and_no_longer_by_the_old_one() {
    let mut node = Node::new();
    let resume = welcome(&node.greet(FIRST, Some(by("one")), None, "phone")).expect("a welcome").resume;
    let fresh = Identity { expires_ms: END_MS + 1, ..by("two") };
    node.tell(Input::Reauthenticated { connection: FIRST, request: 1, identity: fresh });
    let effects = revoke(&mut node, token("one"));
    assert_eq!((closed(&effects, FIRST), outcome(&effects)), (None, Ok(0)));
    node.tell(Input::Disconnected { connection: FIRST });
    assert!(welcome(&node.greet(SECOND, None, Some(resume), "phone")).is_some());
    assert_eq!(
        closed(&revoke(&mut node, token("two")), SECOND),
        Some(Code::REVOKED),
        "resumed without a token"
    );
}

#[test]
fn a_revocation_survives_a_restart_from_the_log_and_from_a_checkpoint_and_is_forgotten_in_time() {
    let mut node = Node::new();
    node.greet(FIRST, Some(by("one")), None, "phone");
    revoke(&mut node, token("one"));
    revoke(&mut node, Revoke::User { tenant: acme(), user: user("tom"), until_ms: END_MS });
    let mut next = Node::with(CoreConfig::default(), node.log.clone());
    assert_eq!(closed(&next.greet(FIRST, Some(by("one")), None, "phone"), FIRST), Some(Code::REVOKED));
    let mut state = State::default();
    for bytes in &node.log {
        let entry = super::Entry::decode(bytes).expect("an entry");
        state.apply(&entry, bytes, CoreConfig::default().dedup_bounds());
    }
    let rows = state.take_dirty_rows().into_iter().filter_map(|(key, value)| Some((key, value?)));
    let mut read = State::from_rows(rows).expect("good rows");
    assert_eq!((read.standing.revocations(), read.standing.sessions.len()), (2, 0));
    read.forget_standing(END_MS - 1);
    assert_eq!(read.standing.revocations(), 2);
    read.forget_standing(END_MS);
    assert_eq!(read.standing.revocations(), 0, "what it concerned has expired");
    next.now_ms = END_MS;
    next.greet(SECOND, Some(identity("mia", Role::Visitor, 0)), None, "phone");
    assert_eq!(next.core.state().standing.revocations(), 0, "the log forgets by its own time");
}

#[test]
fn what_makes_no_sense_or_cannot_be_stored_is_refused_and_changes_nothing() {
    let mut node = Node::new();
    let other = TenantName::parse("other").expect("a name");
    let late = Revoke::Token { tenant: acme(), token: TokenMark::of("x"), until_ms: NOW_MS };
    assert_eq!(outcome(&revoke(&mut node, late)), Err(RevokeRefused::Expired));
    let foreign = Revoke::User { tenant: other, user: user("vera"), until_ms: END_MS };
    assert_eq!(outcome(&revoke(&mut node, foreign)), Err(RevokeRefused::UnknownTenant));
    let entries = node.log.len();
    node.fill_up(true);
    assert_eq!(outcome(&revoke(&mut node, token("x"))), Err(RevokeRefused::NotNow));
    assert_eq!(node.log.len(), entries);
}

fn revoke(node: &mut Node, revoke: Revoke) -> Vec<Effect> {
    node.tell(Input::Revoke { ask: 77, revoke })
}

fn outcome(effects: &[Effect]) -> Result<u32, RevokeRefused> {
    let answer = effects.iter().find_map(|effect| match effect {
        Effect::Revoked { ask: 77, result } => Some(*result),
        _ => None,
    });
    answer.expect("an answer")
}

fn token(jti: &str) -> Revoke {
    Revoke::Token { tenant: acme(), token: TokenMark::of(jti), until_ms: END_MS }
}

fn by(jti: &str) -> Identity {
    Identity { token: Some(TokenMark::of(jti)), ..identity("vera", Role::Visitor, END_MS) }
}

fn made(made_ms: u64) -> Identity {
    Identity { made_ms, ..identity("vera", Role::Visitor, END_MS) }
}

fn acme() -> TenantName {
    TenantName::parse("acme").expect("a name")
}

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

#[test]
fn who_was_revoked_is_offline_at_once() {
    use duet_protocol::{Command, command::WatchPresence, delivery::Connectivity};
    let mut node = Node::new();
    node.greet(FIRST, Some(by("one")), None, "phone");
    node.greet(SECOND, Some(identity("adam", Role::Agent, 0)), None, "desk");
    let watch = WatchPresence { request: 1, users: vec![user("vera")] };
    node.say(SECOND, Lane::CONTROL, Command::WatchPresence(watch));
    node.pass(1_000);
    let frames = told(&revoke(&mut node, token("one")));
    assert!(
        frames
            .iter()
            .any(|it| matches!(it, Delivery::Presence(p) if p.connectivity == Connectivity::Offline)),
        "{frames:?}"
    );
}

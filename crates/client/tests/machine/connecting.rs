//! Laws of the connection: states, codes, waits, tokens, epochs, draining.

use crate::{
    rig::{Rig, START_MS, conversation},
    server::member,
};
use duet_client::machine::{
    Event, From, Input, LinkEvent, LinkTraits, Output, SavedSession, State, Token, TokenError, TokenReason,
};
use duet_protocol::{
    Code, Command, Delivery,
    delivery::{Closing, Draining},
};
use proptest::prelude::*;

fn closing(code: u16, retry_after_ms: u32, endpoint: Option<&str>) -> LinkEvent {
    let endpoint = endpoint.map(str::to_owned);
    let closing = Closing { code: Code(code), reason: "because".into(), retry_after_ms, endpoint };
    LinkEvent::Delivery(duet_client::machine::LaneId::CONTROL, Delivery::Closing(closing))
}

#[test]
fn a_client_goes_from_disconnected_to_connected_and_says_so() {
    let mut rig = Rig::new(1);
    assert_eq!(rig.machine.state(), State::Disconnected);
    rig.online();
    let states: Vec<_> = rig.states().iter().map(|change| (change.previous, change.current)).collect();
    assert_eq!(states, [(State::Disconnected, State::Connecting), (State::Connecting, State::Connected)]);
    assert_eq!(
        (rig.asked.as_slice(), rig.dialed.as_slice()),
        (&[TokenReason::Connect][..], &["a:1".to_owned()][..])
    );
    assert_eq!(rig.machine.me().map(|me| me.user.as_str()), Some("ann"));
    assert!(!rig.last_state().resumed);
}

#[test]
fn a_lost_connection_is_resumed_without_asking_for_a_token_again() {
    let mut rig = Rig::new(2);
    rig.online();
    rig.cut();
    assert_eq!(rig.machine.state(), State::Reconnecting);
    let delay = rig.last_state().retry_in_ms.expect("a planned try");
    assert!(delay <= 1_000, "the first try comes within a second, not in {delay}");
    rig.heal();
    assert!(rig.last_state().resumed);
    assert_eq!(rig.asked.len(), 1);
    assert_eq!(rig.server.sessions, 1);
}

#[test]
fn after_the_resume_window_a_client_is_suspended_and_still_comes_back() {
    let mut rig = Rig::new(3);
    rig.online();
    rig.reachable = false;
    rig.cut();
    rig.pass(119_000);
    assert_eq!(rig.machine.state(), State::Reconnecting);
    rig.pass(2_000);
    assert_eq!(rig.machine.state(), State::Suspended);
    rig.server.session_lives = false;
    rig.heal();
    assert!(!rig.last_state().resumed);
    assert!(rig.events.iter().any(|event| matches!(event, Event::Discontinuity { conversation: None, .. })));
}

proptest! {
    #[test]
    fn waits_between_tries_never_pass_their_bounds(seed: u8, tries in 1usize..14) {
        let mut rig = Rig::new(seed);
        rig.reachable = false;
        rig.input(Input::Connect);
        for n in 0..tries {
            let bound = if n == 0 { 1_000 } else { (500u64 << n).min(20_000) };
            let wait = rig.last_state().retry_in_ms.expect("a planned try");
            prop_assert!(wait <= bound, "try {n} waits {wait}");
            rig.pass(wait);
        }
        prop_assert!(rig.dialed.len() > tries);
    }

    #[test]
    fn what_the_range_of_a_code_asks_for_is_done(number in 3_000u16..4_000, retry_after_ms in 0u32..60_000) {
        let mut rig = Rig::new(7);
        rig.online();
        let dialed = rig.dialed.len();
        rig.link_event(closing(number, retry_after_ms, Some("c:1")));
        let after = rig.last_state();
        match number {
            3_500 => {
                prop_assert_eq!(rig.machine.state(), State::Reconnecting);
                rig.heal();
                prop_assert_eq!(rig.asked.last(), Some(&TokenReason::Revoked));
            }
            3_501.. => {
                prop_assert_eq!((after.current, after.retry_in_ms), (State::Failed, None));
                rig.pass(3_600_000);
                prop_assert_eq!(rig.dialed.len(), dialed, "it came back by itself");
            }
            3_400.. => {
                prop_assert_eq!(after.retry_in_ms, Some(u64::from(retry_after_ms)));
                rig.pass(u64::from(retry_after_ms));
                prop_assert_eq!(rig.dialed.last().map(String::as_str), Some("c:1"));
            }
            _ => {
                let wait = after.retry_in_ms.expect("a planned try");
                let least = u64::from(retry_after_ms);
                prop_assert!((least..=least + 1_000).contains(&wait));
            }
        }
    }
}

#[test]
fn a_refused_token_is_asked_for_once_more_and_a_second_refusal_is_final() {
    let mut rig = Rig::new(4);
    rig.input(Input::Connect);
    rig.carry(0, 1);
    rig.link_event(closing(3_500, 0, None));
    rig.pass(0);
    assert_eq!(rig.asked, [TokenReason::Connect, TokenReason::Revoked]);
    rig.carry(0, 1);
    rig.link_event(closing(3_500, 0, None));
    assert_eq!(rig.last_state().current, State::Failed);
    assert_eq!(rig.last_state().code, Some(Code::INVALID_TOKEN));
}

#[test]
fn no_token_now_is_tried_again_and_no_token_ever_is_final() {
    let mut rig = Rig::new(5);
    rig.tokens = false;
    rig.input(Input::Connect);
    rig.input(Input::Token(Err(TokenError::Unavailable("the back end is down".into()))));
    assert_eq!(rig.machine.state(), State::Connecting);
    rig.pass(1_000);
    assert_eq!(rig.asked.len(), 2);
    rig.pass(32_000);
    assert!(rig.asked.len() > 2, "a provider that does not answer is asked again");
    rig.input(Input::Token(Err(TokenError::Unauthorized("no".into()))));
    assert_eq!(rig.machine.state(), State::Failed);
}

#[test]
fn a_token_is_renewed_in_place_at_four_fifths_of_its_life() {
    let mut rig = Rig::new(6);
    rig.server.token_expires_ms = START_MS + 100_000;
    rig.online();
    rig.pass(75_000);
    assert_eq!(rig.asked.len(), 1);
    rig.server.token_expires_ms = START_MS + 200_000;
    rig.pass(6_000);
    assert_eq!(rig.asked, [TokenReason::Connect, TokenReason::Refresh]);
    rig.heal();
    assert!(rig.events.iter().any(|event| matches!(event, Event::TokenRefreshed { .. })));
    assert_eq!(rig.server.tokens, [Some("token-1".into()), Some("token-2".into())]);
    assert_eq!(rig.dialed.len(), 1);
}

#[test]
fn an_expired_token_does_not_stand_in_the_way_of_a_resume() {
    let mut rig = Rig::new(8);
    rig.server.token_expires_ms = START_MS + 60_000;
    rig.online();
    rig.tokens = false;
    rig.reachable = false;
    rig.cut();
    rig.pass(70_000);
    rig.server.token_expires_ms = START_MS + 600_000;
    rig.heal();
    assert!(rig.last_state().resumed);
    assert_eq!(rig.server.tokens.last(), Some(&None));
}

#[test]
fn a_silent_server_is_noticed_by_a_probe() {
    let mut rig = Rig::new(11);
    rig.traits = LinkTraits { datagrams: false, keep_alive: false };
    rig.online();
    let dialed = rig.dialed.len();
    rig.pass(26_000);
    rig.carry(1, 1);
    rig.pass(11_000);
    assert_eq!(rig.dialed.len(), dialed, "it answered");
    rig.pass(26_000);
    assert_eq!(rig.states().last().map(|change| change.code), Some(Some(Code::TIMEOUT)));
}

#[test]
fn an_attempt_that_leads_nowhere_ends_after_its_time() {
    let mut rig = Rig::new(12);
    rig.input(Input::Connect);
    rig.pass(9_999);
    assert_eq!(rig.dialed.len(), 1);
    rig.pass(1_001);
    assert_eq!(rig.dialed.len(), 2);
    assert_eq!(rig.last_state().code, Some(Code::TIMEOUT));
}

#[test]
fn the_network_is_tried_at_once_when_it_comes_back() {
    let mut rig = Rig::new(13);
    rig.reachable = false;
    rig.input(Input::Connect);
    rig.pass(100_000);
    let dialed = rig.dialed.len();
    rig.reachable = true;
    rig.input(Input::NetworkChanged);
    assert_eq!(rig.dialed.len(), dialed + 1);
    rig.carry(9, 9);
    rig.carry(9, 9);
    assert_eq!(rig.machine.state(), State::Connected);
}

#[test]
fn a_changed_network_moves_the_connection_and_a_dead_one_is_found_out() {
    let mut rig = Rig::new(14);
    rig.online();
    rig.input(Input::NetworkChanged);
    assert!(rig.outputs.iter().any(|output| matches!(output, Output::Rebind { .. })));
    rig.pass(10_001);
    assert_eq!(rig.machine.state(), State::Reconnecting);
}

#[test]
fn a_draining_node_is_left_before_it_breaks_and_nothing_is_missed() {
    let mut rig = Rig::new(15);
    let room = conversation(1);
    rig.online();
    rig.input(Input::Subscribe(room, From::Default));
    rig.heal();
    let draining = Draining { move_after_ms: 3_000, deadline_ms: 30_000, endpoint: Some("next:1".into()) };
    let control = duet_client::machine::LaneId::CONTROL;
    rig.link_event(LinkEvent::Delivery(control, Delivery::Draining(draining)));
    rig.pass(2_999);
    assert_eq!(rig.dialed.len(), 1);
    rig.pass(1);
    assert_eq!(rig.dialed.last().map(String::as_str), Some("next:1"));
    assert_eq!(rig.machine.state(), State::Connected, "the old connection still carries");
    rig.hear(room, "said meanwhile");
    rig.heal();
    let states = rig.states();
    assert_eq!(states.len(), 3);
    assert_eq!((states[2].previous, states[2].current), (State::Connected, State::Connected));
    assert!(states[2].resumed && states[2].endpoint.as_deref() == Some("next:1"));
    let shown = rig.events.iter().filter(|event| matches!(event, Event::MessageCreated { .. })).count();
    assert_eq!(shown, 1);
}

#[test]
fn a_process_goes_on_with_the_session_of_the_one_before() {
    let mut rig = Rig::new(16);
    rig.server.session_lives = true;
    let session = Some(SavedSession { resume: vec![9], epoch: 1, peers: vec!["peer:1".into()] });
    rig.input(Input::Restore(duet_client::machine::Saved { session, outbox: vec![] }));
    rig.online();
    assert!(rig.last_state().resumed);
    assert!(rig.asked.is_empty(), "the session is right enough");
}

#[test]
fn a_closed_client_has_said_good_bye_and_can_begin_anew() {
    let mut rig = Rig::new(17);
    rig.online();
    rig.input(Input::Close);
    assert!(rig.sent.iter().any(|(_, command)| matches!(command, Command::Goodbye(_))));
    assert_eq!((rig.machine.state(), rig.session.clone()), (State::Closed, None));
    rig.pass(3_600_000);
    assert_eq!(rig.dialed.len(), 1);
    rig.online();
    assert_eq!(rig.server.sessions, 2);
}

#[test]
fn facts_about_a_connection_that_was_given_up_change_nothing() {
    let mut rig = Rig::new(18);
    rig.online();
    rig.cut();
    let old = duet_client::machine::ConnectionId(1);
    let before = rig.events.len();
    let again = LinkEvent::Disconnected { code: Code::TIMEOUT, reason: String::new() };
    rig.input(Input::Link(old, again));
    assert_eq!(rig.events.len(), before, "it was lost once");
    rig.heal();
    let before = rig.events.len();
    for event in [closing(3_511, 0, None), LinkEvent::Disconnected { code: Code(2), reason: String::new() }] {
        rig.input(Input::Link(old, event));
    }
    assert_eq!((rig.events.len(), rig.machine.state()), (before, State::Connected));
}

#[test]
fn tokens_and_messages_do_not_show_in_what_could_be_logged() {
    let secret = "s3cret";
    let printed = format!("{:?}", Input::Token(Ok(Token(secret.into()))));
    assert!(!printed.contains(secret), "{printed}");
    let mut rig = Rig::new(19);
    rig.online();
    rig.say(conversation(1), secret);
    rig.heal();
    let printed = format!("{:?}", rig.outputs);
    assert!(!printed.contains(secret) && !printed.contains("token-1"), "{printed}");
    assert_eq!(member("bob", 0, 0).user.as_str(), "bob");
}

//! Laws of what is shown: backlog and live events, discontinuities, statuses, lanes that break.

use crate::{
    rig::{Rig, conversation},
    server::{OTHER, member},
};
use duet_client::machine::{Event, From, Input, LaneId, LinkEvent, MessageStatus};
use duet_protocol::{
    Code, Command, Delivery, EventBody, Position, Refusal, Subject, UserId,
    delivery::{CaughtUp, ReceiptUpdated, Status, Unsubscribed},
    event,
};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
}

fn opens(rig: &Rig) -> usize {
    rig.sent.iter().filter(|(_, command)| matches!(command, Command::Open(_))).count()
}

fn texts(rig: &Rig) -> Vec<String> {
    let shown = rig.events.iter().filter_map(|event| match event {
        Event::MessageCreated { message, .. } => message.content.as_text().map(str::to_owned),
        _ => None,
    });
    shown.collect()
}

fn names(rig: &Rig) -> Vec<&'static str> {
    rig.events.iter().map(Event::name).collect()
}

fn shown(seed: u8) -> Rig {
    let mut rig = Rig::new(seed);
    rig.online();
    rig.input(Input::Subscribe(conversation(1), From::Default));
    rig.heal();
    rig.events.clear();
    rig.sent.clear();
    rig
}

#[test]
fn a_backlog_is_told_before_the_conversation_is_ready_and_what_follows_is_live() {
    let mut rig = Rig::new(1);
    let room = conversation(1);
    for text in ["one", "two", "three"] {
        rig.hear(room, text);
    }
    rig.online();
    rig.input(Input::Subscribe(room, From::Latest(2)));
    rig.heal();
    rig.hear(room, "four");
    rig.heal();
    let told: Vec<_> = rig.events.iter().skip_while(|event| event.name() != "conversation.opened").collect();
    assert!(matches!(
        told.as_slice(),
        [
            Event::ConversationOpened(info),
            Event::MessageCreated { live: false, .. },
            Event::MessageCreated { live: false, .. },
            Event::ConversationReady { position: Position { epoch: 1, seq: 3 }, .. },
            Event::MessageCreated { live: true, .. },
            Event::ReceiptUpdated { received: 4, .. },
        ] if info.head == 3
    ));
    assert_eq!(texts(&rig), ["two", "three", "four"]);
}

#[test]
fn history_does_not_change_the_stage_that_the_opening_told() {
    let mut rig = Rig::new(15);
    let room = conversation(1);
    for status in [Status::Active, Status::Resolved] {
        let body = EventBody::StatusChanged(event::StatusChanged { status });
        rig.server.happen(room, &body);
    }
    rig.online();
    rig.input(Input::Subscribe(room, From::Default));
    rig.heal();
    rig.cut();
    // The conversation is active, so this message must not wake it if it is resolved meanwhile.
    rig.say(room, "one more thing");
    rig.server.status = Status::Resolved;
    rig.heal();
    assert!(rig.server.mine(room).is_empty());
    // Level again after falling behind: nothing new is told.
    rig.events.clear();
    rig.deliver_on(room, Delivery::CaughtUp(CaughtUp { seq: 2 }));
    assert_eq!(names(&rig), [] as [&str; 0]);
    rig.deliver_on(room, Delivery::CaughtUp(CaughtUp { seq: 3 }));
    assert_eq!(opens(&rig), 3, "something is missing");
}

#[test]
fn events_missed_for_good_are_a_discontinuity_and_what_still_waits_is_shown_again() {
    let mut rig = shown(2);
    let room = conversation(1);
    rig.hear(room, "one");
    rig.heal();
    rig.cut();
    for text in ["two", "three", "four"] {
        rig.hear(room, text);
    }
    let waiting = rig.say(room, "mine");
    rig.server.first_seq = 4;
    rig.events.clear();
    rig.heal();
    let after: Vec<_> = names(&rig).into_iter().skip_while(|name| *name != "discontinuity").collect();
    assert_eq!(after[..3], ["discontinuity", "message.created", "conversation.opened"]);
    assert_eq!(texts(&rig), ["mine", "four"]);
    assert_eq!(rig.server.mine(room), [waiting]);
}

#[test]
fn a_position_kept_by_the_application_is_where_its_subscription_begins() {
    let mut rig = Rig::new(3);
    let room = conversation(1);
    for text in ["one", "two", "three"] {
        rig.hear(room, text);
    }
    rig.online();
    rig.input(Input::Subscribe(room, From::After(Position { epoch: 1, seq: 2 })));
    rig.heal();
    assert_eq!(texts(&rig), ["three"]);
    // A reader that lagged goes back to what it still has.
    rig.input(Input::Subscribe(room, From::After(Position { epoch: 1, seq: 1 })));
    rig.heal();
    assert_eq!(texts(&rig), ["three", "two", "three"]);
    rig.input(Input::Subscribe(room, From::Default));
    rig.heal();
    assert_eq!(opens(&rig), 2, "it is shown already");
}

#[test]
fn a_lane_that_keeps_breaking_is_opened_again_with_growing_waits() {
    let mut rig = shown(4);
    let room = conversation(1);
    for _ in 0..12 {
        let unsubscribed = Unsubscribed { code: Code::INSUFFICIENT_STATE, reason: String::new() };
        if let Some(lane) =
            rig.sent.iter().rev().find_map(|(lane, c)| matches!(c, Command::Open(_)).then_some(*lane))
        {
            rig.link_event(LinkEvent::Delivery(lane, Delivery::Unsubscribed(unsubscribed)));
        } else {
            rig.deliver_on(room, Delivery::Unsubscribed(unsubscribed));
        }
        rig.pass(1_000);
    }
    assert!((3..9).contains(&opens(&rig)), "{} openings in twelve seconds", opens(&rig));
    rig.pass(20_000);
    rig.heal();
    assert_eq!(names(&rig).last(), Some(&"conversation.ready"));
}

#[test]
fn a_subscription_that_ends_for_good_is_told_and_what_waits_there_fails() {
    let mut rig = shown(5);
    let room = conversation(1);
    rig.server.refusals.push(Refusal {
        subject: Subject::Lane,
        code: Code::RATE_LIMITED,
        message: String::new(),
        retry_after_ms: 60_000,
    });
    let id = rig.say(room, "too late");
    rig.carry(9, 9);
    let code = Code::ACCESS_REVOKED;
    rig.deliver_on(room, Delivery::Unsubscribed(Unsubscribed { code, reason: "removed".into() }));
    assert!(matches!(
        &rig.events[rig.events.len() - 2..],
        [Event::MessageStatus(change), Event::ConversationLost { error, .. }]
            if change.id == id && change.status == MessageStatus::Failed && error.code == code
    ));
    rig.pass(100_000);
    assert_eq!(opens(&rig), 0);
}

#[test]
fn a_refused_conversation_is_lost_and_a_full_server_is_asked_again() {
    for (code, lost) in [(Code::NOT_FOUND, true), (Code::LIMIT_REACHED, false), (Code::OVERLOADED, false)] {
        let mut rig = Rig::new(6);
        rig.online();
        rig.input(Input::Subscribe(conversation(1), From::Default));
        let refusal = Refusal { subject: Subject::Lane, code, message: String::new(), retry_after_ms: 0 };
        rig.link_event(LinkEvent::Delivery(LaneId(1), Delivery::Refused(refusal)));
        let told = rig.events.iter().any(|event| matches!(event, Event::ConversationLost { .. }));
        assert_eq!(told, lost, "{code}");
        rig.pass(1_000);
        assert_eq!(opens(&rig), if lost { 1 } else { 2 }, "{code}");
    }
}

#[test]
fn who_answers_has_read_what_was_said_before() {
    let mut rig = shown(16);
    let room = conversation(1);
    let id = rig.say(room, "seen?");
    rig.heal();
    rig.events.clear();
    rig.hear(room, "yes");
    rig.heal();
    assert!(matches!(
        &rig.events[..],
        [Event::MessageCreated { .. }, Event::ReceiptUpdated { received: 2, read: 2, .. }, Event::MessageStatus(change)]
            if change.id == id && change.status == MessageStatus::Read
    ));
}

#[test]
fn own_messages_come_further_with_the_receipts_of_others_over_a_loss_too() {
    let mut rig = shown(8);
    let room = conversation(1);
    let id = rig.say(room, "seen?");
    rig.heal();
    let receipt = |received, read| ReceiptUpdated { user: user(OTHER), received, read };
    rig.deliver_on(room, Delivery::ReceiptUpdated(receipt(1, 0)));
    rig.deliver_on(room, Delivery::ReceiptUpdated(receipt(1, 0)));
    rig.cut();
    rig.server.others = vec![member(OTHER, 1, 1)];
    rig.heal();
    let steps: Vec<_> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Event::MessageStatus(change) if change.id == id => Some(change.status),
            _ => None,
        })
        .collect();
    assert_eq!(steps, [MessageStatus::Accepted, MessageStatus::Delivered, MessageStatus::Read]);
}

#[test]
fn no_more_lanes_are_open_than_the_server_allows_and_all_conversations_get_their_turn() {
    let mut rig = Rig::new(13);
    rig.server.limits.lanes_max = 3;
    rig.online();
    let said: Vec<_> = (0..6).map(|n| rig.say(conversation(n), "hello")).collect();
    let mut most = 0;
    for _ in 0..100 {
        rig.carry(1, 1);
        most = most.max((0..6).filter(|n| !rig.subscribed(conversation(*n)).is_empty()).count());
    }
    rig.heal();
    assert_eq!(most, 2, "one is kept for history");
    for (n, id) in (0u8..).zip(said) {
        assert_eq!(rig.server.mine(conversation(n)), [id]);
    }
}

#[test]
fn frames_that_cannot_be_read_end_the_connection_and_unknown_ones_are_skipped() {
    let mut rig = shown(14);
    let frame = |kind: u8, body: &'static [u8]| {
        LinkEvent::Frame(LaneId::CONTROL, duet_protocol::Frame { kind, body: body.into() })
    };
    rig.link_event(frame(0x7f, b"from the future"));
    rig.link_event(LinkEvent::Datagram((&[0x70u8, 0xff][..]).into()));
    assert_eq!(names(&rig), [] as [&str; 0]);
    rig.link_event(frame(0x44, b"\xff"));
    assert_eq!(names(&rig), ["state"]);
    rig.heal();
}

//! Laws of the outbox and of calls: order, bounds, age, refusals, what is repeated and what is not.

use crate::rig::{Rig, conversation};
use duet_client::machine::{
    Answer, Call, Event, From, Input, LaneId, LinkEvent, MessageStatus, NewMessage, Saved, StatusChange,
};
use duet_protocol::{
    ClientMessageId, Code, Command, Delivery, Refusal, Subject,
    command::{Durability, Page},
    delivery::{Availability, ConversationKind, Status},
    event::Content,
};

fn statuses(rig: &Rig, id: ClientMessageId) -> Vec<StatusChange> {
    let changes = rig.events.iter().filter_map(|event| match event {
        Event::MessageStatus(change) if change.id == id => Some(change.clone()),
        _ => None,
    });
    changes.collect()
}

fn refusal(code: Code, retry_after_ms: u32) -> Refusal {
    Refusal { subject: Subject::Lane, code, message: String::new(), retry_after_ms }
}

fn answers(rig: &Rig) -> Vec<Result<Answer, Code>> {
    let answers = rig.events.iter().filter_map(|event| match event {
        Event::Answered { result, .. } => Some(result.clone().map_err(|error| error.code)),
        _ => None,
    });
    answers.collect()
}

#[test]
fn a_message_is_shown_at_once_and_then_comes_further() {
    let mut rig = Rig::new(1);
    let room = conversation(1);
    let id = rig.say(room, "early");
    assert!(matches!(
        &rig.events[..],
        [Event::MessageCreated { message, live: true }]
            if message.id == id && message.own && message.seq.is_none() && message.status == MessageStatus::Queued
    ));
    rig.online();
    let change = statuses(&rig, id).pop().expect("a status");
    assert_eq!((change.status, change.seq), (MessageStatus::Accepted, Some(1)));
}

#[test]
fn one_message_of_a_conversation_is_under_way_at_a_time_and_conversations_do_not_wait_for_each_other() {
    let mut rig = Rig::new(2);
    rig.online();
    for room in [1, 2] {
        rig.input(Input::Subscribe(conversation(room), From::Default));
    }
    rig.heal();
    for text in ["a", "b", "c"] {
        rig.say(conversation(1), text);
        rig.say(conversation(2), text);
    }
    let published = |rig: &Rig| rig.sent.iter().filter(|(_, c)| matches!(c, Command::Publish(_))).count();
    assert_eq!(published(&rig), 2);
    rig.heal();
    assert_eq!(published(&rig), 6);
}

#[test]
fn a_message_that_is_refused_for_now_holds_back_those_behind_it_and_keeps_its_id() {
    let mut rig = Rig::new(3);
    let room = conversation(1);
    rig.online();
    rig.server.refusals.push(refusal(Code::RATE_LIMITED, 5_000));
    let said = [rig.say(room, "first"), rig.say(room, "second")];
    rig.carry(9, 9);
    rig.carry(9, 9);
    rig.pass(4_000);
    let said = [said[0], said[1], rig.say(room, "third")];
    rig.carry(9, 9);
    rig.pass(900);
    assert!(rig.server.mine(room).is_empty());
    let waits = statuses(&rig, said[0]).pop().expect("a status");
    assert_eq!(
        (waits.status, waits.error.map(|e| e.code)),
        (MessageStatus::Queued, Some(Code::RATE_LIMITED))
    );
    rig.heal();
    assert_eq!(rig.server.mine(room), said);
}

#[test]
fn a_message_that_is_refused_for_good_fails_and_those_behind_it_go_on() {
    let mut rig = Rig::new(4);
    let room = conversation(1);
    rig.online();
    rig.server.refusals.push(refusal(Code::FORBIDDEN, 0));
    let (bad, good) = (rig.say(room, "bad"), rig.say(room, "good"));
    rig.heal();
    assert_eq!(rig.server.mine(room), [good]);
    let failed = statuses(&rig, bad).pop().expect("a status");
    assert_eq!((failed.status, failed.error.map(|e| e.code)), (MessageStatus::Failed, Some(Code::FORBIDDEN)));
    assert_eq!(rig.persisted[&bad].failed, Some(Code::FORBIDDEN));

    let again = rig.machine.retry(rig.now_ms, bad).expect("it failed before");
    assert_eq!(again.id, bad, "nothing was stored under it");
    rig.heal();
    assert_eq!(rig.server.mine(room), [good, bad]);
    assert!(rig.persisted.is_empty());
}

#[test]
fn a_message_whose_id_leads_nowhere_is_sent_again_as_a_new_one() {
    let mut rig = Rig::new(5);
    let room = conversation(1);
    rig.online();
    rig.server.refusals.push(refusal(Code::DUPLICATE_UNKNOWN, 0));
    let old = rig.say(room, "old");
    rig.heal();
    let new = rig.machine.retry(rig.now_ms, old).expect("it failed before").id;
    rig.heal();
    assert_ne!(new, old);
    assert_eq!(rig.server.mine(room), [new]);
    assert_eq!(rig.machine.retry(rig.now_ms, old).map_err(|error| error.code), Err(Code::NOT_FOUND));
}

#[test]
fn whether_to_wait_for_the_second_node_is_the_applications_choice() {
    let mut rig = Rig::new(6);
    rig.online();
    rig.server.refusals.push(refusal(Code::NOT_DURABLE_NOW, 1_000));
    let id = rig.say(conversation(1), "mirror me");
    rig.heal();
    assert_eq!(statuses(&rig, id).pop().map(|change| change.status), Some(MessageStatus::Failed));
    rig.input(Input::Discard(id));
    assert!(rig.machine.outbox().is_empty() && rig.persisted.is_empty());
}

#[test]
fn a_message_too_old_to_be_sent_safely_fails_instead() {
    let mut rig = Rig::new(7);
    rig.reachable = false;
    rig.input(Input::Connect);
    let old = rig.say(conversation(1), "old");
    rig.pass(22 * 3_600_000);
    let young = rig.say(conversation(1), "young");
    rig.pass(2 * 3_600_000);
    let failed = statuses(&rig, old).pop().expect("a status");
    assert_eq!(failed.error.map(|error| error.code), Some(Code::OUTBOX_EXPIRED));
    rig.heal();
    assert_eq!(rig.server.mine(conversation(1)), [young]);
}

#[test]
fn what_was_said_to_an_active_conversation_does_not_wake_one_that_was_resolved_meanwhile() {
    let mut rig = Rig::new(8);
    let room = conversation(1);
    rig.online();
    rig.input(Input::Subscribe(room, From::Default));
    rig.heal();
    rig.cut();
    let id = rig.say(room, "one more thing");
    rig.server.status = Status::Resolved;
    for _ in 0..5 {
        rig.pass(1_000);
        rig.carry(9, 9);
    }
    assert!(rig.server.mine(room).is_empty());
    assert_eq!(
        statuses(&rig, id).pop().and_then(|change| change.error).map(|e| e.code),
        Some(Code::CONFLICT)
    );
    assert!(rig.machine.retry(rig.now_ms, id).is_ok(), "the user insists");
    rig.heal();
    assert_eq!(rig.server.mine(room), [id]);
}

#[test]
fn what_cannot_be_queued_is_refused_at_once() {
    let mut rig = Rig::with(|config| config.outbox_messages_max = 2, 9);
    let room = conversation(1);
    let send =
        |rig: &mut Rig, message| rig.machine.send(rig.now_ms, room, message).map_err(|error| error.code);
    assert_eq!(send(&mut rig, NewMessage::text("")), Err(Code::BAD_REQUEST));
    assert_eq!(send(&mut rig, NewMessage::text(&"x".repeat(60_001))), Err(Code::TOO_LARGE));
    rig.say(room, "1");
    rig.say(room, "2");
    assert_eq!(send(&mut rig, NewMessage::text("3")), Err(Code::OUTBOX_FULL));
    rig.online();
    assert_eq!(send(&mut rig, NewMessage::text(&"x".repeat(16_385))), Err(Code::TOO_LARGE));
    assert!(send(&mut rig, NewMessage::text("3")).is_ok());
}

#[test]
fn an_ephemeral_message_is_sent_now_or_not_at_all() {
    let mut rig = Rig::new(10);
    let room = conversation(1);
    let message =
        || NewMessage { content: Content::text("now"), reply_to: None, durability: Durability::Ephemeral };
    let refused = rig.machine.send(rig.now_ms, room, message()).map_err(|error| error.code);
    assert_eq!(refused.map(|_| ()), Err(Code::TRANSPORT_CLOSED));
    rig.online();
    rig.input(Input::Subscribe(room, From::Default));
    rig.heal();
    assert!(rig.machine.send(rig.now_ms, room, message()).is_ok());
    assert!(rig.machine.outbox().is_empty() && rig.persisted.is_empty());
}

#[test]
fn an_answer_that_was_lost_is_found_in_the_past() {
    let mut rig = Rig::with(|config| config.backlog = 0, 11);
    let room = conversation(1);
    rig.online();
    let id = rig.say(room, "stored, but who knows");
    rig.carry(9, 9);
    rig.carry(9, 0);
    assert_eq!(rig.server.mine(room), [id]);
    let outbox = rig.machine.outbox();
    let mut next = Rig::with(|config| config.seed[1] = 1, 11);
    (next.server, next.now_ms) = (rig.server, rig.now_ms);
    next.input(Input::Restore(Saved { session: None, outbox }));
    next.machine.call(next.now_ms, Call::History(room, Page::Before(u64::MAX), 10));
    next.online();
    assert_eq!(statuses(&next, id).pop().and_then(|change| change.seq), Some(1));
    assert_eq!(next.server.mine(room), [id]);
}

#[test]
fn calls_wait_for_a_connection_and_harmless_ones_are_repeated_after_a_loss() {
    let mut rig = Rig::new(12);
    let room = conversation(1);
    rig.machine.call(
        rig.now_ms,
        Call::CreateConversation {
            conversation: room,
            kind: ConversationKind::Support,
            subject: None,
            members: vec![],
        },
    );
    rig.online();
    assert_eq!(answers(&rig), [Ok(Answer::Created(room))]);
    rig.machine.call(rig.now_ms, Call::History(room, Page::Before(9), 5));
    rig.machine.call(rig.now_ms, Call::Assign(room, None));
    rig.input(Input::Tick);
    rig.cut();
    assert_eq!(answers(&rig).last(), Some(&Err(Code::TRANSPORT_CLOSED)), "nobody knows who has it now");
    rig.heal();
    assert!(matches!(answers(&rig).last(), Some(Ok(Answer::History(_)))));
}

#[test]
fn a_call_that_met_an_expired_token_is_repeated_with_a_fresh_one() {
    let mut rig = Rig::new(15);
    rig.online();
    let request = rig.machine.call(rig.now_ms, Call::SetAvailability(Availability::Busy));
    rig.swallow();
    rig.sent.clear();
    let refused = Delivery::Refused(Refusal {
        subject: Subject::Request(request.0),
        code: Code::TOKEN_EXPIRED,
        message: String::new(),
        retry_after_ms: 0,
    });
    rig.link_event(LinkEvent::Delivery(LaneId::CONTROL, refused));
    rig.heal();
    let kinds: Vec<u8> = rig.sent.iter().map(|(_, command)| command.kind()).collect();
    assert_eq!(kinds, [0x04, 0x05], "a fresh token, then the same again");
    assert_eq!(answers(&rig), [Ok(Answer::Done)]);
}

#[test]
fn what_holds_for_every_connection_is_asked_for_until_it_is_granted_or_refused_for_good() {
    let mut rig = Rig::new(17);
    rig.online();
    let asked = |rig: &Rig| rig.sent.iter().filter(|(_, c)| matches!(c, Command::WatchInbox(_))).count();
    let refuse = |rig: &mut Rig, code| {
        let request = rig.sent.iter().rev().find_map(|(_, command)| match command {
            Command::WatchInbox(watch) => Some(watch.request),
            _ => None,
        });
        let subject = Subject::Request(request.expect("it was asked for"));
        let refusal = Refusal { subject, code, message: String::new(), retry_after_ms: 0 };
        rig.link_event(LinkEvent::Delivery(LaneId::CONTROL, Delivery::Refused(refusal)));
    };
    rig.machine.call(rig.now_ms, Call::WatchInbox(true));
    rig.swallow();
    rig.pass(15_000);
    assert_eq!(
        (answers(&rig), asked(&rig)),
        (vec![Err(Code::TIMEOUT)], 2),
        "the caller is told; the wish stays"
    );
    rig.swallow();
    refuse(&mut rig, Code::RATE_LIMITED);
    rig.pass(14_000);
    assert_eq!(asked(&rig), 2, "not at once");
    rig.pass(1_000);
    assert_eq!(asked(&rig), 3);
    rig.swallow();
    refuse(&mut rig, Code::FORBIDDEN);
    rig.cut();
    rig.heal();
    rig.pass(60_000);
    assert_eq!((asked(&rig), answers(&rig).len()), (3, 1));
}

#[test]
fn no_more_pages_are_asked_for_at_once_than_a_server_reads() {
    let mut rig = Rig::new(16);
    rig.online();
    for _ in 0..9 {
        rig.machine.call(rig.now_ms, Call::History(conversation(1), Page::After(0), 5));
    }
    rig.input(Input::Tick);
    let asked = rig.sent.iter().filter(|(_, command)| matches!(command, Command::HistoryRequest(_))).count();
    assert_eq!(asked, 4);
    rig.heal();
    assert_eq!(answers(&rig).len(), 9);
}

#[test]
fn a_conversation_is_opened_only_after_it_was_created() {
    let mut rig = Rig::new(13);
    rig.online();
    let room = conversation(1);
    let (kind, subject, members) = (ConversationKind::Support, None, vec![]);
    let call = Call::CreateConversation { conversation: room, kind, subject, members };
    rig.machine.call(rig.now_ms, call);
    rig.input(Input::Subscribe(room, From::Default));
    rig.say(room, "first");
    let opened = |rig: &Rig| rig.sent.iter().any(|(_, command)| matches!(command, Command::Open(_)));
    assert!(!opened(&rig));
    rig.heal();
    assert!(opened(&rig));
    assert_eq!(rig.server.mine(room).len(), 1);
}

#[test]
fn a_call_without_an_answer_ends_after_its_time_and_every_call_is_answered_once() {
    let mut rig = Rig::new(14);
    rig.reachable = false;
    rig.input(Input::Connect);
    rig.machine.call(rig.now_ms, Call::WatchInbox(true));
    let cancelled = rig.machine.call(rig.now_ms, Call::WatchPresence(vec![]));
    rig.input(Input::Cancel(cancelled));
    rig.pass(15_000);
    assert_eq!(answers(&rig), [Err(Code::TIMEOUT)]);
    rig.heal();
    rig.sent.retain(|(_, command)| matches!(command, Command::WatchInbox(_)));
    assert_eq!(rig.sent.len(), 1);
    assert_eq!(answers(&rig).len(), 1);
    // What holds for every connection was asked for all the same.
    assert!(rig.sent.iter().any(|(_, command)| matches!(command, Command::WatchInbox(_))));
    rig.machine.call(rig.now_ms, Call::WatchInbox(false));
    rig.input(Input::Close);
    assert_eq!(answers(&rig).last(), Some(&Err(Code::CLOSED_BY_USER)));
}

//! Laws of edits, deletions, reactions, notes and calls: shown at once, sent until answered, folded from the log.

use crate::rig::{Rig, conversation};
use duet_client::machine::{
    Answer, Call, Event, From, Input, LaneId, MessageState, MessageStatus, NewMessage,
};
use duet_protocol::{
    ClientMessageId, Code, Command, Delivery, Refusal, Subject,
    amend::{Change, Delete, Edit, React},
    call::{Answered, CallAsked, CallEnded, Outcome},
    command::Durability,
    event::Content,
    hello::Role,
    ids::{Emoji, Label},
};

#[test]
fn a_change_is_shown_at_once_and_again_as_the_log_has_it() {
    let mut rig = talking();
    let id = amend(&mut rig, Change::Edit(Edit { target: 1, content: Content::text("better") }));
    let expected = states(&rig).pop().expect("an echo");
    assert_eq!(edit_of(&expected), Some(("better".into(), None)), "not answered yet");
    rig.heal();
    let told = states(&rig).pop().expect("a state");
    assert_eq!(edit_of(&told), Some(("better".into(), Some(2))));
    assert_eq!(statuses(&rig, id), [MessageStatus::Accepted]);
    assert!(rig.persisted.is_empty(), "answered and forgotten");
}

#[test]
fn a_change_whose_answer_was_lost_is_sent_again_as_the_same_one() {
    let mut rig = talking();
    let heart = Emoji::parse("❤").unwrap();
    let id = amend(&mut rig, Change::React(React { target: 1, emoji: heart.clone(), on: true }));
    assert!(rig.persisted.contains_key(&id), "it survives the process");
    rig.swallow();
    rig.cut();
    rig.heal();
    let sent = rig.sent.iter().filter(|(_, command)| matches!(command, Command::Amend(a) if a.id == id));
    assert_eq!(sent.count(), 2, "sent twice");
    assert_eq!(rig.server.logs[&conversation(1)].len(), 2, "made once");
    let state = states(&rig).pop().expect("a state");
    assert_eq!(state.reactions.iter().map(|r| (&r.emoji, r.users.len())).collect::<Vec<_>>(), [(&heart, 1)]);
}

#[test]
fn a_refused_change_is_taken_back_and_its_status_says_why() {
    let mut rig = talking();
    let (subject, message) = (Subject::Lane, String::new());
    rig.server.refusals = vec![Refusal { subject, code: Code::FORBIDDEN, message, retry_after_ms: 0 }];
    let id = amend(&mut rig, Change::Delete(Delete { target: 1 }));
    assert!(states(&rig).pop().expect("an echo").deleted.is_some());
    rig.heal();
    assert_eq!(states(&rig).pop(), Some(MessageState::default()), "as it was");
    assert_eq!(statuses(&rig, id), [MessageStatus::Failed]);
}

#[test]
fn a_note_is_a_message_that_says_that_it_is_private() {
    let mut rig = talking();
    let echo = rig.machine.note(rig.now_ms, conversation(1), NewMessage::text("careful")).unwrap();
    assert!(echo.private);
    rig.heal();
    assert_eq!(statuses(&rig, echo.id).first(), Some(&MessageStatus::Accepted));
    assert!(rig.sent.iter().any(|(_, command)| matches!(command, Command::Note(note) if note.id == echo.id)));
}

#[test]
fn a_call_has_its_answer_and_one_that_was_under_way_when_the_connection_broke_is_not_repeated() {
    let mut rig = talking();
    let find = Label::parse("find").unwrap();
    let ask = || Call::Ask(find.clone(), b"{}".to_vec(), 1_000);
    let first = rig.machine.call(rig.now_ms, ask());
    rig.input(Input::Tick);
    let outcome = Outcome::Returned(b"42".to_vec());
    let answered = Answered { request: first.0, outcome: outcome.clone() };
    rig.queue(vec![(LaneId::CONTROL, Delivery::Answered(answered))]);
    rig.heal();
    assert!(answers(&rig).contains(&Ok(Answer::Outcome(outcome))));
    rig.machine.call(rig.now_ms, ask());
    rig.input(Input::Tick);
    rig.cut();
    rig.heal();
    assert_eq!(answers(&rig).pop(), Some(Err(Code::TRANSPORT_CLOSED)));
    let asked = rig.sent.iter().filter(|(_, command)| matches!(command, Command::Call(_))).count();
    assert_eq!(asked, 2);
}

#[test]
fn what_a_service_serves_is_said_again_on_every_connection_and_questions_are_told() {
    let mut rig = talking();
    let methods = vec![Label::parse("find").unwrap()];
    rig.machine.call(rig.now_ms, Call::Serve(methods.clone()));
    rig.input(Input::Tick);
    rig.heal();
    rig.cut();
    rig.heal();
    let served = rig.sent.iter().filter(|(_, c)| matches!(c, Command::Serve(s) if s.methods == methods));
    assert!(served.count() >= 2);
    let (user, method) = (duet_protocol::UserId::parse("vera").unwrap(), methods[0].clone());
    let asked = CallAsked { call: 7, user, role: Role::Visitor, method, body: Vec::new(), timeout_ms: 1_000 };
    rig.queue(vec![
        (LaneId::CONTROL, Delivery::CallAsked(asked.clone())),
        (LaneId::CONTROL, Delivery::CallEnded(CallEnded { call: 7 })),
    ]);
    rig.heal();
    assert!(rig.events.contains(&Event::CallAsked(asked)));
    assert!(rig.events.contains(&Event::CallEnded { call: 7 }));
    rig.input(Input::AnswerCall(7, Outcome::Returned(Vec::new())));
    assert!(matches!(rig.sent.last(), Some((LaneId::CONTROL, Command::Answer(answer))) if answer.call == 7));
}

/// Online, with one message in a conversation that is shown.
fn talking() -> Rig {
    let mut rig = Rig::new(7);
    rig.online();
    rig.input(Input::Subscribe(conversation(1), From::Default));
    rig.say(conversation(1), "first");
    rig.heal();
    rig
}

fn amend(rig: &mut Rig, change: Change) -> ClientMessageId {
    let id = rig.machine.amend(rig.now_ms, conversation(1), change, Durability::Accepted).unwrap();
    rig.input(Input::Tick);
    id
}

fn states(rig: &Rig) -> Vec<MessageState> {
    let states = rig.events.iter().filter_map(|event| match event {
        Event::MessageUpdated { seq: 1, state, .. } => Some(state.clone()),
        _ => None,
    });
    states.collect()
}

fn edit_of(state: &MessageState) -> Option<(String, Option<u64>)> {
    state.edited.as_ref().map(|edit| (edit.content.as_text().unwrap_or_default().to_owned(), edit.seq))
}

fn statuses(rig: &Rig, id: ClientMessageId) -> Vec<MessageStatus> {
    let changes = rig.events.iter().filter_map(|event| match event {
        Event::MessageStatus(change) if change.id == id => Some(change.status),
        _ => None,
    });
    changes.collect()
}

fn answers(rig: &Rig) -> Vec<Result<Answer, Code>> {
    let answers = rig.events.iter().filter_map(|event| match event {
        Event::Answered { result, .. } => Some(result.clone().map_err(|error| error.code)),
        _ => None,
    });
    answers.collect()
}

//! Laws of changes, notes and system events: who may do what is in the permission laws.

use super::{
    EventRow, Input, Lane,
    adding_rig::{
        LANE, ROBOT, SUE, amend, delete, edit, entries, entries_of, event, events, hex, history, message,
        note, nothing, published, react, refusal, refused, sent_to, seqs, shown, system, tombstone,
        with_a_message,
    },
    rig::{AGENT, CONVERSATION, Node, VISITOR, open, told},
};
use duet_protocol::{
    Code, Command, Delivery, EventBody,
    command::{Start, WatchInbox},
};

#[test]
fn a_change_sent_again_is_the_same_event_and_another_one_under_its_id_is_refused() {
    let (mut node, said) = with_a_message();
    for change in [edit(said, "Hallo"), react(said, "👍", true), delete(said)] {
        let id = node.id();
        let first = published(&node.change(VISITOR, id, change.clone()));
        assert!(!first.duplicate);
        assert_eq!(first.seq, node.seq(), "the change is the next event");
        let again = published(&node.change(VISITOR, id, change));
        assert_eq!((again.seq, again.at_ms, again.duplicate), (first.seq, first.at_ms, true));
        assert_eq!(node.seq(), first.seq, "nothing was added");
        let other = node.change(VISITOR, id, react(said, "no", true));
        assert_eq!(refusal(&other), Code::DUPLICATE_DIFFERS);
        let as_a_message = node.write(VISITOR, message(id, "x"));
        assert_eq!(refusal(&as_a_message), Code::DUPLICATE_DIFFERS, "ids of messages and changes are one");
    }
}

#[test]
fn what_is_deleted_is_never_handed_out_again_not_in_pages_not_in_backlogs_not_after_a_restart() {
    let (mut node, said) = with_a_message();
    node.change_now(VISITOR, edit(said, "secret two"));
    node.change_now(VISITOR, edit(said, "secret three"));
    assert!(shown(&node.page(AGENT)).contains("secret"), "it is there to be deleted");
    let deletion = published(&node.change_now(VISITOR, delete(said)));
    let check = |node: &mut Node, when: &str| {
        for reader in [VISITOR, AGENT] {
            let page = node.page(reader);
            assert!(!shown(&page).contains("secret"), "{when}: {page:?}");
            let stones: Vec<_> = page.iter().filter_map(tombstone).collect();
            assert_eq!(stones.len(), 3, "{when}: the message and both of its edits");
            assert!(stones.iter().all(|stone| (stone.of, stone.deletion) == (said, deletion.seq)));
            let backlog = node.backlog(reader);
            assert!(!shown(&backlog).contains("secret"), "{when}: {backlog:?}");
            assert_eq!(backlog.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs(node.seq()), "{when}");
        }
    };
    check(&mut node, "at once");
    check(&mut node.replayed(), "out of the log");
    check(&mut node.restored(), "out of the checkpoint");
}

#[test]
fn a_page_that_was_read_before_a_deletion_and_answered_after_it_hides_what_was_deleted() {
    let (mut node, said) = with_a_message();
    node.serves_reads = false;
    let asked = node.say(AGENT, Lane(9), history());
    node.serves_reads = true;
    node.change_now(VISITOR, delete(said));
    let page = node.serve(asked);
    assert!(!shown(&events(&page)).contains("secret"), "{page:?}");
}

#[test]
fn a_deleted_message_takes_no_edits_and_no_reactions_and_is_not_deleted_twice() {
    let (mut node, said) = with_a_message();
    let deletion = published(&node.change_now(VISITOR, delete(said)));
    for change in [edit(said, "back again"), react(said, "👍", true)] {
        assert_eq!(refusal(&node.change_now(VISITOR, change)), Code::MESSAGE_DELETED);
    }
    let again = published(&node.change_now(VISITOR, delete(said)));
    assert_eq!((again.seq, again.duplicate), (deletion.seq, true));
    assert_eq!(node.seq(), deletion.seq);
}

#[test]
fn only_messages_are_changed() {
    let (mut node, said) = with_a_message();
    let reaction = published(&node.change_now(VISITOR, react(said, "👍", true))).seq;
    for target in [0, 1, 2, reaction, node.seq() + 1, u64::MAX] {
        for change in [edit(target, "x"), delete(target), react(target, "x", true)] {
            let refused = node.change_now(VISITOR, change);
            assert_eq!(refusal(&refused), Code::NOT_A_MESSAGE, "{target}");
        }
    }
}

#[test]
fn who_wrote_a_message_or_supervises_changes_it_and_nobody_else() {
    for (connection, expected) in
        [(VISITOR, None), (AGENT, Some(Code::FORBIDDEN)), (SUE, None), (ROBOT, None)]
    {
        let (mut node, said) = with_a_message();
        for change in [edit(said, "other words"), delete(said)] {
            let effects = node.change_now(connection, change);
            assert_eq!(refused(&effects), expected, "{connection:?}");
        }
    }
    let (mut node, said) = with_a_message();
    assert_eq!(refused(&node.change_now(AGENT, react(said, "👍", true))), None, "a member");
    assert_eq!(refused(&node.change_now(SUE, react(said, "👍", true))), Some(Code::FORBIDDEN), "no member");
}

#[test]
fn a_closed_conversation_takes_deletions_only() {
    let (mut node, said) = with_a_message();
    node.close();
    let id = node.id();
    for refused in [
        node.change_now(VISITOR, edit(said, "x")),
        node.change_now(VISITOR, react(said, "x", true)),
        node.write(AGENT, note(id, "x")),
        node.write(ROBOT, system(id)),
    ] {
        assert_eq!(refusal(&refused), Code::CONVERSATION_CLOSED);
    }
    assert_eq!(refused(&node.change_now(VISITOR, delete(said))), None);
}

#[test]
fn a_message_has_a_bounded_number_of_different_reactions_and_everybody_may_join_in_on_those() {
    let (mut node, said) = with_a_message();
    for number in 0..32 {
        let change = react(said, &format!("e{number}"), true);
        assert_eq!(refused(&node.change_now(VISITOR, change)), None);
    }
    assert_eq!(refusal(&node.change_now(VISITOR, react(said, "one more", true))), Code::LIMIT_REACHED);
    assert_eq!(refused(&node.change_now(AGENT, react(said, "e7", true))), None);
    assert_eq!(refused(&node.change_now(AGENT, react(said, "never there", false))), None);
    let mut node = node.restored();
    assert_eq!(refusal(&node.change_now(VISITOR, react(said, "one more", true))), Code::LIMIT_REACHED);
}

#[test]
fn visitors_learn_of_a_note_nothing_but_its_seq_and_staff_everything() {
    let (mut node, _) = with_a_message();
    let id = node.id();
    let live = node.write(AGENT, note(id, "careful, secret"));
    let written = published(&live).seq;
    let change = node.id();
    let mut changed = node.change(AGENT, change, edit(written, "still careful, secret"));
    changed.extend(node.change_now(SUE, react(written, "👍", true)));
    let frames = |connection| sent_to(&live, connection).into_iter().chain(sent_to(&changed, connection));
    assert_eq!(
        frames(VISITOR).filter_map(event).collect::<Vec<_>>(),
        (written..=node.seq()).map(nothing).collect::<Vec<_>>()
    );
    assert!(frames(SUE).any(|frame| format!("{frame:?}").contains(&hex("careful, secret"))), "{live:?}");
    for (reader, sees) in [(VISITOR, false), (SUE, true)] {
        for events in [node.page(reader), node.backlog(reader)] {
            let after: Vec<_> = events.into_iter().filter(|event| event.seq >= written).collect();
            assert_eq!(shown(&after).contains("secret"), sees, "{reader:?}");
            assert_eq!(
                after.iter().all(|event| *event == nothing(event.seq)),
                !sees,
                "{reader:?}: {after:?}"
            );
        }
    }
    node.change_now(AGENT, delete(written));
    assert!(!shown(&node.page(SUE)).contains("careful"), "a note can be deleted");
    assert!(node.page(VISITOR).iter().filter(|event| event.seq >= written).all(|e| *e == nothing(e.seq)));
}

#[test]
fn a_visitor_cannot_touch_a_note_and_cannot_tell_it_from_what_is_no_message() {
    let (mut node, _) = with_a_message();
    let id = node.id();
    let written = published(&node.write(AGENT, note(id, "x"))).seq;
    for change in [edit(written, "x"), delete(written), react(written, "x", true)] {
        assert_eq!(refusal(&node.change_now(VISITOR, change)), Code::NOT_A_MESSAGE);
    }
    node.change_now(AGENT, delete(written));
    assert_eq!(refusal(&node.change_now(VISITOR, delete(written))), Code::NOT_A_MESSAGE);
    assert_eq!(refusal(&node.write(VISITOR, note(id, "x"))), Code::FORBIDDEN);
    assert_eq!(refusal(&node.write(AGENT, system(id))), Code::FORBIDDEN);
}

#[test]
fn a_note_is_unread_for_staff_and_changes_nothing_in_a_visitors_inbox() {
    let (mut node, _) = with_a_message();
    let watch = |node: &mut Node, connection| {
        let watch = Command::WatchInbox(WatchInbox { request: 1, on: true });
        entries(&node.say(connection, Lane::CONTROL, watch)).pop().expect("an entry")
    };
    let (visitor, sue) = (watch(&mut node, VISITOR), watch(&mut node, SUE));
    node.now_ms += 60_000;
    let id = node.id();
    let effects = node.write(AGENT, note(id, "x"));
    let told: Vec<_> = entries_of(&effects);
    assert!(told.iter().all(|(connection, _)| *connection != VISITOR), "{told:?}");
    let after = watch(&mut node, VISITOR);
    assert_eq!(
        (after.unread, after.active_at_ms, after.read),
        (visitor.unread, visitor.active_at_ms, visitor.read)
    );
    let after = watch(&mut node, SUE);
    assert_eq!((after.unread, after.active_at_ms), (sue.unread + 1, node.now_ms));
    let mut node = node.restored();
    let after = watch(&mut node, VISITOR);
    assert_eq!((after.unread, after.active_at_ms), (visitor.unread, visitor.active_at_ms), "out of the rows");
}

#[test]
fn what_is_sent_behind_a_change_on_its_lane_comes_behind_it_and_too_much_of_it_is_refused() {
    let (mut node, said) = with_a_message();
    node.serves_reads = false;
    let change = node.id();
    let asked = node.write(VISITOR, amend(change, edit(said, "first")));
    let ids: Vec<_> = (0..70).map(|_| node.id()).collect();
    let answers: Vec<_> = ids.iter().map(|id| node.write(VISITOR, message(*id, "later"))).collect();
    assert_eq!(answers.iter().filter(|answer| told(answer).is_empty()).count(), 63, "the others wait");
    assert_eq!(refusal(&answers[69]), Code::RATE_LIMITED);
    node.serves_reads = true;
    let done = node.serve(asked);
    let order: Vec<_> = told(&done)
        .into_iter()
        .filter_map(|frame| if let Delivery::Published(p) = frame { Some(p.id) } else { None })
        .collect();
    assert_eq!(order[0], change);
    assert_eq!(order[1..], ids[..63]);
}

#[test]
fn a_change_on_a_lane_that_ends_is_not_made() {
    let (mut node, said) = with_a_message();
    node.serves_reads = false;
    let id = node.id();
    let asked = node.write(VISITOR, amend(id, edit(said, "x")));
    let seq = node.seq();
    node.tell(Input::LaneClosed { connection: VISITOR, lane: LANE });
    node.say(VISITOR, LANE, open(CONVERSATION, Start::Latest(0)));
    node.serves_reads = true;
    assert!(told(&node.serve(asked)).is_empty());
    assert_eq!(node.seq(), seq);
}

#[test]
fn a_system_event_is_told_to_everyone_and_is_unread_for_nobody() {
    let (mut node, _) = with_a_message();
    let unread =
        |node: &Node| node.core.state().conversations.values().next().expect("one").messages_after(0);
    let (before, id) = (unread(&node), node.id());
    let effects = node.write(ROBOT, system(id));
    assert_eq!(refused(&effects), None);
    let system = sent_to(&effects, VISITOR).into_iter().find_map(event).expect("an event");
    assert!(matches!(system.decode_body(), Ok(Some(EventBody::System(_)))));
    assert_eq!(unread(&node), before);
}

#[test]
fn rows_of_a_later_event_never_replace_those_of_an_earlier_one() {
    let (mut node, said) = with_a_message();
    node.change_now(VISITOR, edit(said, "x"));
    node.change_now(VISITOR, delete(said));
    let places: Vec<_> =
        node.rows.iter().map(|EventRow { conversation, seq, .. }| (*conversation, *seq)).collect();
    let unique: std::collections::BTreeSet<_> = places.iter().collect();
    assert_eq!(unique.len(), places.len(), "a position of the store is written once");
}

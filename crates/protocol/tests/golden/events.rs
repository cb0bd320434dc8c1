//! One sample and more of every event body, and a small log made of them.

use duet_protocol::delivery::{ConversationKind, Status};
use duet_protocol::event::{
    Assigned, Content, Created, Deleted, Edited, MemberIdentified, MemberJoined, MemberLeft, Message,
    Private, Reacted, StatusChanged, System, Tombstone, Withheld, format,
};
use duet_protocol::hello::Role;
use duet_protocol::{Event, EventBody};

use crate::given::{MESSAGE, emoji, label, name, user};

/// Every event body, with a name that is unique among all samples.
pub(crate) fn all() -> Vec<(String, EventBody)> {
    let mut samples = messages();
    let kinds = [
        ConversationKind::Direct,
        ConversationKind::Group,
        ConversationKind::Support,
        ConversationKind::Broadcast,
    ];
    for kind in kinds {
        let subject = (kind != ConversationKind::Direct).then(|| name("Ausflug 🏔"));
        let called = format!("created-{kind:?}").to_lowercase();
        samples.push((called, EventBody::Created(Created { kind, subject })));
    }
    for role in [Role::Visitor, Role::Agent, Role::Supervisor, Role::Service] {
        let joined = MemberJoined { user: user("Ana María 🙂"), name: name("Ana"), role };
        samples.push((format!("member-joined-{role:?}").to_lowercase(), EventBody::MemberJoined(joined)));
    }
    samples.push(("member-left".into(), EventBody::MemberLeft(MemberLeft { user: user("ben") })));
    let (before, known) = (user("anon-7f3a"), user("vera"));
    let identified = MemberIdentified { before, user: known, name: name("Vera") };
    samples.push(("member-identified".into(), EventBody::MemberIdentified(identified)));
    samples.push(("assigned".into(), EventBody::Assigned(Assigned { agent: user("agent-1") })));
    for status in [Status::Queued, Status::Active, Status::Resolved, Status::Closed] {
        let changed = StatusChanged { status };
        samples.push((format!("status-{status:?}").to_lowercase(), EventBody::StatusChanged(changed)));
    }
    samples.extend(changes());
    samples.into_iter().map(|(name, body)| (format!("event/{name}"), body)).collect()
}

fn changes() -> Vec<(String, EventBody)> {
    let id = MESSAGE;
    let edited = |target, text| EventBody::Edited(Edited { id, target, content: Content::text(text) });
    let reacted = |target, text, on| EventBody::Reacted(Reacted { id, target, emoji: emoji(text), on });
    let private = |inside: &EventBody| {
        let (kind, body) = inside.encode();
        EventBody::Private(Private { kind, body })
    };
    let note = EventBody::Message(Message { id, content: Content::text("Careful 🙂"), reply_to: Some(3) });
    let tombstone = |of, deletion| Tombstone { of, deletion, deleted_at_ms: 1_763_000_000_012 };
    vec![
        ("edited".into(), edited(3, "Hello!")),
        ("edited-far-back".into(), edited(4_294_967_296, "測試")),
        ("deleted".into(), EventBody::Deleted(Deleted { id, target: 3 })),
        ("reacted".into(), reacted(3, "👍", true)),
        ("reacted-no-more".into(), reacted(251, "👩🏽\u{200d}🚀", false)),
        ("tombstone".into(), EventBody::Tombstone(tombstone(3, 12))),
        (
            "system".into(),
            EventBody::System(System {
                id,
                name: label("order.shipped"),
                content: Content::text("Shipped."),
            }),
        ),
        ("private-note".into(), private(&note)),
        ("private-edited".into(), private(&edited(9, "Mind the gap"))),
        ("private-tombstone".into(), private(&EventBody::Tombstone(tombstone(9, 13)))),
        ("withheld".into(), EventBody::Withheld(Withheld {})),
    ]
}

/// A log that begins in the usual way and ends with an event of a kind that nobody knows yet.
pub(crate) fn log() -> Vec<Event> {
    let entry = |seq, author: Option<&str>, body: EventBody| {
        let (kind, body) = body.encode();
        Event { seq, at_ms: 1_763_000_000_000 + seq, author: author.map(user), kind, body }
    };
    let message =
        |reply_to| EventBody::Message(Message { id: MESSAGE, content: Content::text("Hello"), reply_to });
    let created = Created { kind: ConversationKind::Support, subject: None };
    let joined = MemberJoined { user: user("visitor-1"), name: name("Vera"), role: Role::Visitor };
    vec![
        entry(1, Some("visitor-1"), EventBody::Created(created)),
        entry(2, Some("visitor-1"), EventBody::MemberJoined(joined)),
        entry(3, Some("visitor-1"), message(None)),
        entry(4, None, EventBody::Assigned(Assigned { agent: user("agent-1") })),
        entry(5, Some("agent-1"), message(Some(3))),
        entry(6, Some("agent-1"), EventBody::StatusChanged(StatusChanged { status: Status::Resolved })),
        entry(7, Some("agent-1"), EventBody::MemberLeft(MemberLeft { user: user("agent-1") })),
        Event { seq: 8, at_ms: 0, author: None, kind: 65_535, body: vec![1, 2, 3] },
    ]
}

fn messages() -> Vec<(String, EventBody)> {
    let message = |content, reply_to| EventBody::Message(Message { id: MESSAGE, content, reply_to });
    vec![
        ("message-text".into(), message(Content::text("Hello"), None)),
        ("message-unicode-reply".into(), message(Content::text("Ja, 測試 🙂"), Some(4_294_967_296))),
        ("message-json".into(), message(Content { format: format::JSON, body: b"{}".to_vec() }, None)),
        ("message-empty".into(), message(Content { format: format::BINARY, body: vec![] }, Some(1))),
    ]
}

//! One sample and more of every event body, and a small log made of them.

use duet_protocol::delivery::{ConversationKind, Status};
use duet_protocol::event::{
    Assigned, Content, Created, MemberIdentified, MemberJoined, MemberLeft, Message, StatusChanged, format,
};
use duet_protocol::hello::Role;
use duet_protocol::{Event, EventBody};

use crate::given::{MESSAGE, name, user};

/// Every event body, with a name that is unique among all samples.
pub(crate) fn all() -> Vec<(String, EventBody)> {
    let mut samples = messages();
    let kinds = [ConversationKind::Direct, ConversationKind::Group, ConversationKind::Support];
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
    samples.into_iter().map(|(name, body)| (format!("event/{name}"), body)).collect()
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

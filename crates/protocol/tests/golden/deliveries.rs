//! One sample and more of every delivery: each variant, each optional field, the largest lists.

use duet_protocol::call::{Answered, CallAsked, CallEnded, Failure, Outcome};
use duet_protocol::command::Durability;
use duet_protocol::delivery::{
    Authenticated, Availability, CaughtUp, Closing, Connectivity, ConversationKind, Created, Done, Draining,
    Ephemeral, HistoryPage, Identified, InboxEntry, Member, MemberName, Opened, Pong, Presence,
    PresenceCounts, Published, ReceiptUpdated, Status, Unsubscribed,
};
use duet_protocol::event::Content;
use duet_protocol::hello::{Role, capability};
use duet_protocol::signal::TypingState;
use duet_protocol::{Code, Delivery, Limits, Position, Refusal, Resumed, Subject, TenantName, Welcome};

use crate::events;
use crate::given::{CONVERSATION, MESSAGE, SESSION, label, name, user};

/// Every delivery, with a name that is unique among all samples.
pub(crate) fn all() -> Vec<(String, Delivery)> {
    let mut samples = welcomes();
    samples.extend(control());
    samples.extend(refusals());
    samples.extend(inbox());
    samples.extend(presences());
    samples.extend(opened());
    samples.extend(lanes());
    samples.extend(published());
    samples.extend(pages());
    samples.extend(calls());
    samples.into_iter().map(|(name, delivery)| (format!("delivery/{name}"), delivery)).collect()
}

type Samples = Vec<(String, Delivery)>;

const AT_MS: u64 = 1_763_000_000_456;

fn welcomes() -> Samples {
    let limits = Limits {
        message_bytes_max: 16_384,
        lanes_max: 256,
        streams_max: 24,
        ping_every_ms: 10_000,
        idle_timeout_ms: 30_000,
        presence_grace_ms: 30_001,
        resume_window_ms: 120_000,
        dedup_window_ms: 86_400_000,
        typing_ttl_ms: 6_000,
    };
    let welcome = |resumed, role| Welcome {
        version: 1,
        session: SESSION,
        resume: vec![0xc0, 0xff, 0xee],
        resumed,
        tenant: TenantName::parse("demo").unwrap(),
        user: user("visitor-1"),
        name: name("Vera"),
        role,
        node: name("node-a"),
        epoch: 1,
        peers: vec![],
        server_time_ms: AT_MS,
        token_expires_ms: 0,
        capabilities: 0,
        limits,
    };
    vec![
        ("welcome-new".into(), Delivery::Welcome(welcome(Resumed::New, Role::Visitor))),
        (
            "welcome-resumed".into(),
            Delivery::Welcome(Welcome {
                peers: vec!["b.example.org:4433".into(), "[2001:db8::1]:4433".into()],
                token_expires_ms: AT_MS + 3_600_000,
                capabilities: capability::DATAGRAMS | capability::AMENDMENTS | capability::CALLS,
                ..welcome(Resumed::Full, Role::Agent)
            }),
        ),
        ("welcome-session-gone".into(), Delivery::Welcome(welcome(Resumed::None, Role::Supervisor))),
        (
            "welcome-service".into(),
            Delivery::Welcome(Welcome {
                resume: (0..=255).collect(),
                epoch: u64::MAX,
                ..welcome(Resumed::New, Role::Service)
            }),
        ),
    ]
}

fn calls() -> Samples {
    let asked = |call, role, body: &[u8]| {
        let (user, method, body) = (user("visitor-1"), label("orders.find"), body.into());
        Delivery::CallAsked(CallAsked { call, user, role, method, body, timeout_ms: 5_000 })
    };
    let answered = |request, outcome| Delivery::Answered(Answered { request, outcome });
    let failure = Failure { code: 404, message: "No such order.".into() };
    vec![
        ("call-asked".into(), asked(7, Role::Visitor, br#"{"id":7}"#)),
        ("call-asked-nothing".into(), asked(65_536, Role::Agent, b"")),
        ("answered-returned".into(), answered(16, Outcome::Returned(b"{}".to_vec()))),
        ("answered-failed".into(), answered(17, Outcome::Failed(failure))),
        ("call-ended".into(), Delivery::CallEnded(CallEnded { call: 7 })),
    ]
}

fn control() -> Samples {
    let closing = |code, reason: &str, retry_after_ms, endpoint: Option<&str>| {
        let endpoint = endpoint.map(str::to_owned);
        Delivery::Closing(Closing { code, reason: reason.into(), retry_after_ms, endpoint })
    };
    let draining =
        |endpoint| Delivery::Draining(Draining { move_after_ms: 250, deadline_ms: 10_000, endpoint });
    vec![
        ("pong".into(), Delivery::Pong(Pong { nonce: 65_536, server_time_ms: AT_MS })),
        ("done".into(), Delivery::Done(Done { request: 251 })),
        ("closing-shutdown".into(), closing(Code::SHUTDOWN, "The server stops.", 500, None)),
        ("closing-drain".into(), closing(Code::DRAIN, "", 0, Some("b.example.org:4433"))),
        ("closing-unknown-code".into(), closing(Code(3_999), "später 🙂", u32::MAX, None)),
        ("draining-anywhere".into(), draining(None)),
        ("draining-to-peer".into(), draining(Some("b.example.org:4433".into()))),
        (
            "authenticated".into(),
            Delivery::Authenticated(Authenticated { request: 1, expires_ms: AT_MS + 3_600_000 }),
        ),
        (
            "authenticated-forever".into(),
            Delivery::Authenticated(Authenticated { request: 1, expires_ms: 0 }),
        ),
        (
            "identified".into(),
            Delivery::Identified(Identified {
                request: 251,
                user: user("vera"),
                name: name("Vera Ünïcødé"),
                role: Role::Visitor,
                expires_ms: AT_MS + 3_600_000,
            }),
        ),
        ("created".into(), Delivery::Created(Created { request: 4, conversation: CONVERSATION })),
    ]
}

fn refusals() -> Samples {
    let refused = |subject, code, message: &str, retry_after_ms| {
        Delivery::Refused(Refusal { subject, code, message: message.into(), retry_after_ms })
    };
    vec![
        (
            "refused-lane".into(),
            refused(Subject::Lane, Code::NOT_FOUND, "There is no such thing for this user.", 0),
        ),
        (
            "refused-request".into(),
            refused(Subject::Request(65_535), Code::CONFLICT, "Somebody else was first.", 0),
        ),
        ("refused-message".into(), refused(Subject::Message(MESSAGE), Code::RATE_LIMITED, "", 1_500)),
    ]
}

fn inbox() -> Samples {
    let bare = InboxEntry {
        conversation: CONVERSATION,
        kind: ConversationKind::Direct,
        status: Status::Active,
        subject: None,
        assignee: None,
        head: 0,
        active_at_ms: 0,
        read: 0,
        unread: 0,
        members: vec![],
        gone: false,
    };
    let member = |id: &str, shown: &str, role| MemberName { user: user(id), name: name(shown), role };
    vec![
        ("inbox-entry-bare".into(), Delivery::InboxEntry(bare.clone())),
        (
            "inbox-entry-full".into(),
            Delivery::InboxEntry(InboxEntry {
                kind: ConversationKind::Support,
                status: Status::Queued,
                subject: Some(name("Rechnung 4711")),
                assignee: Some(user("agent-1")),
                head: 70_000,
                active_at_ms: AT_MS,
                read: 69_000,
                unread: 987,
                members: vec![
                    member("visitor-1", "Vera", Role::Visitor),
                    member("agent-1", "Adam", Role::Agent),
                    member("sup-1", "Susi 🙂", Role::Supervisor),
                    member("bot", "Bot", Role::Service),
                ],
                ..bare.clone()
            }),
        ),
        ("inbox-entry-gone".into(), Delivery::InboxEntry(InboxEntry { gone: true, head: 9, ..bare })),
    ]
}

fn presence(availability: Availability, connectivity: Connectivity) -> Presence {
    Presence { user: user("agent-1"), availability, connectivity, last_seen_ms: AT_MS, version: 252 }
}

fn presences() -> Samples {
    let pairs = [
        (Availability::Online, Connectivity::Connected),
        (Availability::Busy, Connectivity::Idle),
        (Availability::Away, Connectivity::Reconnecting),
        (Availability::Offline, Connectivity::Offline),
        (Availability::Online, Connectivity::Reachable),
    ];
    let named = |(chosen, seen)| {
        let name = format!("presence-{chosen:?}-{seen:?}").to_lowercase();
        (name, Delivery::Presence(presence(chosen, seen)))
    };
    let mut samples: Samples = pairs.map(named).into();
    let never =
        Presence { last_seen_ms: 0, version: 0, ..presence(Availability::Offline, Connectivity::Offline) };
    samples.push(("presence-never-seen".into(), Delivery::Presence(never)));
    let counts = |connected, away, offline, version| {
        let conversation = CONVERSATION;
        Delivery::PresenceCounts(PresenceCounts { conversation, connected, away, offline, version })
    };
    samples.push(("presence-counts".into(), counts(251, 17, 65_536, 252)));
    samples.push(("presence-counts-nobody".into(), counts(0, 0, 0, 0)));
    samples
}

fn opened() -> Samples {
    let bare = Opened {
        conversation: CONVERSATION,
        kind: ConversationKind::Group,
        status: Status::Active,
        subject: None,
        assignee: None,
        head: Position { epoch: 1, seq: 1 },
        first_seq: 1,
        after: 0,
        complete: true,
        members: vec![],
        member_count: 201,
    };
    let member = |id: &str, role| Member {
        user: user(id),
        name: name(&id.to_uppercase()),
        role,
        received: 300,
        read: 299,
        presence: Presence { user: user(id), ..presence(Availability::Online, Connectivity::Connected) },
    };
    let longest = |n: u8| Member {
        user: user(&format!("{n:03}{}", "u".repeat(61))),
        name: name(&"n".repeat(128)),
        received: u64::MAX,
        read: u64::MAX,
        ..member("x", Role::Visitor)
    };
    vec![
        ("opened-without-members".into(), Delivery::Opened(bare.clone())),
        (
            "opened-new-support".into(),
            Delivery::Opened(Opened {
                kind: ConversationKind::Support,
                status: Status::Queued,
                head: Position { epoch: 1, seq: 2 },
                members: vec![Member {
                    name: name("Vera"),
                    received: 2,
                    read: 2,
                    ..member("visitor-1", Role::Visitor)
                }],
                member_count: 1,
                ..bare.clone()
            }),
        ),
        (
            "opened-support".into(),
            Delivery::Opened(Opened {
                kind: ConversationKind::Support,
                status: Status::Resolved,
                subject: Some(name("Rechnung 4711")),
                assignee: Some(user("agent-1")),
                head: Position { epoch: 2, seq: 301 },
                first_seq: 100,
                after: 299,
                members: vec![member("visitor-1", Role::Visitor), member("agent-1", Role::Agent)],
                member_count: 2,
                ..bare.clone()
            }),
        ),
        (
            "opened-incomplete".into(),
            Delivery::Opened(Opened { status: Status::Closed, complete: false, after: 99, ..bare.clone() }),
        ),
        (
            "opened-longest-members".into(),
            Delivery::Opened(Opened { members: (0..40).map(longest).collect(), member_count: 40, ..bare }),
        ),
    ]
}

fn lanes() -> Samples {
    let typing = |ttl_ms| {
        Delivery::Typing(TypingState {
            conversation: CONVERSATION,
            user: user("visitor-1"),
            version: 3,
            ttl_ms,
        })
    };
    let unsubscribed =
        |code, reason: &str| Delivery::Unsubscribed(Unsubscribed { code, reason: reason.into() });
    vec![
        ("caught-up".into(), Delivery::CaughtUp(CaughtUp { seq: 2 })),
        (
            "receipt-updated".into(),
            Delivery::ReceiptUpdated(ReceiptUpdated { user: user("agent-1"), received: 301, read: 300 }),
        ),
        (
            "ephemeral".into(),
            Delivery::Ephemeral(Ephemeral { author: user("agent-1"), content: Content::text("42 %") }),
        ),
        (
            "unsubscribed-for-good".into(),
            unsubscribed(Code::ACCESS_REVOKED, "The user is no longer a member."),
        ),
        ("unsubscribed-asked-for".into(), unsubscribed(Code::UNSUBSCRIBED, "")),
        ("unsubscribed-again".into(), unsubscribed(Code::INSUFFICIENT_STATE, "")),
        ("typing-begins".into(), typing(6_000)),
        ("typing-ends".into(), typing(0)),
    ]
}

fn published() -> Samples {
    let published = |seq, durability, replicas, duplicate| {
        let at_ms = 1_763_000_000_000 + seq;
        Delivery::Published(Published { id: MESSAGE, seq, at_ms, durability, replicas, duplicate })
    };
    vec![
        ("published-ephemeral".into(), published(0, Durability::Ephemeral, 0, false)),
        ("published-accepted".into(), published(3, Durability::Accepted, 1, false)),
        ("published-mirrored-again".into(), published(65_536, Durability::Mirrored, 2, true)),
        ("published-many-replicas".into(), published(250, Durability::Mirrored, 255, false)),
    ]
}

fn pages() -> Samples {
    let page = |events, more| {
        Delivery::HistoryPage(HistoryPage { request: 13, conversation: CONVERSATION, events, more })
    };
    let mut samples: Samples = vec![
        ("history-page-empty".into(), page(vec![], false)),
        ("history-page".into(), page(events::log(), true)),
    ];
    for event in events::log() {
        samples.push((format!("event-{}-kind-{}", event.seq, event.kind), Delivery::Event(event)));
    }
    samples
}

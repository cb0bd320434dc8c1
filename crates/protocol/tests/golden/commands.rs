//! One sample and more of every command: each variant, each optional field, each boundary of a varint.

use duet_protocol::amend::{Amend, Change, Delete, Edit, Note, PostSystem, React};
use duet_protocol::call::{Answer, Call, Failure, Outcome, Serve};
use duet_protocol::command::{
    AddMembers, Assign, Authenticate, Close, CreateConversation, Durability, Goodbye, HistoryRequest,
    Identify, Open, Page, Ping, Publish, Receipt, RemoveMember, SetAvailability, SetStatus, Start,
    WatchInbox, WatchMembers, WatchPresence,
};
use duet_protocol::delivery::{Availability, ConversationKind, Status};
use duet_protocol::event::{Content, format};
use duet_protocol::hello::capability;
use duet_protocol::signal::{Activity, ActivitySignal, IdleSignal, TypingSignal};
use duet_protocol::{Command, Hello, Position};

use crate::given::{BOUNDARIES, CONVERSATION, MESSAGE, device, emoji, label, name, text_of, user};

/// Every command, with a name that is unique among all samples.
pub(crate) fn all() -> Vec<(String, Command)> {
    let mut samples = Vec::new();
    samples.extend(hellos());
    samples.extend(session());
    samples.extend(conversations());
    samples.extend(lanes());
    samples.extend(publishes());
    samples.extend(amendments());
    samples.extend(calls());
    samples.extend(signals());
    samples.into_iter().map(|(name, command)| (format!("command/{name}"), command)).collect()
}

type Samples = Vec<(String, Command)>;

fn hellos() -> Samples {
    let hello = Hello {
        versions: vec![1],
        token: Some("header.claims.signature".into()),
        resume: None,
        device: device("browser-1"),
        sdk: name("duet-js/0.1.0"),
        epoch_seen: 0,
        capabilities: 0,
    };
    vec![
        ("hello-first".into(), Command::Hello(hello.clone())),
        (
            "hello-resume-without-token".into(),
            Command::Hello(Hello {
                token: None,
                resume: Some((0..32).collect()),
                epoch_seen: 7,
                capabilities: capability::DATAGRAMS,
                ..hello.clone()
            }),
        ),
        (
            "hello-everything".into(),
            Command::Hello(Hello {
                versions: vec![1, 250, 251, 255, 256, 4_096, 65_534, 65_535],
                token: Some(text_of(251)),
                resume: Some(vec![0xa5; 256]),
                device: device(&"d".repeat(64)),
                sdk: name("Ünïcødé 測試 🙂/1"),
                epoch_seen: u64::MAX,
                capabilities: u64::MAX,
            }),
        ),
        (
            "hello-neither-token-nor-versions".into(),
            Command::Hello(Hello { versions: vec![], token: None, ..hello }),
        ),
    ]
}

fn session() -> Samples {
    let mut samples: Samples = Vec::new();
    for nonce in BOUNDARIES {
        samples.push((format!("ping-{nonce}"), Command::Ping(Ping { nonce })));
    }
    let token = "header.claims.signature".to_owned();
    samples.push(("identify".into(), Command::Identify(Identify { request: 251, token: token.clone() })));
    samples.push(("authenticate".into(), Command::Authenticate(Authenticate { request: 1, token })));
    let choices = [Availability::Online, Availability::Busy, Availability::Away, Availability::Offline];
    for (request, availability) in (250..).zip(choices) {
        samples.push((
            format!("set-availability-{availability:?}").to_lowercase(),
            Command::SetAvailability(SetAvailability { request, availability }),
        ));
    }
    let users = vec![user("anna"), user("Ana María 🙂"), user(&"u".repeat(64))];
    samples.extend([
        ("watch-presence-nobody".into(), Command::WatchPresence(WatchPresence { request: 2, users: vec![] })),
        ("watch-presence-three".into(), Command::WatchPresence(WatchPresence { request: 65_535, users })),
        (
            "watch-presence-200".into(),
            Command::WatchPresence(WatchPresence {
                request: 65_536,
                users: (0..200).map(|n| user(&format!("u{n}"))).collect(),
            }),
        ),
        (
            "watch-members-none".into(),
            Command::WatchMembers(WatchMembers { request: 250, conversations: vec![] }),
        ),
        (
            "watch-members-two".into(),
            Command::WatchMembers(WatchMembers { request: 251, conversations: vec![CONVERSATION; 2] }),
        ),
        ("watch-inbox-on".into(), Command::WatchInbox(WatchInbox { request: 3, on: true })),
        ("watch-inbox-off".into(), Command::WatchInbox(WatchInbox { request: u32::MAX, on: false })),
        ("goodbye".into(), Command::Goodbye(Goodbye {})),
    ]);
    samples
}

fn conversations() -> Samples {
    let conversation = CONVERSATION;
    let create = |request, kind, subject: Option<&str>, members: &[&str]| {
        Command::CreateConversation(CreateConversation {
            request,
            conversation,
            kind,
            subject: subject.map(name),
            members: members.iter().map(|member| user(member)).collect(),
        })
    };
    vec![
        ("create-direct".into(), create(4, ConversationKind::Direct, None, &["ben"])),
        ("create-group".into(), create(5, ConversationKind::Group, Some("Ausflug 🏔"), &["ben", "carla"])),
        ("create-support".into(), create(6, ConversationKind::Support, Some(&"s".repeat(128)), &[])),
        ("create-broadcast".into(), create(13, ConversationKind::Broadcast, Some("Neues"), &["ben"])),
        (
            "add-members".into(),
            Command::AddMembers(AddMembers {
                request: 7,
                conversation,
                users: vec![user("dora"), user("emil")],
            }),
        ),
        (
            "remove-member".into(),
            Command::RemoveMember(RemoveMember { request: 8, conversation, user: user("dora") }),
        ),
        ("assign-oneself".into(), Command::Assign(Assign { request: 9, conversation, agent: None })),
        (
            "assign-another".into(),
            Command::Assign(Assign { request: 10, conversation, agent: Some(user("agent-2")) }),
        ),
        (
            "set-status-resolved".into(),
            Command::SetStatus(SetStatus { request: 11, conversation, status: Status::Resolved }),
        ),
        (
            "set-status-closed".into(),
            Command::SetStatus(SetStatus { request: 12, conversation, status: Status::Closed }),
        ),
    ]
}

fn lanes() -> Samples {
    let conversation = CONVERSATION;
    let open = |start| Command::Open(Open { conversation, start });
    let after = |epoch, seq| open(Start::After(Position { epoch, seq }));
    let history =
        |request, page, limit| Command::HistoryRequest(HistoryRequest { request, conversation, page, limit });
    vec![
        ("open-latest-none".into(), open(Start::Latest(0))),
        ("open-latest-50".into(), open(Start::Latest(50))),
        ("open-latest-65535".into(), open(Start::Latest(u16::MAX))),
        ("open-after-nothing".into(), after(0, 0)),
        ("open-after-position".into(), after(3, 251)),
        ("open-after-largest".into(), after(u64::MAX, u64::MAX)),
        ("receipt-nothing".into(), Command::Receipt(Receipt { received: 0, read: 0 })),
        ("receipt".into(), Command::Receipt(Receipt { received: 3, read: 3 })),
        ("receipt-larger".into(), Command::Receipt(Receipt { received: 70_000, read: 65_536 })),
        ("close".into(), Command::Close(Close {})),
        ("history-before".into(), history(13, Page::Before(1_001), 50)),
        ("history-after".into(), history(14, Page::After(0), 500)),
        ("history-before-largest".into(), history(0, Page::Before(u64::MAX), 1)),
    ]
}

fn publishes() -> Samples {
    let publish = |content, reply_to, durability| {
        Command::Publish(Publish { id: MESSAGE, content, reply_to, durability })
    };
    let bytes = |format, body| Content { format, body };
    vec![
        ("publish-text".into(), publish(Content::text("Hello"), None, Durability::Accepted)),
        ("publish-reply".into(), publish(Content::text("Ja, 測試 🙂"), Some(17), Durability::Mirrored)),
        (
            "publish-ephemeral-json".into(),
            publish(bytes(format::JSON, br#"{"x":1}"#.to_vec()), None, Durability::Ephemeral),
        ),
        ("publish-empty".into(), publish(bytes(format::BINARY, vec![]), Some(0), Durability::Accepted)),
        ("publish-250-bytes".into(), publish(bytes(250, vec![0xff; 250]), Some(250), Durability::Accepted)),
        ("publish-251-bytes".into(), publish(bytes(251, vec![0x00; 251]), Some(251), Durability::Accepted)),
        (
            "publish-application-format".into(),
            publish(bytes(u16::MAX, vec![0xfb, 0xfc, 0xfd, 0xfe]), Some(u64::MAX), Durability::Mirrored),
        ),
    ]
}

fn amendments() -> Samples {
    let amend = |change, durability| Command::Amend(Amend { id: MESSAGE, change, durability });
    let react = |target, text, on| Change::React(React { target, emoji: emoji(text), on });
    let note = |reply_to, durability| {
        Command::Note(Note { id: MESSAGE, content: Content::text("Careful 🙂"), reply_to, durability })
    };
    let system = |text: &str, content| {
        let durability = Durability::Accepted;
        Command::PostSystem(PostSystem { id: MESSAGE, name: label(text), content, durability })
    };
    let edit = Change::Edit(Edit { target: 3, content: Content::text("Hello!") });
    let card = Content { format: format::CARD, body: br#"{"fallback":"Pay"}"#.to_vec() };
    let edit_card = Change::Edit(Edit { target: u64::MAX, content: card.clone() });
    vec![
        ("amend-edit".into(), amend(edit, Durability::Accepted)),
        ("amend-edit-card".into(), amend(edit_card, Durability::Mirrored)),
        ("amend-delete".into(), amend(Change::Delete(Delete { target: 251 }), Durability::Accepted)),
        ("amend-react".into(), amend(react(3, "👍", true), Durability::Accepted)),
        ("amend-react-no-more".into(), amend(react(65_536, "👩🏽\u{200d}🚀", false), Durability::Accepted)),
        ("amend-react-longest".into(), amend(react(0, &"x".repeat(64), true), Durability::Mirrored)),
        ("note".into(), note(None, Durability::Accepted)),
        ("note-reply".into(), note(Some(3), Durability::Mirrored)),
        ("post-system".into(), system("order.shipped", Content::text("Your order is on its way."))),
        (
            "post-system-json".into(),
            system(&"n".repeat(64), Content { format: format::JSON, body: b"{}".to_vec() }),
        ),
    ]
}

fn calls() -> Samples {
    let answer = |call, outcome| Command::Answer(Answer { call, outcome });
    let failed = |code, message: &str| Outcome::Failed(Failure { code, message: message.into() });
    let call = |request, body: &[u8], timeout_ms| {
        Command::Call(Call { request, method: label("orders.find"), body: body.into(), timeout_ms })
    };
    let serve = |methods: &[&str]| {
        Command::Serve(Serve { request: 15, methods: methods.iter().map(|text| label(text)).collect() })
    };
    vec![
        ("serve-nothing".into(), serve(&[])),
        ("serve".into(), serve(&["orders.find", "orders:cancel"])),
        ("call".into(), call(16, br#"{"id":7}"#, 5_000)),
        ("call-largest".into(), call(u32::MAX, &[0xa5; 251], u32::MAX)),
        ("answer-returned".into(), answer(7, Outcome::Returned(b"{}".to_vec()))),
        ("answer-returned-nothing".into(), answer(u64::MAX, Outcome::Returned(vec![]))),
        ("answer-failed".into(), answer(8, failed(404, "No such order."))),
    ]
}

fn signals() -> Samples {
    let conversation = CONVERSATION;
    let typing = |version, active| Command::Typing(TypingSignal { conversation, version, active });
    let idle = |version, idle| Command::Idle(IdleSignal { version, idle });
    let activity = |version, activity| Command::Activity(ActivitySignal { version, activity });
    vec![
        ("typing-begins".into(), typing(1_763_000_000_123, true)),
        ("typing-ends".into(), typing(1_763_000_000_124, false)),
        ("idle-begins".into(), idle(1_763_000_000_125, true)),
        ("idle-ends".into(), idle(4_294_967_296, false)),
        ("activity-active".into(), activity(1_763_000_000_126, Activity::Active)),
        ("activity-idle".into(), activity(250, Activity::Idle)),
        ("activity-background".into(), activity(251, Activity::Background)),
    ]
}

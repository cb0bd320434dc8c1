//! Laws of what is shown beside messages: receipts, typing, presence, the inbox.

use crate::{
    rig::{Rig, conversation},
    server::OTHER,
};
use duet_client::machine::{Call, Event, From, Input, LaneId, LinkEvent, LinkTraits, Output};
use duet_protocol::{
    Command, Delivery, UserId,
    delivery::{Availability, Connectivity, ConversationKind, InboxEntry, Presence, Status},
    hello::capability,
    signal::TypingState,
};

fn user(name: &str) -> UserId {
    UserId::parse(name).expect("a name")
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
fn receipts_leave_together_and_not_more_often_than_once_a_second() {
    let mut rig = shown(7);
    let room = conversation(1);
    for n in 0..30 {
        rig.hear(room, &format!("{n}"));
        rig.carry(0, 9);
        rig.input(Input::MarkRead(room, n));
        rig.pass(100);
    }
    rig.pass(2_000);
    let receipts: Vec<_> = rig
        .sent
        .iter()
        .filter_map(|(_, command)| match command {
            Command::Receipt(receipt) => Some((receipt.received, receipt.read)),
            _ => None,
        })
        .collect();
    assert!((3..=5).contains(&receipts.len()), "{receipts:?}");
    assert_eq!(receipts.last(), Some(&(30, 29)));
    rig.input(Input::MarkRead(room, 3));
    rig.input(Input::MarkRead(room, 1_000));
    rig.pass(2_000);
    assert!(matches!(rig.sent.last(), Some((_, Command::Receipt(r))) if (r.received, r.read) == (30, 30)));
}

#[test]
fn typing_ends_by_word_by_time_and_by_a_message_and_over_a_loss_by_time_as_well() {
    let mut rig = shown(9);
    let room = conversation(1);
    let state = |version, ttl_ms| {
        Delivery::Typing(TypingState { conversation: room, user: user(OTHER), version, ttl_ms })
    };
    let ends: [&dyn Fn(&mut Rig); 4] = [
        &|rig| rig.deliver_on(room, state(2, 0)),
        &|rig| rig.pass(6_000),
        &|rig| {
            rig.hear(room, "said");
            rig.carry(0, 9);
        },
        &|rig| {
            rig.cut();
            assert!(!names(rig).contains(&"typing.stopped"), "a short break does not flicker");
            rig.pass(6_000);
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        rig.events.clear();
        rig.deliver_on(room, state(10 * n as u64 + 1, 6_000));
        rig.deliver_on(room, state(10 * n as u64, 0));
        if n == 0 {
            end(&mut rig);
        } else {
            rig.pass(3_000);
            rig.deliver_on(room, state(10 * n as u64 + 5, 6_000));
            end(&mut rig);
        }
        let typing: Vec<_> = names(&rig).into_iter().filter(|name| name.starts_with("typing")).collect();
        assert_eq!(typing, ["typing.started", "typing.stopped"], "end {n}");
    }
}

#[test]
fn keystrokes_are_announced_every_third_of_their_life_and_their_end_once() {
    let mut rig = Rig::new(10);
    rig.traits = LinkTraits { datagrams: true, keep_alive: true };
    rig.server.capabilities = capability::DATAGRAMS;
    rig.online();
    rig.input(Input::Subscribe(conversation(1), From::Default));
    rig.heal();
    rig.outputs.clear();
    for _ in 0..50 {
        rig.input(Input::Keystroke(conversation(1)));
        rig.pass(100);
    }
    rig.pass(60_000);
    let signals: Vec<_> = rig
        .outputs
        .iter()
        .filter_map(|output| match output {
            Output::Datagram { command: Command::Typing(signal), .. } => {
                Some((signal.active, signal.version))
            }
            _ => None,
        })
        .collect();
    let active: Vec<_> = signals.iter().map(|(active, _)| *active).collect();
    assert_eq!(active, [true, true, true, false]);
    assert!(signals.windows(2).all(|pair| pair[0].1 < pair[1].1));
}

#[test]
fn stale_presence_is_not_shown_and_a_new_epoch_begins_anew() {
    let mut rig = shown(11);
    let presence = |version| {
        let (availability, connectivity) = (Availability::Online, Connectivity::Connected);
        let last_seen_ms = version;
        Delivery::Presence(Presence { user: user("cy"), availability, connectivity, last_seen_ms, version })
    };
    for version in [5, 4, 5, 6] {
        rig.link_event(LinkEvent::Delivery(LaneId::CONTROL, presence(version)));
    }
    rig.server.epoch += 1;
    rig.cut();
    rig.heal();
    rig.link_event(LinkEvent::Delivery(LaneId::CONTROL, presence(1)));
    let shown: Vec<_> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Event::PresenceUpdated(presence) => Some(presence.version),
            _ => None,
        })
        .collect();
    assert_eq!(shown, [5, 6, 1]);
}

#[test]
fn the_inbox_is_asked_for_after_every_welcome_and_what_it_does_not_name_is_gone() {
    let mut rig = shown(12);
    let entry = |n: u8, head, read| {
        Delivery::InboxEntry(InboxEntry {
            conversation: conversation(n),
            kind: ConversationKind::Support,
            status: Status::Active,
            subject: None,
            assignee: None,
            head,
            active_at_ms: 0,
            read,
            unread: 0,
            members: vec![],
            gone: false,
        })
    };
    let tell = |rig: &mut Rig, delivery| rig.link_event(LinkEvent::Delivery(LaneId::CONTROL, delivery));
    rig.machine.call(rig.now_ms, Call::WatchInbox(true));
    rig.input(Input::Tick);
    for (n, head, read) in [(1, 5, 2), (2, 7, 7), (1, 5, 2)] {
        tell(&mut rig, entry(n, head, read));
    }
    rig.heal();
    for (head, read) in [(4, 4), (5, 1), (5, 3)] {
        tell(&mut rig, entry(1, head, read));
    }
    rig.cut();
    rig.pass(1_000);
    rig.carry(0, 1);
    rig.carry(1, 1);
    tell(&mut rig, entry(1, 5, 3));
    rig.heal();
    let told: Vec<_> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Event::InboxUpdated(entry) => Some((entry.conversation.0[0], entry.read, entry.gone)),
            Event::InboxReady => Some((0, 0, false)),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        [(1, 2, false), (2, 7, false), (0, 0, false), (1, 3, false), (2, 7, true), (0, 0, false)]
    );
}

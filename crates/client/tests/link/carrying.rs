//! What travels, and how.

use crate::host::{Host, find, until, within};
use duet_client::{
    Client, FixedToken,
    machine::{Event, From, MessageStatus, State, TokenReason},
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, UserId,
    command::Page,
    delivery::{Availability, ConversationKind},
    hello::capability,
    signal::TypingState,
};
use std::sync::Arc;

fn conversation(n: u8) -> ConversationId {
    ConversationId([n; 16])
}

fn is_accepted(event: &Event) -> Option<(ConversationId, u64)> {
    match event {
        Event::MessageStatus(change) if change.status >= MessageStatus::Accepted => {
            change.seq.map(|seq| (change.conversation, seq))
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_message_goes_up_and_comes_down_and_the_past_can_be_read() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    let room = client.create_conversation(ConversationKind::Support, None, vec![]).await.unwrap();
    room.subscribe(From::Default).await.unwrap();
    let sent = room.send_text("hello".into()).await.unwrap();
    let (_, seq) = find(&mut events, "an acknowledgement", is_accepted).await;
    assert_eq!((sent.status, seq), (MessageStatus::Queued, 1));
    host.say(room.id(), "hello yourself");
    let text = find(&mut events, "the answer", |event| match event {
        Event::MessageCreated { message, live: true } if !message.own => {
            message.content.as_text().map(str::to_owned)
        }
        _ => None,
    });
    assert_eq!(text.await, "hello yourself");
    let page = within("a page", room.history(Page::Before(u64::MAX), 10)).await.unwrap();
    assert_eq!((page.entries.len(), page.more), (2, false));
    assert_eq!(room.position().await.unwrap().map(|position| position.seq), Some(2));
}

#[tokio::test]
async fn conversations_beyond_the_streams_share_the_control_stream_and_work_all_the_same() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    for n in 1..=5 {
        let room = client.conversation(conversation(n));
        room.subscribe(From::Default).await.unwrap();
        room.send_text(format!("to {n}")).await.unwrap();
    }
    let mut accepted = Vec::new();
    while accepted.len() < 5 {
        accepted.push(find(&mut events, "five acknowledgements", is_accepted).await.0);
    }
    accepted.sort_unstable();
    assert_eq!(accepted, (1..=5).map(conversation).collect::<Vec<_>>());
    // The model allows two streams besides the control stream.
    assert_eq!(host.lanes(), (3, 3));
}

#[tokio::test]
async fn typing_travels_as_a_datagram_both_ways() {
    let host = Host::start();
    host.server(|server| server.capabilities = capability::DATAGRAMS);
    let (client, mut events) = host.client().await;
    let room = client.conversation(conversation(1));
    room.subscribe(From::Default).await.unwrap();
    find(&mut events, "the room", |event| matches!(event, Event::ConversationReady { .. }).then_some(()))
        .await;
    room.keystroke().await.unwrap();
    let datagram = within("a datagram", host.last_connection().read_datagram()).await.unwrap();
    let frame = duet_protocol::Frame::from_datagram(datagram).unwrap();
    let Ok(Some(Command::Typing(typing))) = Command::decode(&frame) else { panic!("not typing: {frame:?}") };
    assert!(typing.active && typing.conversation == room.id());
    assert!(!host.has_seen(|command| matches!(command, Command::Typing(_))), "not on a stream too");

    let state = TypingState {
        conversation: room.id(),
        user: UserId::parse("bob").unwrap(),
        version: 1,
        ttl_ms: 60_000,
    };
    let encoded = Delivery::Typing(state).encode();
    let (_, body) = duet_protocol::Frame::split(&encoded);
    host.last_connection().send_datagram(body).unwrap();
    find(&mut events, "typing", |event| matches!(event, Event::TypingStarted { .. }).then_some(())).await;
}

#[tokio::test]
async fn what_is_said_while_the_server_is_away_arrives_when_it_is_back() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    let room = client.conversation(conversation(1));
    room.subscribe(From::Default).await.unwrap();
    find(&mut events, "the room", |event| matches!(event, Event::ConversationReady { .. }).then_some(()))
        .await;
    host.close(Code::SHUTDOWN);
    let change = find(&mut events, "the loss", |event| match event {
        Event::StateChanged(change) if change.current == State::Reconnecting => Some(change.clone()),
        _ => None,
    });
    assert_eq!(change.await.code, Some(Code::SHUTDOWN));
    let sent = room.send_text("are you there?".into()).await.unwrap();
    host.say(room.id(), "missed by nobody");
    find(&mut events, "an acknowledgement", |event| match event {
        Event::MessageStatus(change) if change.id == sent.id && change.seq.is_some() => Some(()),
        _ => None,
    })
    .await;
    assert_eq!(host.connections(), 2);
    assert_eq!(host.server(|server| server.mine(conversation(1))), [sent.id]);
}

#[tokio::test]
async fn a_connection_moves_to_another_network_path_and_nobody_notices() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    let before = host.last_connection().remote_address();
    client.network_changed().await.unwrap();
    let room = client.conversation(conversation(1));
    room.subscribe(From::Default).await.unwrap();
    room.send_text("from elsewhere".into()).await.unwrap();
    find(&mut events, "an acknowledgement", is_accepted).await;
    until("the new path", || host.last_connection().remote_address() != before).await;
    assert_eq!(host.connections(), 1);
    assert_eq!(client.state(), State::Connected);
}

#[tokio::test]
async fn closing_says_good_bye_and_the_client_stays_closed() {
    let host = Host::start();
    let (client, _events) = host.client().await;
    within("the close", client.close()).await;
    assert_eq!(client.state(), State::Closed);
    assert!(host.has_seen(|command| matches!(command, Command::Goodbye(_))), "it has arrived");
    let error = client.conversation(conversation(1)).send_text("too late".into()).await.unwrap_err();
    assert_eq!(error.code, Code::CLOSED_BY_USER);
    assert_eq!(client.set_availability(Availability::Away).await.unwrap_err().code, Code::CLOSED_BY_USER);
}

#[tokio::test]
async fn a_dropped_client_leaves_without_a_good_bye_so_that_its_session_can_go_on() {
    let host = Host::start();
    let (client, events) = host.client().await;
    drop((client, events));
    let end = within("the end", host.last_connection().closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = end else { panic!("{end:?}") };
    assert_eq!(close.error_code.into_inner(), u64::from(Code::CLOSED_BY_USER.0));
    assert!(!host.has_seen(|command| matches!(command, Command::Goodbye(_))));
}

#[test]
fn handles_can_be_held_anywhere() {
    fn anywhere<T: Send + Sync + 'static>() {}
    anywhere::<Client>();
    anywhere::<duet_client::Conversation>();
    anywhere::<Arc<FixedToken>>();
    assert_ne!(TokenReason::Connect, TokenReason::Refresh);
}

//! Whom a client talks to, and what it does with those who do not behave.

use crate::host::{Host, find, until, within};
use duet_client::{
    Client, Listener, Options, Storage, TokenFuture, TokenSource,
    link::Trust,
    machine::{Event, Persist, Saved, State, TokenError, TokenReason},
};
use duet_protocol::{Code, ConversationId};
use std::sync::{Arc, Mutex};

/// The code of the first change of state that has one.
async fn first_code(client: &Client) -> Code {
    let mut events = client.events();
    find(&mut events, "a failed try", |event| match event {
        Event::StateChanged(change) => change.code,
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_certificate_is_accepted_by_its_hash_or_its_authority_and_by_nothing_else() {
    let host = Host::start();
    let with = |trust| Client::connect(Options { trust, ..host.options() }).unwrap();
    for good in [Trust::Pinned(vec![[0; 32], host.hash()]), Trust::Authorities(vec![host.certificate()])] {
        within("a connection", with(good).ready()).await.unwrap();
    }
    let stranger = Host::start();
    for bad in [Trust::Pinned(vec![[0; 32]]), Trust::Authorities(vec![stranger.certificate()])] {
        assert_eq!(first_code(&with(bad)).await, Code::UNREACHABLE);
    }
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_followed_by_the_next_one() {
    let host = Host::start();
    let mut options = host.options();
    options.endpoints.insert(0, "no-such-host.invalid:4433".into());
    let client = Client::connect(options).unwrap();
    within("a connection", client.ready()).await.unwrap();
    assert_eq!(client.info().endpoint, Some(host.address()));
}

#[tokio::test]
async fn bytes_that_are_no_frames_end_the_connection_and_the_client_comes_back() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    host.write_raw(&[0xc0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    find(&mut events, "the loss", |event| match event {
        Event::StateChanged(change) if change.current == State::Reconnecting => Some(()),
        _ => None,
    })
    .await;
    within("a connection", client.ready()).await.unwrap();
    assert_eq!(host.connections(), 2);
}

#[tokio::test]
async fn a_lane_that_the_server_breaks_off_is_opened_again() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    let room = client.conversation(ConversationId([1; 16]));
    let ready = |event: &Event| matches!(event, Event::ConversationReady { .. }).then_some(());
    room.subscribe(duet_client::machine::From::Default).await.unwrap();
    find(&mut events, "the room", ready).await;
    host.break_off(duet_client::machine::LaneId(1));
    find(&mut events, "the room again", ready).await;
    assert_eq!((host.connections(), host.lanes().0), (1, 3));
}

#[tokio::test]
async fn a_code_for_good_ends_the_client() {
    let host = Host::start();
    let (client, mut events) = host.client().await;
    host.close(Code::FORCED);
    let failed = find(&mut events, "the end", |event| match event {
        Event::StateChanged(change) if change.current == State::Failed => change.code,
        _ => None,
    });
    assert_eq!(failed.await, Code::FORCED);
    assert_eq!(client.ready().await.unwrap_err().code, Code::FORCED);
}

/// Says no.
struct NoToken;

impl TokenSource for NoToken {
    fn token(&self, _: TokenReason) -> TokenFuture {
        Box::pin(std::future::ready(Err(TokenError::Unauthorized("signed out".into()))))
    }
}

#[tokio::test]
async fn a_user_without_a_token_is_told_so_and_nobody_is_dialed() {
    let host = Host::start();
    let client = Client::connect(Options { tokens: Arc::new(NoToken), ..host.options() }).unwrap();
    let error = within("the end", client.ready()).await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::UNAUTHENTICATED, "signed out"));
    assert_eq!(host.connections(), 0);
}

/// Remembers names, and panics at the first.
#[derive(Default)]
struct Names(Mutex<Vec<&'static str>>);

impl Listener for Names {
    fn on_event(&self, event: Event) {
        let first = {
            let mut names = self.0.lock().unwrap();
            names.push(event.name());
            names.len() == 1
        };
        assert!(!first, "a listener may have defects");
    }
}

#[tokio::test]
async fn a_listener_is_told_everything_even_after_it_has_panicked() {
    let host = Host::start();
    let names = Arc::new(Names::default());
    let options = Options { listener: Some(Arc::<Names>::clone(&names)), ..host.options() };
    let client = Client::connect(options).unwrap();
    within("a connection", client.ready()).await.unwrap();
    until("both changes of state", || *names.0.lock().unwrap() == ["state", "state"]).await;
}

/// A storage in memory.
#[derive(Default)]
struct Memory(Mutex<Saved>);

impl Storage for Memory {
    fn load(&self) -> Saved {
        self.0.lock().unwrap().clone()
    }

    fn save(&self, change: Persist) {
        let mut saved = self.0.lock().unwrap();
        match change {
            Persist::Put(entry) => {
                saved.outbox.retain(|known| known.id != entry.id);
                saved.outbox.push(entry);
            }
            Persist::Remove(id) => saved.outbox.retain(|known| known.id != id),
            Persist::Session(session) => saved.session = session,
        }
    }
}

#[tokio::test]
async fn what_could_not_be_sent_is_sent_by_the_next_process_under_the_same_id() {
    let host = Host::start();
    let memory = Arc::new(Memory::default());
    let id = ConversationId([7; 16]);
    let offline = Options {
        endpoints: vec!["no-such-host.invalid:4433".into()],
        storage: Some(Arc::<Memory>::clone(&memory)),
        ..host.options()
    };
    let client = Client::connect(offline).unwrap();
    let sent = client.conversation(id).send_text("kept".into()).await.unwrap();
    drop(client);

    let online = Options { storage: Some(Arc::<Memory>::clone(&memory)), ..host.options() };
    let client = Client::connect(online).unwrap();
    let mut events = client.events();
    find(&mut events, "an acknowledgement", |event| match event {
        Event::MessageStatus(change) if change.id == sent.id && change.seq == Some(1) => Some(()),
        _ => None,
    })
    .await;
    until("an empty outbox", || memory.load().outbox.is_empty()).await;
    assert!(memory.load().session.is_some());
}

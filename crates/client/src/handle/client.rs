//! The client: connects, and keeps at it; the way to everything else.

use super::{
    Conversation, Options,
    driver::{Driver, ORDERS_MAX, View, Wish, ended},
    events::{EVENTS_MAX, Events, listen},
};
use crate::{
    link::{Dialer, Transport},
    machine::{Answer, Call, ClientError, Event, Input, Machine, Me, Message, OutboxEntry, State},
};
use duet_protocol::{
    ClientMessageId, Code, ConversationId, DisplayName, UserId,
    call::Outcome,
    command::Durability,
    delivery::{Availability, ConversationKind},
    ids::Label,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// A client of one user. Clones are the same client; when the last one is dropped the connection ends, and the
/// session stays resumable.
#[derive(Debug, Clone)]
pub struct Client {
    wishes: mpsc::Sender<Wish>,
    events: broadcast::WeakSender<Event>,
    view: watch::Receiver<View>,
    durability: Durability,
    /// The first reader gets what happened from the beginning on.
    first: Arc<Mutex<Option<broadcast::Receiver<Event>>>>,
}

/// What is known about the connection.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionInfo {
    /// The state.
    pub state: State,
    /// Where the connection leads, while there is one.
    pub endpoint: Option<String>,
    /// The node's name, while there is a connection.
    pub node: Option<DisplayName>,
    /// The reign of the primary; 0 until connected.
    pub epoch: u64,
    /// On how many disks the last acknowledged message was; 1 in a pair means that one node is alone.
    pub replicas: Option<u8>,
    /// Round trip, smoothed.
    pub rtt: Option<Duration>,
    /// What carries the connection, while there is one.
    pub transport: Option<Transport>,
}

impl Client {
    /// Begins to connect, and keeps at it until [`Client::close`]. Returns at once; see [`Client::ready`]. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// When there can be no client: no endpoint, a malformed device, no UDP socket, no certificate authorities.
    pub fn connect(options: Options) -> Result<Self, ClientError> {
        let machine = Machine::new(options.config()?);
        let dialer = Dialer::new(&options.trust)
            .map_err(|error| ClientError::new(Code::UNREACHABLE, &error.to_string()))?;
        let (events, first) = broadcast::channel(EVENTS_MAX);
        if let Some(listener) = options.listener {
            listen(listener, events.subscribe())
                .map_err(|error| ClientError::new(Code::LIMIT_REACHED, &format!("no thread: {error}")))?;
        }
        let (wishes, inbox) = mpsc::channel(ORDERS_MAX);
        let (view_in, view) = watch::channel(View::begin());
        let weak = events.downgrade();
        let driver = Driver::new(machine, dialer, options.tokens, options.storage, events, view_in);
        tokio::spawn(driver.run(inbox));
        let (durability, first) = (options.durability, Arc::new(Mutex::new(Some(first))));
        Ok(Self { wishes, events: weak, view, durability, first })
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// Waits until the client is connected, however long that takes; bound it with a timeout.
    ///
    /// # Errors
    /// The code for which the client ended for good.
    pub async fn ready(&self) -> Result<(), ClientError> {
        let mut view = self.view.clone();
        loop {
            let ended_with = {
                let seen = view.borrow_and_update();
                match seen.state {
                    State::Connected => return Ok(()),
                    State::Closed | State::Failed => Some(seen.error.clone()),
                    _ => None,
                }
            };
            if let Some(error) = ended_with {
                return Err(error.unwrap_or_else(ended));
            }
            view.changed().await.map_err(|_| ended())?;
        }
    }

    /// Tries at once instead of after the wait that is under way; begins anew after a close or failure.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn reconnect(&self) -> Result<(), ClientError> {
        self.input(Input::Connect).await
    }

    /// The network came back or is another one: the connection moves along, or is made anew.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn network_changed(&self) -> Result<(), ClientError> {
        self.input(Input::NetworkChanged).await
    }

    /// Ends the session: the user is not expected back. Returns when the good-bye has arrived, or after a second.
    /// Unsent messages stay in the storage.
    pub async fn close(&self) {
        let mut view = self.view.clone();
        if self.input(Input::Close).await.is_ok() {
            // Fails only when the task is gone, which is closed as well.
            let _ = view.wait_for(|view| view.state == State::Closed && !view.leaving).await;
        }
    }

    /// A stream of events. The first one begins with the client, later ones with the call.
    #[must_use]
    pub fn events(&self) -> Events {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take();
        let receiver = first.or_else(|| self.events.upgrade().map(|events| events.subscribe()));
        Events::new(receiver.unwrap_or_else(|| broadcast::channel(1).1))
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.view.borrow().state
    }

    /// The user, once known.
    #[must_use]
    pub fn me(&self) -> Option<Me> {
        self.view.borrow().me.clone()
    }

    /// What is known about the connection now.
    #[must_use]
    pub fn info(&self) -> ConnectionInfo {
        let view = self.view.borrow();
        ConnectionInfo {
            state: view.state,
            endpoint: view.endpoint.clone(),
            node: view.node.clone(),
            epoch: view.epoch,
            replicas: view.replicas,
            rtt: view.rtt,
            transport: view.transport,
        }
    }

    /// The handle of a conversation, whether it exists or not.
    #[must_use]
    pub fn conversation(&self, id: ConversationId) -> Conversation {
        Conversation::new(self.clone(), id)
    }

    /// Creates a conversation. `members` are the others: exactly one for `Direct`, any for `Group`, none for
    /// `Support`. A direct conversation that exists already is given back.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT` when there was no answer in 15 seconds.
    pub async fn create_conversation(
        &self,
        kind: ConversationKind,
        subject: Option<DisplayName>,
        members: Vec<UserId>,
    ) -> Result<Conversation, ClientError> {
        let (reply, id) = oneshot::channel();
        self.wish(Wish::NewConversationId(reply)).await?;
        let conversation = id.await.map_err(|_| ended())?;
        match self.request(Call::CreateConversation { conversation, kind, subject, members }).await? {
            Answer::Created(id) => Ok(self.conversation(id)),
            _ => Ok(self.conversation(conversation)),
        }
    }

    /// Replaces the list of users whose presence is followed, 200 at most.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn watch_presence(&self, users: Vec<UserId>) -> Result<(), ClientError> {
        self.request(Call::WatchPresence(users)).await.map(drop)
    }

    /// Begins or ends the list of the user's conversations; entries come as events, through all reconnects.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn watch_inbox(&self, on: bool) -> Result<(), ClientError> {
        self.request(Call::WatchInbox(on)).await.map(drop)
    }

    /// Asks a service of the tenant, which sees who asks. `timeout_ms` is 1 to 60,000 milliseconds. Not repeated when the
    /// connection breaks: it may have been carried out.
    ///
    /// # Errors
    /// `NO_SERVICE`, `CALL_TIMEOUT`, `SERVICE_GONE`, `RATE_LIMITED`, `TOO_LARGE`, `BAD_REQUEST`, `TRANSPORT_CLOSED`,
    /// `TIMEOUT`.
    pub async fn call(&self, method: Label, body: Vec<u8>, timeout_ms: u32) -> Result<Outcome, ClientError> {
        match self.request(Call::Ask(method, body, timeout_ms)).await? {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(ClientError::from_code(Code::INTERNAL)),
        }
    }

    /// Serves calls of these methods, through all reconnects, in place of those that were served before; for services
    /// only. Questions come as `call.asked` events; [`Client::answer_call`] answers them.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn serve(&self, methods: Vec<Label>) -> Result<(), ClientError> {
        self.request(Call::Serve(methods)).await.map(drop)
    }

    /// Answers a question; one that nobody waits for any more is dropped.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn answer_call(&self, call: u64, outcome: Outcome) -> Result<(), ClientError> {
        self.input(Input::AnswerCall(call, outcome)).await
    }

    /// What the user chooses to be, for all their devices.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn set_availability(&self, availability: Availability) -> Result<(), ClientError> {
        self.request(Call::SetAvailability(availability)).await.map(drop)
    }

    /// The user left keyboard and screen alone, or is back.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn set_idle(&self, idle: bool) -> Result<(), ClientError> {
        self.input(Input::Idle(idle)).await
    }

    /// Everything that waits to be sent, failed messages included.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn outbox(&self) -> Result<Vec<OutboxEntry>, ClientError> {
        let (reply, entries) = oneshot::channel();
        self.wish(Wish::Outbox(reply)).await?;
        entries.await.map_err(|_| ended())
    }

    /// Sends a failed message again: as the same one where that is safe, else as a new one with a new id.
    ///
    /// # Errors
    /// `NOT_FOUND` when no failed message has this id.
    pub async fn retry(&self, id: ClientMessageId) -> Result<Message, ClientError> {
        let (reply, message) = oneshot::channel();
        self.wish(Wish::Retry(id, reply)).await?;
        message.await.map_err(|_| ended())?
    }

    /// Takes a failed message out of the outbox.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client's task has ended.
    pub async fn discard(&self, id: ClientMessageId) -> Result<(), ClientError> {
        self.input(Input::Discard(id)).await
    }

    pub(super) async fn input(&self, input: Input) -> Result<(), ClientError> {
        self.wish(Wish::Input(input)).await
    }

    pub(super) async fn request(&self, call: Call) -> Result<Answer, ClientError> {
        let (reply, answer) = oneshot::channel();
        self.wish(Wish::Call(call, reply)).await?;
        answer.await.map_err(|_| ended())?
    }

    pub(super) async fn wish(&self, wish: Wish) -> Result<(), ClientError> {
        self.wishes.send(wish).await.map_err(|_| ended())
    }
}

//! One conversation, as an application holds it.

use super::{
    Client,
    driver::{Wish, ended},
};
use crate::machine::{Answer, Call, ClientError, From, HistoryEntries, Input, Message, NewMessage};
use duet_protocol::{
    ClientMessageId, ConversationId, Position, UserId,
    amend::{Change, Delete, Edit, React},
    command::Page,
    delivery::Status,
    event::Content,
    ids::Emoji,
};
use tokio::sync::oneshot;

/// A conversation. Holds nothing but its id and its client; as many as wanted may exist.
#[derive(Debug, Clone)]
pub struct Conversation {
    client: Client,
    id: ConversationId,
}

impl Conversation {
    pub(super) fn new(client: Client, id: ConversationId) -> Self {
        Self { client, id }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> ConversationId {
        self.id
    }

    /// Shows the conversation: its events begin to come, and keep coming through all reconnects. With
    /// [`From::After`] also when it is shown already, to read again from there.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn subscribe(&self, from: From) -> Result<(), ClientError> {
        self.client.input(Input::Subscribe(self.id, from)).await
    }

    /// Stops showing it. What waits to be sent there is still sent.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn unsubscribe(&self) -> Result<(), ClientError> {
        self.client.input(Input::Unsubscribe(self.id)).await
    }

    /// Queues a message and gives back its local echo at once, connected or not. What becomes of it is told by
    /// `message.status` events.
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `TOO_LARGE`, `BAD_REQUEST` (empty), `CLOSED_BY_USER`; `TRANSPORT_CLOSED` for an ephemeral
    /// message that cannot be sent now.
    pub async fn send(&self, message: NewMessage) -> Result<Message, ClientError> {
        let (reply, sent) = oneshot::channel();
        self.client.wish(Wish::Send(self.id, message, reply)).await?;
        sent.await.map_err(|_| ended())?
    }

    /// [`Conversation::send`] for plain text, as safe as [`Options::durability`](super::Options::durability) says.
    ///
    /// # Errors
    /// As [`Conversation::send`].
    pub async fn send_text(&self, text: String) -> Result<Message, ClientError> {
        let durability = self.client.durability();
        self.send(NewMessage { durability, ..NewMessage::text(&text) }).await
    }

    /// Queues a private note for staff, as [`Conversation::send`] does a message.
    ///
    /// # Errors
    /// As [`Conversation::send`]; `BAD_REQUEST` for an ephemeral one.
    pub async fn note(&self, note: NewMessage) -> Result<Message, ClientError> {
        let (reply, sent) = oneshot::channel();
        self.client.wish(Wish::Note(self.id, note, reply)).await?;
        sent.await.map_err(|_| ended())?
    }

    /// Gives the message at `seq` another content. Shown at once by a `message.updated` event, sent through all
    /// reconnects; what becomes of it is told by `message.status` events of the id that comes back.
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `TOO_LARGE`, `BAD_REQUEST` (empty), `CLOSED_BY_USER`.
    pub async fn edit(&self, seq: u64, content: Content) -> Result<ClientMessageId, ClientError> {
        self.amend(Change::Edit(Edit { target: seq, content })).await
    }

    /// Deletes the message at `seq`; otherwise as [`Conversation::edit`].
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `CLOSED_BY_USER`.
    pub async fn delete(&self, seq: u64) -> Result<ClientMessageId, ClientError> {
        self.amend(Change::Delete(Delete { target: seq })).await
    }

    /// Adds the user's reaction to the message at `seq`, or takes it away; otherwise as [`Conversation::edit`].
    ///
    /// # Errors
    /// `OUTBOX_FULL`, `CLOSED_BY_USER`.
    pub async fn react(&self, seq: u64, emoji: Emoji, on: bool) -> Result<ClientMessageId, ClientError> {
        self.amend(Change::React(React { target: seq, emoji, on })).await
    }

    async fn amend(&self, change: Change) -> Result<ClientMessageId, ClientError> {
        let (reply, sent) = oneshot::channel();
        self.client.wish(Wish::Amend(self.id, change, self.client.durability(), reply)).await?;
        sent.await.map_err(|_| ended())?
    }

    /// The user has seen every event up to `seq`. Never goes back.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn mark_read(&self, seq: u64) -> Result<(), ClientError> {
        self.client.input(Input::MarkRead(self.id, seq)).await
    }

    /// The user pressed a key; as often as it happens.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn keystroke(&self) -> Result<(), ClientError> {
        self.client.input(Input::Keystroke(self.id)).await
    }

    /// The user left the input field.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn stop_typing(&self) -> Result<(), ClientError> {
        self.client.input(Input::StopTyping(self.id)).await
    }

    /// Up to where events were told, while it is shown. Events that wait to be read count as told: an application
    /// that keeps events reads them up to here before it keeps the position with them.
    ///
    /// # Errors
    /// `CLOSED_BY_USER` when the client has ended.
    pub async fn position(&self) -> Result<Option<Position>, ClientError> {
        let (reply, position) = oneshot::channel();
        self.client.wish(Wish::Position(self.id, reply)).await?;
        position.await.map_err(|_| ended())
    }

    /// A page of the past, 1 to 500 events in ascending order.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn history(&self, page: Page, limit: u16) -> Result<HistoryEntries, ClientError> {
        match self.client.request(Call::History(self.id, page, limit)).await? {
            Answer::History(page) => Ok(page),
            _ => Ok(HistoryEntries { conversation: self.id, entries: Vec::new(), more: false }),
        }
    }

    /// Staff: makes an agent responsible; `None` is oneself. `CONFLICT` when another was first.
    ///
    /// # Errors
    /// The server's refusal, `TIMEOUT`, or `TRANSPORT_CLOSED` when the connection broke before the answer.
    pub async fn assign(&self, agent: Option<UserId>) -> Result<(), ClientError> {
        self.client.request(Call::Assign(self.id, agent)).await.map(drop)
    }

    /// The conversation is dealt with; the visitor's next message queues it again.
    ///
    /// # Errors
    /// As [`Conversation::assign`].
    pub async fn resolve(&self) -> Result<(), ClientError> {
        self.client.request(Call::SetStatus(self.id, Status::Resolved)).await.map(drop)
    }

    /// Staff: the conversation is over and takes no more messages.
    ///
    /// # Errors
    /// As [`Conversation::assign`].
    pub async fn close(&self) -> Result<(), ClientError> {
        self.client.request(Call::SetStatus(self.id, Status::Closed)).await.map(drop)
    }

    /// Adds members to a group, 100 at most.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn add_members(&self, users: Vec<UserId>) -> Result<(), ClientError> {
        self.client.request(Call::AddMembers(self.id, users)).await.map(drop)
    }

    /// Takes a member out, or oneself.
    ///
    /// # Errors
    /// The server's refusal, or `TIMEOUT`.
    pub async fn remove_member(&self, user: UserId) -> Result<(), ClientError> {
        self.client.request(Call::RemoveMember(self.id, user)).await.map(drop)
    }
}

//! A terminal chat, line by line, against a server on this machine: `duet serve --dev`, then
//!
//! ```text
//! cargo run -p duet-client --example chat -- --name Vera
//! cargo run -p duet-client --example chat -- --name Ada --role agent
//! cargo run -p duet-client --example chat -- --page localhost:8080 --page localhost:8081   # both nodes of a pair
//! ```
//!
//! Shows what an application does with the SDK: events drive the screen, input drives the handles, neither waits for
//! the other. A terminal tells of whole lines only, so typing is announced with `/typing`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a terminal is what this is for")]

mod dev;
mod input;
mod words;

use dev::Dev;
use duet_client::{
    Client, Conversation, Events, Options,
    machine::{
        ClientError, ConversationInfo, Event, From, LogEntry, Message, MessageStatus, State, StateChange,
        StatusChange,
    },
    protocol::{
        ClientMessageId, ConversationId, DisplayName, EventBody, UserId,
        delivery::{ConversationKind, InboxEntry, Presence, Status},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    time::timeout,
};
use words::tick;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let dev = Dev::from_arguments()?;
    let grant = dev.grant().await.map_err(|why| format!("no token from {why}"))?;
    let trust = dev::pinned(&grant.certificates)?;
    let tokens = Arc::new(dev.clone());
    let client = Client::connect(Options { trust, ..Options::new(grant.endpoints.clone(), tokens) })?;
    let events = client.events();
    let mut chat = Chat::new(client);
    say(&format!("{} ({}) at {}; /help for help", dev.name, dev.role, grant.endpoints.join(" and ")));
    chat.run(events, dev.role == "visitor").await?;
    Ok(())
}

/// The screen and what it needs to know.
struct Chat {
    client: Client,
    open: Option<Conversation>,
    info: Option<ConversationInfo>,
    names: BTreeMap<UserId, String>,
    inbox: BTreeMap<ConversationId, InboxEntry>,
    /// Own messages of the open conversation, and how far they are.
    own: BTreeMap<ClientMessageId, (String, MessageStatus)>,
    failed: BTreeSet<ClientMessageId>,
    first_seq: u64,
    last_seq: u64,
}

impl Chat {
    fn new(client: Client) -> Self {
        Self {
            client,
            open: None,
            info: None,
            names: BTreeMap::new(),
            inbox: BTreeMap::new(),
            own: BTreeMap::new(),
            failed: BTreeSet::new(),
            first_seq: u64::MAX,
            last_seq: 0,
        }
    }

    async fn run(&mut self, mut events: Events, visitor: bool) -> Result<(), ClientError> {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        let client = self.client.clone();
        let mut inbox = Box::pin(async move {
            client.ready().await?;
            client.watch_inbox(true).await
        });
        let (mut asked, mut begun) = (false, false);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::InboxReady) if !begun => {
                        begun = true;
                        self.begin(visitor).await?;
                    }
                    Some(event) => self.show(event).await?,
                    None => return Ok(()),
                },
                line = lines.next_line() => match line.ok().flatten() {
                    Some(line) if line.trim() == "/quit" => break,
                    Some(line) => if let Err(error) = self.enter(line.trim()).await {
                        say(&format!("! {error}"));
                    },
                    None => break,
                },
                result = &mut inbox, if !asked => {
                    asked = true;
                    result?;
                }
            }
        }
        // What was said last gets a moment to leave.
        let _ = timeout(Duration::from_secs(3), self.sent_all()).await;
        self.client.close().await;
        Ok(())
    }

    /// A visitor goes on with their chat, or starts one; staff see what there is.
    async fn begin(&mut self, visitor: bool) -> Result<(), ClientError> {
        if !visitor {
            self.list();
            return Ok(());
        }
        let going_on = self.inbox.values().filter(|entry| entry.status != Status::Closed);
        match going_on.max_by_key(|entry| entry.active_at_ms).map(|entry| entry.conversation) {
            Some(id) => self.show_conversation(self.client.conversation(id)).await,
            None => {
                let fresh = self.client.create_conversation(ConversationKind::Support, None, vec![]).await?;
                self.show_conversation(fresh).await
            }
        }
    }

    async fn sent_all(&self) {
        while self.client.outbox().await.is_ok_and(|left| left.iter().any(|entry| entry.failed.is_none())) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn show_conversation(&mut self, conversation: Conversation) -> Result<(), ClientError> {
        if let Some(before) = self.open.take() {
            before.unsubscribe().await?;
        }
        self.forget();
        conversation.subscribe(From::Default).await?;
        self.open = Some(conversation);
        Ok(())
    }

    fn forget(&mut self) {
        (self.info, self.first_seq, self.last_seq) = (None, u64::MAX, 0);
        self.own.clear();
    }

    async fn show(&mut self, event: Event) -> Result<(), ClientError> {
        let here = self.open.as_ref().map(Conversation::id);
        match event {
            Event::StateChanged(change) => return self.state(&change),
            Event::ConversationOpened(info) if Some(info.conversation) == here => self.opened(info),
            Event::MessageCreated { message, .. } if Some(message.conversation) == here => {
                self.message(message).await?;
            }
            Event::MessageStatus(change) => self.status(&change),
            Event::ConversationUpdated { conversation, entry } if Some(conversation) == here => {
                self.first_seq = self.first_seq.min(entry.seq);
                if let Some(EventBody::MemberJoined(joined)) = &entry.body {
                    self.names.insert(joined.user.clone(), joined.name.to_string());
                }
                say(&format!("  {}", self.describe(&entry)));
            }
            Event::TypingStarted { user, .. } => say(&format!("  {} is typing …", self.name(&user))),
            Event::PresenceUpdated(presence) => say(&format!("  {}", self.presence(&presence))),
            Event::InboxUpdated(entry) => self.inbox_entry(entry),
            Event::Discontinuity { reason, conversation } if conversation.is_some() => {
                say(&format!("! {reason}; what follows is all there is"));
                self.forget();
            }
            Event::ConversationLost { error, .. } => {
                say(&format!("! this conversation is over for you: {error}"));
            }
            Event::Lagged { missed } => {
                say(&format!("! the screen was too slow for {missed} events; reading again"));
                if let Some(open) = self.open.clone() {
                    self.show_conversation(open).await?;
                }
            }
            Event::Error(error) => say(&format!("! {error}")),
            _ => {}
        }
        Ok(())
    }

    fn state(&self, change: &StateChange) -> Result<(), ClientError> {
        let again = change.retry_in_ms.map(|ms| format!(", next try in {:.1} s", ms as f64 / 1_000.0));
        let again = again.unwrap_or_default();
        match change.current {
            State::Connected => {
                let node = change.node.as_ref().map_or("?", DisplayName::as_str);
                let resumed = if change.resumed { ", session resumed" } else { "" };
                say(&format!("· connected to {node}, epoch {}{resumed}", change.epoch));
            }
            State::Connecting if change.code.is_none() => say("· connecting …"),
            State::Connecting | State::Reconnecting => {
                say(&format!("· reconnecting: {}{again}", change.reason));
            }
            State::Suspended => say(&format!("· still no connection{again}; what you write is kept")),
            State::Failed => {
                let code = change.code.unwrap_or(duet_client::protocol::Code::TRANSPORT_CLOSED);
                return Err(ClientError::new(code, &change.reason));
            }
            State::Disconnected | State::Closed => {}
        }
        Ok(())
    }

    fn opened(&mut self, info: ConversationInfo) {
        for member in &info.members {
            self.names.insert(member.user.clone(), member.name.to_string());
        }
        if self.info.is_none() {
            let subject = info.subject.as_ref().map_or("no subject", DisplayName::as_str);
            say(&format!("── {subject} · {:?} · {} members ──", info.status, info.member_count));
        }
        self.info = Some(info);
    }

    async fn message(&mut self, message: Message) -> Result<(), ClientError> {
        let text = message.content.as_text().unwrap_or("(no text)").to_owned();
        self.first_seq = self.first_seq.min(message.seq.unwrap_or(u64::MAX));
        if message.own {
            say(&format!("  you: {text} {}", tick(message.status)));
            self.own.insert(message.id, (text, message.status));
            return Ok(());
        }
        let author = message.author.map(|author| self.name(&author)).unwrap_or_default();
        say(&format!("  {author}: {text}"));
        self.last_seq = self.last_seq.max(message.seq.unwrap_or(0));
        match &self.open {
            Some(open) => open.mark_read(self.last_seq).await,
            None => Ok(()),
        }
    }

    fn status(&mut self, change: &StatusChange) {
        if change.status == MessageStatus::Failed {
            self.failed.insert(change.id);
        }
        let Some((text, status)) = self.own.get_mut(&change.id) else { return };
        let short: String = text.chars().take(30).collect();
        let why = change.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        if *status != change.status || change.error.is_some() {
            let copies = change.replicas.map(|n| format!(" ({n} on disk)")).unwrap_or_default();
            say(&format!("      {} {short}{copies}{why}", tick(change.status)));
        }
        *status = change.status;
    }

    fn inbox_entry(&mut self, entry: InboxEntry) {
        for member in &entry.members {
            self.names.insert(member.user.clone(), member.name.to_string());
        }
        let (id, elsewhere) =
            (entry.conversation, self.open.as_ref().map(Conversation::id) != Some(entry.conversation));
        if entry.gone {
            self.inbox.remove(&id);
            return;
        }
        let before = self.inbox.insert(id, entry).map_or(0, |before| before.head);
        let unread = self.inbox[&id].unread;
        if elsewhere && before > 0 && unread > 0 {
            let at = self.listed().position(|listed| listed.conversation == id).unwrap_or(0) + 1;
            say(&format!("  {unread} unread in conversation {at} (/open {at})"));
        }
    }

    /// Oldest first, so that numbers stay.
    fn listed(&self) -> impl Iterator<Item = &InboxEntry> {
        self.inbox.values()
    }

    fn list(&self) {
        if self.inbox.is_empty() {
            say("  no conversations yet");
        }
        for (n, entry) in self.listed().enumerate() {
            let names: Vec<&str> = entry.members.iter().map(|member| member.name.as_str()).collect();
            let subject = entry.subject.as_ref().map_or("", DisplayName::as_str);
            let names = names.join(", ");
            say(&format!("  {}. {names} · {:?} · {} unread {subject}", n + 1, entry.status, entry.unread));
        }
    }

    fn who(&self) {
        for member in self.info.iter().flat_map(|info| &info.members) {
            say(&format!("  {} ({:?})", self.presence(&member.presence), member.role));
        }
    }

    fn presence(&self, presence: &Presence) -> String {
        let name = self.name(&presence.user);
        format!("{name} is {:?}, {:?}", presence.availability, presence.connectivity).to_lowercase()
    }

    fn name(&self, user: &UserId) -> String {
        self.names.get(user).cloned().unwrap_or_else(|| user.to_string())
    }

    fn describe(&self, entry: &LogEntry) -> String {
        let author = entry.author.as_ref().map_or("the system".to_owned(), |author| self.name(author));
        match &entry.body {
            Some(EventBody::Message(said)) => {
                format!("{author}: {}", said.content.as_text().unwrap_or("(no text)"))
            }
            Some(EventBody::Created(_)) => format!("{author} began the conversation"),
            Some(EventBody::MemberJoined(joined)) => format!("{} joined", joined.name),
            Some(EventBody::MemberIdentified(known)) => {
                format!("{} is {}", self.name(&known.before), known.name)
            }
            Some(EventBody::MemberLeft(left)) => format!("{} left", self.name(&left.user)),
            Some(EventBody::Assigned(assigned)) => format!("{} is responsible", self.name(&assigned.agent)),
            Some(EventBody::StatusChanged(change)) => {
                format!("the conversation is {:?}", change.status).to_lowercase()
            }
            _ => format!("something happened that this program does not show (seq {})", entry.seq),
        }
    }
}

pub(crate) fn say(line: &str) {
    println!("{line}");
}

//! One client of the agent: the SDK's handle, what it has told, and who waits for a subscription.

use crate::{orders, shape, store::File, tell, tokens::Tokens};
use duet_client::{
    Client, Events, Options,
    link::Trust,
    machine::{ClientError, Event},
    protocol::{Code, ConversationId},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

type Standing = oneshot::Sender<Result<(), ClientError>>;

/// A client.
pub(crate) struct Held {
    pub(crate) client: Client,
    told: Arc<Mutex<Told>>,
}

/// What the SDK has told so far.
#[derive(Default)]
struct Told {
    logs: BTreeMap<ConversationId, Log>,
    subscribing: BTreeMap<ConversationId, Vec<Standing>>,
    /// Messages are only noted, for crowds of clients.
    quiet: bool,
}

/// The messages of one conversation, as its reader would have them.
#[derive(Default)]
struct Log {
    ids: BTreeMap<u64, String>,
    created: BTreeSet<String>,
    /// Told twice, or at a place before one that was told already.
    wrong: u64,
    last: u64,
}

impl Held {
    /// Begins to connect, as the order says.
    pub(crate) fn begin(name: &str, order: &Value, tokens: &Tokens) -> Result<Self, ClientError> {
        let endpoints = orders::texts(order, "endpoints");
        let mut options = Options::new(endpoints, tokens.of(name));
        options.device = Some(name.to_owned());
        if let Some(hash) = order["certificate"].as_str() {
            let trust = Trust::pinned_hex(hash);
            options.trust = trust.map_err(|error| ClientError::new(Code::BAD_REQUEST, &error.to_string()))?;
        }
        if let Some(path) = order["store"].as_str() {
            options.storage = Some(Arc::new(File::open(PathBuf::from(path))));
        }
        let client = Client::connect(options)?;
        let told = Arc::new(Mutex::new(Told { quiet: order["quiet"] == true, ..Told::default() }));
        tokio::spawn(listen(name.to_owned(), client.events(), Arc::clone(&told)));
        Ok(Self { client, told })
    }

    /// Resolves when the conversation's backlog is there, or it was refused. What was told may be told again.
    pub(crate) fn stands(&self, conversation: ConversationId) -> oneshot::Receiver<Result<(), ClientError>> {
        let (sender, receiver) = oneshot::channel();
        let mut told = self.told();
        if let Some(log) = told.logs.get_mut(&conversation) {
            log.again();
        }
        told.subscribing.entry(conversation).or_default().push(sender);
        drop(told);
        receiver
    }

    /// The messages of a conversation, by place, and how many were told twice or out of place.
    pub(crate) fn log(&self, conversation: ConversationId) -> Value {
        let told = self.told();
        let Some(log) = told.logs.get(&conversation) else { return json!({ "ids": [], "wrong": 0 }) };
        let ids: Vec<_> = log.ids.iter().collect();
        json!({ "ids": ids, "wrong": log.wrong })
    }

    fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(name: String, mut events: Events, told: Arc<Mutex<Told>>) {
    while let Some(event) = events.next().await {
        let silent = told.lock().unwrap_or_else(PoisonError::into_inner).take(&event);
        if silent {
            continue;
        }
        if let Some(mut line) = shape::event(&event) {
            line["client"] = json!(name);
            tell(&line);
        }
    }
}

impl Told {
    /// Notes an event; whether the driver does not want to hear it.
    fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::MessageCreated { message, .. } => {
                let log = self.logs.entry(message.conversation).or_default();
                log.created(&message.id.to_string(), message.seq);
                self.quiet
            }
            Event::MessageStatus(change) => {
                if let Some(seq) = change.seq {
                    let log = self.logs.entry(change.conversation).or_default();
                    log.placed(&change.id.to_string(), seq);
                }
                self.quiet
            }
            Event::Discontinuity { conversation: Some(conversation), .. } => {
                self.logs.remove(conversation);
                false
            }
            Event::ConversationReady { conversation, .. } => {
                self.subscribed(*conversation, &Ok(()));
                false
            }
            Event::ConversationLost { conversation, error } => {
                self.subscribed(*conversation, &Err(error.clone()));
                false
            }
            Event::ReceiptUpdated { .. } | Event::ConversationUpdated { .. } => self.quiet,
            _ => false,
        }
    }

    fn subscribed(&mut self, conversation: ConversationId, result: &Result<(), ClientError>) {
        for waiting in self.subscribing.remove(&conversation).into_iter().flatten() {
            // The driver may have given up.
            let _ = waiting.send(result.clone());
        }
    }
}

impl Log {
    /// A subscription begins anew.
    fn again(&mut self) {
        self.created.clear();
        self.last = 0;
    }

    fn created(&mut self, id: &str, seq: Option<u64>) {
        if !self.created.insert(id.to_owned()) {
            self.wrong += 1;
        }
        if let Some(seq) = seq {
            if seq <= self.last {
                self.wrong += 1;
            }
            self.last = self.last.max(seq);
            self.placed(id, seq);
        }
    }

    fn placed(&mut self, id: &str, seq: u64) {
        let before = self.ids.insert(seq, id.to_owned());
        if before.is_some_and(|before| before != id) {
            self.wrong += 1;
        }
    }
}

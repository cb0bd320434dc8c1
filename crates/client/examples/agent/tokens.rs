//! Tokens are the driver's business: a question goes out as a line, the answer comes back as one.

use crate::tell;
use duet_client::{
    TokenFuture, TokenSource,
    machine::{TokenError, TokenReason},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

type Answer = Result<String, TokenError>;

/// Open questions of all clients.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    asked: u64,
    waiting: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl Tokens {
    /// The source of one client's tokens.
    pub(crate) fn of(&self, client: &str) -> Arc<dyn TokenSource> {
        Arc::new(Source { tokens: self.clone(), client: client.to_owned() })
    }

    /// A line with an answer.
    pub(crate) fn answered(&self, line: &Value) {
        let Some(asked) = line["answer"].as_u64() else { return };
        let waiting = self.open.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&asked);
        let answer = match (line["token"].as_str(), line["unauthorized"].as_bool()) {
            (Some(token), _) => Ok(token.to_owned()),
            (None, Some(true)) => Err(TokenError::Unauthorized("the driver says so".into())),
            (None, _) => Err(TokenError::Unavailable("the driver has none now".into())),
        };
        // The client may have stopped waiting.
        let _ = waiting.map(|waiting| waiting.send(answer));
    }

    fn ask(&self, client: &str, reason: TokenReason) -> oneshot::Receiver<Answer> {
        let (sender, receiver) = oneshot::channel();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.asked += 1;
        let asked = open.asked;
        open.waiting.insert(asked, sender);
        let reason = match reason {
            TokenReason::Connect => "connect",
            TokenReason::Refresh => "refresh",
            TokenReason::Revoked => "revoked",
        };
        tell(&json!({ "ask": asked, "client": client, "reason": reason }));
        receiver
    }
}

struct Source {
    tokens: Tokens,
    client: String,
}

impl TokenSource for Source {
    fn token(&self, reason: TokenReason) -> TokenFuture {
        let answer = self.tokens.ask(&self.client, reason);
        Box::pin(async move {
            answer.await.unwrap_or_else(|_| Err(TokenError::Unavailable("the agent ends".into())))
        })
    }
}

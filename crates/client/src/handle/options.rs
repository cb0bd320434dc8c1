//! What an application tells a client before it begins, and what it lends it: tokens and a place to keep things.

use super::events::Listener;
use crate::{
    link::Trust,
    machine::{ClientError, Config, Hosts, Persist, Saved, Token, TokenError, TokenReason},
};
use duet_protocol::{Code, DeviceId, command::Durability};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// A token on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

/// Brings tokens. Asked once at a time; an answer must come within 30 seconds.
pub trait TokenSource: Send + Sync {
    /// A JWT for the user. [`TokenError::Unauthorized`] ends the client for good, any other error is retried.
    fn token(&self, reason: TokenReason) -> TokenFuture;
}

/// The same token every time: for tools and tests, whose tokens outlive them.
#[derive(Clone)]
pub struct FixedToken(pub String);

impl TokenSource for FixedToken {
    fn token(&self, reason: TokenReason) -> TokenFuture {
        let result = match reason {
            TokenReason::Revoked => Err(TokenError::Unauthorized("the server refused the only token".into())),
            TokenReason::Connect | TokenReason::Refresh => Ok(self.0.clone()),
        };
        Box::pin(std::future::ready(result))
    }
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FixedToken(…)")
    }
}

/// Keeps session and outbox through restarts. Called from the client's task: must return quickly.
pub trait Storage: Send + Sync {
    /// What was kept.
    fn load(&self) -> Saved;
    /// A change of what [`Storage::load`] would give.
    fn save(&self, change: Persist);
}

/// How a client is to be.
#[derive(Clone)]
pub struct Options {
    /// Where servers listen (`host:port`), best first.
    pub endpoints: Vec<String>,
    /// Brings tokens.
    pub tokens: Arc<dyn TokenSource>,
    /// This installation, 1 to 64 of letters, digits and `-_.:`. Kept by the application: one session belongs to one
    /// device. A random one by default.
    pub device: Option<String>,
    /// Which certificates are accepted.
    pub trust: Trust,
    /// Hosts to which a server may send the client, besides those of `endpoints` and their siblings; see
    /// [`Hosts`]. With pinned certificates any host is followed, since no other can show them.
    pub hosts: Vec<String>,
    /// How safe [`Conversation::send_text`](super::Conversation::send_text) asks a message to be.
    pub durability: Durability,
    /// Keeps session and outbox; without it they live in memory.
    pub storage: Option<Arc<dyn Storage>>,
    /// Is told every event, besides [`Client::events`](super::Client::events).
    pub listener: Option<Arc<dyn Listener>>,
}

impl Options {
    /// The usual: the system's certificate authorities, a random device, nothing kept.
    #[must_use]
    pub fn new(endpoints: Vec<String>, tokens: Arc<dyn TokenSource>) -> Self {
        Self {
            endpoints,
            tokens,
            device: None,
            trust: Trust::System,
            hosts: Vec::new(),
            durability: Durability::Accepted,
            storage: None,
            listener: None,
        }
    }

    /// The machine's configuration, with fresh random bytes.
    pub(super) fn config(&self) -> Result<Config, ClientError> {
        let mut seed = [0; 16];
        let entropy = getrandom::fill(&mut seed);
        entropy.map_err(|error| ClientError::new(Code::UNREACHABLE, &format!("no random bytes: {error}")))?;
        if self.endpoints.is_empty() {
            return Err(ClientError::new(Code::BAD_REQUEST, "At least one endpoint is needed."));
        }
        let random = || format!("rust-{:032x}", u128::from_le_bytes(seed).rotate_left(41));
        let device = self.device.clone().unwrap_or_else(random);
        let device = DeviceId::parse(&device)
            .map_err(|rule| ClientError::new(Code::BAD_REQUEST, &rule.to_string()))?;
        let hosts = match &self.trust {
            Trust::Pinned(_) => Hosts::Any,
            _ => Hosts::Related(self.hosts.clone()),
        };
        Ok(Config { hosts, ..Config::new(self.endpoints.clone(), device, seed) })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("endpoints", &self.endpoints)
            .field("device", &self.device)
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// The provider's future, as the machine wants its answer.
pub(super) async fn ask(tokens: Arc<dyn TokenSource>, reason: TokenReason) -> Result<Token, TokenError> {
    tokens.token(reason).await.map(Token)
}

//! Tokens: asked for when one is needed, renewed at 80 % of their life, asked for once more after a refusal.

use super::{ClientError, Machine, Output, Timer, Token, TokenError, TokenReason, life::Attempt};
use duet_protocol::{Code, Command, command::Authenticate, delivery::Authenticated};

/// The token in use and the question that is open.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    held: Option<Token>,
    /// Server's clock, Unix milliseconds; `None` while unknown, 0 for never.
    expires_ms: Option<u64>,
    asked: Option<TokenReason>,
    /// The last token was refused, and no server has accepted one since.
    refused: Refused,
    /// Questions without an answer since the last token.
    tries: u32,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Refused {
    #[default]
    No,
    /// A fresh one must be asked for.
    Once,
    /// A fresh one was asked for: another refusal is final.
    FreshInUse,
}

impl Tokens {
    /// Whether a token is at hand that may still be good.
    pub(crate) fn is_usable(&self, server_now_ms: u64) -> bool {
        let alive = self.expires_ms.is_none_or(|end| end == 0 || end > server_now_ms);
        self.held.is_some() && alive && self.refused != Refused::Once
    }

    /// The token for a hello.
    pub(crate) fn held(&self, server_now_ms: u64) -> Option<String> {
        self.held.as_ref().filter(|_| self.is_usable(server_now_ms)).map(|token| token.0.clone())
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refused == Refused::Once
    }

    /// The server refused the token; `false` when it was fresh already, so that there is no point in another.
    pub(crate) fn refuse(&mut self) -> bool {
        self.held = None;
        let again = self.refused != Refused::FreshInUse;
        self.refused = Refused::Once;
        again
    }

    pub(crate) fn accepted(&mut self) {
        self.tries = 0;
        self.refused = Refused::No;
    }

    /// An attempt ended for another reason. The token that was fresh then may be too old by the next one, so that a
    /// refusal is no longer final.
    pub(crate) fn attempt_over(&mut self) {
        if self.refused == Refused::FreshInUse {
            self.refused = Refused::No;
        }
    }

    pub(crate) fn forget_refusal(&mut self) {
        self.refused = Refused::No;
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Machine {
    pub(super) fn ask_token(&mut self, reason: TokenReason) {
        if self.tokens.asked.is_none() {
            self.tokens.asked = Some(reason);
            self.timers.set(Timer::TokenAnswer, self.now_ms + self.config.token_timeout_ms);
            self.outputs.push_back(Output::NeedToken { reason });
        }
    }

    /// The provider's answer.
    pub(super) fn token(&mut self, result: Result<Token, TokenError>) {
        if self.tokens.asked.take().is_none() {
            return;
        }
        self.timers.clear(&Timer::TokenAnswer);
        match result {
            Ok(token) => self.token_came(token),
            Err(TokenError::Unauthorized(message)) => {
                let code = Code::UNAUTHENTICATED;
                self.fail(&ClientError { code, message, retry_after_ms: 0 });
            }
            Err(TokenError::Unavailable(message)) => self.token_missing(&message),
        }
    }

    pub(super) fn token_overdue(&mut self) {
        if self.tokens.asked.take().is_some() {
            self.token_missing("the token provider did not answer in time");
        }
    }

    /// A fresh token is due while connected.
    pub(super) fn refresh_token(&mut self) {
        if self.life.online().is_some() {
            self.ask_token(TokenReason::Refresh);
        }
    }

    /// A command met an expired token: a fresh one is needed, unless one is on its way.
    pub(super) fn renew_token(&mut self) {
        if !self.requests.is_authenticating() {
            self.refresh_token();
        }
    }

    pub(super) fn schedule_token(&mut self, expires_ms: u64) {
        self.tokens.expires_ms = Some(expires_ms);
        if expires_ms == 0 {
            return self.timers.clear(&Timer::TokenRefresh);
        }
        let life_ms = expires_ms.saturating_sub(self.server_now_ms());
        self.timers.set(Timer::TokenRefresh, self.now_ms + life_ms / 5 * 4);
    }

    pub(super) fn authenticated(&mut self, answer: Authenticated) {
        if self.take_authentication(answer.request) {
            self.tokens.accepted();
            self.schedule_token(answer.expires_ms);
            self.unblock_calls();
            self.emit(super::Event::TokenRefreshed { expires_ms: answer.expires_ms });
        }
    }

    /// The server did not like the fresh token; the old one may still live.
    pub(super) fn authentication_refused(&mut self, error: ClientError) {
        self.tokens.held = None;
        self.report(error);
        self.token_later();
    }

    fn token_came(&mut self, token: Token) {
        if self.tokens.refused == Refused::Once {
            self.tokens.refused = Refused::FreshInUse;
        }
        self.tokens.expires_ms = None;
        self.tokens.held = Some(token.clone());
        if self.life.online().is_some() {
            let request = self.begin_authentication();
            self.control(Command::Authenticate(Authenticate { request, token: token.0 }));
        } else if matches!(self.life.attempt_mut(), Some(Attempt::Token)) {
            self.dial();
        }
    }

    fn token_missing(&mut self, why: &str) {
        if self.life.online().is_some() {
            self.report(ClientError::new(Code::UNAUTHENTICATED, why));
            self.token_later();
        } else if matches!(self.life.attempt_mut(), Some(Attempt::Token)) {
            self.lost(Code::UNAUTHENTICATED, why, 0);
        }
    }

    fn token_later(&mut self) {
        let delay = 1_000 + self.entropy.up_to(super::backoff::bound(&self.config, self.tokens.tries));
        self.tokens.tries = self.tokens.tries.saturating_add(1);
        self.timers.set(Timer::TokenRefresh, self.now_ms + delay);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_final_only_for_a_token_that_was_fetched_for_the_same_attempt() {
        let mut tokens = Tokens::default();
        assert!(tokens.refuse(), "the first refusal asks for another token");
        tokens.refused = Refused::FreshInUse;
        tokens.attempt_over();
        assert!(tokens.refuse(), "the network was away meanwhile: the token may have ended");
        tokens.refused = Refused::FreshInUse;
        assert!(!tokens.refuse(), "there is no point in another");
    }
}

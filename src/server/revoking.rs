//! Carries an operator's revocation to the core and its answer back.

use super::{auth::TOKEN_LIFE_MAX_MS, clock::system_ms, driver::Fact, queues::Facts};
use crate::{
    admin::revoke::{Grant, Order, Refused},
    core::{Input, Revoke, RevokeRefused, TokenMark},
};
use duet_protocol::{SessionId, TenantName, UserId};
use std::{collections::BTreeMap, time::Duration};
use tokio::sync::oneshot;

/// The answer to one order.
pub(super) type Reply = oneshot::Sender<Result<u32, RevokeRefused>>;

/// Operators who wait for the core.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the number of the order. Bounded by [`WAITING_MAX`]: beyond it an order is refused at once.
    replies: BTreeMap<u64, Reply>,
    last: u64,
}

impl Waiting {
    /// An order on its way to the core, unless too many are.
    pub(super) fn ask(&mut self, revoke: Revoke, reply: Reply) -> Option<Input> {
        self.replies.retain(|_, reply| !reply.is_closed());
        if self.replies.len() >= WAITING_MAX {
            // Whoever asked has gone if they do not wait.
            let _ = reply.send(Err(RevokeRefused::NotNow));
            return None;
        }
        self.last += 1;
        self.replies.insert(self.last, reply);
        Some(Input::Revoke { ask: self.last, revoke })
    }

    /// The core's answer.
    pub(super) fn answered(&mut self, ask: u64, result: Result<u32, RevokeRefused>) {
        if let Some(reply) = self.replies.remove(&ask) {
            // Whoever asked has gone if they do not wait.
            let _ = reply.send(result);
        }
    }
}

/// The way for orders, from the admin listener to the driver.
pub(super) fn grant(facts: Facts) -> Grant {
    Grant::new(move |order| {
        let facts = facts.clone();
        Box::pin(async move {
            let revoke = read(&order, system_ms())?;
            let (reply, answer) = oneshot::channel();
            let exchange = async {
                facts.send(Fact::Revoke(revoke, reply)).await.ok()?;
                answer.await.ok()
            };
            match tokio::time::timeout(ANSWER_WITHIN, exchange).await {
                Ok(Some(result)) => Ok(result?),
                _ => Err(Refused::NoAnswer),
            }
        })
    })
}

fn read(order: &Order, now_ms: u64) -> Result<Revoke, Refused> {
    let malformed = |rule: &str| Refused::Malformed(rule.to_owned());
    let tenant = || {
        let name = order.tenant.as_deref().ok_or_else(|| malformed("`tenant` is missing"))?;
        TenantName::parse(name).map_err(|error| Refused::Malformed(format!("`tenant`: {error}")))
    };
    let until_ms = order.until.map_or(now_ms + TOKEN_LIFE_MAX_MS, |until_s| until_s.saturating_mul(1_000));
    // Tokens are taken for a little longer than they say.
    let until_ms = until_ms.saturating_add(super::auth::LEEWAY_S * 1_000);
    match (&order.token, &order.user, &order.session) {
        (Some(jti), None, None) => {
            Ok(Revoke::Token { tenant: tenant()?, token: TokenMark::of(jti), until_ms })
        }
        (None, Some(user), None) => {
            let user = UserId::parse(user).map_err(|error| Refused::Malformed(format!("`user`: {error}")))?;
            Ok(Revoke::User { tenant: tenant()?, user, until_ms })
        }
        (None, None, Some(session)) => {
            let session = session_id(session).ok_or_else(|| malformed("`session` must be a UUID"))?;
            Ok(Revoke::Session { session })
        }
        _ => Err(malformed("name exactly one of `token`, `user` and `session`")),
    }
}

fn session_id(text: &str) -> Option<SessionId> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let mut id = [0; 16];
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&digits[at..at + 2], 16).ok()?;
    }
    Some(SessionId(id))
}

/// Orders that wait for the disk at most.
const WAITING_MAX: usize = 256;

/// An order waits for its answer this long at most: above what a pair takes to fail over.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn order(token: Option<&str>, user: Option<&str>, session: Option<&str>) -> Order {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let tenant = Some("acme".to_owned());
        Order {
            tenant,
            token: text(token),
            user: text(user),
            session: text(session),
            until: Some(2_000_000_000),
        }
    }

    #[test]
    fn an_order_names_exactly_one_thing_that_exists_in_principle() {
        let now_ms = 1_800_000_000_000;
        let uuid = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        assert!(matches!(read(&order(Some("j"), None, None), now_ms), Ok(Revoke::Token { until_ms, .. })
            if until_ms == 2_000_000_030_000));
        assert!(matches!(read(&order(None, Some("vera"), None), now_ms), Ok(Revoke::User { .. })));
        let session = read(&order(None, None, Some(uuid)), now_ms);
        assert!(
            matches!(session, Ok(Revoke::Session { session }) if session.0[0] == 0x0f && session.0[15] == 0xf0)
        );
        for bad in [
            order(None, None, None),
            order(Some("j"), Some("vera"), None),
            order(None, None, Some("0f1e")),
            order(None, None, Some("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz")),
            order(None, None, Some("ééééééééééééééée")),
            order(None, Some(""), None),
            Order { tenant: None, ..order(Some("j"), None, None) },
            Order { tenant: Some("No Such".into()), ..order(Some("j"), None, None) },
        ] {
            assert!(matches!(read(&bad, now_ms), Err(Refused::Malformed(_))), "{bad:?}");
        }
    }

    #[test]
    fn orders_beyond_the_bound_are_refused_at_once_and_those_who_left_make_room() {
        let mut waiting = Waiting::default();
        let revoke = Revoke::Session { session: SessionId([1; 16]) };
        let mut answers = Vec::new();
        for _ in 0..WAITING_MAX {
            let (reply, answer) = oneshot::channel();
            assert!(waiting.ask(revoke.clone(), reply).is_some());
            answers.push(answer);
        }
        let (reply, mut answer) = oneshot::channel();
        assert!(waiting.ask(revoke.clone(), reply).is_none());
        assert_eq!(answer.try_recv(), Ok(Err(RevokeRefused::NotNow)));
        answers.pop();
        let (reply, mut answer) = oneshot::channel();
        let Some(Input::Revoke { ask, .. }) = waiting.ask(revoke, reply) else { panic!("there is room") };
        waiting.answered(ask, Ok(3));
        assert_eq!(answer.try_recv(), Ok(Ok(3)));
    }
}

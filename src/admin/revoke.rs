//! Taking tokens, users and sessions back: `POST /api/v1/revocations`, on the admin listener, guarded like the orders to a
//! pair.

use super::pair::not_an_operator;
use crate::core::RevokeRefused;
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde::{Deserialize, Serialize};
use std::{fmt, future::Future, pin::Pin, sync::Arc};

/// What is to be taken back: exactly one of `token`, `user` and `session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The tenant of the token or user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// A token's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A user's id: all of their tokens that were made up to now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A session's id, as a UUID or 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// When the last of the tokens ends, Unix seconds; after the longest life that a token may have, if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How many sessions ended by it.
    pub ended: Option<u32>,
    /// Why nothing was taken back.
    pub error: Option<String>,
}

/// Why an order was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// The node says no.
    #[error(transparent)]
    Core(#[from] RevokeRefused),
    /// No answer in time.
    #[error("no answer in time: it may have been carried out, and can be given again")]
    NoAnswer,
}

type Answer = Pin<Box<dyn Future<Output = Result<u32, Refused>> + Send>>;

/// Hands an order to the node and brings its answer, within a bound.
#[derive(Clone)]
pub struct Grant(Arc<dyn Fn(Order) -> Answer + Send + Sync>);

impl Grant {
    /// Carries orders out by this function.
    pub fn new(carry_out: impl Fn(Order) -> Answer + Send + Sync + 'static) -> Self {
        Self(Arc::new(carry_out))
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grant")
    }
}

/// The page.
pub fn router(grant: Grant) -> Router {
    Router::new().route(PATH, post(revoke)).with_state(grant)
}

/// Where orders go.
pub const PATH: &str = "/api/v1/revocations";

async fn revoke(State(grant): State<Grant>, headers: HeaderMap, Json(order): Json<Order>) -> Response {
    let answer = |status, outcome| (status, Json(outcome)).into_response();
    if let Some(error) = not_an_operator(&headers) {
        return answer(StatusCode::FORBIDDEN, Outcome { ended: None, error: Some(error) });
    }
    let what = order.what();
    match (grant.0)(order).await {
        Ok(ended) => {
            tracing::warn!(what, ended, "an operator revoked access");
            answer(StatusCode::OK, Outcome { ended: Some(ended), error: None })
        }
        Err(refused) => {
            tracing::warn!(what, error = %refused, "a revocation was refused");
            let status = match refused {
                Refused::Malformed(_) => StatusCode::BAD_REQUEST,
                Refused::Core(_) => StatusCode::CONFLICT,
                Refused::NoAnswer => StatusCode::GATEWAY_TIMEOUT,
            };
            answer(status, Outcome { ended: None, error: Some(refused.to_string()) })
        }
    }
}

impl Order {
    /// What kind of thing it is, for logs: ids of tokens are not told there.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match (&self.token, &self.user, &self.session) {
            (Some(_), None, None) => "token",
            (None, Some(_), None) => "user",
            (None, None, Some(_)) => "session",
            _ => "nothing",
        }
    }
}

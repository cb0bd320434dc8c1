//! How the pair stands, and what an operator can order: `/api/v1/pair`, on the admin listener.
//!
//! The orders change something, so they ask for a header that no web page can send unasked
//! (`x-duet-operator: 1`): a page open in a browser on this machine must not be able to promote a node.

use crate::core::{OrderRefused, PairOrder};
use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use std::{future::Future, pin::Pin, sync::Arc};
use tokio::sync::watch;

/// The answer of `duet pair status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairReport {
    /// This node's place, `a` or `b`.
    pub side: String,
    /// `joining`, `primary` or `standby`.
    pub role: String,
    /// The highest epoch that it has seen.
    pub epoch: u64,
    /// Whether both nodes hold every acknowledged entry, as far as this node knows.
    pub in_sync: bool,
    /// Whether it serves clients now.
    pub serving: bool,
    /// Whether it acknowledges alone: every acknowledgement says `replicas` 1.
    pub solo: bool,
    /// Whether the link to the peer is up.
    pub link: bool,
    /// Round trip of the link, milliseconds; 0 without one.
    pub link_rtt_ms: f64,
    /// Who decides which node is primary: `manual`, `witness` or `etcd`.
    pub arbiter: String,
    /// Whether it answered last time: while it does not, no node can be promoted and no peer left behind.
    pub arbiter_answers: bool,
    /// The end of this node's log.
    pub log_index: u64,
    /// Entries up to here are acknowledged, or may be.
    pub commit_index: u64,
    /// Entries that the peer lacks, as far as this primary knows.
    pub lag_entries: u64,
    /// For how long the peer has lacked something, seconds.
    pub lag_s: f64,
}

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// An order for the pair.
    Order(PairOrder),
    /// This standby puts its store aside and takes everything from the primary anew.
    Rejoin,
}

impl Wish {
    /// As the operator's command is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Order(PairOrder::Switchover) => "switchover",
            Self::Order(PairOrder::Promote { accept_data_loss: false }) => "promote",
            Self::Order(PairOrder::Promote { accept_data_loss: true }) => "promote --accept-data-loss",
            Self::Rejoin => "rejoin",
        }
    }
}

/// Why a wish was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The pair says no.
    #[error(transparent)]
    Order(#[from] OrderRefused),
    /// Only a standby rejoins.
    #[error("only a standby can rejoin: this node has what its clients were promised")]
    NotStandby,
    /// No answer in time.
    #[error("no answer in time; look at the status before you try again")]
    NoAnswer,
}

/// Hands a wish to the node and brings its answer, within a bound.
pub type Grant = Arc<dyn Fn(Wish) -> Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>> + Send + Sync>;

/// What the pages are made from.
#[derive(Clone)]
pub struct PairPages {
    /// How the pair stands.
    pub status: watch::Receiver<PairReport>,
    /// The way for orders.
    pub grant: Grant,
}

impl std::fmt::Debug for PairPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PairPages").field("status", &*self.status.borrow()).finish_non_exhaustive()
    }
}

/// The header that an order must carry, with the value `1`.
pub const OPERATOR_HEADER: &str = "x-duet-operator";

/// The pages.
pub fn router(pages: PairPages) -> Router {
    Router::new()
        .route("/api/v1/pair", get(status))
        .route("/api/v1/pair/switchover", post(switchover))
        .route("/api/v1/pair/promote", post(promote))
        .route("/api/v1/pair/rejoin", post(rejoin))
        .with_state(pages)
}

/// What a promotion asks for.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promotion {
    /// Even if acknowledged messages may be missing on this node.
    #[serde(default)]
    pub accept_data_loss: bool,
}

async fn status(State(pages): State<PairPages>) -> Response {
    Json(pages.status.borrow().clone()).into_response()
}

async fn switchover(State(pages): State<PairPages>, headers: HeaderMap) -> Response {
    grant(&pages, &headers, Wish::Order(PairOrder::Switchover)).await
}

async fn promote(
    State(pages): State<PairPages>,
    headers: HeaderMap,
    Json(Promotion { accept_data_loss }): Json<Promotion>,
) -> Response {
    grant(&pages, &headers, Wish::Order(PairOrder::Promote { accept_data_loss })).await
}

async fn rejoin(State(pages): State<PairPages>, headers: HeaderMap) -> Response {
    grant(&pages, &headers, Wish::Rejoin).await
}

async fn grant(pages: &PairPages, headers: &HeaderMap, wish: Wish) -> Response {
    if let Some(error) = not_an_operator(headers) {
        return (StatusCode::FORBIDDEN, Json(Outcome { error: Some(error) })).into_response();
    }
    let result = (pages.grant)(wish).await;
    match &result {
        Ok(()) => tracing::warn!(order = wish.name(), "an operator's order was carried out"),
        Err(refused) => {
            tracing::warn!(order = wish.name(), error = %refused, "an operator's order was refused");
        }
    }
    let status = match result {
        Ok(()) => StatusCode::OK,
        Err(Refused::NoAnswer) => StatusCode::GATEWAY_TIMEOUT,
        Err(_) => StatusCode::CONFLICT,
    };
    (status, Json(Outcome { error: result.err().map(|refused| refused.to_string()) })).into_response()
}

/// Why whoever sends these headers may give no orders. A page can make its own name point to this machine, and is of one
/// origin with it then; its name in `Host` gives it away.
pub(super) fn not_an_operator(headers: &HeaderMap) -> Option<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text(OPERATOR_HEADER) != Some("1") {
        return Some(format!("orders carry the header `{OPERATOR_HEADER}: 1`"));
    }
    if headers.contains_key("origin") {
        return Some("orders come from no web page".to_owned());
    }
    let host = text("host").unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    let local = name == "localhost" || address.is_ok_and(|address| address.is_loopback());
    (!local).then(|| "orders are given to a loopback address or to localhost, by that name".to_owned())
}

/// The answer to an order.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it was refused; nothing when it was carried out.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(headers: &[(&'static str, &str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        not_an_operator(&headers.collect::<HeaderMap>()).is_some()
    }

    #[test]
    fn orders_come_from_a_command_on_this_machine_and_from_no_page() {
        let operator = (OPERATOR_HEADER, "1");
        for host in ["127.0.0.1:9433", "[::1]:9433", "localhost:9433", "localhost"] {
            assert!(!refused(&[operator, ("host", host)]), "{host}");
        }
        for host in ["evil.example:9433", "10.0.0.1:9433", "", "localhost.evil.example"] {
            assert!(refused(&[operator, ("host", host)]), "{host}");
        }
        assert!(refused(&[("host", "127.0.0.1:9433")]), "without the header");
        assert!(refused(&[operator, ("host", "localhost"), ("origin", "http://localhost:9433")]), "a page");
    }
}

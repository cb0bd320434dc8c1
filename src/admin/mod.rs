//! What an operator sees: health, metrics, logs. Plain HTTP on loopback; answers carry no secret and no content.

pub mod client;
pub mod health;
pub mod logs;
pub mod metrics;
pub mod pair;
pub mod revoke;

use self::{health::Health, metrics::Metrics};
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;

/// What the admin pages are made from.
#[derive(Debug, Clone)]
pub struct Admin {
    /// How the node is.
    pub health: Arc<Health>,
    /// Everything counted.
    pub metrics: Metrics,
    /// The pair, on a node that is one of two.
    pub pair: Option<pair::PairPages>,
    /// The way for revocations.
    pub revoke: revoke::Grant,
}

/// The admin listener's pages: `/healthz`, `/readyz`, `/metrics`, `/api/v1/revocations`, and `/api/v1/pair` on a node of a
/// pair.
pub fn router(admin: Admin) -> Router {
    let pair = admin.pair.clone().map(pair::router).unwrap_or_default();
    let revocations = revoke::router(admin.revoke.clone());
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(admin)
        .merge(pair)
        .merge(revocations)
}

/// A witness's pages: `/healthz`, which answers as long as the process lives, and `/metrics`.
pub fn witness_router(metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(serde_json::json!({ "live": true }))))
        .route("/metrics", get(async move || prometheus(&metrics)))
}

/// 200 while the process does its work, 503 when it hangs: restart it.
async fn healthz(State(admin): State<Admin>) -> Response {
    let report = admin.health.report();
    (status(report.live), Json(report)).into_response()
}

/// 200 while clients are welcome, 503 otherwise: send them elsewhere.
async fn readyz(State(admin): State<Admin>) -> Response {
    let report = admin.health.report();
    (status(report.ready), Json(report)).into_response()
}

async fn render(State(admin): State<Admin>) -> Response {
    prometheus(&admin.metrics)
}

fn prometheus(metrics: &Metrics) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, metrics.render()).into_response()
}

fn status(good: bool) -> StatusCode {
    if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

//! The operator's commands on their way to a running node: a call to its admin listener, on this machine.

use super::{
    pair::{OPERATOR_HEADER, Outcome, PairReport, Promotion, Wish},
    revoke,
};
use crate::core::PairOrder;
use axum::body::{Body, to_bytes};
use http::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::{net::SocketAddr, time::Duration};
use tokio::{net::TcpStream, time::timeout};

/// Why a command brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// Nobody listens there, or not in time.
    #[error("no node answers on {address} ({reason}): does it run here, and is listen.admin right?")]
    Unreachable {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// The node stands alone.
    #[error("the node on {0} is not one of a pair: its configuration has no pair.side")]
    NoPair(SocketAddr),
    /// The node said no.
    #[error("{0}")]
    Refused(String),
    /// What it said is no answer of this version.
    #[error("the node's answer cannot be read: {0}")]
    Answer(String),
}

/// How the pair stands, as the node on `address` sees it.
///
/// # Errors
/// [`CallFailed`].
pub async fn status(address: SocketAddr) -> Result<PairReport, CallFailed> {
    let (_, body) = call(address, Method::GET, "/api/v1/pair", String::new()).await?;
    read(&body)
}

/// Carries an operator's wish to the node on `address`.
///
/// # Errors
/// [`CallFailed`].
pub async fn wish(address: SocketAddr, wish: Wish) -> Result<(), CallFailed> {
    let (path, body) = match wish {
        Wish::Order(PairOrder::Switchover) => ("/api/v1/pair/switchover", String::new()),
        Wish::Rejoin => ("/api/v1/pair/rejoin", String::new()),
        Wish::Order(PairOrder::Promote { accept_data_loss }) => {
            let promotion = serde_json::to_string(&Promotion { accept_data_loss });
            ("/api/v1/pair/promote", promotion.map_err(|error| CallFailed::Answer(error.to_string()))?)
        }
    };
    let (status, body) = call(address, Method::POST, path, body).await?;
    if status == StatusCode::OK {
        return Ok(());
    }
    let outcome: Outcome = read(&body)?;
    Err(CallFailed::Refused(outcome.error.unwrap_or_else(|| format!("refused with status {status}"))))
}

/// Takes something back on the node on `address`; answers with how many sessions ended.
///
/// # Errors
/// [`CallFailed`].
pub async fn revoke(address: SocketAddr, order: &revoke::Order) -> Result<u32, CallFailed> {
    let body = serde_json::to_string(order).map_err(|error| CallFailed::Answer(error.to_string()))?;
    let (status, body) = call(address, Method::POST, revoke::PATH, body).await?;
    let outcome: revoke::Outcome = read(&body)?;
    match outcome.ended {
        Some(ended) if status == StatusCode::OK => Ok(ended),
        _ => {
            let refused = || format!("refused with status {status}");
            Err(CallFailed::Refused(outcome.error.unwrap_or_else(refused)))
        }
    }
}

async fn call(
    address: SocketAddr,
    method: Method,
    path: &str,
    body: String,
) -> Result<(StatusCode, Vec<u8>), CallFailed> {
    let unreachable = |reason: String| CallFailed::Unreachable { address, reason };
    let exchange = async {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .header(OPERATOR_HEADER, "1")
            .body(Body::from(body))
            .map_err(|error| error.to_string())?;
        let answer = async move {
            let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), ANSWER_BYTES_MAX)
                .await
                .map_err(|error| error.to_string())?;
            Ok::<_, String>((status, body.to_vec()))
        };
        // How the connection ends says nothing once the answer is there.
        let (_, answer) = tokio::join!(connection, answer);
        answer
    };
    let (status, body) = timeout(CALL_MAX, exchange)
        .await
        .map_err(|_| unreachable("no answer in time".to_owned()))?
        .map_err(unreachable)?;
    if status == StatusCode::NOT_FOUND {
        return Err(CallFailed::NoPair(address));
    }
    Ok((status, body))
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallFailed> {
    serde_json::from_slice(body).map_err(|error| CallFailed::Answer(error.to_string()))
}

/// Above what a node takes to carry out an order.
const CALL_MAX: Duration = Duration::from_secs(15);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

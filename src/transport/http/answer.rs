//! Answers: status, fields, and what browsers and proxies must know to leave them alone.

use super::{
    carrier::{Batch, End},
    fields::{ACK, BATCH, CARRIER, CLOSE, CODE, LAST_EVENT, REASON, SEQ},
};
use crate::transport::chunk::join;
use axum::{body::Body, response::Response};
use duet_protocol::Code;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// The answer to a page that asks whether it may.
pub(super) fn preflight(headers: &HeaderMap) -> Response {
    let mut answer = with(headers, StatusCode::NO_CONTENT, Body::empty());
    let fields = answer.headers_mut();
    fields.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    let asked = ["content-type", CARRIER, SEQ, ACK, CLOSE, LAST_EVENT].join(", ");
    insert(fields, header::ACCESS_CONTROL_ALLOW_HEADERS, &asked);
    fields.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    answer
}

/// A carrier was opened: its key.
pub(super) fn key(headers: &HeaderMap, key: &str) -> Response {
    let mut answer = with(headers, StatusCode::OK, Body::from(key.to_owned()));
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// What was sent is taken.
pub(super) fn accepted(headers: &HeaderMap) -> Response {
    with(headers, StatusCode::NO_CONTENT, Body::empty())
}

/// What waits, or nothing.
pub(super) fn batches(headers: &HeaderMap, batches: Vec<Batch>) -> Response {
    let Some(last) = batches.last().map(|batch| batch.number) else { return accepted(headers) };
    let bytes = join(batches.into_iter().map(|batch| batch.bytes).collect());
    let mut answer = with(headers, StatusCode::OK, Body::from(bytes));
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    insert(fields, HeaderName::from_static(BATCH), &last.to_string());
    answer
}

/// A stream of events.
pub(super) fn stream(headers: &HeaderMap, events: Body) -> Response {
    let mut answer = with(headers, StatusCode::OK, events);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer
}

/// The carrier's end.
pub(super) fn gone(headers: &HeaderMap, end: &End) -> Response {
    typed(headers, StatusCode::GONE, end.code, &end.reason)
}

/// A request that nothing came of, with the code that says why.
#[must_use]
pub fn refusal(headers: &HeaderMap, status: StatusCode, code: Code) -> Response {
    typed(headers, status, u32::from(code.0), code.sentence())
}

/// A request that nothing came of this time; it may be tried again as it is.
pub(super) fn untyped(headers: &HeaderMap, status: StatusCode) -> Response {
    let mut answer = with(headers, status, Body::empty());
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn typed(headers: &HeaderMap, status: StatusCode, code: u32, reason: &str) -> Response {
    let reason = plain(reason);
    let mut answer = with(headers, status, Body::from(format!("{code} {reason}\n")));
    let fields = answer.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    insert(fields, HeaderName::from_static(CODE), &code.to_string());
    insert(fields, HeaderName::from_static(REASON), &reason);
    answer
}

/// What every answer has. The page is allowed to read it, whoever it is: a foreign one gets nothing but its refusal.
fn with(headers: &HeaderMap, status: StatusCode, body: Body) -> Response {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    let fields = answer.headers_mut();
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    fields.insert(header::VARY, HeaderValue::from_static("origin"));
    fields.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(origin) = headers.get(header::ORIGIN) {
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        insert(fields, header::ACCESS_CONTROL_EXPOSE_HEADERS, &[CODE, REASON, BATCH].join(", "));
    }
    answer
}

fn insert(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

/// A reason as a field and an event can hold it: printable ASCII on one line.
pub(super) fn plain(reason: &str) -> String {
    let fits = |c: char| if (' '..='~').contains(&c) { c } else { '?' };
    reason.chars().take(REASON_CHARS_MAX).map(fits).collect()
}

const REASON_CHARS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_line_of_ascii_whatever_it_was() {
        let end = End { code: 3401, reason: "gone\r\nduet-code: 1 → é".repeat(40) };
        let answer = gone(&HeaderMap::new(), &end);
        assert_eq!(answer.headers()[CODE], "3401");
        let reason = answer.headers()[REASON].to_str().unwrap();
        assert!(reason.starts_with("gone??duet-code: 1 ? ?gone") && reason.len() == 256, "{reason}");
    }
}

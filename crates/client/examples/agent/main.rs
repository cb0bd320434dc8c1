//! The Rust SDK under the conformance suite: an agent that does what a driver says, line by line, and tells what the SDK tells.
//!
//! One process may hold many clients. Lines are JSON objects, on stdin and stdout; it ends with stdin.
//!
//! ```text
//!  → {"call":1,"client":"vera","do":"connect","endpoints":["127.0.0.1:4433"],"certificate":"ab…"}     ← {"call":1,"ok":null}
//!  ← {"ask":1,"client":"vera","reason":"connect"}          → {"answer":1,"token":"…"}
//!  ← {"client":"vera","event":"state","previous":"connecting","current":"connected",…}
//!  → {"call":2,"client":"vera","do":"send","conversation":"…","text":"hello"}     ← {"call":2,"ok":{"id":"…"}}
//!  → {"call":3,"client":"vera","do":"dance"}                ← {"call":3,"error":{"code":0,"message":"…"}}
//! ```
//! The words and shapes are those of `docs/sdk-spec.md`, "The agent", and the same for every SDK. The token of an answer, and what is
//! said, are the driver's own; nothing else is told.

#![allow(clippy::print_stdout, reason = "lines on stdout are what this is for")]

mod held;
mod orders;
mod shape;
mod store;
mod tokens;

use held::Held;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokens::Tokens;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let tokens = Tokens::default();
    let mut clients: BTreeMap<String, Held> = BTreeMap::new();
    while let Some(line) = lines.next_line().await? {
        let Ok(order) = serde_json::from_str::<Value>(&line) else {
            tell(&json!({ "error": "not JSON" }));
            continue;
        };
        if order.get("answer").is_some() {
            tokens.answered(&order);
            continue;
        }
        let name = orders::text(&order, "client");
        if orders::text(&order, "do") == "connect" && !clients.contains_key(&name) {
            let begun = Held::begin(&name, &order, &tokens);
            if let Some(held) = orders::answer(&order, begun) {
                clients.insert(name, held);
            }
        } else if orders::text(&order, "do") == "forget" {
            clients.remove(&name);
            tell(&json!({ "call": order["call"], "ok": null }));
        } else if let Some(held) = clients.get(&name) {
            orders::obey(held, order).await;
        } else {
            tell(
                &json!({ "call": order["call"], "error": { "code": 0, "message": format!("no client {name}") } }),
            );
        }
    }
    Ok(())
}

/// One line to the driver. Whoever does not read it holds the agent up, which is what a pipe's bound is for.
fn tell(line: &Value) {
    println!("{line}");
}

//! `duet-wire`: wires by order. Reads one order a line on stdin, answers each with a line on stdout, and ends with stdin, so that
//! it never outlives the test that started it.
//!
//! ```text
//!  → {"call":1,"do":"open","to":"127.0.0.1:4433","seed":7}      ← {"call":1,"wire":1,"address":"127.0.0.1:40001"}
//!  → {"call":2,"do":"set","wire":1,"way":"both","weather":{"loss":0.05,"delay_ms":20}}            ← {"call":2}
//!  → {"call":3,"do":"reset","wire":1}    also: cut, heal, half_open, rebind, aim (with "to"),
//!    datagrams (with "pass"), close
//! ```
//! What cannot be done is answered with `"error"`.

use duet_wire::{Way, Weather, Wire};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// One order.
#[derive(Debug, Deserialize)]
struct Order {
    call: u64,
    #[serde(default)]
    wire: u64,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum What {
    Open {
        to: SocketAddr,
        #[serde(default)]
        seed: u64,
        /// UDP is swallowed for as long as the wire stands.
        #[serde(default)]
        streams_only: bool,
    },
    Set {
        way: Way,
        weather: Weather,
    },
    Cut,
    Heal,
    Datagrams {
        pass: bool,
    },
    Aim {
        to: SocketAddr,
    },
    Reset,
    HalfOpen,
    Rebind,
    Close,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> std::io::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut out = tokio::io::stdout();
    let mut wires = Wires::default();
    while let Some(line) = lines.next_line().await? {
        let answer = match serde_json::from_str::<Order>(&line) {
            Ok(order) => wires.obey(order).await,
            Err(error) => json!({ "error": error.to_string() }),
        };
        out.write_all(format!("{answer}\n").as_bytes()).await?;
        out.flush().await?;
    }
    Ok(())
}

/// The wires that stand, by number.
#[derive(Debug, Default)]
struct Wires {
    standing: BTreeMap<u64, Wire>,
    last: u64,
}

impl Wires {
    async fn obey(&mut self, Order { call, wire, what }: Order) -> Value {
        let done = match what {
            What::Open { to, seed, streams_only } => return self.open(call, to, seed, streams_only).await,
            What::Close => self.standing.remove(&wire).is_some(),
            other => match self.standing.get(&wire) {
                Some(standing) => {
                    change(standing, &other);
                    true
                }
                None => false,
            },
        };
        if done { json!({ "call": call }) } else { json!({ "call": call, "error": "no such wire" }) }
    }

    async fn open(&mut self, call: u64, to: SocketAddr, seed: u64, streams_only: bool) -> Value {
        let wire =
            if streams_only { Wire::without_datagrams(to, seed).await } else { Wire::to(to, seed).await };
        match wire {
            Ok(wire) => {
                self.last += 1;
                let address = wire.address();
                self.standing.insert(self.last, wire);
                json!({ "call": call, "wire": self.last, "address": address })
            }
            Err(error) => json!({ "call": call, "error": error.to_string() }),
        }
    }
}

fn change(wire: &Wire, what: &What) {
    match what {
        What::Set { way, weather } => wire.set(*way, weather),
        What::Datagrams { pass } => wire.pass_datagrams(*pass),
        What::Cut => wire.cut(true),
        What::Heal => wire.cut(false),
        What::Aim { to } => wire.aim(*to),
        What::Reset => wire.reset(),
        What::HalfOpen => wire.half_open(),
        What::Rebind => wire.rebind(),
        What::Open { .. } | What::Close => {}
    }
}

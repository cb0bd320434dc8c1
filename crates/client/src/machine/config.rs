//! The numbers that the machine obeys and that no server sets. All sizes in bytes, all times in milliseconds.

use super::Hosts;
use duet_protocol::{DeviceId, DisplayName};

/// How a machine behaves. [`Config::new`] holds the product's own numbers; change one only for a reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where servers listen (`host:port`), best first. At least one.
    pub endpoints: Vec<String>,
    /// Which hosts a server may send the client to.
    pub hosts: Hosts,
    /// This installation; one session belongs to one device.
    pub device: DeviceId,
    /// Name and version that server logs show.
    pub sdk: DisplayName,
    /// Random bytes, new for every process: message ids, request nonces and jitter are drawn from them.
    pub seed: [u8; 16],
    /// How many of the latest events a subscription begins with, unless it says otherwise.
    pub backlog: u16,
    /// Most messages that wait to be sent. Full: [`Code::OUTBOX_FULL`](duet_protocol::Code::OUTBOX_FULL).
    pub outbox_messages_max: usize,
    /// Most bytes of content that wait to be sent. Full: [`Code::OUTBOX_FULL`](duet_protocol::Code::OUTBOX_FULL).
    pub outbox_bytes_max: usize,
    /// A message that was not accepted after this time fails. Must lie below the server's memory of message ids.
    pub outbox_ttl_ms: u64,
    /// Publishes without an answer per conversation. Above 1 a refusal that is retried can change the order of the
    /// messages that were in flight together; 1 keeps the order in every case.
    pub publishes_in_flight: usize,
    /// From the start of a round through the addresses to a server's `Welcome`; shorter at first where there are
    /// several addresses.
    pub connect_timeout_ms: u64,
    /// How long an address may be silent before the next one of the round is tried beside it.
    pub next_address_ms: u64,
    /// After so much quiet the server is asked for a sign of life, where another node is known.
    pub quiet_ms: u64,
    /// How long a publish or a probe may stay unanswered before another node is asked whether it reigns by now.
    pub doubt_ms: u64,
    /// How long a token provider may take.
    pub token_timeout_ms: u64,
    /// How long a request may wait for its answer, reconnects included.
    pub request_timeout_ms: u64,
    /// How long a publish may stay unanswered before the connection is probed.
    pub publish_timeout_ms: u64,
    /// How long a probe may stay unanswered before the connection counts as dead.
    pub probe_timeout_ms: u64,
    /// Upper bound of the wait before the first retry.
    pub retry_first_ms: u64,
    /// Upper bound of the wait before the second retry, half of it; doubles with every further one. Where several
    /// addresses are known, the bound of the first twelve.
    pub retry_base_ms: u64,
    /// Largest upper bound of a wait.
    pub retry_max_ms: u64,
    /// A connection that lasted so long without a proof of service (an acknowledgement, or an answer while nothing waits)
    /// makes the next retry a first one again, as such a proof does at once.
    pub stable_after_ms: u64,
    /// Receipts of one conversation leave together, this long after the first.
    pub receipt_delay_ms: u64,
    /// Shortest time between two receipts of one conversation.
    pub receipt_every_ms: u64,
    /// Most conversation lanes that get a stream of their own; 0 on carriers that have one stream only. The
    /// server's limit counts too.
    pub streams_max: u32,
}

impl Config {
    /// The product's own numbers.
    ///
    /// `seed` must be fresh random bytes, `endpoints` not empty.
    #[must_use]
    pub fn new(endpoints: Vec<String>, device: DeviceId, seed: [u8; 16]) -> Self {
        Self {
            endpoints,
            hosts: Hosts::Related(Vec::new()),
            device,
            sdk: sdk_name(),
            seed,
            backlog: 50,
            outbox_messages_max: 500,
            outbox_bytes_max: 4 * 1024 * 1024,
            outbox_ttl_ms: 23 * 60 * 60 * 1_000,
            publishes_in_flight: 1,
            connect_timeout_ms: 10_000,
            next_address_ms: 400,
            quiet_ms: 3_000,
            doubt_ms: 500,
            token_timeout_ms: 30_000,
            request_timeout_ms: 15_000,
            publish_timeout_ms: 10_000,
            probe_timeout_ms: 10_000,
            retry_first_ms: 1_000,
            retry_base_ms: 500,
            retry_max_ms: 20_000,
            stable_after_ms: 30_000,
            receipt_delay_ms: 100,
            receipt_every_ms: 1_000,
            streams_max: u32::MAX,
        }
    }
}

fn sdk_name() -> DisplayName {
    match DisplayName::parse(concat!("duet-rust/", env!("CARGO_PKG_VERSION"))) {
        Ok(name) => name,
        Err(rule) => unreachable!("the crate's own name and version: {rule}"),
    }
}

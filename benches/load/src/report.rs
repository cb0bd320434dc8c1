//! What came of a run: for people a table, for programs JSON.

use crate::{Carrier, Durability, Tally, Usage};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt::{self, Display, Write as _};

/// What came of a run. Fields that the shape does not measure are absent.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// `rooms`, `idle` or `storm`.
    pub shape: &'static str,
    /// How the sessions travelled.
    pub carriers: Vec<Carrier>,
    /// How many there were.
    pub sessions: usize,
    /// Sessions in a room.
    pub room: Option<usize>,
    /// How safe messages were asked to be.
    pub durability: Option<Durability>,
    /// Bytes of a message.
    pub payload_bytes: Option<usize>,
    /// How long was measured, seconds.
    pub seconds: f64,
    /// From the first connection to the last welcome, seconds.
    pub connect_seconds: f64,
    /// Processor time of the server for each connection made, milliseconds.
    pub handshake_cpu_ms: Option<f64>,
    /// Messages sent, a second.
    pub published_per_s: Option<f64>,
    /// Messages that arrived, a second.
    pub delivered_per_s: Option<f64>,
    /// Processor time of the server for each delivery, microseconds.
    pub cpu_us_per_delivery: Option<f64>,
    /// From due to delivered.
    pub delivery: Option<Latency>,
    /// From due to acknowledged.
    pub acknowledgement: Option<Latency>,
    /// From the break to the welcome.
    pub resume: Option<Latency>,
    /// Commands that were refused.
    pub refused: u64,
    /// Connections that ended and should not have.
    pub lost: u64,
    /// Connections that had to be tried again.
    pub retried: u64,
    /// Messages that were due and withheld, because their carrier took nothing.
    pub withheld: u64,
    /// What the server used while it was measured.
    pub server: Option<Usage>,
    /// Resident memory of the server for each session beyond what it had before the first, KiB.
    pub rss_kib_per_session: Option<f64>,
    /// Share of a core that the generator used: near 1.0 it has measured itself.
    pub generator_cores: f64,
}

/// A distribution, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// How many values.
    pub count: u64,
    /// Half of them are below.
    pub p50_ms: f64,
    /// Ninety of a hundred.
    pub p90_ms: f64,
    /// Ninety-nine of a hundred.
    pub p99_ms: f64,
    /// 999 of a thousand.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
}

impl Latency {
    /// Of a histogram of nanoseconds; none when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        (!histogram.is_empty()).then(|| Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1e6,
        })
    }
}

impl Report {
    /// An empty one.
    pub(crate) fn new(shape: &'static str, carriers: &[Carrier], sessions: usize) -> Self {
        Self {
            shape,
            carriers: carriers.to_vec(),
            sessions,
            room: None,
            durability: None,
            payload_bytes: None,
            seconds: 0.0,
            connect_seconds: 0.0,
            handshake_cpu_ms: None,
            published_per_s: None,
            delivered_per_s: None,
            cpu_us_per_delivery: None,
            delivery: None,
            acknowledgement: None,
            resume: None,
            refused: 0,
            lost: 0,
            retried: 0,
            withheld: 0,
            server: None,
            rss_kib_per_session: None,
            generator_cores: 0.0,
        }
    }

    /// What a flow came to.
    pub(crate) fn add_flow(&mut self, flown: &crate::Flown, tally: &Tally) {
        self.seconds = flown.seconds;
        self.published_per_s = Some(flown.published as f64 / flown.seconds);
        self.delivered_per_s = Some(flown.delivered as f64 / flown.seconds);
        self.delivery = tally.delivery_times(Latency::of);
        self.acknowledgement = tally.acknowledgement_times(Latency::of);
        self.server = flown.server;
        self.cpu_us_per_delivery = flown
            .server
            .filter(|_| flown.delivered > 0)
            .map(|usage| usage.cpu_s * 1e6 / flown.delivered as f64);
        self.withheld = flown.withheld;
        self.generator_cores = flown.generator_cores;
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows: Vec<(&str, String)> = Vec::new();
        let mut row = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
        let carriers: Vec<String> = self.carriers.iter().map(|carrier| format!("{carrier:?}")).collect();
        row("sessions", Some(format!("{} ({})", self.sessions, carriers.join(", "))));
        row("rooms of", self.room.map(|room| room.to_string()));
        row("durability", self.durability.map(|durability| format!("{durability:?}").to_lowercase()));
        row("connected in", Some(format!("{:.2} s", self.connect_seconds)));
        row(
            "handshake",
            self.handshake_cpu_ms.map(|ms| format!("{ms:.3} ms of the server's processor each")),
        );
        row("measured for", Some(format!("{:.1} s", self.seconds)));
        row("published", self.published_per_s.map(|rate| format!("{rate:.0}/s")));
        row("delivered", self.delivered_per_s.map(|rate| format!("{rate:.0}/s")));
        row(
            "per delivery",
            self.cpu_us_per_delivery.map(|us| format!("{us:.2} µs of the server's processor")),
        );
        row("delivery", self.delivery.map(|latency| latency.to_string()));
        row("acknowledgement", self.acknowledgement.map(|latency| latency.to_string()));
        row("resumed", self.resume.map(|latency| latency.to_string()));
        row("refused, lost", Some(format!("{} commands, {} connections", self.refused, self.lost)));
        row("retried", (self.retried > 0).then(|| format!("{} connections", self.retried)));
        row(
            "withheld",
            (self.withheld > 0).then(|| format!("{} messages: the server took no more", self.withheld)),
        );
        let server = |usage: Usage| {
            format!(
                "{:.1} % of a core, {} MiB, {} files",
                usage.cores * 100.0,
                usage.rss_kib / 1_024,
                usage.fds
            )
        };
        row("server", self.server.map(server));
        row("memory each", self.rss_kib_per_session.map(|kib| format!("{kib:.1} KiB")));
        let own = format!("{:.0} % of a core", self.generator_cores * 100.0);
        let warning =
            if self.generator_cores > BUSY { ", too busy: its own limits are in these figures" } else { "" };
        row("generator", Some(own + warning));
        let mut text = String::new();
        for (name, value) in rows {
            writeln!(text, "{name:>15}  {value}")?;
        }
        f.write_str(text.trim_end())
    }
}

impl Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, .. } = self;
        write!(
            f,
            "p50 {p50_ms:.2} · p90 {p90_ms:.2} · p99 {p99_ms:.2} · p99.9 {p999_ms:.2} · max {max_ms:.2} ms"
        )
    }
}

/// Above this share of a core the generator is part of what it measures.
const BUSY: f64 = 0.9;

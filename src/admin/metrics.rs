//! Everything that is counted, by name. `docs/operations.md` lists the same names; a test compares the two.
//! No label is ever made of a user's, a conversation's or a client's words.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use std::fmt;

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $about:literal;)+) => {
        $(#[doc = $about] pub const $constant: &str = $name;)+

        /// Every metric.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: $name, kind: Kind::$kind, labels: &[$($label),*], about: $about }),+
        ];
    };
}

metrics! {
    BUILD_INFO Gauge "duet_build_info" ["version"] "Always 1.";
    CONNECTIONS Gauge "duet_connections" ["transport"] "Connections that are open.";
    CONNECTIONS_OPENED Counter "duet_connections_opened_total" ["transport"] "Connections that were let in.";
    CONNECTIONS_CLOSED Counter "duet_connections_closed_total" ["cause"] "Connections that ended, by who or what ended them.";
    CONNECTIONS_REFUSED Counter "duet_connections_refused_total" ["reason"] "Connections that were turned away before hello.";
    HANDSHAKES_FAILED Counter "duet_handshakes_failed_total" ["reason"] "TLS, QUIC, HTTP and WebTransport openings that failed.";
    CARRIER_REQUESTS Counter "duet_carrier_requests_total" ["request", "status"] "Requests of carriers that are made of HTTP requests, by what they ask and how they were answered.";
    TOKENS_REFUSED Counter "duet_tokens_refused_total" ["reason"] "Tokens that were not accepted.";
    DISCONNECTS Counter "duet_disconnects_total" ["code"] "Connections that the core ended, by code.";
    SESSIONS Gauge "duet_sessions" [] "Sessions that have not ended, with or without a connection.";
    CONVERSATIONS Gauge "duet_conversations" [] "Conversations in memory.";
    COMMANDS Counter "duet_commands_total" ["kind"] "Commands that reached the core.";
    REFUSALS Counter "duet_refusals_total" ["code"] "Commands that were refused, by code.";
    PUBLISH_ACK Histogram "duet_publish_ack_seconds" [] "From a publish reaching the core to its acknowledgement being queued.";
    COMMIT_GROUP Histogram "duet_commit_group_entries" [] "Log entries that reached the disk together.";
    COMMIT_BARRIER Histogram "duet_commit_barrier_seconds" [] "Time in the durability barrier of a commit group.";
    COMMIT_TOOK Histogram "duet_commit_seconds" [] "Time for a whole commit group.";
    CHECKPOINT_TOOK Histogram "duet_checkpoint_seconds" [] "Time for a checkpoint.";
    IN_FLIGHT Gauge "duet_in_flight_entries" [] "Log entries on their way to the disk.";
    LOG_INDEX Gauge "duet_log_index" [] "The last log entry that is on the disk.";
    CHECKPOINT_INDEX Gauge "duet_checkpoint_index" [] "The log entry up to which the last checkpoint reaches.";
    EPOCH Gauge "duet_epoch" [] "The reign of this primary.";
    STORE_BYTES Gauge "duet_store_bytes" [] "What the store takes on its disk.";
    STORE_FREE_BYTES Gauge "duet_store_free_bytes" [] "What is free on the store's disk.";
    READ_ONLY Gauge "duet_read_only" [] "1 while the disk takes no more writes.";
    READS_FAILED Counter "duet_reads_failed_total" [] "Reads of history that failed or found no room in their queue.";
    OUTBOX_FULL Counter "duet_outbox_full_total" ["class"] "Frames that found no room in a slow client's outbox.";
    SIGNALS_DROPPED Counter "duet_signals_dropped_total" [] "Signals that were not sent to a slow or vanished client.";
    DATAGRAMS_IGNORED Counter "duet_datagrams_ignored_total" [] "Datagrams from clients that were malformed or out of place.";
    DRIVER_QUEUE Gauge "duet_driver_queue" [] "Inputs that wait for the driver.";
    PAIR_ROLE Gauge "duet_pair_role" [] "0 while joining, 1 for a standby, 2 for a primary; absent without a pair.";
    PAIR_IN_SYNC Gauge "duet_pair_in_sync" [] "1 while both nodes hold everything that is acknowledged, as far as this one knows.";
    PAIR_SOLO Gauge "duet_pair_solo" [] "1 while this primary acknowledges alone.";
    PAIR_SERVING Gauge "duet_pair_serving" [] "1 while this node serves clients.";
    PAIR_LINK Gauge "duet_pair_link" [] "1 while the link to the peer is up.";
    PAIR_ARBITER Gauge "duet_pair_arbiter" [] "1 while the arbiter answers: without it nobody can be promoted.";
    PAIR_LINK_RTT Gauge "duet_pair_link_rtt_seconds" [] "Round trip of the link to the peer.";
    PAIR_LAG_ENTRIES Gauge "duet_pair_lag_entries" [] "Entries that the peer lacks, on a primary.";
    PAIR_LAG_SECONDS Gauge "duet_pair_lag_seconds" [] "For how long the peer has lacked something, on a primary.";
    WITNESS_ASKED Counter "duet_witness_questions_total" ["side", "question"] "Questions that a witness answered: read, swap, or swap_refused when it built on another value.";
    WITNESS_REFUSED Counter "duet_witness_refused_total" ["side"] "Connections that a witness does not serve, by whose certificate was shown.";
    WITNESS_VERSION Gauge "duet_witness_register_version" [] "The version of the value in a witness's register.";
    PAIR_SNAPSHOTS Counter "duet_pair_snapshots_total" [] "Snapshots that the peer took from this node, because the log that it lacks is not kept.";
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Comes and goes.
    Gauge,
    /// A distribution in buckets.
    Histogram,
}

/// A documented metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name; the unit is its last word before `_total`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it says.
    pub about: &'static str,
}

/// The process's metrics. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Starts counting, once for the process.
    ///
    /// # Errors
    /// When another recorder was installed before.
    pub fn start() -> Result<Self, BuildError> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)?
            .set_buckets_for_metric(Matcher::Suffix("_entries".into()), ENTRIES)?
            .install_recorder()?;
        for metric in METRICS {
            match metric.kind {
                Kind::Counter => metrics::describe_counter!(metric.name, metric.about),
                Kind::Gauge => metrics::describe_gauge!(metric.name, metric.about),
                Kind::Histogram => metrics::describe_histogram!(metric.name, metric.about),
            }
        }
        metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle })
    }

    /// The text format of Prometheus, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds recent values into the histograms, so that they hold no memory while nobody asks. Call every few seconds.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// 100 µs to 10 s.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
const ENTRIES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_documented_as_it_is() {
        let document = include_str!("../../docs/operations.md");
        let listed: Vec<&str> = document.lines().filter(|line| line.starts_with("| `duet_")).collect();
        for metric in METRICS {
            let kind = format!("{:?}", metric.kind).to_lowercase();
            let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
            let row = format!("| `{}` | {kind} | {} | {} |", metric.name, labels.join(" "), metric.about);
            assert!(listed.contains(&row.as_str()), "docs/operations.md should have\n{row}");
        }
        assert_eq!(listed.len(), METRICS.len(), "docs/operations.md lists a metric that is not there");
    }
}

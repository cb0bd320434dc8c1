//! What is done now and then: gauges of the store, histograms folded, certificates renewed before they end.

use crate::{
    admin::metrics::{self as name, Metrics},
    store::Reader,
    transport::Certificates,
};
use metrics::gauge;
use std::time::Duration;
use tokio::task::{JoinSet, spawn_blocking};

/// Starts the upkeep; it never ends by itself.
pub(super) fn start(
    tasks: &mut JoinSet<&'static str>,
    metrics: Metrics,
    reader: Reader,
    certificates: Certificates,
) {
    tasks.spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        let mut round = 0_u64;
        loop {
            every.tick().await;
            let (metrics, reader) = (metrics.clone(), reader.clone());
            let renew = (round % RENEW_ROUNDS == RENEW_ROUNDS - 1).then(|| certificates.clone());
            round += 1;
            let done = spawn_blocking(move || {
                metrics.tidy();
                measure(&reader);
                renew.iter().for_each(reload);
            });
            if done.await.is_err() {
                return "upkeep";
            }
        }
    });
}

const EVERY: Duration = Duration::from_secs(10);

/// Certificates are looked at once an hour.
const RENEW_ROUNDS: u64 = 360;

fn measure(reader: &Reader) {
    match reader.statistics() {
        Ok(found) => {
            gauge!(name::STORE_BYTES).set(found.disk_bytes as f64);
            gauge!(name::STORE_FREE_BYTES).set(found.free_bytes as f64);
        }
        Err(error) => tracing::warn!(%error, "the store cannot be measured"),
    }
}

fn reload(certificates: &Certificates) {
    match certificates.reload() {
        Ok(true) => tracing::info!("another certificate is in use"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the certificate in use stays"),
    }
}

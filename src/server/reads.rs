//! A reader's thread: pages of stored events for subscriptions and history, beside the writer.

use super::{
    driver::Fact,
    queues::{EventsJob, Facts, ReadJob, Reads},
};
use crate::{
    admin::metrics as name,
    core::{LogGone, PairFact, ReadFailed},
    store::{Reader, StoreError},
};
use bytes::Bytes;

/// Runs until the queue's other end is dropped.
pub(super) fn run(reader: &Reader, jobs: &Reads, facts: &Facts) {
    while let Ok(job) = jobs.recv() {
        let fact = match job {
            ReadJob::Events(job) => {
                let result = page(reader, &job).map_err(|error| failed(&error));
                Fact::EventsRead { read: job.read, result: result.map_err(|()| ReadFailed) }
            }
            ReadJob::Log { from, bytes_max } => {
                Fact::Pair(PairFact::LogRead { from, result: log(reader, from, bytes_max) })
            }
        };
        if facts.blocking_send(fact).is_err() {
            return;
        }
    }
}

fn failed(error: &StoreError) {
    tracing::error!(%error, "reading from the store failed");
    metrics::counter!(name::READS_FAILED).increment(1);
}

fn log(reader: &Reader, from: u64, bytes_max: usize) -> Result<Vec<Bytes>, LogGone> {
    match reader.log(from, bytes_max) {
        Ok(entries) if entries.is_empty() => Err(LogGone::Failed),
        Ok(entries) => Ok(entries.into_iter().map(|entry| entry.bytes).collect()),
        Err(StoreError::Truncated { .. }) => Err(LogGone::Truncated),
        Err(error) => {
            failed(&error);
            Err(LogGone::Failed)
        }
    }
}

fn page(reader: &Reader, job: &EventsJob) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let (tenant, conversation) = (job.conversation.tenant.0, &job.conversation.conversation.0);
    if job.latest {
        let limit = usize::try_from(job.upto.saturating_sub(job.after)).unwrap_or(usize::MAX);
        reader.events_before(tenant, conversation, job.upto + 1, limit, job.bytes_max)
    } else {
        reader.events(tenant, conversation, job.after + 1, job.upto, job.bytes_max)
    }
}

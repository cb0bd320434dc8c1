//! A reader's thread: pages of stored events for subscriptions and history, beside the writer.

use super::{
    driver::Fact,
    queues::{Facts, ReadJob, Reads},
};
use crate::{
    admin::metrics as name,
    core::ReadFailed,
    store::{Reader, StoreError},
};
use bytes::Bytes;

/// Runs until the queue's other end is dropped.
pub(super) fn run(reader: &Reader, jobs: &Reads, facts: &Facts) {
    while let Ok(job) = jobs.recv() {
        let result = page(reader, &job).map_err(|error| {
            tracing::error!(%error, "reading events failed");
            metrics::counter!(name::READS_FAILED).increment(1);
            ReadFailed
        });
        if facts.blocking_send(Fact::EventsRead { read: job.read, result }).is_err() {
            return;
        }
    }
}

fn page(reader: &Reader, job: &ReadJob) -> Result<Vec<(u64, Bytes)>, StoreError> {
    let (tenant, conversation) = (job.conversation.tenant.0, &job.conversation.conversation.0);
    if job.latest {
        let limit = usize::try_from(job.upto.saturating_sub(job.after)).unwrap_or(usize::MAX);
        reader.events_before(tenant, conversation, job.upto + 1, limit, job.bytes_max)
    } else {
        reader.events(tenant, conversation, job.after + 1, job.upto, job.bytes_max)
    }
}

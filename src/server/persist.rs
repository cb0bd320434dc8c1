//! The store's thread: takes what the core appended, writes it in groups, reports what is durable.
//!
//! Batching is natural: while one group is being synced, the next one collects; no timer adds latency. On a disk that runs
//! short the core is told to take nothing new, and what it took before is written into a reserve; without that too, space
//! is waited for, because what was applied must be written. A disk that failed ends the process.

use super::{
    driver::Fact,
    pair::OwnEntries,
    queues::{Facts, Job, Jobs, log_item},
};
use crate::{
    admin::metrics as name,
    core::{PairFact, Row},
    store::{GROUP_ENTRIES_MAX, LogItem, Retention, StoreError, Writer},
};
use metrics::{gauge, histogram};
use std::{collections::BTreeMap, sync::mpsc::RecvTimeoutError, time::Duration};

/// Runs until the queue's other end is dropped and all of it is written.
///
/// # Errors
/// The failure of the disk or the database after which nothing may be written any more.
pub(super) fn run(
    writer: Writer,
    jobs: &Jobs,
    facts: &Facts,
    keep: Retention,
    own: Option<&OwnEntries>,
) -> Result<(), StoreError> {
    let mut disk = Disk::new(writer, facts);
    let mut truncate_to = None;
    loop {
        let first = match jobs.recv_timeout(SETTLE_AFTER) {
            Ok(job) => job,
            Err(RecvTimeoutError::Timeout) => {
                disk.writer.settle()?;
                disk.look_for_space()?;
                if disk.take_checkpoint()? {
                    truncate_to = Some(disk.writer.keep_from(&keep));
                }
                truncate_to = disk.truncate(truncate_to)?;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return disk.writer.settle(),
        };
        let (group, then) = collect(first, jobs);
        if !group.is_empty() {
            let upto = disk.commit(&group)?;
            if facts.blocking_send(Fact::Persisted { upto }).is_err() {
                return disk.writer.settle();
            }
        }
        match then {
            Some(Job::Checkpoint { index, rows }) => disk.put_off(index, rows),
            Some(Job::Truncate { after }) => {
                let alone = disk.writer.meta_get(ALONE)?.is_some_and(|alone| !alone.is_empty());
                if let Some(own) = own.filter(|_| alone) {
                    own.keep(after)?;
                }
                disk.writer.truncate_back(after)?;
                if facts.blocking_send(Fact::Pair(PairFact::Truncated)).is_err() {
                    return disk.writer.settle();
                }
            }
            Some(Job::SaveEpoch(epoch)) => {
                disk.with_space(|writer| writer.meta_set(MAX_EPOCH, &epoch.to_be_bytes()))?;
                if facts.blocking_send(Fact::Pair(PairFact::EpochSaved(epoch))).is_err() {
                    return disk.writer.settle();
                }
            }
            Some(Job::Alone(alone)) => {
                let value: &[u8] = if alone { &[1] } else { &[] };
                disk.with_space(|writer| writer.meta_set(ALONE, value))?;
            }
            Some(Job::Append(_)) | None => {}
        }
        if disk.take_checkpoint()? {
            truncate_to = Some(disk.writer.keep_from(&keep));
        }
        truncate_to = disk.truncate(truncate_to)?;
    }
}

/// Rows of checkpoints that wait, the newest value of each key.
type PutOff = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The writer, and what the driver knows of its disk.
///
/// ```text
///            below the floor                 below half of it
///  enough ───────────────────► short ──────────────────────────► waiting, until there is space
///     ▲                          │ ▲                                 │
///     └── above the floor ───────┘ └─────────────────────────────────┘
/// ```
///
/// While it is short the core takes nothing new, and what it took before is written into the reserve.
struct Disk<'a> {
    writer: Writer,
    facts: &'a Facts,
    short: bool,
    /// What checkpoints would have changed that found an export there, and up to which index: part of the next one.
    put_off: Option<(u64, PutOff)>,
}

/// A silence after which the acknowledged index is made as new as the log, and a short disk is looked at again.
const SETTLE_AFTER: Duration = Duration::from_secs(1);

/// How often a full disk is tried again.
const SPACE_RETRY: Duration = Duration::from_millis(500);

/// Under this name the store keeps the highest epoch that this node of a pair has seen, big-endian.
pub(super) const MAX_EPOCH: &str = "max_epoch";

/// Under this name the store keeps whether this node of a pair may have acknowledged alone since it was last in sync:
/// empty for no.
const ALONE: &str = "alone";

/// A group of entries, and the job of another kind that follows it, if any.
fn collect(first: Job, jobs: &Jobs) -> (Vec<LogItem>, Option<Job>) {
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(job) = next {
        match job {
            Job::Append(append) => group.push(log_item(append)),
            other => return (group, Some(other)),
        }
        next = if group.len() < GROUP_ENTRIES_MAX { jobs.try_recv().ok() } else { None };
    }
    (group, None)
}

impl<'a> Disk<'a> {
    fn new(writer: Writer, facts: &'a Facts) -> Self {
        Self { writer, facts, short: false, put_off: None }
    }

    fn commit(&mut self, group: &[LogItem]) -> Result<u64, StoreError> {
        let durable = self.with_space(|writer| writer.commit(group))?;
        histogram!(name::COMMIT_GROUP).record(durable.entries as f64);
        histogram!(name::COMMIT_BARRIER).record(durable.barrier.as_secs_f64());
        histogram!(name::COMMIT_TOOK).record(durable.took.as_secs_f64());
        gauge!(name::LOG_INDEX).set(durable.upto as f64);
        Ok(durable.upto)
    }

    /// Adds rows to the checkpoint that is taken next; of two changes of one row the later counts.
    fn put_off(&mut self, index: u64, rows: Vec<Row>) {
        let (upto, changes) = self.put_off.get_or_insert_default();
        *upto = index;
        changes.extend(rows);
    }

    /// Takes the checkpoint that is due, if no export reads the state rows just now; whether it was taken.
    fn take_checkpoint(&mut self) -> Result<bool, StoreError> {
        if !self.writer.can_checkpoint() {
            return Ok(false);
        }
        let Some((index, changes)) = self.put_off.take() else { return Ok(false) };
        let rows: Vec<Row> = changes.into_iter().collect();
        let done = match self.with_space(|writer| writer.checkpoint(index, &rows)) {
            Err(StoreError::Exporting) => {
                self.put_off(index, rows);
                return Ok(false);
            }
            done => done?,
        };
        histogram!(name::CHECKPOINT_TOOK).record(done.took.as_secs_f64());
        gauge!(name::CHECKPOINT_INDEX).set(done.index as f64);
        tracing::debug!(index, rows = done.rows, took_ms = done.took.as_millis() as u64, "checkpoint");
        Ok(true)
    }

    /// Does a piece of work that must be done, however long the disk is full. Ends without it only when the driver is gone.
    fn with_space<T>(
        &mut self,
        mut work: impl FnMut(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut waits = false;
        loop {
            match work(&mut self.writer) {
                Err(error @ StoreError::ReadOnly { .. }) if !self.short => {
                    tracing::error!(%error, "the disk is nearly full: nothing new is stored");
                    self.tell(true).map_err(|()| error)?;
                }
                Err(error @ StoreError::ReadOnly { .. }) => {
                    if !waits {
                        tracing::error!(%error, "the reserve is used up: waiting for space on the disk");
                        waits = true;
                    }
                    if self.facts.is_closed() {
                        return Err(error);
                    }
                    std::thread::sleep(SPACE_RETRY);
                }
                result => return result,
            }
        }
    }

    /// Ends the shortage when there is space again.
    fn look_for_space(&mut self) -> Result<(), StoreError> {
        if self.short && self.writer.is_above_floor()? {
            tracing::info!("the disk has space again");
            // Without a driver there is nobody to tell, and the queue of jobs says so next.
            let _ = self.tell(false);
        }
        Ok(())
    }

    fn tell(&mut self, short: bool) -> Result<(), ()> {
        self.short = short;
        self.writer.use_reserve(short);
        gauge!(name::READ_ONLY).set(if short { 1.0 } else { 0.0 });
        self.facts.blocking_send(Fact::ReadOnly(short)).map_err(drop)
    }

    /// One step of removing old entries; what is left to remove.
    fn truncate(&mut self, keep_from: Option<u64>) -> Result<Option<u64>, StoreError> {
        let Some(from) = keep_from else { return Ok(None) };
        let done = self.writer.truncate_front(from)?;
        Ok(done.more.then_some(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::{self, Append, ConversationKey, TenantId},
        server::queues,
        store::{ExportPace, Opened, STATE_VALUE_BYTES_MAX, Store, StoreOptions},
    };
    use bytes::Bytes;
    use duet_protocol::ConversationId;

    fn append(index: u64) -> Job {
        let conversation = ConversationKey { tenant: TenantId(1), conversation: ConversationId([7; 16]) };
        let event = core::EventRow { conversation, seq: index, bytes: Bytes::from_static(b"event") };
        Job::Append(Append { index, epoch: 1, bytes: Bytes::from_static(b"entry"), events: vec![event] })
    }

    fn keep(entries: u64) -> Retention {
        Retention { entries, bytes: u64::MAX, age: Duration::MAX }
    }

    fn rows(value: u8, bytes: usize) -> Vec<Row> {
        vec![(b"k".to_vec(), Some(vec![value; bytes]))]
    }

    #[test]
    fn a_checkpoint_that_finds_no_space_is_written_with_all_its_rows_once_there_is_some() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { writer, .. } = Store::open(dir.path(), options).unwrap();
        let (facts, mut facts_in) = queues::facts();
        let mut disk = Disk::new(writer, &facts);
        let Job::Append(first) = append(1) else { unreachable!() };
        disk.commit(&[log_item(first)]).unwrap();
        let mut refusals = 2;
        disk.with_space(|writer| {
            if refusals > 0 {
                refusals -= 1;
                return Err(StoreError::ReadOnly { free: 1, floor: 2 });
            }
            writer.checkpoint(1, &rows(1, 9))
        })
        .unwrap();
        disk.look_for_space().unwrap();
        drop(disk);
        drop(facts);
        let mut told = Vec::new();
        while let Some(Fact::ReadOnly(read_only)) = facts_in.blocking_recv() {
            told.push(read_only);
        }
        assert_eq!(told, [true, false], "the core refuses writes meanwhile");
        let Opened { recovered, .. } = Store::open(dir.path(), options).unwrap();
        assert_eq!((recovered.checkpoint, recovered.state().count()), (1, 1));
    }

    #[test]
    fn rows_of_checkpoints_that_meet_an_export_are_all_in_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { mut writer, reader, .. } = Store::open(&dir.path().join("store"), options).unwrap();
        let Job::Append(first) = append(1) else { unreachable!() };
        writer.commit(&[log_item(first)]).unwrap();
        // Rows enough that the export is still among them, at its slowest, when the checkpoints come.
        let many: Vec<Row> =
            (0..4_000_u32).map(|at| (at.to_be_bytes().to_vec(), Some(vec![1; 300]))).collect();
        writer.checkpoint(1, &many).unwrap();
        let (facts, mut facts_in) = queues::facts();
        let (jobs, jobs_out) = queues::jobs();
        let pace = ExportPace::bytes_per_s(1);
        let row = |key: u8, value: u8| (vec![0xff, key], Some(vec![value]));
        let told = &facts;
        std::thread::scope(|scope| {
            let exporting = scope.spawn(|| reader.export(&dir.path().join("snapshot"), &pace));
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            while writer.can_checkpoint() {
                assert!(std::time::Instant::now() < deadline, "the export begins");
                std::thread::yield_now();
            }
            let storing = scope.spawn(move || run(writer, &jobs_out, told, keep(100), None));
            for (index, changes) in [(2, vec![row(1, 1), row(2, 1)]), (3, vec![row(2, 2), row(3, 2)])] {
                jobs.send(append(index)).unwrap();
                jobs.send(Job::Checkpoint { index, rows: changes }).unwrap();
                assert!(matches!(facts_in.blocking_recv(), Some(Fact::Persisted { upto }) if upto == index));
            }
            assert_eq!(reader.state(&[0xff, 1]).unwrap(), None, "the export still reads the state rows");
            pace.stop();
            assert!(matches!(exporting.join().unwrap(), Err(StoreError::Interrupted { .. })));
            jobs.send(append(4)).unwrap();
            jobs.send(Job::Checkpoint { index: 4, rows: vec![row(4, 3)] }).unwrap();
            drop(jobs);
            storing.join().unwrap().unwrap();
        });
        drop(reader);
        let Opened { reader, recovered, .. } = Store::open(&dir.path().join("store"), options).unwrap();
        assert_eq!((recovered.checkpoint, recovered.state().count()), (4, 4_004));
        for (key, value) in [(1, 1), (2, 2), (3, 2), (4, 3)] {
            assert_eq!(reader.state(&[0xff, key]).unwrap(), Some(Bytes::from(vec![value])), "row {key}");
        }
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_ends_the_thread_and_leaves_the_one_before_and_the_log_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { writer, .. } = Store::open(dir.path(), options).unwrap();
        let (facts, _facts_in) = queues::facts();
        let (jobs, jobs_out) = queues::jobs();
        (1..=40).for_each(|index| jobs.send(append(index)).unwrap());
        jobs.send(Job::Checkpoint { index: 40, rows: rows(1, 9) }).unwrap();
        (41..=80).for_each(|index| jobs.send(append(index)).unwrap());
        jobs.send(Job::Checkpoint { index: 80, rows: rows(2, STATE_VALUE_BYTES_MAX + 1) }).unwrap();
        jobs.send(append(81)).unwrap();
        let ended = run(writer, &jobs_out, &facts, keep(10), None);
        assert!(matches!(ended, Err(StoreError::TooLarge { .. })), "{ended:?}");
        let Opened { recovered, .. } = Store::open(dir.path(), options).unwrap();
        let stored: Vec<_> = recovered.state().map(Result::unwrap).collect();
        assert_eq!(stored, [(b"k".to_vec(), Bytes::from(vec![1; 9]))]);
        assert_eq!((recovered.checkpoint, recovered.log().count()), (40, 40), "what it would have held");
    }

    #[test]
    fn what_is_taken_back_is_kept_in_lost_and_found_if_this_node_may_have_acknowledged_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { writer, reader, .. } = Store::open(&dir.path().join("store"), options).unwrap();
        let own = OwnEntries::new(reader.clone(), dir.path());
        let (facts, _facts_in) = queues::facts();
        let (jobs, jobs_out) = queues::jobs();
        (1..=5).for_each(|index| jobs.send(append(index)).unwrap());
        jobs.send(Job::Truncate { after: 4 }).unwrap();
        (5..=6).for_each(|index| jobs.send(append(index)).unwrap());
        jobs.send(Job::Alone(true)).unwrap();
        jobs.send(Job::Truncate { after: 4 }).unwrap();
        jobs.send(Job::Alone(false)).unwrap();
        jobs.send(Job::Truncate { after: 3 }).unwrap();
        drop(jobs);
        run(writer, &jobs_out, &facts, keep(100), Some(&own)).unwrap();
        let kept = std::fs::read(dir.path().join("lost+found/1.log")).unwrap();
        assert_eq!(kept, b"\0\0\0\x05entry\0\0\0\x05entry", "two entries, 5 and 6");
        assert_eq!(reader.log(1, usize::MAX).unwrap().len(), 3);
    }

    #[test]
    fn everything_handed_over_is_on_the_disk_when_the_queue_ends_and_is_reported_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { free_floor_bytes: 0, ..StoreOptions::default() };
        let Opened { writer, .. } = Store::open(dir.path(), options).unwrap();
        let (facts, mut facts_in) = queues::facts();
        let (jobs, jobs_out) = queues::jobs();
        for index in 1..=300 {
            jobs.send(append(index)).unwrap();
        }
        jobs.send(Job::Checkpoint { index: 300, rows: vec![(b"k".to_vec(), Some(b"v".to_vec()))] }).unwrap();
        jobs.send(append(301)).unwrap();
        drop(jobs);
        run(writer, &jobs_out, &facts, keep(100), None).unwrap();
        drop(facts);
        let mut reported = Vec::new();
        while let Some(Fact::Persisted { upto }) = facts_in.blocking_recv() {
            reported.push(upto);
        }
        assert_eq!(
            reported,
            [128, 256, 300, 301],
            "a group has at most 128 entries and ends at a checkpoint"
        );
        let Opened { recovered, reader, .. } = Store::open(dir.path(), options).unwrap();
        assert_eq!((recovered.last_index, recovered.checkpoint, recovered.first_index), (301, 300, 201));
        assert_eq!(recovered.state().count(), 1);
        assert_eq!(reader.events(1, &[7; 16], 1, 301, usize::MAX).unwrap().len(), 301);
    }
}

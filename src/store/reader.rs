//! Reading beside the writer: history pages, log entries for a peer, single state rows.
//!
//! A reader sees events as soon as their batch is applied, which is *before* they are durable: callers ask only up to
//! the position that was released to clients. Log entries are given out only up to the durable index.
//!
//! After an error while iterating nothing more is read: sled's iterators do not recover.

use std::sync::Arc;

use bytes::Bytes;
use sled::IVec;

use super::database::Database;
use super::entry::{self, LogEntry};
use super::error::StoreError;
use super::recovered::LogEntries;
use super::{key, meta, row, space};

/// Reads from the store; clones share it.
#[derive(Debug, Clone)]
pub struct Reader {
    database: Arc<Database>,
}

/// What the store takes and has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Bytes the database takes on disk.
    pub disk_bytes: u64,
    /// Bytes free on its file system.
    pub free_bytes: u64,
    /// Lowest log index still stored.
    pub first_index: u64,
    /// Highest durable log index.
    pub durable_index: u64,
}

impl Reader {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Events of a conversation from `from_seq` to `upto_seq`, both inclusive, oldest first, until `max_bytes` of event
    /// bytes are reached; at least one event when there is any.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn events(
        &self,
        tenant: u32,
        conversation: &[u8; 16],
        from_seq: u64,
        upto_seq: u64,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        if from_seq > upto_seq {
            return Ok(Vec::new());
        }
        let start = key::event(tenant, conversation, from_seq);
        let end = key::event(tenant, conversation, upto_seq);
        self.page(self.database.tree.range(start..=end), usize::MAX, max_bytes)
    }

    /// The last `limit` events of a conversation below `before_seq`, oldest first, cut at the older end when `max_bytes`
    /// of event bytes are reached; at least one event when there is any and `limit` is not 0.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn events_before(
        &self,
        tenant: u32,
        conversation: &[u8; 16],
        before_seq: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let start = key::event(tenant, conversation, 0);
        let end = key::event(tenant, conversation, before_seq);
        let mut page = self.page(self.database.tree.range(start..end).rev(), limit, max_bytes)?;
        page.reverse();
        Ok(page)
    }

    /// Durable log entries from index `from`, contiguous, until `max_bytes` of entry bytes are reached; at least one
    /// when there is any.
    ///
    /// # Errors
    /// `Truncated` when entries at `from` are no longer stored; `Io`, `Corrupt`.
    pub fn log(&self, from: u64, max_bytes: usize) -> Result<Vec<LogEntry>, StoreError> {
        let from = from.max(1);
        let upto = self.database.durable();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for found in LogEntries::new(Arc::clone(&self.database), from, upto) {
            let entry = match found {
                Ok(entry) => entry,
                Err(error) => return Err(self.truncated(from).unwrap_or(error)),
            };
            bytes += entry.bytes.len();
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        self.truncated(from).map_or(Ok(entries), Err)
    }

    /// The value of one state row as of the last checkpoint (or, while one is being written, of that one).
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn state(&self, state_key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        row::get(&self.database.tree, &key::state(state_key))
    }

    /// A small value stored with `Writer::meta_set`.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn meta_get(&self, name: &str) -> Result<Option<Bytes>, StoreError> {
        meta::get(&self.database, name)
    }

    /// Sizes for metrics and health checks.
    ///
    /// # Errors
    /// `Io`.
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        Ok(Statistics {
            disk_bytes: self.database.size_on_disk()?,
            free_bytes: space::free_bytes(self.database.directory().path())?,
            first_index: self.database.first(),
            durable_index: self.database.durable(),
        })
    }

    fn page(
        &self,
        rows: impl Iterator<Item = sled::Result<(IVec, IVec)>>,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for found in rows.take(limit) {
            let (event_key, stored) = found.map_err(StoreError::sled("reading events"))?;
            let seq = key::event_seq(&event_key)
                .ok_or_else(|| StoreError::corrupt("a row in the place of an event"))?;
            let event = row::join(&self.database.tree, &event_key, &stored)?;
            bytes += event.len();
            if bytes > max_bytes && !page.is_empty() {
                break;
            }
            page.push((seq, event));
        }
        Ok(page)
    }

    fn truncated(&self, from: u64) -> Option<StoreError> {
        let first = self.database.first();
        (from < first).then_some(StoreError::Truncated { first })
    }
}

/// Reads one log row.
///
/// # Errors
/// `Corrupt`, `Io`.
pub(super) fn read_entry(database: &Database, log_key: &[u8], stored: &[u8]) -> Result<LogEntry, StoreError> {
    let index =
        key::log_index(log_key).ok_or_else(|| StoreError::corrupt("a row in the place of a log entry"))?;
    let value = row::join(&database.tree, log_key, stored)?;
    entry::decode(index, value).map(|(entry, _)| entry)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::store::{EventRow, LogItem, Opened, Store, StoreOptions};

    type Model = BTreeMap<(u32, [u8; 16], u64), Vec<u8>>;

    /// Events at few tenants, conversations and seqs, so that they lie close together; some take several rows.
    fn model() -> impl Strategy<Value = Model> {
        let position = (0..2_u32, (0..3_u8).prop_map(|byte| [byte; 16]), 0..60_u64);
        let length = prop_oneof![8 => 0..200_usize, 1 => 4_000..9_000_usize];
        proptest::collection::btree_map(position, length.prop_map(|length| vec![7; length]), 0..120)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pages_in_both_directions_hold_every_seq_exactly_once(
            model in model(), limit in 1..20_usize, max_bytes in 0..3_000_usize, from in 0..60_u64, upto in 0..60_u64,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let options = StoreOptions { free_floor_bytes: 0, device_sync: false, ..StoreOptions::default() };
            let Opened { mut writer, reader, .. } = Store::open(dir.path(), options).unwrap();
            for (index, ((tenant, conversation, seq), bytes)) in (1..).zip(&model) {
                let (tenant, conversation, seq, bytes) = (*tenant, *conversation, *seq, bytes.clone().into());
                let events = vec![EventRow { tenant, conversation, seq, bytes }];
                writer.commit(&[LogItem { index, epoch: 0, bytes: bytes::Bytes::new(), events }]).unwrap();
            }
            for tenant in 0..2 {
                for conversation in (0..3).map(|byte| [byte; 16]) {
                    let all: Vec<(u64, Vec<u8>)> = model
                        .range((tenant, conversation, 0)..=(tenant, conversation, u64::MAX))
                        .map(|((_, _, seq), bytes)| (*seq, bytes.clone()))
                        .collect();
                    let plain = |page: Vec<(u64, bytes::Bytes)>| -> Vec<(u64, Vec<u8>)> {
                        page.into_iter().map(|(seq, bytes)| (seq, bytes.to_vec())).collect()
                    };

                    let (mut forward, mut next) = (Vec::new(), 0);
                    loop {
                        let page = plain(reader.events(tenant, &conversation, next, u64::MAX, max_bytes).unwrap());
                        let Some((last, _)) = page.last() else { break };
                        prop_assert!(page.len() == 1 || page.iter().map(|row| row.1.len()).sum::<usize>() <= max_bytes);
                        next = last + 1;
                        forward.extend(page);
                    }
                    prop_assert_eq!(&forward, &all);

                    let (mut backward, mut before) = (Vec::new(), u64::MAX);
                    loop {
                        let page = reader.events_before(tenant, &conversation, before, limit, max_bytes).unwrap();
                        let Some((first, _)) = page.first() else { break };
                        prop_assert!(page.len() <= limit);
                        before = *first;
                        backward.splice(0..0, plain(page));
                    }
                    prop_assert_eq!(&backward, &all);

                    let within = reader.events(tenant, &conversation, from, upto, usize::MAX).unwrap();
                    let expected: Vec<_> = all.iter().filter(|row| (from..=upto).contains(&row.0)).cloned().collect();
                    prop_assert_eq!(plain(within), expected);
                }
            }
        }
    }
}

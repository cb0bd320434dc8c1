//! The fake disk: what was written, what of it is durable, and what a crash leaves.
//!
//! Writes take effect in order. A barrier makes durable what was written before it began. A crash keeps everything
//! durable and any prefix of the rest: a write may have reached the platter without anybody knowing.

use bytes::Bytes;
use duet::core::{Append, BadRow, ConversationKey, Row, State};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(crate) struct Disk {
    /// Durable entries, the first has index 1.
    log: Vec<Bytes>,
    /// Durable rows of the last durable checkpoint.
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    checkpoint: u64,
    /// Events as a read finds them, durable or not.
    events: BTreeMap<(ConversationKey, u64), Bytes>,
    written: VecDeque<Write>,
    /// How many of `written` the barrier under way covers.
    syncing: Option<usize>,
}

#[derive(Debug)]
enum Write {
    Append(Append),
    Checkpoint(u64, Vec<Row>),
}

impl Disk {
    pub(crate) fn append(&mut self, append: Append) {
        for row in &append.events {
            self.events.insert((row.conversation, row.seq), row.bytes.clone());
        }
        self.written.push_back(Write::Append(append));
    }

    pub(crate) fn checkpoint(&mut self, index: u64, rows: Vec<Row>) {
        self.written.push_back(Write::Checkpoint(index, rows));
    }

    /// Begins a barrier if there is something to make durable and none is under way.
    pub(crate) fn begin_barrier(&mut self) -> bool {
        if self.syncing.is_some() || self.written.is_empty() {
            return false;
        }
        self.syncing = Some(self.written.len());
        true
    }

    /// The barrier is through; the entries that became durable.
    pub(crate) fn end_barrier(&mut self) -> Vec<Bytes> {
        let count = self.syncing.take().unwrap_or(0);
        self.make_durable(count)
    }

    /// Power is lost; `kept` of the writes that were not known to be durable survive. The entries among them.
    pub(crate) fn crash(&mut self, kept: usize) -> Vec<Bytes> {
        self.syncing = None;
        let survived = self.make_durable(kept);
        for write in self.written.drain(..) {
            if let Write::Append(append) = write {
                for row in append.events {
                    self.events.remove(&(row.conversation, row.seq));
                }
            }
        }
        survived
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.written.len()
    }

    /// Index of the last durable entry.
    pub(crate) fn durable(&self) -> u64 {
        self.log.len() as u64
    }

    /// What a process finds when it starts: the state of the checkpoint and the entries after it.
    pub(crate) fn recover(&self) -> Result<(State, Vec<Bytes>), BadRow> {
        let state = State::from_rows(self.rows.clone())?;
        Ok((state, self.log.iter().skip(self.checkpoint as usize).cloned().collect()))
    }

    /// Events `after < seq <= upto`, about `bytes_max` of them and at least one.
    pub(crate) fn read(
        &self,
        key: ConversationKey,
        after: u64,
        upto: u64,
        bytes_max: usize,
        latest: bool,
    ) -> Vec<(u64, Bytes)> {
        let range = self.events.range((key, after + 1)..=(key, upto.max(after)));
        let found = range.map(|((_, seq), bytes)| (*seq, bytes.clone()));
        let mut size = 0;
        let mut fits = |(_, bytes): &(u64, Bytes)| {
            let first = size == 0;
            size += bytes.len();
            first || size <= bytes_max
        };
        if latest {
            let mut events: Vec<_> = found.rev().take_while(&mut fits).collect();
            events.reverse();
            events
        } else {
            found.take_while(&mut fits).collect()
        }
    }

    pub(crate) fn event(&self, key: ConversationKey, seq: u64) -> Option<&Bytes> {
        self.events.get(&(key, seq))
    }

    fn make_durable(&mut self, count: usize) -> Vec<Bytes> {
        let mut entries = Vec::new();
        for write in self.written.drain(..count.min(self.written.len())) {
            match write {
                Write::Append(append) => {
                    self.log.push(append.bytes.clone());
                    entries.push(append.bytes);
                }
                Write::Checkpoint(index, rows) => {
                    self.checkpoint = index;
                    for (key, value) in rows {
                        match value {
                            Some(value) => drop(self.rows.insert(key, value)),
                            None => drop(self.rows.remove(&key)),
                        }
                    }
                }
            }
        }
        entries
    }
}

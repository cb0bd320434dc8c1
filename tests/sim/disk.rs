//! The fake disk: what was written, what of it is durable, and what a crash leaves.
//!
//! Writes take effect in order. A barrier makes durable what was written before it began. A crash keeps everything
//! durable and any prefix of the rest: a write may have reached the platter without anybody knowing.

use bytes::Bytes;
use duet::core::{Append, BadRow, Cfg, ConversationKey, Entry, LogGone, Row, State, StoreId};
use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

pub(crate) type Events = BTreeMap<(ConversationKey, u64), Bytes>;

#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) store: StoreId,
    /// The highest epoch that was saved, durable or not.
    pub(crate) epoch: u64,
    /// Without an arbiter: this node's own register.
    pub(crate) register: Option<Cfg>,
    /// Entries that stay behind the checkpoint; `None` for all of them.
    pub(crate) keeps: Option<u64>,
    /// What is durable.
    log: Log,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    checkpoint: u64,
    durable_events: Events,
    durable_epoch: u64,
    /// The log and the events as a read finds them, durable or not.
    seen: Log,
    events: Events,
    written: VecDeque<Write>,
    /// How many of `written` the barrier under way covers.
    syncing: Option<usize>,
    /// What was durable on the stores that this one took the place of.
    lost: Vec<Log>,
}

/// Entries after `base`.
#[derive(Debug, Clone, Default)]
struct Log {
    base: u64,
    base_chain: u64,
    entries: VecDeque<Rc<Stored>>,
}

#[derive(Debug)]
struct Stored {
    append: Append,
    /// The chain after it.
    chain: u64,
    /// Its bytes are no longer those that were written.
    damaged: bool,
}

#[derive(Debug)]
enum Write {
    Append(Rc<Stored>),
    Checkpoint(u64, Vec<Row>),
    Truncate(u64),
    Epoch(u64),
}

/// What became durable, in order.
#[derive(Debug)]
pub(crate) enum Report {
    /// Entries up to here.
    Durable {
        upto: u64,
        entries: Vec<Bytes>,
    },
    Truncated,
    Epoch(u64),
}

/// What one node sends another that has to begin anew.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    checkpoint: u64,
    chain: u64,
    events: Events,
}

impl Disk {
    /// An empty store of a node of a pair.
    pub(crate) fn new(store: StoreId, keeps: Option<u64>) -> Self {
        Self { store, keeps, ..Self::default() }
    }

    /// Everything is gone; what a node without an arbiter keeps beside its store stays.
    pub(crate) fn wipe(&mut self, store: StoreId) {
        let old = std::mem::take(self);
        *self = Self { register: old.register, lost: old.lost, ..Self::new(store, old.keeps) };
        self.lost.push(old.log);
    }

    pub(crate) fn append(&mut self, append: Append) {
        assert_eq!(append.index, self.seen.end() + 1, "an entry was written over a hole or another one");
        for row in &append.events {
            self.events.insert((row.conversation, row.seq), row.bytes.clone());
        }
        let chain = Entry::chain_after(self.seen.end_chain(), &append.bytes);
        let stored = Rc::new(Stored { append, chain, damaged: false });
        self.seen.entries.push_back(stored.clone());
        self.written.push_back(Write::Append(stored));
    }

    pub(crate) fn checkpoint(&mut self, index: u64, rows: Vec<Row>) {
        self.written.push_back(Write::Checkpoint(index, rows));
    }

    /// Takes back what lies above `after`; the entries.
    pub(crate) fn truncate(&mut self, after: u64) -> Vec<Bytes> {
        let gone = self.seen.cut(after);
        for row in gone.iter().flat_map(|stored| &stored.append.events) {
            self.events.remove(&(row.conversation, row.seq));
        }
        self.written.push_back(Write::Truncate(after));
        gone.iter().map(|stored| stored.append.bytes.clone()).collect()
    }

    pub(crate) fn save_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.written.push_back(Write::Epoch(epoch));
    }

    /// Begins a barrier if there is something to make durable and none is under way.
    pub(crate) fn begin_barrier(&mut self) -> bool {
        if self.syncing.is_some() || self.written.is_empty() {
            return false;
        }
        self.syncing = Some(self.written.len());
        true
    }

    /// The barrier is through; what became durable.
    pub(crate) fn end_barrier(&mut self) -> Vec<Report> {
        let count = self.syncing.take().unwrap_or(0);
        self.make_durable(count)
    }

    /// Power is lost; `kept` of the writes that were not known to be durable survive.
    pub(crate) fn crash(&mut self, kept: usize) -> Vec<Report> {
        self.syncing = None;
        let survived = self.make_durable(kept);
        self.written.clear();
        (self.seen, self.events) = (self.log.clone(), self.durable_events.clone());
        self.epoch = self.durable_epoch;
        survived
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.written.len()
    }

    /// Index of the last durable entry.
    pub(crate) fn durable(&self) -> u64 {
        self.log.end()
    }

    /// Index of the last entry, durable or not.
    pub(crate) fn end(&self) -> u64 {
        self.seen.end()
    }

    /// The entry and the chain after it.
    pub(crate) fn entry(&self, index: u64) -> Option<(&Bytes, u64)> {
        self.seen.get(index).map(|stored| (&stored.append.bytes, stored.chain))
    }

    /// The chain after an entry, durable or not.
    pub(crate) fn chain(&self, index: u64) -> Option<u64> {
        self.seen.chain(index)
    }

    /// Whether this very entry is durable here; what a snapshot or a checkpoint covers cannot be told apart any more.
    pub(crate) fn holds(&self, index: u64, chain: u64) -> bool {
        self.log.holds(index, chain)
    }

    /// The same, or held it before it was lost.
    pub(crate) fn has_held(&self, index: u64, chain: u64) -> bool {
        self.log.holds(index, chain) || self.lost.iter().any(|log| log.holds(index, chain))
    }

    /// Durable entries after `index`.
    pub(crate) fn after(&self, index: u64) -> Vec<Bytes> {
        let above = self.log.entries.iter().filter(|stored| stored.append.index > index);
        above.map(|stored| stored.append.bytes.clone()).collect()
    }

    /// What a process finds when it starts: the state of the checkpoint and the entries after it.
    pub(crate) fn recover(&self) -> Result<(State, Vec<Bytes>), BadRow> {
        let state = State::from_rows(self.rows.clone())?;
        Ok((state, self.after(self.checkpoint)))
    }

    /// Whether an entry behind the checkpoint is damaged, and whether only the last one is, which no other follows.
    pub(crate) fn damage(&self) -> (bool, bool) {
        let behind = self.log.entries.iter().filter(|stored| stored.append.index > self.checkpoint);
        let damaged = behind.clone().any(|stored| stored.damaged);
        let inside = self.log.entries.iter().rev().skip(1).any(|stored| stored.damaged);
        (damaged, damaged && !inside)
    }

    /// A bit of a durable entry behind the checkpoint turns; `pick` chooses which. Whether there was one.
    pub(crate) fn flip_bit(&mut self, pick: u64) -> bool {
        let first = (self.checkpoint - self.log.base) as usize;
        let count = self.log.entries.len().saturating_sub(first) as u64;
        if count == 0 {
            return false;
        }
        let at = first + (pick % count) as usize;
        let old = &self.log.entries[at];
        let mut bytes = old.append.bytes.to_vec();
        let bit = (pick / count) as usize % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let append = Append { bytes: bytes.into(), ..old.append.clone() };
        self.log.entries[at] = Rc::new(Stored { append, chain: old.chain, damaged: true });
        self.seen = self.log.clone();
        true
    }

    /// Encoded entries from an index on.
    pub(crate) fn read_log(&self, from: u64, bytes_max: usize) -> Result<Vec<Bytes>, LogGone> {
        if from <= self.seen.base {
            return Err(LogGone::Truncated);
        }
        let (mut size, mut found) = (0, Vec::new());
        while size < bytes_max
            && let Some(stored) = self.seen.get(from + found.len() as u64)
        {
            size += stored.append.bytes.len();
            found.push(stored.append.bytes.clone());
        }
        if found.is_empty() { Err(LogGone::Failed) } else { Ok(found) }
    }

    /// The last durable checkpoint, with every event up to it.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut events = self.durable_events.clone();
        for stored in self.log.entries.iter().filter(|stored| stored.append.index > self.checkpoint) {
            for row in &stored.append.events {
                events.remove(&(row.conversation, row.seq));
            }
        }
        let chain = self.log.chain(self.checkpoint).unwrap_or_default();
        Snapshot { rows: self.rows.clone(), checkpoint: self.checkpoint, chain, events }
    }

    /// An empty store becomes what the snapshot says.
    pub(crate) fn install(&mut self, snapshot: Snapshot) {
        let Snapshot { rows, checkpoint, chain, events } = snapshot;
        (self.rows, self.checkpoint) = (rows, checkpoint);
        self.log = Log { base: checkpoint, base_chain: chain, entries: VecDeque::new() };
        self.durable_events = events;
        self.written.clear();
        self.syncing = None;
        (self.seen, self.events) = (self.log.clone(), self.durable_events.clone());
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

    fn make_durable(&mut self, count: usize) -> Vec<Report> {
        let mut reports = Vec::new();
        for write in self.written.drain(..count.min(self.written.len())) {
            match write {
                Write::Append(stored) => {
                    for row in &stored.append.events {
                        self.durable_events.insert((row.conversation, row.seq), row.bytes.clone());
                    }
                    let bytes = stored.append.bytes.clone();
                    self.log.entries.push_back(stored);
                    let end = self.log.end();
                    match reports.last_mut() {
                        Some(Report::Durable { upto, entries }) => {
                            *upto = end;
                            entries.push(bytes);
                        }
                        _ => reports.push(Report::Durable { upto: end, entries: vec![bytes] }),
                    }
                }
                Write::Checkpoint(index, rows) => {
                    self.checkpoint = index;
                    for (key, value) in rows {
                        match value {
                            Some(value) => drop(self.rows.insert(key, value)),
                            None => drop(self.rows.remove(&key)),
                        }
                    }
                    if let Some(keeps) = self.keeps {
                        self.log.let_go(index.saturating_sub(keeps));
                        self.seen.let_go(index.saturating_sub(keeps));
                    }
                }
                Write::Truncate(after) => {
                    for stored in self.log.cut(after) {
                        for row in &stored.append.events {
                            self.durable_events.remove(&(row.conversation, row.seq));
                        }
                    }
                    reports.push(Report::Truncated);
                }
                Write::Epoch(epoch) => {
                    self.durable_epoch = epoch;
                    reports.push(Report::Epoch(epoch));
                }
            }
        }
        reports
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }

    fn end_chain(&self) -> u64 {
        self.entries.back().map_or(self.base_chain, |last| last.chain)
    }

    fn get(&self, index: u64) -> Option<&Rc<Stored>> {
        self.entries.get(index.checked_sub(self.base + 1)? as usize)
    }

    fn holds(&self, index: u64, chain: u64) -> bool {
        match index.cmp(&self.base) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => self.base_chain == chain,
            std::cmp::Ordering::Greater => self.get(index).is_some_and(|stored| stored.chain == chain),
        }
    }

    fn chain(&self, index: u64) -> Option<u64> {
        if index == self.base { Some(self.base_chain) } else { self.get(index).map(|stored| stored.chain) }
    }

    /// Takes back what lies above `after`.
    fn cut(&mut self, after: u64) -> Vec<Rc<Stored>> {
        assert!(after >= self.base, "what a checkpoint covers was taken back");
        let keep = (after - self.base) as usize;
        if keep < self.entries.len() { self.entries.split_off(keep).into() } else { Vec::new() }
    }

    /// Forgets entries up to `upto`.
    fn let_go(&mut self, upto: u64) {
        while self.base < upto
            && let Some(first) = self.entries.pop_front()
        {
            (self.base, self.base_chain) = (first.append.index, first.chain);
        }
    }
}

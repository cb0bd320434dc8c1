//! What is durable, told by the log alone: the measure of everything that clients were told.
//!
//! Grows only; a crash of the simulated disk never takes back what is in here. It folds the log twice: once with the
//! product's own `State` from the first entry on, to compare what a restart restores, and once with a small model of its
//! own, so that a mistake in the fold cannot excuse itself.

use bytes::Bytes;
use duet::core::{ConversationKey, DedupBounds, Entry, Record, State, TenantId};
use duet_protocol::{ClientMessageId, Event, EventBody, UserId};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Truth {
    /// The fold of the whole log.
    pub(crate) state: State,
    bounds: DedupBounds,
    pub(crate) rooms: BTreeMap<ConversationKey, Room>,
    /// Where each message of the log lies.
    pub(crate) messages: BTreeMap<(TenantId, UserId, ClientMessageId), (ConversationKey, u64)>,
    /// What devices sent, and in which order.
    pub(crate) sent: BTreeMap<ClientMessageId, Sent>,
    /// The last of a device's messages in each conversation, to see that they keep their order.
    latest: BTreeMap<(usize, ConversationKey), u64>,
    reigns: u64,
    /// Every entry, and the chain after it.
    pub(crate) log: Vec<(Bytes, u64)>,
    /// On how many disks an entry is, as clients were told; 0 when nobody was told.
    promised: BTreeMap<u64, u8>,
}

/// A conversation.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) events: Vec<Event>,
    /// The entry of each event.
    entries: Vec<u64>,
    /// Received and read, by member.
    pub(crate) marks: BTreeMap<UserId, (u64, u64)>,
}

/// A message as a device sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) device: usize,
    pub(crate) order: u64,
    /// Whether its place among the others is promised.
    pub(crate) ordered: bool,
}

impl Truth {
    pub(crate) fn new(bounds: DedupBounds) -> Self {
        Self {
            state: State::default(),
            bounds,
            rooms: BTreeMap::new(),
            messages: BTreeMap::new(),
            sent: BTreeMap::new(),
            latest: BTreeMap::new(),
            reigns: 0,
            log: Vec::new(),
            promised: BTreeMap::new(),
        }
    }

    /// An entry was acknowledged: with one node it is durable, with two it is committed.
    pub(crate) fn absorb(&mut self, bytes: &[u8]) -> Result<(), String> {
        let entry =
            Entry::decode(bytes).map_err(|error| format!("a durable entry does not decode: {error}"))?;
        if matches!(entry.record, Record::EpochBegan) {
            if entry.epoch <= self.reigns {
                return Err(format!("I3: a reign began under epoch {} again", entry.epoch));
            }
            self.reigns = entry.epoch;
        }
        let tip = &self.state.tip;
        if entry.index != tip.index + 1 || entry.chain_before != tip.chain {
            return Err(format!("I1: entry {} does not follow what was acknowledged", entry.index));
        }
        self.state.apply(&entry, bytes, self.bounds);
        self.log.push((Bytes::copy_from_slice(bytes), self.state.tip.chain));
        for (key, event) in entry.record.events(entry.at_ms) {
            self.event(key, event)?;
        }
        self.marks(&entry.record);
        Ok(())
    }

    /// Index of the last acknowledged entry.
    pub(crate) fn end(&self) -> u64 {
        self.log.len() as u64
    }

    /// The chain after an acknowledged entry.
    pub(crate) fn chain(&self, index: u64) -> Option<u64> {
        match index.checked_sub(1) {
            Some(at) => self.log.get(at as usize).map(|(_, chain)| *chain),
            None => Some(0),
        }
    }

    /// The entry of an event.
    pub(crate) fn entry_of(&self, key: ConversationKey, seq: u64) -> Option<u64> {
        self.rooms.get(&key)?.entries.get(seq.checked_sub(1)? as usize).copied()
    }

    /// A client was told that so many disks have an entry.
    pub(crate) fn promise(&mut self, index: u64, replicas: u8) {
        let promised = self.promised.entry(index).or_default();
        *promised = replicas.max(*promised);
    }

    pub(crate) fn promised(&self, index: u64) -> u8 {
        self.promised.get(&index).copied().unwrap_or(0)
    }

    /// The fold of the entries up to `upto`, and then of those in `more`.
    pub(crate) fn fold<'b>(
        &'b self,
        upto: u64,
        more: impl IntoIterator<Item = &'b Bytes>,
    ) -> Result<State, String> {
        let mut state = if upto >= self.end() { self.state.clone() } else { State::default() };
        let first = state.tip.index as usize;
        let known = self.log.iter().take(upto as usize).skip(first).map(|(bytes, _)| bytes);
        for bytes in known.chain(more) {
            let entry =
                Entry::decode(bytes).map_err(|error| format!("I12: an entry does not decode: {error}"))?;
            if !entry.follows(&state.tip) {
                return Err(format!("I12: entry {} does not follow the one before it", entry.index));
            }
            state.apply(&entry, bytes, self.bounds);
        }
        Ok(state)
    }

    /// An operator gave up everything above `upto`: the promises are those of the entries that are left.
    pub(crate) fn cut(&mut self, upto: u64) -> Result<(), String> {
        let mut kept = Self::new(self.bounds);
        kept.sent = std::mem::take(&mut self.sent);
        kept.promised = std::mem::take(&mut self.promised);
        kept.promised.split_off(&(upto + 1));
        for (bytes, _) in self.log.iter().take(upto as usize) {
            kept.absorb(bytes)?;
        }
        *self = kept;
        Ok(())
    }

    pub(crate) fn room(&self, key: ConversationKey) -> Option<&Room> {
        self.rooms.get(&key)
    }

    /// The events of a conversation up to here are durable.
    pub(crate) fn head(&self, key: ConversationKey) -> u64 {
        self.rooms.get(&key).map_or(0, |room| room.events.len() as u64)
    }

    pub(crate) fn event_at(&self, key: ConversationKey, seq: u64) -> Option<&Event> {
        self.rooms.get(&key)?.events.get(seq.checked_sub(1)? as usize)
    }

    fn event(&mut self, key: ConversationKey, event: Event) -> Result<(), String> {
        let room = self.rooms.entry(key).or_default();
        let seq = event.seq;
        if seq != room.events.len() as u64 + 1 {
            return Err(format!("I8: {key:?} has {} events and then {seq}", room.events.len()));
        }
        let body = event.decode_body().map_err(|error| format!("event {seq} of {key:?}: {error}"))?;
        match &body {
            Some(EventBody::MemberJoined(joined)) => {
                room.marks.insert(joined.user.clone(), (seq, seq));
            }
            Some(EventBody::MemberLeft(left)) => drop(room.marks.remove(&left.user)),
            Some(EventBody::MemberIdentified(known)) => {
                if let Some((received, read)) = room.marks.remove(&known.before) {
                    let marks = room.marks.entry(known.user.clone()).or_default();
                    *marks = (marks.0.max(received), marks.1.max(read));
                }
            }
            _ => {}
        }
        if let (Some(EventBody::Message(message)), Some(author)) = (body, &event.author) {
            if let Some(marks) = room.marks.get_mut(author) {
                *marks = (seq, seq);
            }
            let place = (key, seq);
            if let Some(first) = self.messages.insert((key.tenant, author.clone(), message.id), place) {
                return Err(format!("I2: message {} is at {first:?} and at {place:?}", message.id));
            }
            let Some(sent) = self.sent.get(&message.id) else {
                return Err(format!("message {} at {place:?} was never sent", message.id));
            };
            if sent.ordered {
                let latest = self.latest.entry((sent.device, key)).or_default();
                if sent.order < *latest {
                    return Err(format!(
                        "I2: message {} of device {} came too late",
                        message.id, sent.device
                    ));
                }
                *latest = sent.order;
            }
        }
        room.events.push(event);
        room.entries.push(self.state.tip.index);
        Ok(())
    }

    fn marks(&mut self, record: &Record) {
        let Record::WatermarkAdvanced { key, user, received, read } = record else { return };
        if let Some(marks) = self.rooms.get_mut(key).and_then(|room| room.marks.get_mut(user)) {
            *marks = (marks.0.max(*received), marks.1.max(*read));
        }
    }
}

impl Room {
    /// Messages behind a watermark.
    pub(crate) fn unread(&self, read: u64) -> u32 {
        self.events.iter().skip(read as usize).filter(|event| is_message(event)).count() as u32
    }
}

pub(crate) fn is_message(event: &Event) -> bool {
    matches!(event.decode_body(), Ok(Some(EventBody::Message(_))))
}

//! What waits to be sent: one queue per conversation, first in first out, bounded by number and bytes.
//!
//! A message keeps its id through every retry, so that the server can tell a retry from a new message. An entry
//! leaves when the server has accepted it or the application discards it; one that failed stays until then, so
//! that it can be sent again. Full: the new message is refused; nothing that waits is ever dropped.

use super::{config::Config, error::ClientError};
use duet_protocol::{
    ClientMessageId, Code, ConversationId, amend::Change, codec, command::Durability, event::Content,
};
use std::collections::{BTreeMap, VecDeque};

/// A message on its way, as it is persisted.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxEntry {
    /// The message's id, for ever.
    pub id: ClientMessageId,
    /// Where it goes.
    pub conversation: ConversationId,
    /// What is said.
    pub content: Content,
    /// The message to which it replies.
    pub reply_to: Option<u64>,
    /// What it is sent as.
    pub purpose: Purpose,
    /// How safe it must be before it counts as accepted.
    pub durability: Durability,
    /// Its place among all entries: grows with every message, through processes. Clocks may repeat or go back.
    pub order: u64,
    /// When it was queued, Unix milliseconds by the server's clock as far as it was known.
    pub queued_at_ms: u64,
    /// Whether it may wake a resolved conversation: the user knew that it was resolved, or asked to send again.
    pub wakes: bool,
    /// The code with which it failed.
    pub failed: Option<Code>,
}

/// What an entry of the outbox is sent as.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Purpose {
    /// A message.
    #[default]
    Message,
    /// A private note.
    Note,
    /// A change of a message; `content` is that of an edit, else empty.
    Change(Change),
}

impl Purpose {
    /// Bytes to persist.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(&match self {
            Self::Message => None,
            Self::Note => Some(None),
            Self::Change(change) => Some(Some(change.clone())),
        })
    }

    /// What [`encode`](Self::encode) made; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let kept: Option<Option<Change>> = codec::decode(bytes).ok()?;
        Some(kept.map_or(Self::Message, |change| change.map_or(Self::Note, Self::Change)))
    }

    /// The message that is changed.
    #[must_use]
    pub fn target(&self) -> Option<u64> {
        match self {
            Self::Change(Change::Edit(edit)) => Some(edit.target),
            Self::Change(Change::Delete(delete)) => Some(delete.target),
            Self::Change(Change::React(react)) => Some(react.target),
            Self::Message | Self::Note => None,
        }
    }
}

/// An entry with what this process knows of it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) entry: OutboxEntry,
    /// Sent on the current lane and not answered.
    pub(crate) in_flight: bool,
    /// It may have reached a server before.
    pub(crate) tried: bool,
}

/// All queues.
#[derive(Debug)]
pub(crate) struct Outbox {
    queues: BTreeMap<ConversationId, VecDeque<Slot>>,
    failed: BTreeMap<ClientMessageId, OutboxEntry>,
    messages: usize,
    bytes: usize,
    messages_max: usize,
    bytes_max: usize,
    /// The highest `order` so far.
    last: u64,
    /// Ephemeral messages without an answer, which do not wait here. Full: the oldest is forgotten.
    ephemeral: VecDeque<ClientMessageId>,
}

/// Ephemeral messages whose answer is awaited.
const EPHEMERAL_MAX: usize = 100;

impl Outbox {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            queues: BTreeMap::new(),
            failed: BTreeMap::new(),
            messages: 0,
            bytes: 0,
            messages_max: config.outbox_messages_max,
            bytes_max: config.outbox_bytes_max,
            last: 0,
            ephemeral: VecDeque::new(),
        }
    }

    /// The `order` of the next message.
    pub(crate) fn next_order(&self) -> u64 {
        self.last.saturating_add(1)
    }

    /// Takes in a message, behind all others.
    pub(crate) fn push(&mut self, entry: OutboxEntry, tried: bool) -> Result<(), ClientError> {
        let bytes = entry.content.body.len();
        if self.messages >= self.messages_max || self.bytes + bytes > self.bytes_max {
            return Err(ClientError::from_code(Code::OUTBOX_FULL));
        }
        self.messages += 1;
        self.last = self.last.max(entry.order);
        self.bytes += bytes;
        if entry.failed.is_some() {
            self.failed.insert(entry.id, entry);
        } else {
            let queue = self.queues.entry(entry.conversation).or_default();
            queue.push_back(Slot { entry, in_flight: false, tried });
        }
        Ok(())
    }

    /// An ephemeral message was sent.
    pub(crate) fn ephemeral_sent(&mut self, id: ClientMessageId) {
        self.ephemeral.push_back(id);
        if self.ephemeral.len() > EPHEMERAL_MAX {
            self.ephemeral.pop_front();
        }
    }

    /// Whether this is the answer to an ephemeral message.
    pub(crate) fn ephemeral_answered(&mut self, id: ClientMessageId) -> bool {
        let at = self.ephemeral.iter().position(|sent| *sent == id);
        at.and_then(|at| self.ephemeral.remove(at)).is_some()
    }

    /// Takes a message out for good, wherever it is.
    pub(crate) fn remove(&mut self, id: ClientMessageId) -> Option<OutboxEntry> {
        let entry = self.take(id)?;
        self.messages -= 1;
        self.bytes -= entry.content.body.len();
        Some(entry)
    }

    /// Moves a waiting message among the failed ones.
    pub(crate) fn fail(&mut self, id: ClientMessageId, code: Code) -> Option<OutboxEntry> {
        let mut entry = self.take(id)?;
        entry.failed = Some(code);
        self.failed.insert(id, entry.clone());
        Some(entry)
    }

    /// A message by its id.
    pub(crate) fn get(&self, id: ClientMessageId) -> Option<&OutboxEntry> {
        self.failed
            .get(&id)
            .or_else(|| self.queues.values().flatten().map(|slot| &slot.entry).find(|entry| entry.id == id))
    }

    /// What waits for `conversation`, in order.
    pub(crate) fn queue_mut(&mut self, conversation: ConversationId) -> Option<&mut VecDeque<Slot>> {
        self.queues.get_mut(&conversation)
    }

    /// What waits for `conversation`, in order.
    pub(crate) fn queue(&self, conversation: ConversationId) -> impl Iterator<Item = &Slot> {
        self.queues.get(&conversation).into_iter().flatten()
    }

    pub(crate) fn waits_for(&self, conversation: ConversationId) -> bool {
        self.queues.contains_key(&conversation)
    }

    /// Whether there is anything to send.
    pub(crate) fn waits(&self) -> bool {
        !self.queues.is_empty()
    }

    /// The conversations with something to send.
    pub(crate) fn conversations(&self) -> Vec<ConversationId> {
        self.queues.keys().copied().collect()
    }

    /// The lane of `conversation` is gone: what was in flight must be sent again.
    pub(crate) fn lane_lost(&mut self, conversation: ConversationId) {
        for slot in self.queues.get_mut(&conversation).into_iter().flatten() {
            slot.in_flight = false;
        }
    }

    /// When the oldest waiting message that is not in flight was queued.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        let waiting = self.queues.values().flatten().filter(|slot| !slot.in_flight);
        waiting.map(|slot| slot.entry.queued_at_ms).min()
    }

    /// Waiting messages that were queued at or before `upto_ms` and are not in flight.
    pub(crate) fn older_than(&self, upto_ms: u64) -> Vec<ClientMessageId> {
        let waiting = self.queues.values().flatten();
        let old = waiting.filter(|slot| !slot.in_flight && slot.entry.queued_at_ms <= upto_ms);
        old.map(|slot| slot.entry.id).collect()
    }

    /// Everything, to be persisted: failed ones too, in order.
    pub(crate) fn entries(&self) -> Vec<OutboxEntry> {
        let waiting = self.queues.values().flatten().map(|slot| &slot.entry);
        let mut all: Vec<OutboxEntry> = waiting.chain(self.failed.values()).cloned().collect();
        all.sort_by_key(|entry| (entry.order, entry.id));
        all
    }

    fn take(&mut self, id: ClientMessageId) -> Option<OutboxEntry> {
        if let Some(entry) = self.failed.remove(&id) {
            return Some(entry);
        }
        let (conversation, at) = self.queues.iter().find_map(|(conversation, queue)| {
            queue.iter().position(|slot| slot.entry.id == id).map(|at| (*conversation, at))
        })?;
        let queue = self.queues.get_mut(&conversation)?;
        let slot = queue.remove(at)?;
        if queue.is_empty() {
            self.queues.remove(&conversation);
        }
        Some(slot.entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use duet_protocol::DeviceId;

    fn entry(n: u8, bytes: usize) -> OutboxEntry {
        OutboxEntry {
            id: ClientMessageId([n; 16]),
            conversation: ConversationId([n % 2; 16]),
            content: Content { format: 0, body: vec![b'x'; bytes] },
            reply_to: None,
            purpose: Purpose::Message,
            durability: Durability::Accepted,
            order: u64::from(n),
            queued_at_ms: 0,
            wakes: false,
            failed: None,
        }
    }

    #[test]
    fn a_full_outbox_refuses_the_new_and_keeps_the_old_and_room_comes_back() {
        let mut config = Config::new(vec!["a:1".into()], DeviceId::parse("d").unwrap(), [0; 16]);
        (config.outbox_messages_max, config.outbox_bytes_max) = (3, 100);
        let mut outbox = Outbox::new(&config);
        outbox.push(entry(1, 60), false).unwrap();
        let full = |result: Result<(), ClientError>| result.unwrap_err().code == Code::OUTBOX_FULL;
        assert!(full(outbox.push(entry(2, 41), false)), "bytes");
        outbox.push(entry(2, 40), false).unwrap();
        outbox.fail(ClientMessageId([1; 16]), Code::FORBIDDEN);
        assert!(full(outbox.push(entry(3, 1), false)), "a failed message still takes its room");
        assert!(outbox.remove(ClientMessageId([1; 16])).is_some());
        outbox.push(entry(3, 60), false).unwrap();
        assert_eq!(outbox.entries().iter().map(|entry| entry.id.0[0]).collect::<Vec<_>>(), [2, 3]);
    }
}

//! What the caller hands over: log entries with the event rows they make, as bytes.
//!
//! The store knows nothing of chat. An entry is an index, an epoch and opaque bytes; the events are what history pages
//! are read from. The row of an entry names its events, so that an entry can be taken back with them.
//!
//! Value of an entry: `epoch u64 ‖ events u16 ‖ events × (tenant u32 ‖ conversation 16 ‖ seq u64) ‖ bytes`.

use bytes::{Buf, Bytes};

use super::error::StoreError;

/// Most entries in one commit group: sled holds a process-wide lock for the length of a batch.
pub const GROUP_ENTRIES_MAX: usize = 128;
/// Longest entry: 64 KiB of content and what surrounds it.
pub const ENTRY_BYTES_MAX: usize = 72 * 1024;
/// Longest event.
pub const EVENT_BYTES_MAX: usize = 72 * 1024;
/// Most events that one entry may make.
pub const ENTRY_EVENTS_MAX: usize = 256;

/// One entry of the ordered log together with its event rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogItem {
    /// Position in the log; the first entry has index 1, each next one follows without a gap.
    pub index: u64,
    /// Epoch in which the entry was written.
    pub epoch: u64,
    /// The encoded entry, opaque, at most [`ENTRY_BYTES_MAX`].
    pub bytes: Bytes,
    /// What becomes readable by conversation, at most [`ENTRY_EVENTS_MAX`].
    pub events: Vec<EventRow>,
}

/// One event of a conversation. A position (tenant, conversation, seq) is written once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Tenant number.
    pub tenant: u32,
    /// Conversation id.
    pub conversation: [u8; 16],
    /// Position within the conversation.
    pub seq: u64,
    /// The encoded event, opaque, at most [`EVENT_BYTES_MAX`].
    pub bytes: Bytes,
}

/// One entry as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the log.
    pub index: u64,
    /// Epoch in which the entry was written.
    pub epoch: u64,
    /// The encoded entry, opaque.
    pub bytes: Bytes,
}

/// Where an event lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EventPosition {
    pub(super) tenant: u32,
    pub(super) conversation: [u8; 16],
    pub(super) seq: u64,
}

const EVENT_POSITION_BYTES: usize = 28;
const ENTRY_HEAD_BYTES: usize = 10;

impl LogItem {
    /// Bytes this item brings to the disk before sled's own overhead.
    pub fn stored_bytes(&self) -> usize {
        let events: usize = self.events.iter().map(|event| event.bytes.len() + EVENT_POSITION_BYTES).sum();
        self.bytes.len() + events + ENTRY_HEAD_BYTES
    }

    pub(super) fn check(&self) -> Result<(), StoreError> {
        limit("a log entry, in bytes,", self.bytes.len(), ENTRY_BYTES_MAX)?;
        limit("the list of events of a log entry", self.events.len(), ENTRY_EVENTS_MAX)?;
        self.events
            .iter()
            .try_for_each(|event| limit("an event, in bytes,", event.bytes.len(), EVENT_BYTES_MAX))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let events = u16::try_from(self.events.len()).unwrap_or(u16::MAX);
        let mut value = Vec::with_capacity(
            ENTRY_HEAD_BYTES + self.events.len() * EVENT_POSITION_BYTES + self.bytes.len(),
        );
        value.extend_from_slice(&self.epoch.to_be_bytes());
        value.extend_from_slice(&events.to_be_bytes());
        for event in &self.events {
            value.extend_from_slice(&event.tenant.to_be_bytes());
            value.extend_from_slice(&event.conversation);
            value.extend_from_slice(&event.seq.to_be_bytes());
        }
        value.extend_from_slice(&self.bytes);
        value
    }
}

/// Reads an entry's value back.
///
/// # Errors
/// `Corrupt` when the value is shorter than it says.
pub(super) fn decode(index: u64, mut value: Bytes) -> Result<(LogEntry, Vec<EventPosition>), StoreError> {
    let short = || StoreError::corrupt(format!("log entry {index} is cut short"));
    let epoch = value.try_get_u64().map_err(|_| short())?;
    let count = usize::from(value.try_get_u16().map_err(|_| short())?);
    if value.len() < count * EVENT_POSITION_BYTES {
        return Err(short());
    }
    let positions = (0..count)
        .map(|_| {
            let tenant = value.get_u32();
            let mut conversation = [0; 16];
            value.copy_to_slice(&mut conversation);
            EventPosition { tenant, conversation, seq: value.get_u64() }
        })
        .collect();
    Ok((LogEntry { index, epoch, bytes: value }, positions))
}

/// Refuses what is above its limit.
pub(super) fn limit(what: &'static str, found: usize, max: usize) -> Result<(), StoreError> {
    if found > max {
        return Err(StoreError::TooLarge { what, found: found as u64, max: max as u64 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> LogItem {
        let event =
            EventRow { tenant: 1, conversation: [2; 16], seq: 3, bytes: Bytes::from_static(b"event") };
        LogItem { index: 9, epoch: 4, bytes: Bytes::from_static(b"entry"), events: vec![event] }
    }

    #[test]
    fn an_entry_has_its_golden_bytes_and_comes_back() {
        let value = item().encode();
        let mut expected = vec![0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0, 1];
        expected.extend_from_slice(&[2; 16]);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3]);
        expected.extend_from_slice(b"entry");
        assert_eq!(value, expected);
        let (entry, positions) = decode(9, Bytes::from(value)).unwrap();
        assert_eq!(entry, LogEntry { index: 9, epoch: 4, bytes: Bytes::from_static(b"entry") });
        assert_eq!(positions, [EventPosition { tenant: 1, conversation: [2; 16], seq: 3 }]);
    }

    #[test]
    fn every_prefix_of_an_entry_head_is_refused() {
        let value = Bytes::from(item().encode());
        for length in 0..ENTRY_HEAD_BYTES + EVENT_POSITION_BYTES {
            assert!(decode(9, value.slice(..length)).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_is_above_a_limit_is_refused_by_name() {
        let mut long = item();
        long.bytes = Bytes::from(vec![0; ENTRY_BYTES_MAX + 1]);
        assert!(matches!(long.check(), Err(StoreError::TooLarge { .. })));
        let mut many = item();
        many.events = vec![many.events[0].clone(); ENTRY_EVENTS_MAX + 1];
        assert!(matches!(many.check(), Err(StoreError::TooLarge { .. })));
        assert!(item().check().is_ok());
    }
}

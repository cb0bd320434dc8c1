//! Keys: one ordered map holds every table, told apart by the first byte.
//!
//! One map and not one per table, because a batch on one map is atomic over all tables without a closure that may run
//! twice (`docs/decisions/0010-one-ordered-map.md`). Integers are big-endian, so that byte order is number order. `docs/storage.md` is the
//! authority; the tests below hold the golden bytes.

/// Small synced values under a name: format, node, checkpoint, the cluster's own.
pub(super) const META: u8 = 0x01;
/// Log entries by index.
pub(super) const LOG: u8 = 0x02;
/// Events by tenant, conversation and seq.
pub(super) const EVENT: u8 = 0x03;
/// State rows of the checkpoint by the caller's key.
pub(super) const STATE: u8 = 0x04;
/// Further pieces of a value that is too long for one row, by the whole key of its first row and a piece number.
pub(super) const PIECE: u8 = 0x05;
/// Rows of a checkpoint that is being written, by ordinal.
pub(super) const STAGED: u8 = 0x06;
/// Marks of the log's bytes and age, by index.
pub(super) const MARK: u8 = 0x07;

const LOG_KEY_BYTES: usize = 9;
const EVENT_KEY_BYTES: usize = 29;

pub(super) fn meta(name: &str) -> Vec<u8> {
    joined(META, name.as_bytes())
}

pub(super) fn log(index: u64) -> [u8; LOG_KEY_BYTES] {
    let mut key = [LOG; LOG_KEY_BYTES];
    key[1..].copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn log_index(key: &[u8]) -> Option<u64> {
    match key {
        [LOG, index @ ..] => Some(u64::from_be_bytes(index.try_into().ok()?)),
        _ => None,
    }
}

pub(super) fn event(tenant: u32, conversation: &[u8; 16], seq: u64) -> [u8; EVENT_KEY_BYTES] {
    let mut key = [EVENT; EVENT_KEY_BYTES];
    key[1..5].copy_from_slice(&tenant.to_be_bytes());
    key[5..21].copy_from_slice(conversation);
    key[21..].copy_from_slice(&seq.to_be_bytes());
    key
}

pub(super) fn event_seq(key: &[u8]) -> Option<u64> {
    if key.len() != EVENT_KEY_BYTES || key[0] != EVENT {
        return None;
    }
    Some(u64::from_be_bytes(key[21..].try_into().ok()?))
}

pub(super) fn state(key: &[u8]) -> Vec<u8> {
    joined(STATE, key)
}

pub(super) fn staged(ordinal: u32) -> [u8; 5] {
    let mut key = [STAGED; 5];
    key[1..].copy_from_slice(&ordinal.to_be_bytes());
    key
}

pub(super) fn mark(index: u64) -> [u8; LOG_KEY_BYTES] {
    let mut key = log(index);
    key[0] = MARK;
    key
}

pub(super) fn mark_index(key: &[u8]) -> Option<u64> {
    match key {
        [MARK, index @ ..] => Some(u64::from_be_bytes(index.try_into().ok()?)),
        _ => None,
    }
}

pub(super) fn piece(first_row: &[u8], number: u8) -> Vec<u8> {
    let mut key = joined(PIECE, first_row);
    key.push(number);
    key
}

fn joined(table: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + rest.len());
    key.push(table);
    key.extend_from_slice(rest);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_golden_bytes() {
        assert_eq!(meta("node"), b"\x01node");
        assert_eq!(log(258), [2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(log_index(&log(u64::MAX)), Some(u64::MAX));
        let conversation = [0xab; 16];
        let mut expected = vec![3, 0, 0, 1, 0];
        expected.extend_from_slice(&conversation);
        expected.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(event(256, &conversation, 7).to_vec(), expected);
        assert_eq!(event_seq(&event(256, &conversation, 7)), Some(7));
        assert_eq!(state(b"k"), b"\x04k");
        assert_eq!(piece(&log(1), 3), [5, 2, 0, 0, 0, 0, 0, 0, 0, 1, 3]);
        assert_eq!(staged(1), [6, 0, 0, 0, 1]);
        assert_eq!(mark(258), [7, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((mark_index(&mark(9)), mark_index(&log(9))), (Some(9), None));
    }

    #[test]
    fn a_key_of_another_table_is_not_read() {
        assert_eq!(log_index(&event(1, &[0; 16], 1)), None);
        assert_eq!(event_seq(&log(1)), None);
        assert_eq!(log_index(&[LOG, 1]), None);
    }
}

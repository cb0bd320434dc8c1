//! Values: a checksum in front, and long ones split over several rows.
//!
//! sled wants values of a few KiB (longer ones make long pages, and above 128 KiB it moves them into files that it
//! never syncs). So a value is cut into pieces of [`PIECE_BYTES`]; the first row says how many follow. The CRC covers
//! key and value, so that a value under a foreign key is as wrong as a flipped bit.
//!
//! First row: `crc32 u32 ‖ further pieces u8 ‖ bytes`. Further rows: bytes only.

use bytes::Bytes;
use sled::{Batch, Tree};

use super::error::StoreError;
use super::key;

/// Bytes of a value that go into one row.
pub(super) const PIECE_BYTES: usize = 4_000;
/// Longest value: as many pieces as one byte can count.
pub(super) const VALUE_BYTES_MAX: usize = PIECE_BYTES * 256;

const HEAD_BYTES: usize = 5;

/// Adds the rows of `value` to the batch. The caller has checked its length against [`VALUE_BYTES_MAX`].
pub(super) fn put(batch: &mut Batch, first_key: &[u8], value: &[u8]) {
    debug_assert!(value.len() <= VALUE_BYTES_MAX);
    let (first, rest) = value.split_at(value.len().min(PIECE_BYTES));
    let further = rest.len().div_ceil(PIECE_BYTES);
    let further = u8::try_from(further).unwrap_or(u8::MAX);
    let mut head = Vec::with_capacity(HEAD_BYTES + first.len());
    head.extend_from_slice(&checksum(first_key, further, value).to_be_bytes());
    head.push(further);
    head.extend_from_slice(first);
    batch.insert(first_key, head);
    for (number, piece) in (1..=further).zip(rest.chunks(PIECE_BYTES)) {
        batch.insert(key::piece(first_key, number), piece);
    }
}

/// Adds the removal of a value to the batch; `head` is what lies in its first row.
pub(super) fn remove(batch: &mut Batch, first_key: &[u8], head: &[u8]) {
    batch.remove(first_key);
    for number in 1..=head.get(4).copied().unwrap_or(0) {
        batch.remove(key::piece(first_key, number));
    }
}

/// Puts the pieces together again and checks them; `head` is what lies in the first row.
///
/// # Errors
/// `Corrupt` when a piece is missing or the checksum does not match, `Io` when the disk cannot be read.
pub(super) fn join(tree: &Tree, first_key: &[u8], head: &[u8]) -> Result<Bytes, StoreError> {
    let Some((prefix, first)) = head.split_at_checked(HEAD_BYTES) else {
        return Err(StoreError::corrupt(format!("row {} is cut short", hex(first_key))));
    };
    let further = prefix[4];
    let mut value = Vec::with_capacity(first.len() + usize::from(further) * PIECE_BYTES);
    value.extend_from_slice(first);
    for number in 1..=further {
        let piece = tree.get(key::piece(first_key, number)).map_err(StoreError::sled("reading a value"))?;
        let piece = piece.ok_or_else(|| {
            StoreError::corrupt(format!("piece {number} of {further} of row {} is missing", hex(first_key)))
        })?;
        value.extend_from_slice(&piece);
    }
    if checksum(first_key, further, &value).to_be_bytes() != prefix[..4] {
        return Err(StoreError::corrupt(format!("row {} fails its checksum", hex(first_key))));
    }
    Ok(Bytes::from(value))
}

/// Reads the value under a key.
///
/// # Errors
/// As [`join`].
pub(super) fn get(tree: &Tree, first_key: &[u8]) -> Result<Option<Bytes>, StoreError> {
    match tree.get(first_key).map_err(StoreError::sled("reading a value"))? {
        Some(head) => join(tree, first_key, &head).map(Some),
        None => Ok(None),
    }
}

/// Lower-case hexadecimal, for messages about keys.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn checksum(first_key: &[u8], further: u8, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(first_key);
    hasher.update(&[further]);
    hasher.update(value);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let db = sled::Config::new().temporary(true).open().unwrap();
        db.open_tree("rows").unwrap()
    }

    #[test]
    fn values_of_every_length_come_back() {
        let tree = tree();
        for length in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 70_000, VALUE_BYTES_MAX] {
            let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let mut batch = Batch::default();
            put(&mut batch, b"\x04key", &value);
            tree.apply_batch(batch).unwrap();
            assert_eq!(get(&tree, b"\x04key").unwrap().unwrap(), value, "{length} bytes");
            let head = tree.get(b"\x04key").unwrap().unwrap();
            let mut batch = Batch::default();
            remove(&mut batch, b"\x04key", &head);
            tree.apply_batch(batch).unwrap();
            assert!(tree.is_empty(), "{length} bytes leave nothing behind");
        }
    }

    #[test]
    fn a_flipped_bit_a_lost_piece_and_a_foreign_key_are_found() {
        let tree = tree();
        let mut batch = Batch::default();
        put(&mut batch, b"\x04key", &[7; PIECE_BYTES + 10]);
        tree.apply_batch(batch).unwrap();
        let head = tree.get(b"\x04key").unwrap().unwrap();

        assert!(matches!(join(&tree, b"\x04kez", &head), Err(StoreError::Corrupt { .. })));
        let mut flipped = head.to_vec();
        flipped[100] ^= 1;
        assert!(matches!(join(&tree, b"\x04key", &flipped), Err(StoreError::Corrupt { .. })));
        assert!(matches!(join(&tree, b"\x04key", &head[..3]), Err(StoreError::Corrupt { .. })));
        tree.remove(key::piece(b"\x04key", 1)).unwrap();
        assert!(matches!(get(&tree, b"\x04key"), Err(StoreError::Corrupt { .. })));
    }
}

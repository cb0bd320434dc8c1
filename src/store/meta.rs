//! Small synced values: the format version, the node's identity, and what the cluster keeps under names of its own.
//!
//! Names of the store itself have no prefix; names of callers are stored as `c/<name>`, so that the two never meet.

use bytes::Bytes;
use sled::Batch;

use super::database::Database;
use super::entry::limit;
use super::error::StoreError;
use super::{key, row};

/// The format that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 64 * 1024;

const FORMAT_NAME: &str = "format";
const NODE_NAME: &str = "node";
const ORIGIN_NAME: &str = "origin";

/// Writes what makes an empty database a store; the caller passes the barrier.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn create(database: &Database, node: [u8; 16]) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    row::put(&mut batch, &key::meta(FORMAT_NAME), &FORMAT_VERSION.to_be_bytes());
    row::put(&mut batch, &key::meta(NODE_NAME), &node);
    database.apply(batch)
}

/// Checks that the database is a store of a known format and belongs to this acknowledged-index file.
///
/// # Errors
/// `Format`, `Corrupt`, `Io`.
pub(super) fn verify(database: &Database, node: [u8; 16], acknowledged: u64) -> Result<(), StoreError> {
    let lost = || {
        StoreError::corrupt(format!(
            "the database holds no store, but log entries up to {acknowledged} were acknowledged"
        ))
    };
    let format = row::get(&database.tree, &key::meta(FORMAT_NAME))?.ok_or_else(lost)?;
    let found = format.as_ref().try_into().map(u32::from_be_bytes).map_err(|_| lost())?;
    if found > FORMAT_VERSION || found == 0 {
        return Err(StoreError::Format { found, known: FORMAT_VERSION });
    }
    let stored = row::get(&database.tree, &key::meta(NODE_NAME))?.ok_or_else(lost)?;
    if stored.as_ref() != node {
        return Err(StoreError::corrupt(
            "the database and the acknowledged-index file belong to different stores",
        ));
    }
    Ok(())
}

/// Notes in the batch that the log begins after `index`: the store came from a snapshot.
pub(super) fn put_origin(batch: &mut Batch, index: u64) {
    row::put(batch, &key::meta(ORIGIN_NAME), &index.to_be_bytes());
}

/// The index after which the log begins: 0 unless the store came from a snapshot.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn origin(database: &Database) -> Result<u64, StoreError> {
    let Some(stored) = row::get(&database.tree, &key::meta(ORIGIN_NAME))? else { return Ok(0) };
    let broken = || StoreError::corrupt("the index after which the log begins is cut short");
    stored.as_ref().try_into().map(u64::from_be_bytes).map_err(|_| broken())
}

/// Refuses names and values above their limits.
///
/// # Errors
/// `TooLarge`.
pub(super) fn check(name: &str, value: &[u8]) -> Result<(), StoreError> {
    limit("the name of a stored value, in bytes,", name.len(), NAME_BYTES_MAX)?;
    limit("a stored value, in bytes,", value.len(), VALUE_BYTES_MAX)
}

/// Reads a caller's value.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn get(database: &Database, name: &str) -> Result<Option<Bytes>, StoreError> {
    row::get(&database.tree, &own(name))
}

/// Stores a caller's value, durable on return.
///
/// # Errors
/// `Io`, `Corrupt`.
pub(super) fn set(database: &Database, name: &str, value: &[u8]) -> Result<(), StoreError> {
    let key = own(name);
    let mut batch = Batch::default();
    if let Some(stored) = database.tree.get(&key).map_err(StoreError::sled("reading a value"))? {
        row::remove(&mut batch, &key, &stored);
    }
    row::put(&mut batch, &key, value);
    database.apply(batch)?;
    database.barrier().map(drop)
}

fn own(name: &str) -> Vec<u8> {
    key::meta(&format!("c/{name}"))
}

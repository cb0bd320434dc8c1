//! Which carriers there are, by the hash of their keys. A key is known to its client alone: what lies in memory does
//! not open a carrier, and how long a look-up takes says nothing about any key.

use super::carrier::Carrier;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Bound: a carrier is entered for a client that was let in, and leaves with its connection.
#[derive(Debug, Default)]
pub(super) struct Table {
    carriers: Mutex<BTreeMap<Hash, Arc<Carrier>>>,
}

type Hash = [u8; 32];

/// A carrier's entry; dropped, the carrier is not known any more.
#[derive(Debug)]
pub(super) struct Entry {
    table: Arc<Table>,
    hash: Hash,
}

impl Table {
    pub(super) fn enter(self: &Arc<Self>, key: &str, carrier: Arc<Carrier>) -> Entry {
        let hash = hash(key.as_bytes());
        self.lock().insert(hash, carrier);
        Entry { table: Arc::clone(self), hash }
    }

    pub(super) fn find(&self, key: &[u8]) -> Option<Arc<Carrier>> {
        self.lock().get(&hash(key)).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Hash, Arc<Carrier>>> {
        self.carriers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.table.lock().remove(&self.hash);
    }
}

/// A new key: 24 random bytes in base64, URL alphabet. `None` when the system gives no random bytes.
pub(super) fn mint() -> Option<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

fn hash(key: &[u8]) -> Hash {
    Sha256::digest(key).into()
}

const KEY_BYTES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_carrier_is_found_by_its_whole_key_until_it_leaves() {
        let table = Arc::new(Table::default());
        let (key, other) = (mint().unwrap(), mint().unwrap());
        assert_eq!((key.len(), key == other), (32, false));
        let entry = table.enter(&key, Arc::new(Carrier::new(Bytes::new())));
        assert!(table.find(key.as_bytes()).is_some());
        for wrong in [other.as_str(), &key[..31], ""] {
            assert!(table.find(wrong.as_bytes()).is_none(), "{wrong}");
        }
        drop(entry);
        assert!(table.find(key.as_bytes()).is_none());
    }
}

//! Two logs side by side, after both nodes have ended.

use duet::store::{Opened, Store, StoreOptions};
use std::path::PathBuf;

/// Both logs are equal, entry by entry, as far as both keep them, and hold everything up to `end`.
pub(super) fn compare(stores: [PathBuf; 2], end: u64) {
    let logs = stores.map(|store| Store::open(&store, StoreOptions::default()).unwrap());
    let first = logs.iter().map(|log| log.recovered.first_index).max().unwrap();
    let last = logs.iter().map(|log| log.recovered.last_index).min().unwrap();
    assert!(last >= end, "an acknowledged entry is missing: the logs end at {last}, {end} was committed");
    let [a, b] = logs.map(|Opened { reader, .. }| reader);
    let mut at = first;
    while at <= last {
        let [ours, theirs] = [&a, &b].map(|reader| reader.log(at, 1 << 20).unwrap());
        let both = ours.iter().zip(&theirs).filter(|(entry, _)| entry.index <= last);
        let before = at;
        for (ours, theirs) in both {
            assert_eq!(ours.bytes, theirs.bytes, "the logs differ at {at}");
            at += 1;
        }
        assert!(at > before, "a log has a hole at {at}");
    }
    println!("both logs are equal from {first} to {last}");
}

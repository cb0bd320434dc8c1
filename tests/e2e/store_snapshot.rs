//! Snapshots across processes: an import that is killed leaves nothing or the whole, and what was imported goes on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use duet::store::{ExportPace, Opened, Store};

use crate::store_child::{Role, Running};
use crate::store_model::{Fold, items, mixed, options, verify};

const SEED: u64 = 77;
/// The snapshot's index, and what was written after it.
const INDEX: u64 = 6_000;
const BEHIND: u64 = 300;
const START: Duration = Duration::from_secs(30);

#[test]
fn an_import_that_is_killed_leaves_nothing_or_the_whole_and_a_node_that_starts() {
    let dir = tempfile::tempdir().unwrap();
    write_snapshot(dir.path());
    let (store, mut whole, mut nothing) = (dir.path().join("store"), 0, 0);
    let cycles = std::env::var("DUET_STORE_CYCLES").ok().map_or(10, |text| text.parse().unwrap());
    for cycle in 0..cycles {
        let mut child = Running::start(Role::Import, dir.path(), SEED);
        if cycle % 2 == 1 {
            assert!(child.listen(START, |child| child.checkpoints > 0), "the child imports once");
        }
        child.listen(Duration::from_micros(mixed(SEED, cycle) % 900_000), |_| false);
        child.kill();
        let there = store.exists();
        let found = verify(&store, SEED, 0).unwrap();
        assert!(found.last == if there { INDEX } else { 0 }, "nothing or the whole: {found}");
        if there {
            assert_eq!((found.checkpoint, found.acknowledged), (INDEX, INDEX));
            whole += 1;
        } else {
            nothing += 1;
        }
        assert!(!dir.path().join("store.import").exists(), "what was left beside is gone after a start");
        fs::remove_dir_all(&store).unwrap();
        let _ = fs::remove_dir_all(dir.path().join("aside"));
    }
    println!("{whole} times the whole, {nothing} times nothing");
}

#[test]
fn an_imported_store_goes_on_with_the_entry_after_the_snapshot_and_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    write_snapshot(dir.path());
    let store = dir.path().join("store");
    Store::import(&dir.path().join("snapshot"), &store, options()).unwrap();
    let mut child = Running::start(Role::Write, &store, SEED);
    assert!(child.listen(START, |child| child.acknowledged > INDEX + 500 && child.checkpoints > 0));
    let acknowledged = child.kill();
    let found = verify(&store, SEED, acknowledged).unwrap();
    println!("acknowledged {acknowledged}, found {found}");
}

/// Leaves `snapshot` in a folder, made of a store that went on.
fn write_snapshot(dir: &Path) {
    let Opened { mut writer, reader, .. } = Store::open(&dir.join("from"), options()).unwrap();
    let mut fold = Fold::default();
    while writer.last_index() < INDEX + BEHIND {
        let first = writer.last_index() + 1;
        writer.commit(&items(SEED, first, first + 99)).unwrap();
        if writer.last_index() == INDEX {
            (0..INDEX).for_each(|_| fold.advance(SEED));
            writer.checkpoint(INDEX, &fold.take_changes()).unwrap();
        }
    }
    let exported = reader.export(&dir.join("snapshot"), &ExportPace::unlimited()).unwrap();
    assert_eq!(exported.index, INDEX);
}

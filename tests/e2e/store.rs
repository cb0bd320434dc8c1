//! The store's promises, tested from outside: killed processes, flipped bits, missing files, a full disk.
//!
//! `DUET_STORE_CYCLES` sets how often a process is killed in each law (10 by default), `DUET_STORE_SEED` where the
//! random moments begin.

use std::fs;
use std::path::Path;
use std::time::Duration;

use duet::store::{Opened, Store, StoreError};

use crate::store_child::{Role, Running};
use crate::store_model::{Fold, items, mixed, options, verify};

/// Longest time that a child may take to open a store and say its first word.
const START: Duration = Duration::from_secs(30);

#[test]
fn an_acknowledged_group_survives_kill_9_at_any_moment() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), seed());
    let mut acknowledged = 0;
    for cycle in 0..cycles() {
        let mut child = Running::start(Role::Write, dir.path(), seed);
        assert!(
            child.listen(START, |child| child.acknowledged > acknowledged),
            "the child commits something"
        );
        child.listen(moment(seed, cycle, 400), |_| false);
        acknowledged = child.kill();
        let found = verify(dir.path(), seed, acknowledged).unwrap();
        assert!(
            found.acknowledged + 128 >= acknowledged,
            "the acknowledged-index file lags by a group at most"
        );
        println!("cycle {cycle}: acknowledged {acknowledged}, found {found}");
    }
}

#[test]
fn a_checkpoint_is_whole_or_not_there_after_kill_9() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), seed() ^ 1);
    for cycle in 0..cycles() {
        let mut child = Running::start(Role::Checkpoint, dir.path(), seed);
        let random = mixed(seed, cycle);
        assert!(child.listen(START, |child| child.acknowledged > 0));
        child.listen(START, |child| child.checkpoints > random % 2);
        child.listen(moment(seed, cycle, 250), |_| false);
        let acknowledged = child.kill();
        let found = verify(dir.path(), seed, acknowledged).unwrap();
        println!("cycle {cycle}: acknowledged {acknowledged}, found {found}");
    }
}

#[test]
fn kill_9_during_open_leaves_a_store_that_opens() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), seed() ^ 2);
    let mut last = 0;
    for cycle in 0..cycles() {
        // A killed writer leaves sled the work of recovery, in which the next process is killed.
        let mut child = Running::start(Role::Write, dir.path(), seed);
        assert!(child.listen(START, |child| child.acknowledged > last + 500));
        last = child.kill();
        for again in 0..3 {
            let mut child = Running::start(Role::Reopen, dir.path(), seed);
            child.listen(moment(seed, cycle * 3 + again, 120), |_| false);
            child.kill();
        }
        verify(dir.path(), seed, last).unwrap();
    }
}

#[test]
fn a_half_written_snapshot_does_not_stop_a_store_from_opening() {
    let dir = written(500);
    drop(Store::open(dir.path(), options()).unwrap()); // sled writes a snapshot when it opens what was written before
    let database = dir.path().join("sled");
    let names =
        fs::read_dir(&database).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let whole = names.into_iter().find(|name| name.starts_with("snap.")).expect("sled wrote a snapshot");
    let half = fs::read(database.join(&whole)).unwrap();
    let newer = database.join("snap.7FFFFFFFFFFFFFFF.generating");
    fs::write(&newer, &half[..half.len() / 2]).unwrap();
    verify(dir.path(), SEED, 500).unwrap();
    assert!(!newer.exists());
}

#[test]
fn an_empty_database_where_data_was_acknowledged_is_refused_and_left_alone() {
    let dir = written(500);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert_corrupt(dir.path(), "gone");
    assert!(!dir.path().join("sled/db").exists(), "no new database was made in the place of the lost one");

    let dir = written(500);
    fs::write(dir.path().join("sled/db"), b"").unwrap();
    assert_corrupt(dir.path(), "gone");

    let dir = written(500);
    for lost in ["db", "conf"] {
        fs::remove_file(dir.path().join("sled").join(lost)).unwrap();
    }
    fs::write(dir.path().join("sled/db"), vec![0; 1024 * 1024]).unwrap();
    assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_database_that_is_older_than_what_was_acknowledged_is_refused() {
    let dir = written(500);
    let old = tempfile::tempdir().unwrap();
    copy_files(&dir.path().join("sled"), old.path());
    let Opened { mut writer, .. } = Store::open(dir.path(), options()).unwrap();
    writer.commit(&items(SEED, 501, 600)).unwrap();
    drop(writer);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    copy_files(old.path(), &dir.path().join("sled"));
    assert_corrupt(dir.path(), "the log ends at 500, but entries up to 600 were acknowledged");
}

#[test]
fn a_database_of_another_store_or_without_its_acknowledged_index_is_refused() {
    let (one, other) = (written(50), written(50));
    fs::remove_dir_all(one.path().join("sled")).unwrap();
    copy_files(&other.path().join("sled"), &one.path().join("sled"));
    assert_corrupt(one.path(), "different stores");

    let dir = written(50);
    fs::remove_file(dir.path().join("acknowledged")).unwrap();
    assert_corrupt(dir.path(), "acknowledged-index file is not");
}

#[test]
fn a_flipped_bit_in_an_entry_is_found() {
    let entry = items(SEED, 321, 321).remove(0).bytes;
    let needle = &entry[8..40];
    let dir = written(500);
    let file = dir.path().join("sled/db");
    let mut stored = fs::read(&file).unwrap();
    let copies: Vec<usize> = stored
        .windows(needle.len())
        .enumerate()
        .filter(|(_, bytes)| *bytes == needle)
        .map(|(at, _)| at)
        .collect();
    assert!(!copies.is_empty(), "the entry lies in the file as it is");
    for at in copies {
        stored[at] ^= 0x10;
    }
    fs::write(&file, stored).unwrap();
    let found = verify(dir.path(), SEED, 500);
    assert!(matches!(found, Err(StoreError::Corrupt { .. })), "{found:?}");
}

#[test]
fn a_store_has_one_process_at_a_time() {
    let (dir, seed) = (tempfile::tempdir().unwrap(), seed() ^ 3);
    let mut child = Running::start(Role::Write, dir.path(), seed);
    assert!(child.listen(START, |child| child.acknowledged > 0));
    assert!(matches!(Store::open(dir.path(), options()), Err(StoreError::Busy { .. })));
    let acknowledged = child.kill();
    verify(dir.path(), seed, acknowledged).unwrap();
}

#[test]
fn no_value_is_ever_written_into_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = Store::open(dir.path(), options()).unwrap();
    let mut group = items(SEED, 1, 128);
    for item in &mut group {
        item.bytes = vec![1; 70_000].into();
    }
    writer.commit(&group).unwrap();
    let rows: Vec<_> = (0..600_u32).map(|at| (at.to_be_bytes().repeat(32), Some(vec![2; 20_000]))).collect();
    writer.checkpoint(128, &rows).unwrap();
    let blobs = fs::read_dir(dir.path().join("sled/blobs")).unwrap().count();
    assert_eq!(blobs, 0, "sled never syncs what it puts into files of their own");
}

const SEED: u64 = 11;

/// A closed store with that many entries and a checkpoint in the middle.
fn written(entries: u64) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = Store::open(dir.path(), options()).unwrap();
    let mut fold = Fold::default();
    while writer.last_index() < entries {
        let upto = (writer.last_index() + 50).min(entries);
        writer.commit(&items(SEED, writer.last_index() + 1, upto)).unwrap();
        if upto == entries / 100 * 50 {
            while fold.index < upto {
                fold.advance(SEED);
            }
            writer.checkpoint(upto, &fold.take_changes()).unwrap();
        }
    }
    dir
}

fn assert_corrupt(dir: &Path, says: &str) {
    match Store::open(dir, options()) {
        Err(error @ StoreError::Corrupt { .. }) => {
            let text = error.to_string();
            assert!(text.contains(says) && text.contains("restored backup"), "{text}");
        }
        other => panic!("opened, or failed otherwise: {other:?}"),
    }
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn cycles() -> u64 {
    std::env::var("DUET_STORE_CYCLES").ok().map_or(10, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    let seed = std::env::var("DUET_STORE_SEED").ok().map_or(20_261_120, |text| text.parse().unwrap());
    println!("DUET_STORE_SEED={seed}");
    seed
}

fn moment(seed: u64, cycle: u64, ms_max: u64) -> Duration {
    Duration::from_micros(mixed(seed ^ 0x6b11, cycle) % (ms_max * 1_000))
}

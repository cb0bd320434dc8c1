//! Laws of the store as a whole, within one process. What takes killed processes, cut power and full disks is in the
//! end-to-end tests.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use sled::Batch;

use super::*;

fn options() -> StoreOptions {
    StoreOptions { cache_bytes: 8 * 1024 * 1024, free_floor_bytes: 0, ..StoreOptions::default() }
}

fn open(dir: &Path) -> Opened {
    Store::open(dir, options()).unwrap()
}

fn item(index: u64) -> LogItem {
    let event = EventRow {
        tenant: 1,
        conversation: [1; 16],
        seq: index,
        bytes: Bytes::from(vec![index as u8; 5_000]),
    };
    LogItem { index, epoch: 3, bytes: Bytes::from(index.to_string()), events: vec![event] }
}

fn items(first: u64, last: u64) -> Vec<LogItem> {
    (first..=last).map(item).collect()
}

fn change(key: &str, value: Option<&str>) -> StateChange {
    (key.as_bytes().to_vec(), value.map(|value| value.as_bytes().to_vec()))
}

fn state(recovered: &Recovered) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    recovered.state().map(|row| row.map(|(key, value)| (text(&key), text(&value))).unwrap()).collect()
}

#[test]
fn the_writer_can_be_moved_to_its_thread_and_readers_shared() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Clone + Send + Sync>() {}
    is_send::<Writer>();
    is_send::<Recovered>();
    is_shared::<Reader>();
}

#[test]
fn what_was_written_is_found_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, recovered } = open(dir.path());
    assert!(recovered.created);
    let node = recovered.node;
    drop(recovered);
    let durable = writer.commit(&items(1, 9)).unwrap();
    assert_eq!((durable.upto, durable.entries), (9, 9));
    writer.checkpoint(4, &[change("b", Some("two")), change("a", Some("one"))]).unwrap();
    writer.checkpoint(6, &[change("b", None), change("c", Some("three"))]).unwrap();
    writer.meta_set("cluster", b"cfg").unwrap();
    drop((writer, reader));

    let Opened { writer, reader, recovered } = open(dir.path());
    assert_eq!((recovered.created, recovered.node), (false, node));
    assert_eq!((recovered.checkpoint, recovered.first_index, recovered.last_index), (6, 1, 9));
    assert_eq!(recovered.acknowledged, 9);
    assert_eq!(state(&recovered), [("a".into(), "one".into()), ("c".into(), "three".into())]);
    assert_eq!(recovered.families().collect::<Vec<_>>(), b"ac");
    assert_eq!(recovered.state_family(b'c').count(), 1);
    assert_eq!(recovered.state_family(b'x').count(), 0);
    let log: Vec<_> = recovered.log().map(|entry| entry.unwrap()).collect();
    let expected = |index| LogEntry { index, epoch: 3, bytes: item(index).bytes };
    assert_eq!(log, [expected(7), expected(8), expected(9)]);
    assert_eq!(reader.meta_get("cluster").unwrap().unwrap(), "cfg");
    assert_eq!(reader.state(b"a").unwrap().unwrap(), "one");
    assert_eq!(writer.last_index(), 9);
}

#[test]
fn a_gap_or_an_oversized_group_is_refused_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(dir.path());
    assert!(matches!(writer.commit(&[item(2)]), Err(StoreError::Gap { expected: 1, found: 2 })));
    let mut torn = items(1, 4);
    torn[3].index = 5;
    assert!(matches!(writer.commit(&torn), Err(StoreError::Gap { expected: 4, found: 5 })));
    assert!(matches!(writer.commit(&items(1, 129)), Err(StoreError::TooLarge { .. })));
    assert_eq!(writer.last_index(), 0);
    assert_eq!(writer.commit(&items(1, 128)).unwrap().upto, 128, "the writer stays usable");
    assert_eq!(writer.commit(&[]).unwrap().upto, 128, "an empty group is nothing");
}

#[test]
fn a_large_group_passes_in_slices_and_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = open(dir.path());
    let mut group = items(1, 40);
    for item in &mut group {
        item.bytes = Bytes::from(vec![9; ENTRY_BYTES_MAX]);
    }
    assert_eq!(writer.commit(&group).unwrap().upto, 40);
    let log = reader.log(1, usize::MAX).unwrap();
    assert_eq!(log.len(), 40);
    assert!(log.iter().zip(&group).all(|(entry, item)| entry.bytes == item.bytes));
}

#[test]
fn a_checkpoint_neither_goes_back_nor_beyond_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(dir.path());
    writer.commit(&items(1, 5)).unwrap();
    assert!(matches!(writer.checkpoint(6, &[]), Err(StoreError::Refused { .. })));
    writer.checkpoint(4, &[change("a", Some("x"))]).unwrap();
    assert!(matches!(writer.checkpoint(3, &[]), Err(StoreError::Refused { .. })));
    assert!(matches!(writer.checkpoint(5, &[change("", Some("x"))]), Err(StoreError::Refused { .. })));
    assert_eq!(writer.checkpoint_index(), 4);
    writer.checkpoint(5, &[]).unwrap();
    assert_eq!(writer.checkpoint_index(), 5);
}

#[test]
fn a_staged_checkpoint_gives_the_same_rows_as_a_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(dir.path());
    writer.commit(&items(1, 5)).unwrap();
    let rows = |text: &str| -> Vec<StateChange> {
        (0..2_000).map(|at| change(&format!("k{at:05}"), Some(&text.repeat(1 + at % 3_000)))).collect()
    };
    writer.checkpoint(1, &rows("long ")).unwrap();
    writer.checkpoint(2, &rows("x")).unwrap();
    let mut removals: Vec<_> = (0..1_999).map(|at| change(&format!("k{at:05}"), None)).collect();
    removals.push(change("k00007", Some("last wins")));
    writer.checkpoint(3, &removals).unwrap();
    drop(writer);
    let Opened { recovered, .. } = open(dir.path());
    let expected = [("k00007".to_owned(), "last wins".to_owned()), ("k01999".to_owned(), "x".repeat(2_000))];
    assert_eq!(state(&recovered), expected);
    let tree = &recovered.database.tree;
    assert_eq!(tree.scan_prefix([key::STAGED]).count(), 0, "nothing stays staged");
    let pieces = tree.scan_prefix([key::PIECE, key::STATE]).count()
        + tree.scan_prefix([key::PIECE, key::STAGED]).count();
    assert_eq!(pieces, 0, "no piece of an overwritten value stays behind");
}

#[test]
fn the_front_goes_up_to_the_checkpoint_in_chunks_and_readers_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = open(dir.path());
    for first in (1..2_561).step_by(128) {
        writer.commit(&items(first, first + 127)).unwrap();
    }
    assert!(!writer.truncate_front(2_000).unwrap().more, "nothing goes before the first checkpoint");
    writer.checkpoint(2_300, &[]).unwrap();
    assert_eq!(
        writer.truncate_front(u64::MAX).unwrap(),
        Truncated { removed: 1_000, first: 1_001, more: true }
    );
    assert_eq!(
        writer.truncate_front(u64::MAX).unwrap(),
        Truncated { removed: 1_000, first: 2_001, more: true }
    );
    assert_eq!(
        writer.truncate_front(u64::MAX).unwrap(),
        Truncated { removed: 299, first: 2_300, more: false }
    );
    assert!(matches!(reader.log(2_299, 1), Err(StoreError::Truncated { first: 2_300 })));
    assert_eq!(reader.log(2_300, usize::MAX).unwrap().len(), 261);
    assert_eq!(reader.events(1, &[1; 16], 1, 10, usize::MAX).unwrap().len(), 10, "events stay");
    drop((writer, reader));
    let Opened { recovered, .. } = open(dir.path());
    assert_eq!((recovered.first_index, recovered.checkpoint, recovered.last_index), (2_300, 2_300, 2_560));
}

#[test]
fn entries_are_taken_back_with_their_events_and_can_be_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, recovered } = open(dir.path());
    for first in (1..1_281).step_by(128) {
        writer.commit(&items(first, first + 127)).unwrap();
    }
    writer.checkpoint(50, &[]).unwrap();
    assert!(matches!(writer.truncate_back(49), Err(StoreError::Refused { .. })));
    assert_eq!(writer.truncate_back(60).unwrap().removed, 1_220);
    assert_eq!((writer.last_index(), reader.log(60, usize::MAX).unwrap().len()), (60, 1));
    assert_eq!(reader.events(1, &[1; 16], 0, u64::MAX, usize::MAX).unwrap().len(), 60);
    let pieces = recovered.database.tree.scan_prefix([key::PIECE]).count();
    assert_eq!(pieces, 60, "the further pieces of their events went, too");
    drop((writer, reader, recovered));
    let Opened { mut writer, recovered, .. } = open(dir.path());
    assert_eq!((recovered.last_index, recovered.acknowledged), (60, 60));
    assert_eq!(writer.commit(&items(61, 70)).unwrap().upto, 70);
}

#[test]
fn a_lost_a_foreign_and_a_changed_state_row_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(dir.path());
    writer.commit(&items(1, 5)).unwrap();
    writer.checkpoint(5, &[change("a", Some("one")), change("b", Some("two"))]).unwrap();
    drop(writer);
    damage_is_found(dir.path(), |tree| {
        let old = tree.remove(key::state(b"a")).unwrap().unwrap();
        Box::new(move |tree| drop(tree.insert(key::state(b"a"), old).unwrap()))
    });
    damage_is_found(dir.path(), |tree| {
        let mut batch = Batch::default();
        row::put(&mut batch, &key::state(b"c"), b"three");
        tree.apply_batch(batch).unwrap();
        Box::new(|tree| drop(tree.remove(key::state(b"c")).unwrap()))
    });
    damage_is_found(dir.path(), |tree| {
        let old = tree.get(key::state(b"b")).unwrap().unwrap();
        let mut batch = Batch::default();
        row::put(&mut batch, &key::state(b"b"), b"older");
        tree.apply_batch(batch).unwrap();
        Box::new(move |tree| drop(tree.insert(key::state(b"b"), old).unwrap()))
    });
}

#[test]
fn a_lost_log_entry_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, recovered } = open(dir.path());
    writer.commit(&items(1, 9)).unwrap();
    recovered.database.tree.remove(key::log(5)).unwrap();
    assert!(matches!(reader.log(3, usize::MAX), Err(StoreError::Corrupt { .. })));
    drop((writer, reader, recovered));
    let Opened { recovered, .. } = open(dir.path());
    let read: Result<Vec<_>, _> = recovered.log().collect();
    assert!(matches!(read, Err(StoreError::Corrupt { .. })));
}

#[test]
fn a_creation_that_was_interrupted_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    drop(acknowledged::Acknowledged::create(dir.path(), [5; 16]).unwrap());
    fs::create_dir(dir.path().join("sled")).unwrap();
    fs::write(dir.path().join("sled/conf"), b"half a configuration file").unwrap();
    fs::write(dir.path().join("sled/db"), b"half a header").unwrap();
    let Opened { recovered, .. } = open(dir.path());
    assert_eq!((recovered.created, recovered.node), (true, [5; 16]));
}

#[test]
fn a_store_of_a_newer_version_is_refused_by_number() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { recovered, writer, reader } = open(dir.path());
    let mut batch = Batch::default();
    row::put(&mut batch, &key::meta("format"), &(FORMAT_VERSION + 1).to_be_bytes());
    recovered.database.apply(batch).unwrap();
    drop((recovered, writer, reader));
    let refused = Store::open(dir.path(), options());
    assert!(matches!(refused, Err(StoreError::Format { found, known }) if found == known + 1));
}

#[test]
fn below_the_floor_nothing_is_written_and_reading_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, .. } = open(dir.path());
    writer.commit(&items(1, 3)).unwrap();
    drop(writer);
    let full = StoreOptions { free_floor_bytes: u64::MAX, ..options() };
    let Opened { mut writer, reader, .. } = Store::open(dir.path(), full).unwrap();
    assert!(matches!(writer.commit(&[item(4)]), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(writer.checkpoint(3, &[]), Err(StoreError::ReadOnly { .. })));
    assert!(matches!(writer.meta_set("a", b"b"), Err(StoreError::ReadOnly { .. })));
    assert!(!StoreError::ReadOnly { free: 1, floor: 2 }.is_fatal());
    assert_eq!(reader.log(1, usize::MAX).unwrap().len(), 3);
}

type Undo = Box<dyn FnOnce(&sled::Tree)>;

/// Damages the state rows, checks that reading them ends in an error, and repairs them.
fn damage_is_found(dir: &Path, damage: impl FnOnce(&sled::Tree) -> Undo) {
    let Opened { recovered, .. } = open(dir);
    assert!(recovered.state().all(|row| row.is_ok()));
    let undo = damage(&recovered.database.tree);
    let read: Result<Vec<_>, _> = recovered.state().collect();
    assert!(matches!(read, Err(StoreError::Corrupt { .. })), "{read:?}");
    undo(&recovered.database.tree);
}

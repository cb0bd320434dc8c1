//! Laws of snapshots within one process. What takes killed processes is in the end-to-end tests.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::store::*;

fn options() -> StoreOptions {
    let cache_bytes = 8 * 1024 * 1024;
    StoreOptions { cache_bytes, free_floor_bytes: 0, device_sync: false }
}

fn open(dir: &Path) -> Opened {
    Store::open(dir, options()).unwrap()
}

/// Three conversations in turn; every seventh event takes several rows.
fn item(index: u64) -> LogItem {
    let length = if index.is_multiple_of(7) { 9_000 } else { 50 };
    let event = EventRow {
        tenant: 1,
        conversation: [(index % 3) as u8; 16],
        seq: index.div_ceil(3),
        bytes: Bytes::from(vec![index as u8; length]),
    };
    LogItem { index, epoch: 3, bytes: Bytes::from(index.to_string()), events: vec![event] }
}

fn items(first: u64, last: u64) -> Vec<LogItem> {
    (first..=last).map(item).collect()
}

fn rows(count: usize, value: u8) -> Vec<StateChange> {
    let row = |at: usize| (format!("k{at:05}").into_bytes(), Some(vec![value; 10 + at * 37 % 9_000]));
    (0..count).map(row).collect()
}

fn state(recovered: &Recovered) -> Vec<(Vec<u8>, Vec<u8>)> {
    recovered.state().map(|row| row.map(|(key, value)| (key, value.to_vec())).unwrap()).collect()
}

fn events(reader: &Reader) -> Vec<(u8, u64, Vec<u8>)> {
    let all = |conversation: u8| {
        let found = reader.events(1, &[conversation; 16], 0, u64::MAX, usize::MAX).unwrap();
        found.into_iter().map(move |(seq, bytes)| (conversation, seq, bytes.to_vec()))
    };
    (0..3).flat_map(all).collect()
}

/// What [`events`] gives for the entries up to an index.
fn expected_events(upto: u64) -> Vec<(u8, u64, Vec<u8>)> {
    let mut all: Vec<_> = items(1, upto)
        .into_iter()
        .flat_map(|item| item.events)
        .map(|event| (event.conversation[0], event.seq, event.bytes.to_vec()))
        .collect();
    all.sort();
    all
}

/// A store with 300 entries and a checkpoint at 200, and a place for files.
fn written() -> (tempfile::TempDir, Opened) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(&dir.path().join("from"));
    for first in (1..=300).step_by(100) {
        opened.writer.commit(&items(first, first + 99)).unwrap();
    }
    opened.writer.checkpoint(200, &rows(700, 1)).unwrap();
    (dir, opened)
}

fn export(opened: &Opened, dir: &Path) -> (PathBuf, Exported) {
    let path = dir.join("snapshot");
    let exported = opened.reader.export(&path, &ExportPace::unlimited()).unwrap();
    (path, exported)
}

#[test]
fn a_snapshot_holds_the_checkpoint_and_the_events_up_to_it_and_a_store_made_of_it_goes_on() {
    let (dir, opened) = written();
    let (path, exported) = export(&opened, dir.path());
    assert_eq!((exported.index, exported.state_rows, exported.events), (200, 700, 200));
    assert_eq!(exported.bytes, fs::metadata(&path).unwrap().len());
    let to = dir.path().join("to");
    let imported = Store::import(&path, &to, options()).unwrap();
    assert_eq!((imported.index, imported.state_rows, imported.events), (200, 700, 200));
    assert_eq!(imported.bytes, exported.bytes);

    let Opened { mut writer, reader, recovered } = open(&to);
    assert_eq!((recovered.node, recovered.created), (imported.node, false));
    assert_ne!(recovered.node, open(&dir.path().join("other")).recovered.node);
    let marks = (recovered.checkpoint, recovered.first_index, recovered.last_index, recovered.acknowledged);
    assert_eq!(marks, (200, 201, 200, 200));
    assert_eq!(recovered.log().count(), 0);
    let wanted: Vec<_> = rows(700, 1).into_iter().map(|(key, value)| (key, value.unwrap())).collect();
    assert_eq!(state(&recovered), wanted);
    assert_eq!(events(&reader), expected_events(200));
    assert!(matches!(reader.log(200, usize::MAX), Err(StoreError::Truncated { first: 201 })));
    assert_eq!(reader.log(201, usize::MAX).unwrap(), []);
    assert!(matches!(writer.commit(&items(202, 202)), Err(StoreError::Gap { expected: 201, .. })));
    writer.commit(&items(201, 300)).unwrap();
    assert_eq!(events(&reader), expected_events(300));
    writer.checkpoint(250, &rows(3, 2)).unwrap();
    drop((writer, reader, recovered));
    let Opened { recovered, reader, .. } = open(&to);
    assert_eq!((recovered.first_index, recovered.last_index, recovered.log().count()), (201, 300, 50));
    assert_eq!(reader.log(201, usize::MAX).unwrap().len(), 100);
}

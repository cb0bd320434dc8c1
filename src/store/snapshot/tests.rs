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

#[test]
fn a_snapshot_that_is_made_beside_commits_and_checkpoints_is_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = open(&dir.path().join("from"));
    for first in (1..=3_000).step_by(100) {
        writer.commit(&items(first, first + 99)).unwrap();
    }
    writer.checkpoint(3_000, &rows(200, 1)).unwrap();
    let pace = ExportPace::bytes_per_s(3 * 1024 * 1024);
    let (mut round, mut put_off, mut taken) = (1_u8, 0, 0);
    let exported = std::thread::scope(|scope| {
        let exporting = scope.spawn(|| reader.export(&dir.path().join("snapshot"), &pace));
        while !exporting.is_finished() {
            let first = writer.last_index() + 1;
            writer.commit(&items(first, first + 9)).unwrap();
            match writer.checkpoint(first, &rows(200, round + 1)) {
                Ok(_) => (round, taken) = (round + 1, taken + 1),
                Err(StoreError::Exporting) => put_off += 1,
                Err(error) => panic!("{error}"),
            }
            while writer.truncate_front(u64::MAX).unwrap().more {}
        }
        exporting.join().unwrap().unwrap()
    });
    assert!(put_off > 0 && taken > 0, "{put_off} checkpoints met the export, {taken} did not");
    assert!(writer.last_index() > exported.index + 10, "commits went on");
    // The log goes on where the snapshot ends, although more was to be removed.
    let entries = reader.log(exported.index + 1, usize::MAX).unwrap();
    assert_eq!(entries.len() as u64, writer.last_index() - exported.index);

    let to = dir.path().join("to");
    let imported = Store::import(&exported.path, &to, options()).unwrap();
    assert_eq!((imported.index, imported.events), (exported.index, exported.index));
    let other = open(&to);
    assert_eq!(events(&other.reader), expected_events(exported.index));
    let found = state(&other.recovered);
    let value = found[0].1[0];
    let wanted: Vec<_> = rows(200, value).into_iter().map(|(key, value)| (key, value.unwrap())).collect();
    assert_eq!(found, wanted, "the rows of one checkpoint and of no other");

    drop(exported);
    while writer.truncate_front(u64::MAX).unwrap().more {}
    assert_eq!(writer.first_index(), writer.checkpoint_index(), "nothing holds the log any more");
}

#[test]
fn the_log_is_held_from_the_snapshot_on_until_its_peer_has_it() {
    let (dir, mut opened) = written();
    let (_, exported) = export(&opened, dir.path());
    opened.writer.checkpoint(300, &[]).unwrap();
    assert_eq!(opened.writer.truncate_front(u64::MAX).unwrap().first, 200);
    exported.hold.advance(250);
    exported.hold.advance(220);
    assert_eq!(opened.writer.truncate_front(u64::MAX).unwrap().first, 250, "a hold never goes back");
    drop(exported);
    assert_eq!(opened.writer.truncate_front(u64::MAX).unwrap().first, 300);
}

#[test]
fn an_event_of_an_entry_that_is_taken_back_is_in_no_snapshot() {
    let (dir, opened) = written();
    let Opened { mut writer, reader, .. } = opened;
    let path = dir.path().join("snapshot");
    let pace = ExportPace::bytes_per_s(1);
    std::thread::scope(|scope| {
        let exporting = scope.spawn(|| reader.export(&path, &pace));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !path.exists() {
            assert!(std::time::Instant::now() < deadline, "the export begins");
            std::thread::yield_now();
        }
        writer.truncate_back(250).unwrap();
        pace.set(u64::MAX);
        let exported = exporting.join().unwrap();
        assert!(matches!(exported, Err(StoreError::Interrupted { .. })), "{exported:?}");
    });
    assert!(!path.exists(), "nothing is left of what was given up");
    let exported = reader.export(&path, &ExportPace::unlimited()).unwrap();
    assert_eq!((exported.index, exported.events), (200, 200));
}

#[test]
fn an_export_before_the_first_checkpoint_beside_another_or_on_a_full_disk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(&dir.path().join("from"));
    opened.writer.commit(&items(1, 5)).unwrap();
    let path = dir.path().join("snapshot");
    let refused = opened.reader.export(&path, &ExportPace::unlimited());
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");

    opened.writer.checkpoint(5, &rows(2_000, 1)).unwrap();
    drop(opened);
    let full = StoreOptions { free_floor_bytes: u64::MAX, ..options() };
    let opened = Store::open(&dir.path().join("from"), full).unwrap();
    let refused = opened.reader.export(&path, &ExportPace::unlimited());
    assert!(matches!(refused, Err(StoreError::ReadOnly { .. })), "{refused:?}");
    assert!(!path.exists());
    let _alone = opened.reader.database().guard.export().unwrap();
    assert!(matches!(opened.reader.export(&path, &ExportPace::unlimited()), Err(StoreError::Exporting)));
    assert!(!StoreError::Exporting.is_fatal());
}

#[test]
fn a_snapshot_with_one_bit_changed_or_any_end_missing_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = open(&dir.path().join("from"));
    opened.writer.commit(&items(1, 9)).unwrap();
    opened.writer.checkpoint(9, &rows(3, 1)).unwrap();
    let (path, _) = export(&opened, dir.path());
    drop(opened);
    let whole = fs::read(&path).unwrap();
    let (bad, to) = (dir.path().join("bad"), dir.path().join("to"));
    let refused = |bytes: &[u8], what: String| {
        fs::write(&bad, bytes).unwrap();
        let imported = Store::import(&bad, &to, options());
        assert!(matches!(imported, Err(StoreError::Snapshot { .. })), "{what}: {imported:?}");
        let names = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, 3, "{what}: the store, the snapshot, the bad one and nothing else");
    };
    for at in (0..whole.len()).step_by(whole.len() / 40).chain([whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        refused(&bytes, format!("bit {} of byte {at}", at % 8));
    }
    for length in (0..whole.len()).step_by(whole.len() / 20) {
        refused(&whole[..length], format!("{length} bytes"));
    }
    refused(&[&whole[..], b"x"].concat(), "a byte too many".to_owned());
    refused(&vec![7; 100_000], "garbage".to_owned());
    assert!(Store::import(&path, &to, options()).is_ok(), "the whole one is taken");
}

#[test]
fn a_snapshot_whose_rows_are_not_those_of_its_checkpoint_is_refused() {
    let (dir, opened) = written();
    opened.recovered.database.tree.remove(key::state(b"k00003")).unwrap();
    let path = dir.path().join("snapshot");
    let exported = opened.reader.export(&path, &ExportPace::unlimited());
    assert!(matches!(exported, Err(StoreError::Corrupt { .. })), "{exported:?}");

    let head = checkpoint::Head { index: 7, ..checkpoint::Head::default() };
    let mut file = super::format::SnapshotWriter::new(Vec::new(), &head.encode()).unwrap();
    file.row(super::format::Kind::State, b"k", b"v").unwrap();
    fs::write(&path, file.finish().unwrap().0).unwrap();
    let imported = Store::import(&path, &dir.path().join("to"), options());
    assert!(matches!(imported, Err(StoreError::Snapshot { .. })), "{imported:?}");
}

#[test]
fn an_import_takes_the_place_of_nothing_and_of_an_empty_store_and_of_nothing_else() {
    let (dir, opened) = written();
    let (path, exported) = export(&opened, dir.path());
    let from = dir.path().join("from");
    let occupied = |to: &Path| {
        let imported = Store::import(&path, to, options());
        assert!(matches!(imported, Err(StoreError::Occupied { .. })), "{imported:?}");
    };
    drop(opened);
    drop(exported);
    occupied(&from);
    assert_eq!(open(&from).recovered.last_index, 300, "and it is left alone");
    let foreign = dir.path().join("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("letters"), b"dear").unwrap();
    occupied(&foreign);

    for name in ["nowhere", "folder", "begun", "empty"] {
        let to = dir.path().join(name);
        match name {
            "folder" => fs::create_dir(&to).unwrap(),
            "begun" => drop(directory::Directory::lock(&to).unwrap()),
            "empty" => drop(open(&to)),
            _ => {}
        }
        Store::import(&path, &to, options()).unwrap();
        assert_eq!(events(&open(&to).reader), expected_events(200), "{name}");
    }
    let held = open(&dir.path().join("held"));
    let imported = Store::import(&path, &dir.path().join("held"), options());
    assert!(matches!(imported, Err(StoreError::Busy { .. })), "{imported:?}");
    drop(held);
    let mut names: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["begun", "empty", "folder", "foreign", "from", "held", "nowhere", "snapshot"]);
}

#[test]
fn what_a_killed_import_left_is_removed_by_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("to");
    drop(open(&dir.path().join("to.import")));
    drop(open(&dir.path().join("to.empty")));
    assert!(open(&to).recovered.created);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn an_imported_store_can_lose_its_log_again_but_not_what_it_was_made_of() {
    let (dir, opened) = written();
    let (path, _exported) = export(&opened, dir.path());
    let to = dir.path().join("to");
    Store::import(&path, &to, options()).unwrap();
    let Opened { mut writer, .. } = open(&to);
    writer.commit(&items(201, 260)).unwrap();
    assert!(matches!(writer.truncate_back(199), Err(StoreError::Refused { .. })));
    writer.truncate_back(200).unwrap();
    drop(writer);
    let Opened { mut writer, reader, recovered } = open(&to);
    assert_eq!((recovered.first_index, recovered.last_index), (201, 200));
    assert_eq!(events(&reader), expected_events(200), "events of entries that were taken back are gone");
    writer.commit(&items(201, 210)).unwrap();
    writer.checkpoint(205, &[]).unwrap();
    let tree = &recovered.database.tree;
    for index in 201..=210 {
        tree.remove(key::log(index)).unwrap();
    }
    drop((writer, reader, recovered));
    assert!(
        matches!(Store::open(&to, options()), Err(StoreError::Corrupt { .. })),
        "a log that is lost is missed"
    );
}

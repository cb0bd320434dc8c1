//! The store on a disk that fills up, for which a small file system is mounted; says SKIPPED where it cannot be.

use std::path::Path;

use duet::store::{Opened, Store, StoreError, StoreOptions};

use crate::power_cut::{Mounted, run};
use crate::store_model::{items, options, verify};

const SEED: u64 = 77;
const SMALL: &str = "size=48m";
const LARGE: &str = "size=256m";

#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    let work = tempfile::tempdir().unwrap();
    let Some(disk) = mount(&work.path().join("disk")) else { return };
    let dir = disk.point.join("store");
    let Opened { mut writer, .. } = Store::open(&dir, options()).unwrap();
    let failed = fill(&mut writer);
    assert!(failed.is_fatal(), "without a floor the disk itself refuses: {failed}");
    let acknowledged = writer.last_index();
    assert!(matches!(
        writer.commit(&items(SEED, acknowledged + 1, acknowledged + 1)),
        Err(StoreError::Poisoned { .. })
    ));
    drop(writer);
    enlarge(&disk.point);
    let found = verify(&dir, SEED, acknowledged).unwrap();
    println!("acknowledged {acknowledged}, {found}");
}

#[test]
fn above_the_floor_the_store_turns_read_only_and_comes_back_by_itself() {
    let work = tempfile::tempdir().unwrap();
    let Some(disk) = mount(&work.path().join("disk")) else { return };
    let dir = disk.point.join("store");
    let options = StoreOptions { free_floor_bytes: 16 * 1024 * 1024, ..options() };
    let Opened { mut writer, .. } = Store::open(&dir, options).unwrap();
    let refused = fill(&mut writer);
    assert!(
        matches!(refused, StoreError::ReadOnly { floor, .. } if floor == options.free_floor_bytes),
        "{refused}"
    );
    let acknowledged = writer.last_index();
    drop(writer);
    verify(&dir, SEED, acknowledged).expect("a store opens on a disk that has the floor left");

    let Opened { mut writer, .. } = Store::open(&dir, options).unwrap();
    assert!(matches!(fill(&mut writer), StoreError::ReadOnly { .. }));
    enlarge(&disk.point);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let next = items(SEED, writer.last_index() + 1, writer.last_index() + 1);
    while let Err(error) = writer.commit(&next) {
        assert!(
            matches!(error, StoreError::ReadOnly { .. }) && std::time::Instant::now() < deadline,
            "{error}"
        );
        std::thread::yield_now();
    }
}

/// Commits until the store refuses, and returns why.
fn fill(writer: &mut duet::store::Writer) -> StoreError {
    for _ in 0..10_000 {
        if let Err(error) = writer.commit(&items(SEED, writer.last_index() + 1, writer.last_index() + 64)) {
            return error;
        }
    }
    panic!("640,000 entries fit on a disk of 48 MiB");
}

fn mount(point: &Path) -> Option<Mounted> {
    std::fs::create_dir_all(point).unwrap();
    let arguments = ["-t", "tmpfs", "-o", SMALL, "tmpfs"].map(AsRef::as_ref);
    match run("mount", &[&arguments[..], &[point.as_ref()]].concat()) {
        Ok(()) => Some(Mounted { point: point.to_owned() }),
        Err(said) => {
            println!("SKIPPED: mounting is not allowed here: {said}");
            None
        }
    }
}

fn enlarge(point: &Path) {
    let options = format!("remount,{LARGE}");
    run("mount", &["-o".as_ref(), options.as_ref(), point.as_ref()]).unwrap();
}

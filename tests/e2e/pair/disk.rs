//! A standby whose disk fills up, on a small file system of its own; says SKIPPED where none may be mounted.

use super::{
    laws::{PACE, go_on},
    rig::{Make, Rig},
};
use crate::{
    power_cut::{Mounted, run},
    writers::wait_until,
};
use std::{
    fs,
    io::Write as _,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_of_the_standby_stops_nobody_for_long() {
    // Declared first, so that they are unmounted when no process has a file there any more.
    let mut disks = Vec::new();
    let rig = Rig::new(Make { flags: FLOOR, ..Make::default() }).await;
    for node in super::rig::NODES {
        let point = rig.data(node);
        fs::create_dir_all(&point).unwrap();
        let arguments = ["-t", "tmpfs", "-o", "size=192m", "tmpfs"].map(AsRef::as_ref);
        match run("mount", &[&arguments[..], &[point.as_ref()]].concat()) {
            Ok(()) => disks.push(Mounted { point }),
            Err(said) => {
                println!("SKIPPED: mounting is not allowed here: {said}");
                return;
            }
        }
    }
    rig.start_witness();
    super::rig::NODES.into_iter().for_each(|node| rig.start(node));
    let primary = rig.settled().await;
    let writers = rig.writers(2, PACE).await;
    go_on(&writers).await;

    let filler = disks[1 - primary].point.join("filler");
    let begun = Instant::now();
    let mut file = fs::File::create(&filler).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    wait_until(Duration::from_secs(60), "it goes on alone", || {
        rig.status(primary).is_some_and(|it| it.solo && it.serving)
    })
    .await;
    let alone = begun.elapsed();
    go_on(&writers).await;
    println!(
        "alone {alone:.2?} after the standby's disk was full, every client went on after {:.2?}",
        begun.elapsed()
    );

    // A file that is open keeps its space.
    drop(file);
    fs::remove_file(&filler).unwrap();
    if !rig.runs(1 - primary) {
        rig.start(1 - primary);
    }
    assert_eq!(rig.settled().await, primary);
    rig.check(&writers).await;
}

const FLOOR: &[&str] = &["--set", "store.free_floor_mib=32"];

//! How a standby that cannot simply go on comes back: it was away for too long, its disk is new, its store is damaged, or
//! its log has what nobody promised. All of it while clients write.

use super::{
    laws::{PACE, acknowledged, go_on},
    rig::{Make, Rig, name},
};
use crate::writers::{Load, wait_until};
use std::{
    fs,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_away_for_long_comes_back_under_load() {
    let away: usize = std::env::var("DUET_PAIR_AWAY").map_or(2_000, |text| text.parse().unwrap());
    let rig = Rig::in_sync(Make { flags: SHORT_LOG, ..Make::default() }).await;
    let writers = rig.writers(4, LONG).await;
    let primary = rig.settled().await;
    go_on(&writers).await;
    rig.kill(1 - primary);
    let before = acknowledged(&writers);
    wait_until(Duration::from_secs(60 + away as u64 / 100), "so many messages without it", || {
        acknowledged(&writers) >= before + away
    })
    .await;
    let begun = Instant::now();
    rig.start(1 - primary);
    let deadline = Duration::from_secs(60 + away as u64 / 500);
    assert_eq!(rig.settled_within(deadline).await, primary);
    println!("in sync again {:.1?} after it was away for {away} messages", begun.elapsed());
    assert_eq!(snapshots(&rig, primary), 1, "its part of the log is not kept any more");
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_was_away_for_a_while_comes_back_by_the_log() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    let primary = rig.settled().await;
    rig.kill(1 - primary);
    let before = acknowledged(&writers);
    wait_until(Duration::from_secs(60), "messages without it", || acknowledged(&writers) >= before + 500)
        .await;
    rig.start(1 - primary);
    assert_eq!(rig.settled().await, primary);
    assert_eq!(snapshots(&rig, primary), 0, "the log was enough");
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_lost_its_disk_comes_back() {
    let rig = Rig::in_sync(Make { flags: SHORT_LOG, ..Make::default() }).await;
    let writers = rig.writers(4, LONG).await;
    let primary = rig.settled().await;
    let before = acknowledged(&writers);
    wait_until(Duration::from_secs(60), "more than the log keeps", || {
        acknowledged(&writers) >= before + 2_000
    })
    .await;
    for (lost, taken) in [("store", 1), ("", 2)] {
        rig.kill(1 - primary);
        fs::remove_dir_all(rig.data(1 - primary).join(lost)).unwrap();
        go_on(&writers).await;
        rig.start(1 - primary);
        assert_eq!(rig.settled().await, primary);
        assert_eq!(snapshots(&rig, primary), taken, "the log begins later than an empty store");
    }
    // What came back is as good as what was lost.
    rig.kill(primary);
    rig.reigns(1 - primary).await;
    go_on(&writers).await;
    rig.start(primary);
    rig.settled().await;
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_store_is_damaged_puts_it_aside_and_takes_the_peers() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    let primary = rig.settled().await;
    let before = acknowledged(&writers);
    wait_until(Duration::from_secs(60), "something to damage", || acknowledged(&writers) >= before + 500)
        .await;
    for damaged in [1 - primary, primary] {
        let other = 1 - damaged;
        rig.kill(damaged);
        damage(&rig.data(damaged).join("store"));
        rig.reigns(other).await;
        go_on(&writers).await;
        rig.start(damaged);
        assert_eq!(rig.settled().await, other);
        assert!(rig.log(name(damaged)).contains("this store is damaged"), "it was damaged");
    }
    rig.check(&writers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_forced_promotion_gives_up_is_kept_in_lost_and_found() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(1, PACE).await;
    let primary = rig.settled().await;
    go_on(&writers).await;
    rig.kill(1 - primary);
    rig.until(primary, "it is alone", |it| it.solo).await;
    go_on(&writers).await;
    go_on(&writers).await;
    writers.iter().for_each(crate::writers::Writer::stop);
    rig.kill(primary);
    drop(writers);

    rig.start(1 - primary);
    rig.until(1 - primary, "it follows nobody", |it| it.role == "standby").await;
    let (status, said) = rig.order(1 - primary, "promote", "{}");
    assert!(status == 409 && said.contains("accept-data-loss"), "{status}: {said}");
    let (status, said) = rig.order(1 - primary, "promote", "{\"accept_data_loss\":true}");
    assert_eq!(status, 200, "{said}");
    rig.reigns(1 - primary).await;

    rig.start(primary);
    assert_eq!(rig.settled().await, 1 - primary);
    let kept: Vec<_> = fs::read_dir(rig.data(primary).join("lost+found")).unwrap().flatten().collect();
    assert_eq!(kept.len(), 1, "one reign was given up");
    let bytes = fs::read(kept[0].path()).unwrap();
    assert!(entries(&bytes) > 0, "what only this node had is kept");
    rig.compare_logs().await;
}

/// How many snapshots the peer took from this primary.
pub(super) fn snapshots(rig: &Rig, primary: usize) -> u64 {
    rig.metric(primary, "duet_pair_snapshots_total").map_or(0, |count| count as u64)
}

/// How many entries a file of `lost+found` holds, each behind its length.
fn entries(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((length, rest)) = bytes.split_first_chunk() {
        bytes = &rest[u32::from_be_bytes(*length) as usize..];
        count += 1;
    }
    count
}

/// Flips bits throughout the middle of the database's largest file.
fn damage(store: &Path) {
    let mut files = Vec::new();
    let mut folders = vec![store.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            } else {
                files.push((metadata.len(), entry.path()));
            }
        }
    }
    let (length, path) = files.into_iter().max().expect("a store has files");
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    for at in (length / 8..length * 7 / 8).step_by(512) {
        let mut byte = [0];
        file.seek(SeekFrom::Start(at)).unwrap();
        file.read_exact(&mut byte).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[byte[0] ^ 0x10]).unwrap();
    }
}

/// Messages that fill a log soon: 2,000 of them are four times what a short log keeps, marks included.
const LONG: Load = Load { pace: Duration::from_millis(4), bytes: 4_096 };
/// So that the log alone is not enough for long.
pub(super) const SHORT_LOG: &[&str] = &["--set", "store.log_keep_bytes=1048576"];

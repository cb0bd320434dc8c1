//! Disks that lose power, that are slow, that stand still, and that are put back to an old copy, on either node of a pair.
//!
//! Loop-mounted images need the right to mount; says SKIPPED where there is none.

use super::{
    laws::{PACE, go_on},
    rig::{Make, NODES, Rig},
};
use crate::{
    power_cut::{Mounted, make_image, run},
    writers::{Writer, wait_until},
};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_the_power_cut_of_either_node_and_of_both() {
    let Some((mut disks, rig, writers)) = on_images().await else { return };
    let primary = rig.settled().await;
    for cut in [vec![1 - primary], vec![primary], vec![primary, 1 - primary]] {
        rig.settled().await;
        go_on(&writers).await;
        // In the middle of whatever they do: the image holds what a device would hold.
        cut.iter().for_each(|node| rig.signal(*node, "STOP"));
        for node in &cut {
            disks[*node].keep();
        }
        cut.iter().for_each(|node| rig.kill(*node));
        for node in &cut {
            disks[*node].put_back(&rig.data(*node));
            rig.start(*node);
        }
        rig.settled().await;
        go_on(&writers).await;
    }
    rig.check(&writers).await;
    // Both nodes have ended, and the directories go next.
    drop(disks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_disk_stops_nobody_and_one_that_stands_still_is_left_behind() {
    let Some((disks, rig, writers)) = on_images().await else { return };
    for role in ["standby", "primary"] {
        let primary = rig.settled().await;
        let epoch = rig.status(primary).expect("it answers").epoch;
        let node = if role == "primary" { primary } else { 1 - primary };
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(3) {
            disks[node].stand_still(Duration::from_millis(150)).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(rig.settled().await, primary, "a slow disk of the {role} is no reason to hand over");
        assert_eq!(rig.status(primary).expect("it answers").epoch, epoch);
        go_on(&writers).await;

        let frozen = disks[node].freeze();
        let other = 1 - node;
        wait_until(Duration::from_secs(30), "the other node goes on alone", || {
            rig.status(other).is_some_and(|it| it.serving && it.solo)
        })
        .await;
        go_on(&writers).await;
        drop(frozen);
        // A process that gave its disk up has ended, or begins anew by itself.
        let back = Instant::now() + Duration::from_secs(5);
        while Instant::now() < back && rig.runs(node) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        if !rig.runs(node) {
            rig.start(node);
        }
        rig.settled().await;
    }
    rig.check(&writers).await;
    drop(disks);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_was_put_back_to_an_old_copy_costs_nothing() {
    let rig = Rig::in_sync(Make::default()).await;
    let writers = rig.writers(2, PACE).await;
    let old = rig.dir.path().join("old");
    for reigns in [false, true] {
        let primary = rig.settled().await;
        go_on(&writers).await;
        let node = if reigns { primary } else { 1 - primary };
        rig.kill(node);
        run("cp", &["-a".as_ref(), rig.data(node).as_os_str(), old.as_os_str()]).unwrap();
        rig.start(node);
        if rig.settled().await != node && reigns {
            let (status, said) = rig.order(1 - node, "switchover", "");
            assert_eq!(status, 200, "{said}");
            rig.reigns(node).await;
        }
        rig.settled().await;
        for _ in 0..5 {
            go_on(&writers).await;
        }
        // A snapshot of the machine is put back, and it is up before anybody has missed it.
        rig.kill(node);
        fs::remove_dir_all(rig.data(node)).unwrap();
        fs::rename(&old, rig.data(node)).unwrap();
        rig.start(node);
        rig.settled().await;
        go_on(&writers).await;
    }
    rig.check(&writers).await;
}

/// A pair whose stores lie on file systems of their own, with clients that write; `None` where nothing may be mounted.
async fn on_images() -> Option<([Disk; 2], Rig, Vec<Writer>)> {
    let rig = Rig::new(Make::default()).await;
    let mut disks = Vec::new();
    for node in NODES {
        disks.push(Disk::mount(rig.dir.path().join(format!("disk-{node}.img")), &rig.data(node))?);
    }
    rig.start_witness();
    NODES.into_iter().for_each(|node| rig.start(node));
    rig.settled().await;
    let writers = rig.writers(2, PACE).await;
    go_on(&writers).await;
    // Disks first: they outlive the processes in what is dropped last.
    Some((disks.try_into().ok()?, rig, writers))
}

/// An ext4 in an image.
struct Disk {
    image: PathBuf,
    kept: PathBuf,
    mounted: Option<Mounted>,
}

impl Disk {
    fn mount(image: PathBuf, point: &Path) -> Option<Self> {
        make_image(&image)?;
        let kept = image.with_extension("kept");
        let mounted = Some(Mounted::mount(&image, point)?);
        Some(Self { image, kept, mounted })
    }

    /// Copies what is on the device now, to be put back.
    fn keep(&self) {
        run("cp", &["--sparse=always".as_ref(), self.image.as_os_str(), self.kept.as_os_str()]).unwrap();
    }

    /// The device holds what was kept, and is mounted as after a power cut.
    fn put_back(&mut self, point: &Path) {
        drop(self.mounted.take());
        fs::rename(&self.kept, &self.image).unwrap();
        self.mounted = Some(Mounted::mount(&self.image, point).expect("it could be mounted before"));
    }

    /// Nothing reaches the device until this is dropped.
    fn freeze(&self) -> Frozen {
        let point = self.mounted.as_ref().expect("it is mounted").point.clone();
        run("fsfreeze", &["--freeze".as_ref(), point.as_os_str()]).unwrap();
        Frozen { point }
    }

    async fn stand_still(&self, span: Duration) {
        let frozen = self.freeze();
        tokio::time::sleep(span).await;
        drop(frozen);
    }
}

/// A file system that stands still.
struct Frozen {
    point: PathBuf,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let point: &OsStr = self.point.as_ref();
        run("fsfreeze", &["--unfreeze".as_ref(), point]).unwrap();
    }
}

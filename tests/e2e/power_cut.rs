//! Power cuts, which killing a process cannot stand for: a writer runs on an ext4 of its own in a loop-mounted image;
//! at a random moment the process is stopped and the image, which is what a device would hold, is copied. The copy is
//! mounted (ext4 replays its journal, as after a cut) and the store in it must open with everything acknowledged.
//!
//! Needs the right to mount; says SKIPPED where it has none. `DUET_POWER_CUTS` sets the number of cuts (6 by default),
//! `DUET_STORE_SEED` the moments.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::store_child::{Role, Running};
use crate::store_model::{LONG, mixed, verify};

const IMAGE_BYTES: u64 = 1024 * 1024 * 1024;
const START: Duration = Duration::from_secs(30);

#[test]
fn an_acknowledged_group_survives_a_power_cut() {
    let (seed, cuts) = (seed(), cuts());
    for cut in 0..cuts {
        // Long entries make one group fill much of a segment of the database: another way to go wrong.
        let seed = if cut % 2 == 1 { seed | LONG } else { seed };
        let Some(outcome) = cut_power(Role::Write, seed, cut, 1_500) else { return };
        println!("cut {cut}: {outcome}");
        assert!(outcome.loss.is_none(), "cut {cut} of seed {seed}: {outcome}");
    }
}

#[test]
fn without_the_barrier_a_power_cut_loses_acknowledged_groups() {
    // The mutant of the test above: were it to pass as well, the test would prove nothing.
    let seed = seed();
    for cut in 0..10 {
        let Some(outcome) = cut_power(Role::WriteWithoutBarrier, seed, cut, 800) else { return };
        println!("cut {cut}: {outcome}");
        if outcome.loss.is_some() {
            return;
        }
    }
    panic!("ten power cuts without a barrier lost nothing: this test cannot see what it is for");
}

struct Outcome {
    acknowledged: u64,
    checkpoints: u64,
    loss: Option<String>,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let loss = self.loss.as_deref().unwrap_or("nothing");
        write!(f, "{} acknowledged, {} checkpoints, lost: {loss}", self.acknowledged, self.checkpoints)
    }
}

/// Runs a writer, cuts its power, and opens what is left. `None` where mounting is not allowed.
fn cut_power(role: Role, seed: u64, cut: u64, ms_max: u64) -> Option<Outcome> {
    let work = tempfile::tempdir().unwrap();
    let image = work.path().join("disk.img");
    make_image(&image)?;
    let disk = Mounted::mount(&image, &work.path().join("disk"))?;
    let mut child = Running::start(role, &disk.point.join("store"), seed);
    assert!(child.listen(START, |child| child.acknowledged > 0), "the writer begins");
    let moment = Duration::from_millis(mixed(seed ^ 0xc07, cut) % ms_max);
    child.listen(moment, |_| false);
    child.stop();
    let left = work.path().join("left.img");
    run("cp", &["--sparse=always".as_ref(), image.as_ref(), left.as_ref()]).unwrap();
    let checkpoints = child.checkpoints;
    let acknowledged = child.acknowledged;
    child.kill();
    drop(disk);

    let left =
        Mounted::mount(&left, &work.path().join("left")).expect("the copy can be mounted as the image could");
    let store = left.point.join("store");
    let opened = catch_unwind(AssertUnwindSafe(|| verify(&store, seed, acknowledged)));
    let loss = match opened {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(panic) => {
            Some(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| "an assertion".to_owned()))
        }
    };
    Some(Outcome { acknowledged, checkpoints, loss })
}

/// A file system that is unmounted when it is dropped.
pub(crate) struct Mounted {
    pub(crate) point: PathBuf,
}

impl Mounted {
    pub(crate) fn mount(image: &Path, point: &Path) -> Option<Self> {
        fs::create_dir_all(point).unwrap();
        match run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), point.as_ref()]) {
            Ok(()) => Some(Self { point: point.to_owned() }),
            Err(said) => {
                println!("SKIPPED: mounting is not allowed here: {said}");
                None
            }
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A killed process may hold its files for a moment longer.
        let deadline = Instant::now() + Duration::from_secs(10);
        while let Err(said) = run("umount", &[self.point.as_ref()]) {
            assert!(Instant::now() < deadline, "unmounting: {said}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

pub(crate) fn make_image(path: &Path) -> Option<()> {
    File::create(path).unwrap().set_len(IMAGE_BYTES).unwrap();
    match run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), path.as_ref()]) {
        Ok(()) => Some(()),
        Err(said) => {
            println!("SKIPPED: no ext4 can be made here: {said}");
            None
        }
    }
}

pub(crate) fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

fn cuts() -> u64 {
    std::env::var("DUET_POWER_CUTS").ok().map_or(6, |text| text.parse().unwrap())
}

fn seed() -> u64 {
    let seed = std::env::var("DUET_STORE_SEED").ok().map_or(20_261_120, |text| text.parse().unwrap());
    println!("DUET_STORE_SEED={seed}");
    seed
}

//! The process that gets killed: the test binary starts itself again with a role, writes or opens a store, and tells
//! its parent line by line how far it got.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use duet::store::{Opened, Store, StoreOptions};

use crate::store_model::{Fold, items, mixed, options};

const ROLE: &str = "DUET_STORE_CHILD";
const DIR: &str = "DUET_STORE_CHILD_DIR";
const SEED: &str = "DUET_STORE_CHILD_SEED";
/// A child whose parent died ends by itself.
const CHILD_LIFE: Duration = Duration::from_secs(60);

/// What a child does until it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Commits, with a small checkpoint every few hundred entries and a truncation after each.
    Write,
    /// Commits little and writes large checkpoints.
    Checkpoint,
    /// As `Write`, but the barrier stops before the device: the mutant of the power-cut test.
    WriteWithoutBarrier,
    /// Opens the store and closes it, again and again.
    Reopen,
    /// Makes the store `store` from the snapshot `snapshot`, opens it, moves it away, again and again.
    Import,
}

/// A running child and what it has said.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
    /// Highest index that the child said was acknowledged.
    pub(crate) acknowledged: u64,
    /// Checkpoints that the child said were done.
    pub(crate) checkpoints: u64,
}

impl Running {
    pub(crate) fn start(role: Role, dir: &Path, seed: u64) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store_child::plays_its_role", "--ignored", "--nocapture"])
            .env(ROLE, format!("{role:?}"))
            .env(DIR, dir)
            .env(SEED, seed.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines, acknowledged: 0, checkpoints: 0 }
    }

    /// Listens until the child said something that satisfies `enough`, or the time is over.
    pub(crate) fn listen(&mut self, limit: Duration, mut enough: impl FnMut(&Self) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        while !enough(self) {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.hear(&line),
                Err(RecvTimeoutError::Timeout) => return enough(self),
                Err(RecvTimeoutError::Disconnected) => panic!("the child ended by itself"),
            }
        }
        true
    }

    /// Stops the child as if its power went: returns once none of its threads runs or is inside the kernel, with
    /// everything heard that it said before.
    pub(crate) fn stop(&mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_stopped(&pid) {
            assert!(Instant::now() < deadline, "the child stops");
            std::thread::sleep(Duration::from_millis(1));
        }
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(50)) {
            self.hear(&line);
        }
    }

    /// Ends the child with SIGKILL and hears its last words, which count: it said them before it died.
    pub(crate) fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        while let Ok(line) = self.lines.recv_timeout(Duration::from_secs(5)) {
            self.hear(&line);
        }
        self.acknowledged
    }

    fn hear(&mut self, line: &str) {
        if let Some(index) = line.strip_prefix("acknowledged ") {
            self.acknowledged = index.parse().unwrap();
        } else if line.starts_with("checkpoint ") {
            self.checkpoints += 1;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// True when every thread of a process is in the state "stopped".
fn is_stopped(pid: &str) -> bool {
    std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().all(|task| {
        let Ok(stat) = std::fs::read_to_string(task.unwrap().path().join("stat")) else { return true };
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
    })
}

#[test]
#[ignore = "a role that other tests start as a process of its own"]
fn plays_its_role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dir = std::env::var_os(DIR).unwrap();
    let seed = std::env::var(SEED).unwrap().parse().unwrap();
    match role.as_str() {
        "Write" => write(Path::new(&dir), seed, 300, options()),
        "Checkpoint" => write(Path::new(&dir), seed, 2_000, options()),
        "WriteWithoutBarrier" => {
            write(Path::new(&dir), seed, 300, StoreOptions { device_sync: false, ..options() });
        }
        "Reopen" => reopen(Path::new(&dir)),
        "Import" => import(Path::new(&dir)),
        other => panic!("no role is called {other}"),
    }
}

fn write(dir: &Path, seed: u64, checkpoint_every: u64, options: StoreOptions) {
    let end = Instant::now() + CHILD_LIFE;
    let Opened { mut writer, recovered, .. } = Store::open(dir, options).unwrap();
    let checkpoint = recovered.checkpoint;
    drop(recovered);
    let mut fold = Fold::upto(seed, checkpoint);
    while fold.index < writer.last_index() {
        fold.advance(seed);
    }
    println!("acknowledged {}", writer.last_index());
    while Instant::now() < end {
        let random = mixed(seed ^ 0xc0de, writer.last_index());
        let entries = if random.is_multiple_of(3) { 128 } else { 1 + random % 20 };
        let group = items(seed, writer.last_index() + 1, writer.last_index() + entries);
        let durable = writer.commit(&group).unwrap();
        println!("acknowledged {}", durable.upto);
        while fold.index < durable.upto {
            fold.advance(seed);
        }
        if durable.upto - writer.checkpoint_index() >= checkpoint_every {
            let changes = fold.take_changes();
            let done = writer.checkpoint(fold.index, &changes).unwrap();
            println!("checkpoint {}", done.index);
            while writer.truncate_front(done.index.saturating_sub(1_000)).unwrap().more {}
        }
    }
}

fn reopen(dir: &Path) {
    let end = Instant::now() + CHILD_LIFE;
    while Instant::now() < end {
        let opened = Store::open(dir, options()).unwrap();
        println!("acknowledged {}", opened.writer.last_index());
    }
}

fn import(dir: &Path) {
    let end = Instant::now() + CHILD_LIFE;
    let (store, aside) = (dir.join("store"), dir.join("aside"));
    while Instant::now() < end {
        let imported = Store::import(&dir.join("snapshot"), &store, options()).unwrap();
        println!("checkpoint {}", imported.index);
        drop(Store::open(&store, options()).unwrap());
        std::fs::rename(&store, &aside).unwrap();
        std::fs::remove_dir_all(&aside).unwrap();
    }
}

//! What the store costs on this disk: durable commits by group size, history pages, checkpoints, and how long a store
//! of many messages takes to be ready.
//!
//! `cargo bench --bench store` runs the small ones. `DUET_BENCH_MESSAGES=1000000 cargo bench --bench store` fills a store
//! with that many messages instead, lets the process that filled it die without closing it, and measures the start.
//! `DUET_BENCH_SNAPSHOT=1000000 cargo bench --bench store` fills a store with that many, takes a snapshot of it beside
//! commits, at several paces, and makes a store of it.
//! The directory is a temporary one; set `TMPDIR` to the disk in question.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark stops at what it did not expect"
)]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::ItemsCount;
use duet::store::{EventRow, ExportPace, LogItem, Opened, Store, StoreError, StoreOptions, Writer};

const MESSAGES: &str = "DUET_BENCH_MESSAGES";
const SNAPSHOT: &str = "DUET_BENCH_SNAPSHOT";
const FILL: &str = "DUET_BENCH_FILL";
const MESSAGE_BYTES: usize = 300;
const CONVERSATIONS: u64 = 1_000;
/// Entries between two checkpoints while filling, and between checkpoint and the end of the log at the death.
const CHECKPOINT_EVERY: u64 = 2_048;

fn main() {
    match (std::env::var(FILL), std::env::var(MESSAGES)) {
        (Ok(dir), Ok(messages)) => fill(Path::new(&dir), messages.parse().unwrap()),
        (_, Ok(messages)) => start(messages.parse().unwrap()),
        _ => match std::env::var(SNAPSHOT) {
            Ok(messages) => snapshot(messages.parse().unwrap()),
            Err(_) => divan::main(),
        },
    }
}

#[divan::bench(args = [1, 16, 128], sample_count = 200, sample_size = 1)]
fn commit_300_bytes(bencher: Bencher<'_, '_>, group: u64) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Store::open(dir.path(), StoreOptions::default()).unwrap().writer;
    for _ in 0..20 {
        let first = writer.last_index() + 1;
        writer.commit(&items(first, first + 127)).unwrap();
    }
    bencher.counter(ItemsCount::new(group)).bench_local(|| {
        let first = writer.last_index() + 1;
        writer.commit(&items(first, first + group - 1)).unwrap()
    });
}

#[divan::bench(args = [16, 512, 4_096], sample_count = 20, sample_size = 1)]
fn checkpoint_rows_of_300_bytes(bencher: Bencher<'_, '_>, rows: u32) {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Store::open(dir.path(), StoreOptions::default()).unwrap().writer;
    writer.commit(&items(1, 100)).unwrap();
    let mut round = 0_u8;
    bencher.counter(ItemsCount::new(rows)).bench_local(|| {
        round = round.wrapping_add(1);
        writer.checkpoint(100, &changes(rows, round)).unwrap()
    });
}

#[divan::bench(sample_count = 200)]
fn page_of_50_events_back(bencher: Bencher<'_, '_>) {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut writer, reader, .. } = Store::open(dir.path(), StoreOptions::default()).unwrap();
    for first in (1..100_000).step_by(100) {
        writer.commit(&items(first, first + 99)).unwrap();
    }
    let mut at = 0;
    bencher.counter(ItemsCount::new(50_u64)).bench_local(|| {
        at = (at + 7) % CONVERSATIONS;
        let page = reader.events_before(1, &conversation(at), u64::MAX, 50, usize::MAX).unwrap();
        assert_eq!(page.len(), 50);
    });
}

/// Fills a store in a process that dies without closing it, then opens it: after the death, cold, and after a close.
fn start(messages: u64) {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let status = Command::new(std::env::current_exe().unwrap()).env(FILL, dir.path()).status().unwrap();
    assert!(!status.success(), "the filling process dies");
    println!("filled with {messages} messages in {:.1?}", begin.elapsed());
    drop_page_cache();
    println!("start after the death, cold:  {}", ready(dir.path()));
    println!("start after a close, warm:    {}", ready(dir.path()));
    drop_page_cache();
    println!("start after a close, cold:    {}", ready(dir.path()));
}

/// Takes a snapshot of a store of many messages beside commits, and makes a store of it.
fn snapshot(messages: u64) {
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    let Opened { mut writer, reader, .. } = Store::open(&from, StoreOptions::default()).unwrap();
    while writer.last_index() < messages {
        let first = writer.last_index() + 1;
        writer.commit(&items(first, first + 127)).unwrap();
        if writer.last_index() - writer.checkpoint_index() >= CHECKPOINT_EVERY {
            writer.checkpoint(writer.last_index(), &changes(512, 1)).unwrap();
            while writer.truncate_front(writer.last_index() - 10_000).unwrap().more {}
        }
    }
    writer.checkpoint(writer.last_index(), &changes(20_000, 2)).unwrap();
    println!("alone: {}", commits_until(&mut writer, |began| began.elapsed() >= Duration::from_secs(10)));
    let path = dir.path().join("snapshot");
    for mib in [8, 16, 32, 64, 0] {
        let pace = if mib == 0 { ExportPace::unlimited() } else { ExportPace::bytes_per_s(mib << 20) };
        std::thread::scope(|scope| {
            let exporting = scope.spawn(|| reader.export(&path, &pace));
            // Ten seconds say how the commits fare; the snapshot need not be whole for that, but for the last.
            let limit = if mib == 0 { Duration::MAX } else { Duration::from_secs(10) };
            let commits =
                commits_until(&mut writer, |began| exporting.is_finished() || began.elapsed() >= limit);
            pace.stop();
            println!("beside an export at {mib} MiB/s (0: no limit): {commits}");
            match exporting.join().unwrap() {
                Ok(done) => println!(
                    "  {} events, {} state rows, {} MiB in {:.1?}, {} MiB resident",
                    done.events,
                    done.state_rows,
                    done.bytes >> 20,
                    done.took,
                    resident_mib()
                ),
                Err(StoreError::Interrupted { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        });
    }
    drop((writer, reader));
    let imported = Store::import(&path, &dir.path().join("to"), StoreOptions::default()).unwrap();
    println!(
        "import of {} events, {} state rows: {:.1?}, {} MiB resident",
        imported.events,
        imported.state_rows,
        imported.took,
        resident_mib()
    );
    println!("start of what was imported: {}", ready(&dir.path().join("to")));
}

/// Commits groups of 16, 200 a second, with checkpoints when they may be taken; how long the commits took.
fn commits_until(writer: &mut Writer, done: impl Fn(Instant) -> bool) -> String {
    let (began, mut took, mut late) = (Instant::now(), Vec::new(), 0);
    let mut due = began;
    while !done(began) {
        let first = writer.last_index() + 1;
        took.push(writer.commit(&items(first, first + 15)).unwrap().took);
        if writer.last_index() - writer.checkpoint_index() >= CHECKPOINT_EVERY {
            match writer.checkpoint(writer.last_index(), &changes(512, 3)) {
                Ok(_) => {}
                Err(StoreError::Exporting) => late += 1,
                Err(error) => panic!("{error}"),
            }
        }
        due += Duration::from_millis(5);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    took.sort();
    let at = |part: usize| took[(took.len() * part / 1_000).min(took.len() - 1)];
    format!(
        "{} groups of 16, p50 {:.2?}, p99 {:.2?}, slowest {:.2?}, {late} checkpoints refused meanwhile",
        took.len(),
        at(500),
        at(990),
        at(1_000)
    )
}

/// Opens the store and reads what a start reads.
fn ready(dir: &Path) -> String {
    let begin = Instant::now();
    let opened = Store::open(dir, StoreOptions::default()).unwrap();
    let open = begin.elapsed();
    let rows = opened.recovered.state().map(Result::unwrap).count();
    let entries = opened.recovered.log().map(Result::unwrap).count();
    let all = begin.elapsed();
    let disk = opened.reader.statistics().unwrap().disk_bytes / 1024 / 1024;
    let rss = resident_mib();
    format!(
        "open {open:.1?}, {rows} rows and {entries} entries read {all:.1?}, {disk} MiB on disk, {rss} MiB resident"
    )
}

fn fill(dir: &Path, messages: u64) {
    let mut writer = Store::open(dir, StoreOptions::default()).unwrap().writer;
    let (begin, mut slowest) = (Instant::now(), Duration::ZERO);
    let mut round = 0_u8;
    while writer.last_index() < messages {
        let first = writer.last_index() + 1;
        slowest = slowest.max(writer.commit(&items(first, first + 127)).unwrap().took);
        if writer.last_index() - writer.checkpoint_index() >= CHECKPOINT_EVERY
            && writer.last_index() < messages
        {
            round = round.wrapping_add(1);
            writer.checkpoint(writer.last_index(), &changes(512, round)).unwrap();
        }
    }
    let rate = writer.last_index() as f64 / begin.elapsed().as_secs_f64();
    println!(
        "{rate:.0} durable messages a second, slowest group {slowest:.1?}, {} MiB resident",
        resident_mib()
    );
    std::process::abort();
}

fn items(first: u64, last: u64) -> Vec<LogItem> {
    let item = |index: u64| {
        let bytes: Vec<u8> = index.to_le_bytes().into_iter().cycle().take(MESSAGE_BYTES).collect();
        let event = EventRow {
            tenant: 1,
            conversation: conversation(index % CONVERSATIONS),
            seq: index / CONVERSATIONS,
            bytes: bytes.clone().into(),
        };
        LogItem { index, epoch: 1, bytes: bytes.into(), events: vec![event] }
    };
    (first..=last).map(item).collect()
}

fn conversation(number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    id
}

fn changes(rows: u32, round: u8) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    (0..rows).map(|row| (row.to_be_bytes().to_vec(), Some(vec![round; MESSAGE_BYTES]))).collect()
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn drop_page_cache() {
    assert!(Command::new("sync").status().unwrap().success());
    if std::fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
        println!("(the page cache could not be dropped: the next figure is warm)");
    }
}

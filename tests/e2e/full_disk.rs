//! A node whose disk fills up under it: everyone is answered, reading goes on, nothing acknowledged is lost, and what was
//! refused succeeds when there is space. On a small file system of its own; says SKIPPED where none may be mounted.

use crate::{
    node::{Node, PATIENCE, duet},
    power_cut::{Mounted, run},
    raw::{Raw, RawStream, hello},
};
use duet_protocol::{
    ClientMessageId, Code, Command, ConversationId, Delivery, Refusal, Resumed, Welcome,
    command::{CreateConversation, Durability, Open, Publish, Start},
    delivery::{ConversationKind, Published},
    event::Content,
};
use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

const ROOM: ConversationId = ConversationId([5; 16]);
/// Half of the floor is the reserve. What the database takes by itself when it opens, 8 MiB, is less than either half.
const FLAGS: [&str; 2] = ["--set", "store.free_floor_mib=48"];
/// Above half of the floor.
const SHORT_MIB: u64 = 40;
/// Below it.
const USED_UP_MIB: u64 = 12;

#[tokio::test]
async fn on_a_disk_that_runs_short_everyone_is_answered_and_goes_on_reading() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = mount(dir.path()) else { return };
    let node = Node::dev_with(dir.path(), &FLAGS);
    let (mut raw, welcome) = enter(&node, None).await;
    create(&mut raw).await;
    let mut lane = open(&raw).await;
    let stored = say(&mut lane, &message()).await.expect("a disk with space");

    fill(&disk, SHORT_MIB);
    // What is taken before the floor is known is stored, and acknowledged.
    let (refused, last) = say_until_refused(&mut lane, stored.seq).await;
    assert!(last > stored.seq, "the message by which the floor is found is stored");
    assert_eq!(node.admin("/readyz").0, 503);

    let (raw, resumed) = enter(&node, Some(welcome.resume)).await;
    assert_eq!(resumed.resumed, Resumed::Full);
    read(&raw, last).await;
    let (raw, new) = enter(&node, None).await;
    assert_eq!(new.resumed, Resumed::New);
    read(&raw, last).await;

    empty(&disk);
    let mut lane = open(&raw).await;
    let published = say_until_stored(&mut lane, &refused).await;
    assert!(published.seq == last + 1 && !published.duplicate, "{published:?}");
    assert_eq!(node.admin("/readyz").0, 200);
}

#[tokio::test]
async fn on_a_full_disk_every_publish_is_answered_and_is_stored_once_when_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = mount(dir.path()) else { return };
    let node = Node::dev_with(dir.path(), &FLAGS);
    let (mut raw, welcome) = enter(&node, None).await;
    create(&mut raw).await;
    let mut lane = open(&raw).await;
    let stored = say(&mut lane, &message()).await.expect("a disk with space");

    fill(&disk, USED_UP_MIB);
    // The one that finds the disk full is taken, waits for space, and is answered all the same.
    let (taken, last) = say_until_refused(&mut lane, stored.seq).await;
    fill(&disk, 0);
    let (raw, resumed) = enter(&node, Some(welcome.resume)).await;
    assert_eq!(resumed.resumed, Resumed::Full, "who was here before comes back");
    let (other, _) = enter(&node, None).await;
    drop(other);

    empty(&disk);
    let mut lane = open_until_opened(&raw).await;
    let published = say_until_stored(&mut lane, &taken).await;
    assert_eq!(published.seq, last + 1, "once, whichever of the two it was");
    let next = say_until_stored(&mut lane, &message()).await;
    assert_eq!(next.seq, published.seq + 1);
}

#[tokio::test]
async fn a_node_starts_read_only_on_a_short_disk_and_says_what_it_needs_on_a_full_one() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = mount(dir.path()) else { return };
    let node = Node::dev_with(dir.path(), &FLAGS);
    let (mut raw, welcome) = enter(&node, None).await;
    create(&mut raw).await;
    let mut lane = open(&raw).await;
    let stored = say(&mut lane, &message()).await.expect("a disk with space");
    node.kill();

    fill(&disk, 0);
    let log = File::create(dir.path().join("refused.log")).unwrap();
    let mut command = duet();
    command.args(["serve", "--dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--dev-listen", "127.0.0.1:0"]).args(FLAGS).arg("--data-dir").arg(&disk.point);
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("it neither serves nor ends");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.code(), Some(1));
    let said = fs::read_to_string(dir.path().join("refused.log")).unwrap();
    let store = disk.point.join("store");
    assert!(said.contains(store.to_str().unwrap()) && said.contains("free"), "{said}");

    fill(&disk, SHORT_MIB);
    let node = Node::dev_with(dir.path(), &FLAGS);
    let (raw, resumed) = enter(&node, Some(welcome.resume)).await;
    assert_eq!(resumed.resumed, Resumed::Full);
    read(&raw, stored.seq).await;
    assert_eq!(node.admin("/readyz").0, 503);
    empty(&disk);
    let mut lane = open(&raw).await;
    assert_eq!(say_until_stored(&mut lane, &message()).await.seq, stored.seq + 1);
}

async fn enter(node: &Node, resume: Option<Vec<u8>>) -> (Raw, Welcome) {
    let mut raw = Raw::connect(node).await;
    let mut hello = hello(Some(node.token("vera", "visitor", &[])), "device-1");
    hello.resume = resume;
    raw.control.send(&Command::Hello(hello)).await;
    let welcome = raw.control.until(|delivery| match delivery {
        Delivery::Welcome(welcome) => Some(welcome),
        _ => None,
    });
    let welcome = welcome.await;
    (raw, welcome)
}

async fn create(raw: &mut Raw) {
    let (kind, subject, members) = (ConversationKind::Support, None, Vec::new());
    let create = CreateConversation { request: 1, conversation: ROOM, kind, subject, members };
    raw.control.send(&Command::CreateConversation(create)).await;
    raw.control.until(|delivery| matches!(delivery, Delivery::Created(_)).then_some(())).await;
}

async fn open(raw: &Raw) -> RawStream {
    let mut lane = RawStream::open(&raw.connection).await;
    lane.send(&Command::Open(Open { conversation: ROOM, start: Start::Latest(0) })).await;
    lane
}

/// Opens until it is not refused: while an event of the conversation waits for space, it is.
async fn open_until_opened(raw: &Raw) -> RawStream {
    let begun = Instant::now();
    loop {
        let mut lane = open(raw).await;
        let opened = lane.until(|delivery| match delivery {
            Delivery::Opened(_) => Some(true),
            Delivery::Refused(refusal) => {
                assert_eq!(refusal.code, Code::UNAVAILABLE);
                Some(false)
            }
            _ => None,
        });
        if opened.await {
            return lane;
        }
        assert!(begun.elapsed() < PATIENCE, "it never opens");
    }
}

/// Reads the conversation up to its end.
async fn read(raw: &Raw, head: u64) {
    let mut lane = RawStream::open(&raw.connection).await;
    lane.send(&Command::Open(Open { conversation: ROOM, start: Start::Latest(500) })).await;
    let mut last = 0;
    lane.until(|delivery| {
        if let Delivery::Event(event) = &delivery {
            last = event.seq;
        }
        matches!(delivery, Delivery::CaughtUp(_)).then_some(())
    })
    .await;
    assert_eq!(last, head, "everything that was acknowledged is read");
}

fn message() -> Publish {
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut random = [0; 10];
    getrandom::fill(&mut random).unwrap();
    let (id, durability) = (ClientMessageId::new(now_ms, random), Durability::Accepted);
    Publish { id, content: Content::text("hello"), reply_to: None, durability }
}

/// Publishes, and waits for the answer, whichever it is.
async fn say(lane: &mut RawStream, message: &Publish) -> Result<Published, Refusal> {
    lane.send(&Command::Publish(message.clone())).await;
    lane.until(|delivery| match delivery {
        Delivery::Published(published) => Some(Ok(published)),
        Delivery::Refused(refusal) => Some(Err(refusal)),
        _ => None,
    })
    .await
}

/// Publishes one message after another until one is refused; that one, and the seq of the last that was stored.
async fn say_until_refused(lane: &mut RawStream, mut last: u64) -> (Publish, u64) {
    let begun = Instant::now();
    loop {
        let message = message();
        match say(lane, &message).await {
            Ok(published) => {
                assert_eq!(published.seq, last + 1);
                last = published.seq;
            }
            Err(refusal) => {
                assert!(refusal.code == Code::READ_ONLY && refusal.retry_after_ms > 0, "{refusal:?}");
                return (message, last);
            }
        }
        assert!(begun.elapsed() < PATIENCE, "it never finds that the disk is full");
    }
}

/// Publishes the same message until it is stored, as a client does.
async fn say_until_stored(lane: &mut RawStream, message: &Publish) -> Published {
    let begun = Instant::now();
    loop {
        match say(lane, message).await {
            Ok(published) => return published,
            Err(refusal) => assert_eq!(refusal.code, Code::READ_ONLY),
        }
        assert!(begun.elapsed() < PATIENCE, "it is never stored");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A disk of 160 MiB under the data directory.
fn mount(dir: &Path) -> Option<Mounted> {
    let point = dir.join("data");
    fs::create_dir_all(&point).unwrap();
    let arguments = ["-t", "tmpfs", "-o", "size=160m", "tmpfs"].map(AsRef::as_ref);
    match run("mount", &[&arguments[..], &[point.as_ref()]].concat()) {
        Ok(()) => Some(Mounted { point }),
        Err(said) => {
            println!("SKIPPED: mounting is not allowed here: {said}");
            None
        }
    }
}

/// Fills the disk until so many MiB are left.
fn fill(disk: &Mounted, left_mib: u64) {
    let mut file = File::options().create(true).append(true).open(disk.point.join("filler")).unwrap();
    let chunk = vec![1; 4096];
    while file.write_all(&chunk).is_ok() {}
    let written = file.metadata().unwrap().len();
    file.set_len(written.saturating_sub(left_mib << 20)).unwrap();
}

fn empty(disk: &Mounted) {
    fs::remove_file(disk.point.join("filler")).unwrap();
}

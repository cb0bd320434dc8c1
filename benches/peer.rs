//! What the link between two nodes costs on loopback: entries a second in bulk, and how long a heartbeat or a small batch takes
//! there and back, on an idle link and behind 64 MiB of entries.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark stops at what it did not expect")]

use bytes::Bytes;
use divan::{Bencher, counter::BytesCount};
use duet::{
    core::{Acked, AppendEntries, Nonce, PeerMessage, Position, Side},
    peer::{IdentityFiles, LinkParts, LinkReceiver, LinkSender, PairPlan, PeerConfig, PeerEndpoint, init},
};
use std::net::Ipv4Addr;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Mutex};

fn main() {
    divan::main();
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn entries_64_mib(bencher: Bencher<'_, '_>) {
    let link = Linked::new();
    let batch = append(16, 64 * 1024);
    bencher.counter(BytesCount::new(64_usize << 20)).bench_local(|| link.bulk(&batch, 64));
}

#[divan::bench(sample_count = 10, sample_size = 1)]
fn entries_of_300_bytes_16_mib(bencher: Bencher<'_, '_>) {
    let link = Linked::new();
    let batch = append(128, 300);
    bencher.counter(BytesCount::new(128 * 300 * 437_usize)).bench_local(|| link.bulk(&batch, 437));
}

#[divan::bench(sample_count = 200, sample_size = 1)]
fn one_entry_there_and_acked(bencher: Bencher<'_, '_>) {
    let link = Linked::new();
    let batch = append(1, 300);
    bencher.bench_local(|| {
        link.runtime.block_on(async {
            link.from.send(&batch).unwrap();
            link.to.lock().await.recv().await.unwrap();
            link.to_sender.send(&acked()).unwrap();
            link.back.lock().await.recv().await.unwrap();
        });
    });
}

#[divan::bench(args = [0, 64], sample_count = 20, sample_size = 1)]
fn pulse_behind_mib_of_entries(bencher: Bencher<'_, '_>, mib: usize) {
    let link = Linked::new();
    let batch = append(16, 64 * 1024);
    let unread = std::cell::Cell::new(0);
    bencher
        .with_inputs(|| {
            link.runtime.block_on(async {
                for _ in 0..unread.replace(mib) {
                    link.to.lock().await.recv().await.unwrap();
                }
            });
            (0..mib).for_each(|_| link.from.send(&batch).unwrap());
        })
        .bench_local_values(|()| {
            link.runtime.block_on(async {
                link.from.send(&PeerMessage::Stale { max_epoch: 1 }).unwrap();
                while let PeerMessage::Append(_) = link.to.lock().await.recv().await.unwrap() {
                    unread.set(unread.get() - 1);
                }
            });
        });
}

struct Linked {
    runtime: Runtime,
    from: LinkSender,
    back: Mutex<LinkReceiver>,
    to_sender: LinkSender,
    to: Mutex<LinkReceiver>,
    _folder: TempDir,
}

impl Linked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nobody = || ["localhost:1".to_owned(), "localhost:1".to_owned()];
        let plan = PairPlan { peers: nobody(), clients: nobody(), witness: None };
        let cluster = init(folder.path(), &plan).unwrap().cluster;
        let config = |side| PeerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            peer: "nowhere".to_owned(),
            cluster,
            side,
            nonce: Nonce([side as u8; 16]),
            identity: IdentityFiles {
                ca: folder.path().join("pair-ca.pem"),
                certificate: folder.path().join(format!("{side}.pem")),
                key: folder.path().join(format!("{side}.key")),
            },
            log_queue_bytes: 2 << 30,
        };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (a, b) = runtime.block_on(async {
            let mut a = PeerEndpoint::bind(config(Side::A)).unwrap();
            let mut b = PeerEndpoint::bind(config(Side::B)).unwrap();
            a.set_peer(&b.local_address().unwrap().to_string());
            let (on_a, on_b) = tokio::join!(a.next_link(), b.next_link());
            for mut endpoint in [a, b] {
                tokio::spawn(async move { endpoint.next_link().await });
            }
            (on_a.unwrap().split(), on_b.unwrap().split())
        });
        let LinkParts { sender: from, writer, receiver: back, .. } = a;
        runtime.spawn(writer.run());
        let LinkParts { sender: to_sender, writer, receiver: to, .. } = b;
        runtime.spawn(writer.run());
        Self { runtime, from, back: back.into(), to_sender, to: to.into(), _folder: folder }
    }

    fn bulk(&self, batch: &PeerMessage, batches: usize) {
        self.runtime.block_on(async {
            (0..batches).for_each(|_| self.from.send(batch).unwrap());
            for _ in 0..batches {
                self.to.lock().await.recv().await.unwrap();
            }
        });
    }
}

fn append(count: usize, bytes: usize) -> PeerMessage {
    let entries = vec![Bytes::from(vec![7; bytes]); count];
    PeerMessage::Append(AppendEntries { epoch: 1, prev: Position::default(), entries, commit: 0 })
}

fn acked() -> PeerMessage {
    PeerMessage::Acked(Acked { epoch: 1, nonce: Nonce([2; 16]), upto: 1 })
}

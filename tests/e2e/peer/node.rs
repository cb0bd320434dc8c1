//! Nodes that are nothing but their end of the link: a task answers and calls, and gives the links that stand.

use duet::{
    core::{AppendEntries, Beat, Cfg, ClusterId, InSync, Nonce, PeerMessage, Position, Side, StoreId},
    peer::{IdentityFiles, Link, Member, PairPlan, PeerConfig, PeerEndpoint, init},
};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{sync::mpsc, task::JoinHandle, time};

/// Nothing that is waited for here takes longer.
pub const SOON: Duration = Duration::from_secs(20);

pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// The files of a minted pair.
pub struct Pair {
    pub folder: TempDir,
    pub cluster: ClusterId,
}

impl Pair {
    pub fn mint() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nobody = || ["localhost:1".to_owned(), "localhost:1".to_owned()];
        let plan = PairPlan { peers: nobody(), clients: nobody(), witness: None };
        let cluster = init(folder.path(), &plan).unwrap().cluster;
        Self { folder, cluster }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn files(&self, member: Member) -> IdentityFiles {
        IdentityFiles {
            ca: self.file("pair-ca.pem"),
            certificate: self.file(&format!("{member}.pem")),
            key: self.file(&format!("{member}.key")),
        }
    }

    /// A node that calls nobody yet.
    pub fn config(&self, side: Side, process: u8) -> PeerConfig {
        PeerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            peer: "nowhere".to_owned(),
            cluster: self.cluster,
            side,
            nonce: Nonce([process; 16]),
            identity: self.files(Member::Node(side)),
            log_queue_bytes: 80 * 1024 * 1024,
        }
    }

    /// Both nodes; only a calls, by way of `via` if that is given.
    pub fn nodes(&self) -> (PeerEndpoint, PeerEndpoint) {
        let mut a = PeerEndpoint::bind(self.config(Side::A, 1)).unwrap();
        let b = PeerEndpoint::bind(self.config(Side::B, 2)).unwrap();
        a.set_peer(&b.local_address().unwrap().to_string());
        (a, b)
    }

    /// A link from both ends.
    pub async fn linked(&self) -> (Running, Running, Link, Link) {
        let (a, b) = self.nodes();
        let (mut a, mut b) = (Running::start(a), Running::start(b));
        let (on_a, on_b) = (a.link().await, b.link().await);
        (a, b, on_a, on_b)
    }
}

/// An endpoint in its task. Dropping it is the death of the process.
pub struct Running {
    pub address: SocketAddr,
    links: mpsc::Receiver<Link>,
    task: JoinHandle<()>,
}

impl Running {
    pub fn start(mut endpoint: PeerEndpoint) -> Self {
        let address = endpoint.local_address().unwrap();
        let (sender, links) = mpsc::channel(16);
        let task = tokio::spawn(async move {
            while let Some(link) = endpoint.next_link().await {
                if sender.send(link).await.is_err() {
                    return;
                }
            }
        });
        Self { address, links, task }
    }

    pub async fn link(&mut self) -> Link {
        soon("a link", self.links.recv()).await.expect("the endpoint lives")
    }

    /// Another link that came up meanwhile.
    pub fn another(&mut self) -> Option<Link> {
        self.links.try_recv().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn beat(number: u64) -> PeerMessage {
    let cfg = Cfg {
        ver: 1,
        epoch: 1,
        primary: Side::A,
        in_sync: InSync::alone(Side::A, StoreId([3; 16])),
        holder: Nonce([1; 16]),
        cluster: ClusterId([9; 16]),
    };
    PeerMessage::Beat(Beat { epoch: 1, holder: Nonce([1; 16]), commit: 0, end: 0, sent_ms: number, cfg })
}

/// A batch of `count` entries of `bytes` each, recognisable by `number`.
pub fn append(number: u64, count: usize, bytes: usize) -> PeerMessage {
    let entry = vec![u8::try_from(number % 251).unwrap(); bytes];
    let prev = Position { epoch: 1, index: number, chain: 7 };
    PeerMessage::Append(AppendEntries { epoch: 1, prev, entries: vec![entry.into(); count], commit: number })
}

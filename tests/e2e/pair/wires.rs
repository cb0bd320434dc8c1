//! The wires of a pair that can be cut: between the nodes (UDP), and from each node to the witness (TCP). A cut wire
//! swallows; it refuses nothing, as a dead switch would.

use crate::peer::relay::Relay;
use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

/// Every wire of a pair, of node a and of node b.
pub(super) struct Wires {
    /// On which each node calls the other.
    pub(super) peers: [Relay; 2],
    /// On which each node calls the witness.
    pub(super) witness: [Wire; 2],
}

impl Wires {
    /// Wires to the nodes and to the witness on these addresses.
    pub(super) async fn to(nodes: [SocketAddr; 2], witness: SocketAddr) -> Self {
        Self {
            peers: [Relay::to(nodes[1]).await, Relay::to(nodes[0]).await],
            witness: [Wire::to(witness).await, Wire::to(witness).await],
        }
    }

    /// Cuts or heals what lies between the nodes.
    pub(super) fn cut_link(&self, cut: bool) {
        self.peers.iter().for_each(|wire| wire.cut(cut));
    }

    /// Cuts or heals everything between one node and the two others.
    pub(super) fn isolate(&self, node: usize, cut: bool) {
        self.cut_link(cut);
        self.witness[node].cut(cut);
    }
}

/// A TCP wire that can be cut.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    cut: Arc<watch::Sender<bool>>,
    task: JoinHandle<()>,
}

impl Wire {
    async fn to(called: SocketAddr) -> Self {
        let front = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = front.local_addr().unwrap();
        let cut = Arc::new(watch::Sender::new(false));
        let state = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((here, _)) = front.accept().await {
                let state = state.subscribe();
                calls.spawn(async move {
                    let Ok(there) = TcpStream::connect(called).await else { return };
                    let ((from_here, to_here), (from_there, to_there)) =
                        (here.into_split(), there.into_split());
                    // Either end closes both.
                    tokio::select! {
                        () = carry(from_here, to_there, state.clone()) => {}
                        () = carry(from_there, to_here, state) => {}
                    }
                });
                while calls.try_join_next().is_some() {}
            }
        });
        Self { address, cut, task }
    }

    fn cut(&self, cut: bool) {
        self.cut.send_replace(cut);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes one way, and holds them while the wire is cut.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut state: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|cut| !cut).await.is_err() || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

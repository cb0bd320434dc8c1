//! The wires of a pair that can be cut: between the nodes (UDP), and from each node to the witness (TCP). A cut wire
//! swallows; it refuses nothing, as a dead switch would.

use duet_wire::Wire;
use std::net::SocketAddr;

/// Every wire of a pair, of node a and of node b.
pub(super) struct Wires {
    /// On which each node calls the other.
    pub(super) peers: [Wire; 2],
    /// On which each node calls the witness.
    pub(super) witness: [Wire; 2],
}

impl Wires {
    /// Wires to the nodes and to the witness on these addresses.
    pub(super) async fn to(nodes: [SocketAddr; 2], witness: SocketAddr) -> Self {
        Self {
            peers: [wire(nodes[1]).await, wire(nodes[0]).await],
            witness: [wire(witness).await, wire(witness).await],
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

async fn wire(to: SocketAddr) -> Wire {
    Wire::to(to, 1).await.unwrap()
}

//! Keeps a link to the peer: takes each one that comes to stand, hands its messages to the driver, takes its snapshots.

use super::snapshot;
use crate::{
    core::PairFact,
    peer::{LinkFiles, LinkParts, LinkSender, PeerEndpoint},
    server::{driver::Fact, queues::Facts},
};
use std::path::PathBuf;
use tokio::task::JoinSet;

/// The driver's end of a link.
#[derive(Debug)]
pub(in crate::server) struct Line {
    pub(super) sender: LinkSender,
    pub(super) files: LinkFiles,
}

/// Runs until the endpoint closes or the driver is gone. One link stands at a time.
pub(super) async fn run(mut endpoint: PeerEndpoint, facts: Facts, incoming: PathBuf) -> &'static str {
    while let Some(link) = endpoint.next_link().await {
        let info = link.info();
        tracing::info!(address = %info.address, version = info.version, "linked to the peer");
        let LinkParts { sender, writer, mut receiver, files } = link.split();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            writer.run().await;
        });
        tasks.spawn(snapshot::receive(files.clone(), incoming.clone(), facts.clone()));
        let line = Box::new(Line { sender, files });
        if facts.send(Fact::LinkUp(line)).await.is_err() {
            break;
        }
        let ended = loop {
            match receiver.recv().await {
                Ok(message) => {
                    if facts.send(Fact::Pair(PairFact::Peer(message))).await.is_err() {
                        return "link";
                    }
                }
                Err(ended) => break ended,
            }
        };
        tracing::warn!(%ended, "the link to the peer ended");
        tasks.abort_all();
        if facts.send(Fact::LinkDown).await.is_err() {
            break;
        }
    }
    "link"
}

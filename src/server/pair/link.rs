//! Keeps a link to the peer: takes each one that comes to stand, hands its messages to the driver, takes its snapshots.
//!
//! The endpoint is asked for the next link in a task of its own, all the time: it must answer the peer while a link stands
//! (two may come at once, and a peer that started anew calls before its old link is found dead). The link that is replaced
//! ends by it.

use super::snapshot;
use crate::{
    core::PairFact,
    peer::{LinkFiles, LinkParts, LinkSender, PeerEndpoint},
    server::{driver::Fact, queues::Facts},
};
use std::path::PathBuf;
use tokio::{sync::mpsc, task::JoinSet};

/// The driver's end of a link.
#[derive(Debug)]
pub(in crate::server) struct Line {
    pub(super) sender: LinkSender,
    pub(super) files: LinkFiles,
}

/// Runs until the endpoint closes or the driver is gone. One link stands at a time.
pub(super) async fn run(mut endpoint: PeerEndpoint, facts: Facts, incoming: PathBuf) -> &'static str {
    let (stands, mut standing) = mpsc::channel(LINKS_MAX);
    let mut answering = JoinSet::new();
    answering.spawn(async move {
        while let Some(link) = endpoint.next_link().await {
            if stands.send(link).await.is_err() {
                break;
            }
        }
    });
    while let Some(link) = standing.recv().await {
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

/// Links that wait for the one before to be taken down; more wait in the endpoint.
const LINKS_MAX: usize = 2;

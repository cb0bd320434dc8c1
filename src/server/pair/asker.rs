//! Asks the arbiter, one question at a time, and tells the core what it said.

use crate::{
    arbiter::Arbiter,
    core::{AskId, Cfg, PairFact, Question},
    server::{driver::Fact, queues::Facts},
};
use tokio::sync::mpsc;

/// What the driver wants of the arbiter. The core has one question under way at most; adopted values come on top.
pub(super) type Asks = mpsc::Sender<Ask>;

/// A wish.
#[derive(Debug)]
pub(super) enum Ask {
    /// Answer a question.
    Question(AskId, Question),
    /// Without an arbiter: hold the peer's newer value.
    Adopt(Cfg),
}

pub(super) fn asks() -> (Asks, mpsc::Receiver<Ask>) {
    mpsc::channel(16)
}

/// Runs until the driver is gone.
pub(super) async fn run(arbiter: Arbiter, mut asks: mpsc::Receiver<Ask>, facts: Facts) -> &'static str {
    while let Some(wish) = asks.recv().await {
        match wish {
            Ask::Question(ask, question) => {
                let answer = arbiter.answer(question).await;
                tracing::trace!(?question, ?answer, "arbiter");
                if facts.send(Fact::Pair(PairFact::Answered { ask, answer })).await.is_err() {
                    break;
                }
            }
            Ask::Adopt(cfg) => {
                if !arbiter.adopt(cfg).await {
                    tracing::error!(
                        ver = cfg.ver,
                        "the register on this node could not take the peer's newer value"
                    );
                }
            }
        }
    }
    "asker"
}

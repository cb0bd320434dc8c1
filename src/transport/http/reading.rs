//! A request that reads what comes down: the one that began last is the carrier's reader.

use super::carrier::{Batch, Carrier, End};
use std::{
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Came {
    /// What waits, behind what the reader has had; never empty.
    Batches(Vec<Batch>),
    /// Everything was read, and the carrier is over.
    Ended(End),
    /// Another reader has taken this one's place.
    Replaced,
}

/// One reader, from its request to the end of its answer.
#[derive(Debug)]
pub(super) struct Reading {
    carrier: Arc<Carrier>,
    turn: u64,
    /// The last batch that it has had.
    after: u64,
}

impl Reading {
    /// Takes the place of whoever reads now; reads what lies behind batch `after`.
    pub(super) fn begin(carrier: &Arc<Carrier>, after: u64) -> Self {
        Self { turn: carrier.begin_reading(), carrier: Arc::clone(carrier), after }
    }

    /// What comes next, of at most `batches_max` batches.
    pub(super) async fn next(&mut self, batches_max: usize) -> Came {
        poll_fn(|cx| self.poll_next(cx, batches_max)).await
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>, batches_max: usize) -> Poll<Came> {
        let came = self.carrier.poll_read(cx, self.turn, self.after, batches_max);
        if let Poll::Ready(Came::Batches(batches)) = &came {
            self.after = batches.last().map_or(self.after, |batch| batch.number);
        }
        came
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.carrier.end_reading(self.turn);
    }
}

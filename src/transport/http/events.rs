//! The stream of server-sent events (HTML Living Standard §9.2): a comment at once, an event for each batch, comments
//! while nothing comes, an event `end` at the end.

use super::{
    answer::plain,
    reading::{Came, Reading},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::Stream;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{self, Sleep};

/// The body of an event stream. It is polled only while the way to the client has room, so nothing waits in here.
pub(super) struct Events {
    reading: Option<Reading>,
    begun: bool,
    every: Duration,
    comment: Pin<Box<Sleep>>,
}

impl Events {
    pub(super) fn new(reading: Reading, every: Duration) -> Self {
        Self { reading: Some(reading), begun: false, every, comment: Box::pin(time::sleep(every)) }
    }
}

impl Stream for Events {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if !this.begun {
            this.begun = true;
            return Poll::Ready(Some(Ok(Bytes::from_static(BEGIN))));
        }
        let Some(reading) = &mut this.reading else { return Poll::Ready(None) };
        let text = match reading.poll_next(cx, 1) {
            Poll::Ready(Came::Batches(batches)) => {
                let event = |batch: &super::carrier::Batch| {
                    format!("id: {}\ndata: {}\n\n", batch.number, STANDARD.encode(&batch.bytes))
                };
                batches.iter().map(event).collect()
            }
            Poll::Ready(Came::Ended(end)) => {
                this.reading = None;
                format!("event: end\ndata: {} {}\n\n", end.code, plain(&end.reason))
            }
            Poll::Ready(Came::Replaced) => {
                this.reading = None;
                return Poll::Ready(None);
            }
            Poll::Pending => {
                if this.comment.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                COMMENT.to_owned()
            }
        };
        this.comment.as_mut().reset(time::Instant::now() + this.every);
        Poll::Ready(Some(Ok(Bytes::from(text))))
    }
}

/// The stream stands; readers of event streams come back a second after it breaks.
const BEGIN: &[u8] = b": duet\nretry: 1000\n\n";
const COMMENT: &str = ": here\n\n";

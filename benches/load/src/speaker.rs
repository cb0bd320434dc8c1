//! What a shape of load needs of a participant, whatever protocol it speaks.

use bytes::{Buf as _, BytesMut};
use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};
use tokio::io::AsyncWrite;

/// One participant of a room. Nothing here waits: a generator that waits measures itself.
pub trait Speaker {
    /// Says `payload` to the room. What the carrier does not take at once waits inside.
    fn publish(&self, payload: &[u8]);

    /// Offers the carrier what waits.
    fn flush(&self);

    /// Bytes that wait because the carrier took no more.
    fn waiting(&self) -> usize;
}

/// Offers a carrier what waits. What it does not take stays for the next time: nobody is woken. A carrier that is gone takes
/// everything; its reader tells that it is gone.
pub fn offer(carrier: &mut (impl AsyncWrite + Unpin), waiting: &mut BytesMut) {
    let mut context = Context::from_waker(Waker::noop());
    while !waiting.is_empty() {
        match Pin::new(&mut *carrier).poll_write(&mut context, waiting) {
            Poll::Ready(Ok(written)) => waiting.advance(written),
            Poll::Ready(Err(_)) => waiting.clear(),
            Poll::Pending => return,
        }
    }
}

//! A byte stream that fails when nothing has moved on it for a time. HTTP/2 knows no limit for a connection without
//! requests; this is it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Sleep},
};

/// A stream with a limit on idleness. Whoever reads it is told of the limit.
pub(super) struct Idle<S> {
    inner: S,
    limit: Duration,
    moved: Instant,
    timer: Pin<Box<Sleep>>,
}

impl<S> Idle<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit, moved: Instant::now(), timer: Box::pin(time::sleep(limit)) }
    }

    fn moved(&mut self, bytes: usize) {
        if bytes > 0 {
            self.moved = Instant::now();
        }
    }

    /// Ready when nothing has moved for too long.
    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let at = self.moved + self.limit;
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(at.into());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            Poll::Ready(result) => {
                self.moved(buffer.filled().len() - before);
                Poll::Ready(result)
            }
            Poll::Pending => self.poll_limit(cx).map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idle<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(bytes)) = &written {
            self.moved(*bytes);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn a_stream_on_which_nothing_moves_fails_and_one_that_is_used_does_not() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut idle = Idle::new(near, Duration::from_millis(300));
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(600) {
            far.write_all(b"x").await.unwrap();
            assert_eq!(idle.read_u8().await.unwrap(), b'x');
            time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(idle.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

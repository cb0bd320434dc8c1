//! Finds out whose each incoming stream and datagram is: a session's, or HTTP/3's.
//!
//! The heads of all new streams are read side by side, each with its own time limit, so that a withheld
//! byte holds up nobody else. How many are read at once is bounded by QUIC's stream limits.

use super::{
    codes::{self, H3_REQUEST_INCOMPLETE},
    handover::Handover,
    header::{Direction, StreamHead, split_datagram},
    sessions::Sessions,
};
use crate::transport::quic::AcceptedStream;
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream, FuturesUnordered},
};
use quinn::{ConnectionError, RecvStream, SendStream};
use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time;

/// Most bytes read at once while looking at a head; what is read beyond it goes with the stream.
const READ_BYTES: usize = 4 << 10;

pub(super) struct Router {
    bidi: BoxStream<'static, Result<(SendStream, RecvStream), ConnectionError>>,
    uni: BoxStream<'static, Result<RecvStream, ConnectionError>>,
    datagrams: BoxStream<'static, Result<Bytes, ConnectionError>>,
    heads: FuturesUnordered<BoxFuture<'static, Option<Judged>>>,
    setup: Duration,
    sessions: Arc<Sessions>,
    handover: Arc<Handover>,
}

struct Judged {
    send: Option<SendStream>,
    recv: RecvStream,
    session: Option<u64>,
    /// Read already and not part of a session's head.
    bytes: Bytes,
}

impl Router {
    pub(super) fn new(
        connection: &quinn::Connection,
        setup: Duration,
        sessions: Arc<Sessions>,
        handover: Arc<Handover>,
    ) -> Self {
        let bidi = stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_bi().await;
            Some((accepted, connection))
        });
        let uni = stream::unfold(connection.clone(), |connection| async {
            let accepted = connection.accept_uni().await;
            Some((accepted, connection))
        });
        let datagrams = stream::unfold(connection.clone(), |connection| async {
            let datagram = connection.read_datagram().await;
            Some((datagram, connection))
        });
        let heads = FuturesUnordered::new();
        let (bidi, uni, datagrams) = (bidi.boxed(), uni.boxed(), datagrams.boxed());
        Self { bidi, uni, datagrams, heads, setup, sessions, handover }
    }

    /// Routes all that has arrived. Ready, and everybody told, when the connection is gone.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        loop {
            let mut came = false;
            let mut lost = None;
            match self.bidi.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok((send, recv)))) => {
                    self.heads.push(read_head(Some(send), recv, self.setup).boxed());
                    came = true;
                }
                Poll::Ready(Some(Err(error))) => lost = Some(error),
                _ => {}
            }
            match self.uni.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(recv))) => {
                    self.heads.push(read_head(None, recv, self.setup).boxed());
                    came = true;
                }
                Poll::Ready(Some(Err(error))) => lost = Some(error),
                _ => {}
            }
            match self.datagrams.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(datagram))) => {
                    if let Some((session, payload)) = split_datagram(datagram) {
                        self.sessions.give_datagram(session, payload);
                    }
                    came = true;
                }
                Poll::Ready(Some(Err(error))) => lost = Some(error),
                _ => {}
            }
            if let Poll::Ready(Some(judged)) = self.heads.poll_next_unpin(cx) {
                if let Some(judged) = judged {
                    self.route(judged);
                }
                came = true;
            }
            if !came {
                let Some(error) = lost else { return Poll::Pending };
                self.sessions.lose(&error);
                self.handover.lose(&error);
                return Poll::Ready(error);
            }
        }
    }

    fn route(&self, judged: Judged) {
        let Judged { send, mut recv, session, bytes } = judged;
        match (send, session) {
            (Some(send), Some(session)) => {
                self.sessions.give_stream(session, AcceptedStream { send, recv, head: bytes });
            }
            (Some(send), None) => self.handover.give_bidi(send, recv, bytes),
            (None, None) => self.handover.give_uni(recv, bytes),
            // Nothing in Duet travels on a client's unidirectional streams.
            (None, Some(_)) => {
                let _ = recv.stop(codes::to_http3(0));
            }
        }
    }
}

/// Reads until the head has a verdict. `None` when the stream ended or took too long before.
async fn read_head(mut send: Option<SendStream>, mut recv: RecvStream, within: Duration) -> Option<Judged> {
    let direction = if send.is_some() { Direction::Bidi } else { Direction::Uni };
    if let Ok(judged) = time::timeout(within, judge(direction, &mut recv)).await {
        let (session, bytes) = judged?;
        return Some(Judged { send, recv, session, bytes });
    }
    let code = codes::varint(H3_REQUEST_INCOMPLETE);
    let _ = recv.stop(code);
    if let Some(send) = &mut send {
        let _ = send.reset(code);
    }
    None
}

async fn judge(direction: Direction, recv: &mut RecvStream) -> Option<(Option<u64>, Bytes)> {
    let mut bytes = BytesMut::new();
    loop {
        let chunk = recv.read_chunk(READ_BYTES, true).await.ok()??;
        bytes.extend_from_slice(&chunk.bytes);
        match StreamHead::parse(direction, &bytes) {
            StreamHead::Incomplete => {}
            StreamHead::Http3 => return Some((None, bytes.freeze())),
            StreamHead::WebTransport { session, length } => {
                bytes.advance(length);
                return Some((Some(session), bytes.freeze()));
            }
        }
    }
}

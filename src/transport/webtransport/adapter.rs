//! h3's view of a QUIC connection: only the streams that are HTTP/3's own.
//!
//! Implements h3's public transport traits over quinn. Streams come from the router through the
//! [`Handover`], with the bytes that were read to judge them in front. Two things h3 lacks are added
//! here: the SETTINGS dialects, and a budget of bytes for each stream (h3 would buffer a header block of
//! any announced length).

use super::{
    codes::{self, H3_EXCESSIVE_LOAD},
    handover::Handover,
    settings,
};
use bytes::{Buf as _, Bytes};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// Most bytes that h3 is given of one stream, over its life. Requests and control streams need a few
/// hundred.
const STREAM_BUDGET_BYTES: usize = 64 << 10;

const CHUNK_BYTES: usize = 8 << 10;

/// The connection as h3 uses it.
pub(super) struct Adapter {
    opener: Opener,
    handover: Arc<Handover>,
}

/// Opens our own unidirectional streams: control and QPACK.
pub(super) struct Opener {
    connection: quinn::Connection,
    uni: BoxStream<'static, Result<quinn::SendStream, ConnectionError>>,
}

/// A stream we send on.
pub(super) struct SendHalf {
    stream: quinn::SendStream,
    id: StreamId,
    waiting: Bytes,
    /// Nothing was sent yet on a stream of our own: its head may need more settings.
    at_head: bool,
    acknowledged: Option<BoxFuture<'static, ()>>,
}

/// A stream we receive on.
pub(super) struct RecvHalf {
    stream: quinn::RecvStream,
    id: StreamId,
    head: Bytes,
    budget: usize,
}

/// A request stream.
pub(super) struct BidiStream {
    pub(super) send: SendHalf,
    recv: RecvHalf,
}

impl Adapter {
    pub(super) fn new(connection: quinn::Connection, handover: Arc<Handover>) -> Self {
        Self { opener: Opener::new(connection), handover }
    }
}

impl quic::Connection<Bytes> for Adapter {
    type RecvStream = RecvHalf;
    type OpenStreams = Opener;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<RecvHalf, ConnectionErrorIncoming>> {
        self.handover.poll_uni(cx).map_err(|error| connection_error(&error))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<BidiStream, ConnectionErrorIncoming>> {
        self.handover.poll_bidi(cx).map_err(|error| connection_error(&error))
    }

    fn opener(&self) -> Opener {
        Opener::new(self.opener.connection.clone())
    }
}

impl quic::OpenStreams<Bytes> for Adapter {
    type BidiStream = BidiStream;
    type SendStream = SendHalf;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendHalf, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

impl Opener {
    fn new(connection: quinn::Connection) -> Self {
        let uni = stream::unfold(connection.clone(), |connection| async {
            let opened = connection.open_uni().await;
            Some((opened, connection))
        });
        Self { connection, uni: uni.boxed() }
    }
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = BidiStream;
    type SendStream = SendHalf;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<BidiStream, StreamErrorIncoming>> {
        Poll::Ready(Err(unknown("an HTTP/3 server opens no bidirectional streams")))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendHalf, StreamErrorIncoming>> {
        Poll::Ready(match ready!(self.uni.poll_next_unpin(cx)) {
            Some(Ok(stream)) => SendHalf::new(stream, true).ok_or_else(|| unknown("stream id out of range")),
            Some(Err(error)) => Err(StreamErrorIncoming::ConnectionErrorIncoming {
                connection_error: connection_error(&error),
            }),
            None => Err(unknown("no more streams")),
        })
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(codes::varint(code.value()), reason);
    }
}

impl SendHalf {
    fn new(stream: quinn::SendStream, at_head: bool) -> Option<Self> {
        let id = StreamId::try_from(VarInt::from(stream.id()).into_inner()).ok()?;
        Some(Self { stream, id, waiting: Bytes::new(), at_head, acknowledged: None })
    }
}

impl quic::SendStream<Bytes> for SendHalf {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        while !self.waiting.is_empty() {
            let written = ready!(pin!(self.stream.write(&self.waiting)).poll(cx)).map_err(write_error)?;
            self.waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if !self.waiting.is_empty() {
            return Err(unknown("sent before the stream was ready"));
        }
        let mut data = data.into();
        let bytes = data.copy_to_bytes(data.remaining());
        let at_head = std::mem::take(&mut self.at_head);
        self.waiting = if at_head { settings::extend(&bytes, &settings::DIALECTS) } else { bytes };
        Ok(())
    }

    /// Ready when the peer has acknowledged everything: the connection may be closed after that.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        ready!(self.poll_ready(cx))?;
        let acknowledged = self.acknowledged.get_or_insert_with(|| {
            let _ = self.stream.finish();
            self.stream.stopped().map(drop).boxed()
        });
        acknowledged.poll_unpin(cx).map(Ok)
    }

    fn reset(&mut self, reset_code: u64) {
        let _ = self.stream.reset(codes::varint(reset_code));
    }

    fn send_id(&self) -> StreamId {
        self.id
    }
}

impl RecvHalf {
    pub(super) fn new(stream: quinn::RecvStream, head: Bytes) -> Option<Self> {
        let id = StreamId::try_from(VarInt::from(stream.id()).into_inner()).ok()?;
        Some(Self { stream, id, head, budget: STREAM_BUDGET_BYTES })
    }
}

impl quic::RecvStream for RecvHalf {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if !self.head.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.head))));
        }
        let chunk = ready!(pin!(self.stream.read_chunk(CHUNK_BYTES, true)).poll(cx)).map_err(read_error)?;
        let Some(chunk) = chunk else { return Poll::Ready(Ok(None)) };
        let Some(budget) = self.budget.checked_sub(chunk.bytes.len()) else {
            let _ = self.stream.stop(codes::varint(H3_EXCESSIVE_LOAD));
            return Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code: H3_EXCESSIVE_LOAD }));
        };
        self.budget = budget;
        Poll::Ready(Ok(Some(chunk.bytes)))
    }

    fn stop_sending(&mut self, error_code: u64) {
        let _ = self.stream.stop(codes::varint(error_code));
    }

    fn recv_id(&self) -> StreamId {
        self.id
    }
}

impl BidiStream {
    pub(super) fn new(send: quinn::SendStream, recv: quinn::RecvStream, head: Bytes) -> Option<Self> {
        Some(Self { send: SendHalf::new(send, false)?, recv: RecvHalf::new(recv, head)? })
    }
}

impl quic::SendStream<Bytes> for BidiStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.send.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.send.id
    }
}

impl quic::RecvStream for BidiStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.recv.poll_data(cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        self.recv.stop_sending(error_code);
    }

    fn recv_id(&self) -> StreamId {
        self.recv.id
    }
}

impl quic::BidiStream<Bytes> for BidiStream {
    type SendStream = SendHalf;
    type RecvStream = RecvHalf;

    fn split(self) -> (SendHalf, RecvHalf) {
        (self.send, self.recv)
    }
}

fn connection_error(error: &ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into_inner() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other.clone())),
    }
}

fn write_error(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(&error) }
        }
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn read_error(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: connection_error(&error) }
        }
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn unknown(problem: &'static str) -> StreamErrorIncoming {
    StreamErrorIncoming::Unknown(problem.into())
}

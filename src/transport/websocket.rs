//! Lanes over a WebSocket: for networks without UDP and browsers without WebTransport.
//!
//! Binary messages hold one or more whole frames; lanes other than the control lane travel wrapped. A
//! text message is an error. There are no datagrams: they become frames of the control lane.

use super::{
    chunk::{join, take_frames},
    connection::{Closed, Connection, Inbound, Lane, LostReason, Misbehaved},
    limits::Limits,
    origin::Origins,
    outbox::Outbox,
    outbox_state::Batch,
    path::{Counters, Link, TransportKind},
    watch::Watch,
    websocket_end::{broken, close},
};
use axum::{
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
};
use bytes::Bytes;
use duet_protocol::{Code, SUBPROTOCOL, frame::MAX_FRAME_BYTES};
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use http::{HeaderMap, header::ORIGIN};
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::time::{self, Sleep};

/// Most bytes put into one message.
const BATCH_BYTES: usize = 16 << 10;

/// Largest message taken: the largest frame and its head.
const MESSAGE_BYTES_MAX: usize = MAX_FRAME_BYTES + 16;

/// How long a socket with bytes that nobody can read stays open behind its close frame.
const UNREAD_LINGER: Duration = Duration::from_millis(500);

/// Items given to the sink in one turn.
const TURN_ITEMS: usize = 64;

/// Answers an upgrade request: checks nothing but the Origin, offers `duet.v1`, and hands the
/// connection to `then` once the client has switched. A page whose Origin is not allowed is let in and
/// closed with 3502, because it could not see a status. `then` runs in a task of the HTTP library.
pub fn upgrade<F, R>(
    upgrade: WebSocketUpgrade,
    peer: SocketAddr,
    headers: &HeaderMap,
    origins: &Origins,
    limits: Arc<Limits>,
    then: F,
) -> Response
where
    F: FnOnce(Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or(""));
    let allowed = origins.allow(origin);
    upgrade
        .max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .max_write_buffer_size(4 * MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
        .protocols([SUBPROTOCOL])
        .on_upgrade(move |mut socket| async move {
            if allowed {
                then(WebSocketConnection::new(socket, peer, limits).into()).await;
            } else {
                let code = Code::FORBIDDEN_ORIGIN;
                let _ =
                    time::timeout(limits.close_flush, close(&mut socket, u32::from(code.0), code.sentence()))
                        .await;
            }
        })
}

/// A WebSocket before it runs.
pub(super) struct WebSocketConnection {
    socket: WebSocket,
    outbox: Outbox,
    counters: Arc<Counters>,
    limits: Arc<Limits>,
}

impl WebSocketConnection {
    fn new(socket: WebSocket, peer: SocketAddr, limits: Arc<Limits>) -> Self {
        let counters = Arc::new(Counters::default());
        let link = Link::Counted(TransportKind::WebSocket, peer, Arc::clone(&counters));
        let outbox = Outbox::new(link, limits.outbox_bound(), false);
        outbox.lock().open(Lane::CONTROL);
        Self { socket, outbox, counters, limits }
    }

    pub(super) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    pub(super) async fn run<S: Sink<Inbound>>(self, sink: S) -> Closed {
        let ping = Box::pin(time::sleep(self.limits.ping_every));
        let mut engine = Engine {
            inbound: VecDeque::from([Inbound::LaneOpened { lane: Lane::CONTROL }]),
            connection: self,
            written: None,
            needs_flush: false,
            ping,
            pinged: None,
            ended: None,
            watch: Watch::default(),
        };
        let mut sink = pin!(sink);
        let closed = poll_fn(|cx| engine.poll(cx, sink.as_mut())).await;
        engine.close(closed).await
    }
}

impl fmt::Debug for WebSocketConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocketConnection").finish_non_exhaustive()
    }
}

struct Engine {
    connection: WebSocketConnection,
    /// Decoded and not yet taken by the sink; filled only while empty.
    inbound: VecDeque<Inbound>,
    /// Size of the batch that the socket has taken and not yet sent.
    written: Option<usize>,
    needs_flush: bool,
    ping: Pin<Box<Sleep>>,
    pinged: Option<Instant>,
    ended: Option<Closed>,
    watch: Watch,
}

impl Engine {
    fn poll<S: Sink<Inbound>>(&mut self, cx: &mut Context<'_>, sink: Pin<&mut S>) -> Poll<Closed> {
        self.connection.outbox.lock().register(cx);
        if let Poll::Ready(closed) = self.poll_ping(cx) {
            return Poll::Ready(closed);
        }
        if let Poll::Ready(closed) = self.poll_write(cx) {
            self.ended.get_or_insert(closed);
        }
        if let Some(closed) = self.watch.drained(&self.connection.outbox, &self.connection.limits) {
            return Poll::Ready(closed);
        }
        if let Poll::Ready(closed) = self.poll_read(cx, sink) {
            return Poll::Ready(closed);
        }
        self.watch.poll(cx, &self.connection.outbox, &self.connection.limits)
    }

    /// Sends a ping when it is time; ready when the last one was never answered.
    fn poll_ping(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        while self.ping.as_mut().poll(cx).is_ready() {
            if self.pinged.is_some() {
                return Poll::Ready(Closed::Silent);
            }
            // A socket with no room is being written to: the slow reader's timer watches it.
            let ready = self.connection.socket.poll_ready_unpin(cx);
            let sent = matches!(ready, Poll::Ready(Ok(())))
                && self.connection.socket.start_send_unpin(Message::Ping(Bytes::new())).is_ok();
            self.needs_flush |= sent;
            self.pinged = sent.then(Instant::now);
            let limits = &self.connection.limits;
            let wait = if sent { limits.pong_within } else { limits.ping_every };
            self.ping.as_mut().reset(time::Instant::now() + wait);
        }
        Poll::Pending
    }

    /// Writes what waits, one message at a time; ready when the socket is broken.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let broken = |error: axum::Error| Closed::Lost(LostReason::Failed(error.to_string()));
        loop {
            if self.needs_flush || self.written.is_some() {
                match self.connection.socket.poll_flush_unpin(cx) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(broken(error)),
                    Poll::Pending => return Poll::Pending,
                }
                self.needs_flush = false;
                if let Some(bytes) = self.written.take() {
                    self.connection.outbox.lock().written(Lane::CONTROL, bytes);
                }
            }
            if self.connection.outbox.lock().take_room() {
                self.inbound.push_back(Inbound::Writable);
            }
            match self.connection.socket.poll_ready_unpin(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(broken(error)),
                Poll::Pending => return Poll::Pending,
            }
            let batch = self.connection.outbox.lock().take(BATCH_BYTES);
            let Some(batch) = batch.map(Batch::deflated) else { return Poll::Pending };
            if batch.bytes == 0 {
                // What was scheduled has become stale, or the control lane was finished.
                self.connection.outbox.lock().written(Lane::CONTROL, 0);
                if batch.finish {
                    self.connection.outbox.lock().drop_lane(Lane::CONTROL, 0);
                }
                continue;
            }
            let message = join(batch.chunks);
            self.connection.counters.bytes_out.fetch_add(message.len() as u64, Ordering::Relaxed);
            let message = Message::Binary(message);
            if let Err(error) = self.connection.socket.start_send_unpin(message) {
                return Poll::Ready(broken(error));
            }
            self.written = Some(batch.bytes);
        }
    }

    fn poll_read<S: Sink<Inbound>>(&mut self, cx: &mut Context<'_>, mut sink: Pin<&mut S>) -> Poll<Closed> {
        for _ in 0..TURN_ITEMS {
            match sink.as_mut().poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Closed::Abandoned),
                Poll::Pending => return Poll::Pending,
            }
            if let Some(item) = self.inbound.pop_front() {
                if sink.as_mut().start_send(item).is_err() {
                    return Poll::Ready(Closed::Abandoned);
                }
                continue;
            }
            if let Some(ended) = self.ended.take() {
                return Poll::Ready(ended);
            }
            match self.connection.socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    if let Err(misbehaved) = self.take_message(message) {
                        self.ended = Some(Closed::Misbehaved(misbehaved));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.ended = Some(broken(error));
                }
                Poll::Ready(None) => {
                    self.ended = Some(Closed::Lost(LostReason::Failed("ended without a close".into())));
                }
                Poll::Pending => {
                    return match sink.as_mut().poll_flush(cx) {
                        Poll::Ready(Err(_)) => Poll::Ready(Closed::Abandoned),
                        _ => Poll::Pending,
                    };
                }
            }
        }
        cx.waker().wake_by_ref();
        let _ = sink.as_mut().poll_flush(cx);
        Poll::Pending
    }

    fn take_message(&mut self, message: Message) -> Result<(), Misbehaved> {
        match message {
            Message::Binary(bytes) => {
                self.connection.counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                self.take_frames(&bytes)
            }
            Message::Text(_) => Err(Misbehaved::TextMessage),
            Message::Close(close) => {
                let (code, reason) = close.map_or((0, String::new()), |close| {
                    (u32::from(close.code), close.reason.as_str().to_owned())
                });
                self.ended = Some(Closed::ByPeer { code, reason });
                Ok(())
            }
            Message::Pong(_) => {
                if let Some(pinged) = self.pinged.take() {
                    let rtt_us = u64::try_from(pinged.elapsed().as_micros()).unwrap_or(u64::MAX).max(1);
                    self.connection.counters.rtt_us.store(rtt_us, Ordering::Relaxed);
                    self.ping.as_mut().reset(time::Instant::now() + self.connection.limits.ping_every);
                }
                Ok(())
            }
            // The library has queued the pong.
            Message::Ping(_) => {
                self.needs_flush = true;
                Ok(())
            }
        }
    }

    fn take_frames(&mut self, bytes: &[u8]) -> Result<(), Misbehaved> {
        let lanes_max = self.connection.limits.wrapped_lanes;
        take_frames(bytes, &self.connection.outbox, lanes_max, &mut self.inbound)
    }

    async fn close(mut self, closed: Closed) -> Closed {
        let reason = {
            let mut state = self.connection.outbox.lock();
            let reason = state.closing.take().map(|(_, reason)| reason);
            state.end();
            reason
        };
        let within = self.connection.limits.close_flush;
        let socket = &mut self.connection.socket;
        let handshake = async {
            if let Some(code) = closed.our_code() {
                let reason = reason.unwrap_or_else(|| Code(u16::try_from(code).unwrap_or(0)).name());
                close(socket, code, &reason).await;
                if matches!(closed, Closed::Misbehaved(Misbehaved::WebSocket(_))) {
                    // The library reads no more of it: to end now, with bytes unread, would be a reset, which may
                    // overtake the close frame.
                    time::sleep(UNREAD_LINGER).await;
                }
            } else {
                let _ = socket.close().await;
            }
        };
        let _ = time::timeout(within, handshake).await;
        closed
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.connection.outbox.lock().end();
    }
}

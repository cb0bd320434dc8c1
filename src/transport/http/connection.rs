//! The loop of one carrier: chunks become frames for the sink, the outbox becomes batches, and silence is noticed.

use super::{
    super::{
        chunk::{join, take_frames},
        connection::{Closed, Inbound, Lane},
        limits::Limits,
        outbox::Outbox,
        outbox_state::Batch,
        path::{Counters, Link, TransportKind},
        watch::Watch,
    },
    carrier::{Carrier, Up},
    table::Entry,
};
use duet_protocol::Code;
use futures_util::Sink;
use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Instant,
};
use tokio::time::{self, Sleep};

/// Most bytes put into one batch, but for a single frame that is larger.
const BATCH_BYTES: usize = 16 << 10;

/// Items given to the sink in one turn.
const TURN_ITEMS: usize = 64;

/// A carrier before it runs. While it lives, requests find the carrier.
pub(in crate::transport) struct HttpConnection {
    carrier: Arc<Carrier>,
    outbox: Outbox,
    counters: Arc<Counters>,
    limits: Arc<Limits>,
    _entry: Entry,
}

impl HttpConnection {
    pub(super) fn new(
        kind: TransportKind,
        peer: SocketAddr,
        carrier: Arc<Carrier>,
        entry: Entry,
        limits: Arc<Limits>,
    ) -> Self {
        let counters = Arc::new(Counters::default());
        let link = Link::Counted(kind, peer, Arc::clone(&counters));
        let outbox = Outbox::new(link, limits.outbox_bound(), false);
        outbox.lock().open(Lane::CONTROL);
        Self { carrier, outbox, counters, limits, _entry: entry }
    }

    pub(in crate::transport) fn outbox(&self) -> Outbox {
        self.outbox.clone()
    }

    pub(in crate::transport) async fn run<S: Sink<Inbound>>(self, sink: S) -> Closed {
        let silence = Box::pin(time::sleep_until(self.carrier.silent_at(&self.limits).into()));
        let mut engine = Engine {
            inbound: VecDeque::from([Inbound::LaneOpened { lane: Lane::CONTROL }]),
            connection: self,
            ended: None,
            silence,
            watch: Watch::default(),
        };
        let mut sink = pin!(sink);
        let closed = poll_fn(|cx| engine.poll(cx, sink.as_mut())).await;
        engine.close(closed).await
    }
}

impl fmt::Debug for HttpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnection").finish_non_exhaustive()
    }
}

struct Engine {
    connection: HttpConnection,
    /// Decoded and not yet taken by the sink; filled only while empty.
    inbound: VecDeque<Inbound>,
    ended: Option<Closed>,
    silence: Pin<Box<Sleep>>,
    watch: Watch,
}

impl Engine {
    fn poll<S: Sink<Inbound>>(&mut self, cx: &mut Context<'_>, sink: Pin<&mut S>) -> Poll<Closed> {
        self.connection.outbox.lock().register(cx);
        self.make_batches(cx);
        if let Some(closed) = self.watch.drained(&self.connection.outbox, &self.connection.limits) {
            return Poll::Ready(closed);
        }
        if let Poll::Ready(closed) = self.poll_read(cx, sink) {
            return Poll::Ready(closed);
        }
        if let Poll::Ready(closed) = self.poll_silence(cx) {
            return Poll::Ready(closed);
        }
        self.watch.poll(cx, &self.connection.outbox, &self.connection.limits)
    }

    /// Moves what waits into batches, as long as the client acknowledges them.
    fn make_batches(&mut self, cx: &Context<'_>) {
        let HttpConnection { carrier, outbox, counters, limits, .. } = &self.connection;
        while carrier.has_room(cx, limits.carrier_kept_bytes) {
            let batch = outbox.lock().take(BATCH_BYTES);
            let Some(mut batch) = batch.map(Batch::deflated) else { break };
            if batch.bytes > 0 {
                let bytes = join(std::mem::take(&mut batch.chunks));
                counters.bytes_out.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                carrier.put(bytes);
            }
            outbox.lock().written(Lane::CONTROL, batch.bytes);
            if batch.finish {
                outbox.lock().drop_lane(Lane::CONTROL, 0);
            }
        }
        if outbox.lock().take_room() {
            self.inbound.push_back(Inbound::Writable);
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
            match self.connection.carrier.poll_up(cx) {
                Poll::Ready(up) => self.take(up),
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

    fn take(&mut self, up: Up) {
        let HttpConnection { outbox, counters, limits, .. } = &self.connection;
        self.ended = match up {
            Up::Chunk(bytes) => {
                counters.bytes_in.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                let taken = take_frames(&bytes, outbox, limits.wrapped_lanes, &mut self.inbound);
                taken.err().map(Closed::Misbehaved)
            }
            Up::Closed(code) => Some(Closed::ByPeer { code, reason: String::new() }),
            Up::Misbehaved(how) => Some(Closed::Misbehaved(how)),
        };
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Closed> {
        let at = self.connection.carrier.silent_at(&self.connection.limits);
        if Instant::now() >= at {
            return Poll::Ready(Closed::Silent);
        }
        // A timer that fires too early is set again; one that would fire too late is set now.
        if self.silence.deadline().into_std() > at || self.silence.is_elapsed() {
            self.silence.as_mut().reset(at.into());
        }
        while self.silence.as_mut().poll(cx).is_ready() {
            self.silence.as_mut().reset(at.into());
        }
        Poll::Pending
    }

    /// Tells the client the end, and waits a little until it knows; then its key is not known any more.
    async fn close(self, closed: Closed) -> Closed {
        let reason = {
            let mut state = self.connection.outbox.lock();
            let reason = state.closing.take().map(|(_, reason)| reason);
            state.end();
            reason
        };
        let carrier = &self.connection.carrier;
        if let Some(code) = closed.our_code() {
            let reason = reason.unwrap_or_else(|| Code(u16::try_from(code).unwrap_or(0)).name());
            carrier.end(code, reason);
            let _ = time::timeout(self.connection.limits.close_flush, carrier.told.notified()).await;
        }
        closed
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.connection.outbox.lock().end();
        // Whoever still reads or waits for room is let go.
        self.connection.carrier.abandon();
    }
}

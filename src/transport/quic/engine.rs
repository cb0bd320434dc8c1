//! The loop of one connection: everything that may happen to it is polled here, in one task.
//!
//! Each turn writes first, then reads while the sink has room, then looks at the clock. Nothing waits
//! for anything else: a lane without credit keeps its batch and the others go on.

use super::{
    AcceptedStream, Wire,
    reading::{LaneNews, LaneReader, Reading, Stop},
    writing::{LaneSender, SendEnd},
};
use crate::transport::{
    connection::{Closed, Inbound, Lane, Misbehaved},
    limits::Limits,
    outbox::Outbox,
    outbox_state::{Batch, WrappedLane},
    watch::Watch,
};
use duet_protocol::{Code, Frame};
use futures_util::{Sink, StreamExt as _, stream::FuturesUnordered};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time;

/// Most bytes handed to a lane at once: large enough to fill packets, small enough to take turns.
const BATCH_BYTES: usize = 16 << 10;

/// Items given to the sink in one turn; then others on this thread have theirs.
const TURN_ITEMS: usize = 64;

pub(super) struct Engine {
    wire: Wire,
    outbox: Outbox,
    limits: Arc<Limits>,
    streams_accepted: u32,
    readers: FuturesUnordered<Reading>,
    stops: BTreeMap<Lane, Arc<Stop>>,
    senders: BTreeMap<Lane, LaneSender>,
    /// Lanes whose batch waits for credit.
    blocked: BTreeSet<Lane>,
    /// Decoded and not yet taken by the sink; filled only while empty.
    inbound: VecDeque<Inbound>,
    /// The end, known but not told before everything that came in front of it.
    ended: Option<Closed>,
    watch: Watch,
    closed: bool,
}

impl Engine {
    pub(super) fn new(wire: Wire, outbox: Outbox, limits: Arc<Limits>) -> Self {
        Self {
            wire,
            outbox,
            limits,
            streams_accepted: 0,
            readers: FuturesUnordered::new(),
            stops: BTreeMap::new(),
            senders: BTreeMap::new(),
            blocked: BTreeSet::new(),
            inbound: VecDeque::new(),
            ended: None,
            watch: Watch::default(),
            closed: false,
        }
    }

    /// One turn. Ready when the connection is to be closed, or was.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, sink: Pin<&mut S>) -> Poll<Closed>
    where
        S: Sink<Inbound>,
    {
        self.outbox.lock().register(cx);
        self.poll_write(cx);
        if let Some(closed) = self.watch.drained(&self.outbox, &self.limits) {
            return Poll::Ready(closed);
        }
        if let Poll::Ready(closed) = self.poll_read(cx, sink) {
            return Poll::Ready(closed);
        }
        // What was read may have opened lanes or dropped some; what was queued meanwhile woke us.
        self.watch.poll(cx, &self.outbox, &self.limits)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        for lane in std::mem::take(&mut self.blocked) {
            self.write_lane(lane, cx);
        }
        loop {
            let (resets, datagram, batch) = {
                let mut state = self.outbox.lock();
                (std::mem::take(&mut state.resets), state.take_datagram(), state.take(BATCH_BYTES))
            };
            if resets.is_empty() && datagram.is_none() && batch.is_none() {
                break;
            }
            for (lane, code) in resets {
                self.break_off(lane, code);
            }
            if let Some(datagram) = datagram {
                self.wire.send_datagram(datagram);
            }
            let Some(batch) = batch.map(Batch::deflated) else { continue };
            let lane = batch.lane;
            if let Some(sender) = self.senders.get_mut(&lane) {
                sender.begin(batch);
                self.write_lane(lane, cx);
            } else {
                self.outbox.lock().drop_lane(lane, batch.bytes);
            }
        }
        if self.outbox.lock().take_room() {
            self.inbound.push_back(Inbound::Writable);
        }
    }

    fn write_lane(&mut self, lane: Lane, cx: &mut Context<'_>) {
        let Some(sender) = self.senders.get_mut(&lane) else { return };
        match sender.poll_write(cx) {
            Poll::Pending => {
                self.blocked.insert(lane);
            }
            Poll::Ready(Ok((bytes, finish))) => {
                let mut state = self.outbox.lock();
                state.written(lane, bytes);
                if finish {
                    state.drop_lane(lane, 0);
                    sender.finish();
                    self.senders.remove(&lane);
                }
            }
            Poll::Ready(Err(SendEnd::Stopped(code))) => {
                let code = self.wire.code_in(code);
                self.broken_off(lane, code);
            }
            Poll::Ready(Err(SendEnd::Gone)) => self.drop_sender(lane),
        }
    }

    fn poll_read<S>(&mut self, cx: &mut Context<'_>, mut sink: Pin<&mut S>) -> Poll<Closed>
    where
        S: Sink<Inbound>,
    {
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
            if self.poll_sources(cx) {
                continue;
            }
            if let Some(ended) = self.ended.take() {
                return Poll::Ready(ended);
            }
            return match sink.as_mut().poll_flush(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(Closed::Abandoned),
                _ => Poll::Pending,
            };
        }
        cx.waker().wake_by_ref();
        let _ = sink.as_mut().poll_flush(cx);
        Poll::Pending
    }

    /// Asks everything that may bring news; true when something came, be it only the end of a lane.
    fn poll_sources(&mut self, cx: &mut Context<'_>) -> bool {
        let mut came = false;
        if self.ended.is_none() {
            match self.wire.poll_accept(cx) {
                Poll::Ready(Ok(stream)) => {
                    self.open(stream);
                    came = true;
                }
                Poll::Ready(Err(closed)) => self.ended = Some(self.explained(cx, closed)),
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(Some(Some((reader, news)))) = self.readers.poll_next_unpin(cx) {
            if let Err(misbehaved) = self.take_news(reader, news) {
                self.ended = Some(Closed::Misbehaved(misbehaved));
                self.readers.clear();
            }
            came = true;
        }
        if self.ended.is_none() {
            match self.wire.poll_datagram(cx) {
                Poll::Ready(Ok(datagram)) => {
                    self.inbound.push_back(Inbound::Datagram(datagram));
                    came = true;
                }
                Poll::Ready(Err(closed)) => self.ended = Some(self.explained(cx, closed)),
                Poll::Pending => {}
            }
        }
        if !came
            && self.ended.is_none()
            && let Poll::Ready(closed) = self.wire.poll_end(cx)
        {
            self.ended = Some(closed);
        }
        came
    }

    /// A peer may close the connection together with the session; its capsule, if it has arrived, says
    /// more than the connection's end.
    fn explained(&mut self, cx: &mut Context<'_>, lost: Closed) -> Closed {
        match self.wire.poll_end(cx) {
            Poll::Ready(end) => end,
            Poll::Pending => lost,
        }
    }

    fn open(&mut self, stream: AcceptedStream) {
        let lane = Lane(self.streams_accepted);
        self.streams_accepted += 1;
        let (reader, stop) = LaneReader::new(lane, stream.head, stream.recv);
        self.readers.push(Reading::new(reader));
        self.stops.insert(lane, stop);
        self.senders.insert(lane, LaneSender::new(lane, stream.send));
        self.outbox.lock().open(lane);
        self.inbound.push_back(Inbound::LaneOpened { lane });
    }

    fn take_news(&mut self, mut reader: LaneReader, news: LaneNews) -> Result<(), Misbehaved> {
        let lane = reader.lane;
        match news {
            LaneNews::Bytes(bytes) => {
                reader.decoder.push(&bytes);
                while let Some(frame) =
                    reader.decoder.next().map_err(|error| Misbehaved::Frame { lane, error })?
                {
                    self.take_frame(lane, frame)?;
                }
                self.readers.push(Reading::new(reader));
            }
            LaneNews::Finished if reader.decoder.pending_bytes() > 0 => {
                return Err(Misbehaved::CutShort(lane));
            }
            LaneNews::Finished => {
                self.stops.remove(&lane);
                self.inbound.push_back(Inbound::LaneFinished { lane });
            }
            LaneNews::Reset(code) => {
                let code = self.wire.code_in(code);
                self.broken_off(lane, code);
            }
            LaneNews::Gone => {
                self.stops.remove(&lane);
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, lane: Lane, frame: Frame) -> Result<(), Misbehaved> {
        let Some(unwrapped) = frame.unwrap_lane() else {
            self.inbound.push_back(Inbound::Frame { lane, frame });
            return Ok(());
        };
        if lane != Lane::CONTROL {
            return Err(Misbehaved::UnexpectedWrapper(lane));
        }
        let (number, frame) = unwrapped.map_err(|error| Misbehaved::Frame { lane, error })?;
        let lane = Lane::wrapped(number).ok_or(Misbehaved::TooManyLanes)?;
        match self.outbox.lock().open_wrapped(lane, self.limits.wrapped_lanes) {
            WrappedLane::TooMany => return Err(Misbehaved::TooManyLanes),
            WrappedLane::New => self.inbound.push_back(Inbound::LaneOpened { lane }),
            WrappedLane::Known => {}
        }
        self.inbound.push_back(Inbound::Frame { lane, frame });
        Ok(())
    }

    /// The peer broke a lane off in one direction; the other has no use then.
    fn broken_off(&mut self, lane: Lane, code: u32) {
        if self.senders.contains_key(&lane) || self.stops.contains_key(&lane) {
            self.outbox.lock().drop_lane(lane, 0);
            self.break_off(lane, code);
            self.inbound.push_back(Inbound::LaneReset { lane, code });
        }
    }

    fn break_off(&mut self, lane: Lane, code: u32) {
        let code = self.wire.code_out(code);
        if let Some(sender) = self.senders.get_mut(&lane) {
            sender.reset(code);
        }
        self.drop_sender(lane);
        if let Some(stop) = self.stops.remove(&lane) {
            stop.stop(code);
        }
    }

    fn drop_sender(&mut self, lane: Lane) {
        self.blocked.remove(&lane);
        if let Some(sender) = self.senders.remove(&lane) {
            self.outbox.lock().drop_lane(lane, sender.batch_bytes());
        }
    }

    /// The closing handshake that belongs to `closed`.
    pub(super) async fn close(mut self, closed: Closed) -> Closed {
        let within = self.limits.close_flush;
        let reason = {
            let mut state = self.outbox.lock();
            let reason = state.closing.take().map(|(_, reason)| reason);
            state.end();
            reason
        };
        if let Closed::ByUs { .. } = &closed {
            self.flush().await;
        }
        for sender in self.senders.values_mut() {
            sender.reset(self.wire.code_gone());
        }
        match closed.our_code() {
            Some(code) => {
                let reason = reason.unwrap_or_else(|| Code(u16::try_from(code).unwrap_or(0)).name());
                self.wire.close(code, &reason, within).await;
            }
            None => self.wire.acknowledge_end(within).await,
        }
        self.closed = true;
        closed
    }

    /// Waits until the peer has what was written to the control lane: the frame that says why.
    async fn flush(&mut self) {
        if let Some(sender) = self.senders.get_mut(&Lane::CONTROL) {
            sender.finish();
            let acknowledged = sender.acknowledged();
            if time::timeout(self.limits.close_flush, acknowledged).await.is_ok() {
                self.senders.remove(&Lane::CONTROL);
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.outbox.lock().end();
        if !self.closed {
            self.wire.abandon(u32::from(Code::INTERNAL.0));
        }
    }
}

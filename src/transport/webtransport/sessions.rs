//! The sessions of one HTTP/3 connection, and what arrives for them.
//!
//! Streams and datagrams may overtake the CONNECT request they belong to, so a few wait for sessions
//! that are not there yet. Queues, each with its policy: a session's streams ([`STREAMS_MAX`], refuse),
//! its datagrams ([`DATAGRAMS_MAX`], drop the oldest), sessions not yet known ([`UNKNOWN_MAX`], refuse).

use super::codes::{self, WT_BUFFERED_STREAM_REJECTED, WT_SESSION_GONE};
use crate::transport::quic::AcceptedStream;
use bytes::Bytes;
use quinn::{ConnectionError, VarInt};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Streams that wait for a session that is open; QUIC's own limit is usually lower.
const STREAMS_MAX: usize = 256;
/// Datagrams that wait for a session.
const DATAGRAMS_MAX: usize = 64;
/// Sessions that are not there yet and for which something waits already.
const UNKNOWN_MAX: usize = 4;
/// Streams that wait for a session that is not there yet.
const EARLY_STREAMS_MAX: usize = 16;
/// Ended sessions that are remembered, so that late streams are told so.
const ENDED_MAX: usize = 64;

/// All sessions of one connection.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    inboxes: BTreeMap<u64, Inbox>,
    ended: VecDeque<u64>,
    live: usize,
    lost: Option<ConnectionError>,
    /// The driver, to be told when a session ends.
    driver: Option<Waker>,
}

#[derive(Debug, Default)]
struct Inbox {
    open: bool,
    streams: VecDeque<AcceptedStream>,
    datagrams: VecDeque<Bytes>,
    waker: Option<Waker>,
}

/// A session's place in the table; leaves it when dropped.
#[derive(Debug)]
pub(super) struct Place {
    sessions: Arc<Sessions>,
    pub(super) id: u64,
}

impl Sessions {
    /// Opens a session; `None` when `sessions_max` are open already.
    pub(super) fn open(self: &Arc<Self>, id: u64, sessions_max: usize) -> Option<Place> {
        let mut table = self.lock();
        if table.live >= sessions_max {
            return None;
        }
        table.live += 1;
        table.inboxes.entry(id).or_default().open = true;
        Some(Place { sessions: Arc::clone(self), id })
    }

    /// Sessions that are open now.
    pub(super) fn live(&self) -> usize {
        self.lock().live
    }

    pub(super) fn give_stream(&self, id: u64, stream: AcceptedStream) {
        let mut table = self.lock();
        let refused = match table.inbox(id) {
            Err(code) => Some((stream, code)),
            Ok(inbox) if inbox.streams.len() >= if inbox.open { STREAMS_MAX } else { EARLY_STREAMS_MAX } => {
                Some((stream, WT_BUFFERED_STREAM_REJECTED))
            }
            Ok(inbox) => {
                inbox.streams.push_back(stream);
                inbox.wake();
                None
            }
        };
        drop(table);
        if let Some((stream, code)) = refused {
            refuse(stream, codes::varint(code));
        }
    }

    pub(super) fn give_datagram(&self, id: u64, datagram: Bytes) {
        let mut table = self.lock();
        if let Ok(inbox) = table.inbox(id) {
            if inbox.datagrams.len() >= DATAGRAMS_MAX {
                inbox.datagrams.pop_front();
            }
            inbox.datagrams.push_back(datagram);
            inbox.wake();
        }
    }

    /// Tells every session that the connection is gone.
    pub(super) fn lose(&self, error: &ConnectionError) {
        let mut table = self.lock();
        table.lost.get_or_insert_with(|| error.clone());
        table.inboxes.values_mut().for_each(Inbox::wake);
    }

    pub(super) fn register_driver(&self, cx: &Context<'_>) {
        self.lock().driver = Some(cx.waker().clone());
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn poll_stream(&self, cx: &Context<'_>) -> Poll<Result<AcceptedStream, ConnectionError>> {
        self.poll(cx, |inbox| inbox.streams.pop_front())
    }

    pub(super) fn poll_datagram(&self, cx: &Context<'_>) -> Poll<Result<Bytes, ConnectionError>> {
        self.poll(cx, |inbox| inbox.datagrams.pop_front())
    }

    fn poll<T>(
        &self,
        cx: &Context<'_>,
        take: impl FnOnce(&mut Inbox) -> Option<T>,
    ) -> Poll<Result<T, ConnectionError>> {
        let mut table = self.sessions.lock();
        let lost = table.lost.clone();
        let inbox = table.inboxes.entry(self.id).or_default();
        if let Some(item) = take(inbox) {
            return Poll::Ready(Ok(item));
        }
        if let Some(error) = lost {
            return Poll::Ready(Err(error));
        }
        inbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.sessions.lock();
        let inbox = table.inboxes.remove(&self.id);
        table.live -= 1;
        if table.ended.len() >= ENDED_MAX {
            table.ended.pop_front();
        }
        table.ended.push_back(self.id);
        if let Some(driver) = table.driver.take() {
            driver.wake();
        }
        drop(table);
        for stream in inbox.into_iter().flat_map(|inbox| inbox.streams) {
            refuse(stream, codes::varint(WT_SESSION_GONE));
        }
    }
}

impl Table {
    fn inbox(&mut self, id: u64) -> Result<&mut Inbox, u64> {
        if self.ended.contains(&id) {
            return Err(WT_SESSION_GONE);
        }
        let unknown = self.inboxes.len() - self.live;
        if !self.inboxes.contains_key(&id) && unknown >= UNKNOWN_MAX {
            return Err(WT_BUFFERED_STREAM_REJECTED);
        }
        Ok(self.inboxes.entry(id).or_default())
    }
}

impl Inbox {
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

fn refuse(mut stream: AcceptedStream, code: VarInt) {
    let _ = stream.send.reset(code);
    let _ = stream.recv.stop(code);
}

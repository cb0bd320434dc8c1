//! The ways out: one outbox a connection, and what happens when one has no room.
//!
//! Replies may use a reserve; a connection that cannot even take a reply is closed as slow. Events that find no room end
//! their run, and the core begins a new one when there is room again. Signals and unstored messages are dropped.

use crate::{
    admin::metrics as name,
    core::{ConnectionId, Input, Lane, Target},
    transport::{self, Class, Outbox, Outgoing, Pushed},
};
use bytes::Bytes;
use duet_protocol::{Code, Delivery, Frame, delivery::Closing, hello::capability};
use metrics::{counter, gauge};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use tracing::Span;

/// A connection as the driver knows it.
#[derive(Debug)]
pub(super) struct Peer {
    outbox: Outbox,
    span: Span,
    /// Whether hello and welcome agreed on datagrams; without them signals take the control lane.
    datagrams: bool,
    /// Whether it was let in.
    welcomed: bool,
    /// The run of each lane that found no room: nothing of it is sent any more.
    broken: BTreeMap<Lane, u32>,
}

impl Peer {
    pub(super) fn new(outbox: Outbox, span: Span) -> Self {
        Self { outbox, span, datagrams: false, welcomed: false, broken: BTreeMap::new() }
    }

    /// A connection that came while the node stops.
    pub(super) fn turn_away(&self, connection: ConnectionId) {
        tracing::debug!(connection = connection.0, "turned away: the node stops");
        close(&self.outbox, Code::SHUTDOWN, Code::SHUTDOWN.sentence(), 1_000);
    }

    /// What a reply says about the connection: refusals are counted; a welcome settles whether there are datagrams, and
    /// names its session in every later line of the log.
    fn observe(&mut self, frame: &Bytes) {
        let (_, inner) = Frame::split(frame);
        if !matches!(inner.first(), Some(&REFUSED | &WELCOME)) {
            return;
        }
        match Frame::from_datagram(inner).map(|frame| Delivery::decode(&frame)) {
            Ok(Ok(Some(Delivery::Refused(refusal)))) => {
                counter!(name::REFUSALS, "code" => refusal.code.name()).increment(1);
            }
            Ok(Ok(Some(Delivery::Welcome(welcome)))) => {
                self.welcomed = true;
                self.datagrams = welcome.capabilities & capability::DATAGRAMS != 0;
                if welcome.capabilities & capability::DEFLATE != 0 {
                    self.outbox.use_deflate();
                }
                self.span.record("session", tracing::field::display(welcome.session));
                let tenant = welcome.tenant.as_str();
                tracing::info!(parent: &self.span, tenant, role = ?welcome.role, resumed = ?welcome.resumed, "welcome");
            }
            _ => {}
        }
    }
}

/// Every connection's way out.
#[derive(Debug, Default)]
pub(super) struct Outlets {
    peers: BTreeMap<ConnectionId, Peer>,
    /// Where clients go that are sent away from this node.
    elsewhere: Option<String>,
    turned_away: TurnedAway,
}

/// How many were not let in because another node serves. While a pair fails over all of its clients ask, again and again:
/// few may do so as often as they like, many are given a time each, so that together they ask no more than
/// [`ASKED_PER_S`] times a second.
#[derive(Debug, Default)]
struct TurnedAway {
    since: Option<Instant>,
    count: u64,
}

impl TurnedAway {
    /// When the next one may ask again, milliseconds from now.
    fn retry_after_ms(&mut self, now: Instant) -> u32 {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= Duration::from_secs(1)) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count += 1;
        let late_ms = self.count.saturating_sub(ASKED_FREELY) * 1_000 / ASKED_PER_S;
        u32::try_from(late_ms).unwrap_or(u32::MAX).min(ASK_AGAIN_MS_MAX)
    }
}

impl Outlets {
    pub(super) fn new(elsewhere: Option<String>) -> Self {
        Self { peers: BTreeMap::new(), elsewhere, turned_away: TurnedAway::default() }
    }

    pub(super) fn open(&mut self, connection: ConnectionId, peer: Peer) {
        let transport = peer.outbox.path().transport.name();
        gauge!(name::CONNECTIONS, "transport" => transport).increment(1.0);
        counter!(name::CONNECTIONS_OPENED, "transport" => transport).increment(1);
        self.peers.insert(connection, peer);
    }

    pub(super) fn closed(&mut self, connection: ConnectionId) {
        if let Some(peer) = self.peers.remove(&connection) {
            let transport = peer.outbox.path().transport.name();
            gauge!(name::CONNECTIONS, "transport" => transport).decrement(1.0);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    pub(super) fn send(&mut self, connection: ConnectionId, lane: Lane, frame: Bytes) {
        let Some(peer) = self.peers.get_mut(&connection) else { return };
        peer.observe(&frame);
        let class = if is_large_page(&frame) { Class::Page } else { Class::Reply };
        if push(&peer.outbox, lane, frame, class) == Pushed::Full {
            counter!(name::OUTBOX_FULL, "class" => "reply").increment(1);
            self.disconnect(connection, Code::SLOW, Code::SLOW.sentence());
        }
    }

    /// Sends an event of a run; the answer says that the run ended here.
    pub(super) fn deliver(&mut self, target: Target, seq: u64, frame: &Bytes) -> Option<Input> {
        let peer = self.peers.get_mut(&target.connection)?;
        if peer.broken.get(&target.lane).is_some_and(|run| *run >= target.run) {
            return None;
        }
        if push(&peer.outbox, target.lane, frame.clone(), Class::Event) != Pushed::Full {
            return None;
        }
        counter!(name::OUTBOX_FULL, "class" => "event").increment(1);
        peer.broken.insert(target.lane, target.run);
        Some(Input::Overflowed { target, seq })
    }

    pub(super) fn cast(&mut self, frame: &Bytes, targets: &[Target]) {
        for target in targets {
            if let Some(peer) = self.peers.get(&target.connection) {
                count_dropped(push(&peer.outbox, target.lane, frame.clone(), Class::Signal));
            }
        }
    }

    pub(super) fn signal(&mut self, frame: &Bytes, connections: &[ConnectionId]) {
        let (_, datagram) = Frame::split(frame);
        for connection in connections {
            if let Some(peer) = self.peers.get(connection) {
                count_dropped(if peer.datagrams {
                    peer.outbox.datagram(datagram.clone())
                } else {
                    push(&peer.outbox, Lane::CONTROL, frame.clone(), Class::Signal)
                });
            }
        }
    }

    pub(super) fn close_lane(&mut self, connection: ConnectionId, lane: Lane) {
        if let Some(peer) = self.peers.get_mut(&connection) {
            peer.broken.remove(&lane);
            peer.outbox.close_lane(transport::Lane(lane.0));
        }
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId, code: Code, reason: &str) {
        if let Some(peer) = self.peers.get(&connection) {
            counter!(name::DISCONNECTS, "code" => code.name()).increment(1);
            tracing::info!(parent: &peer.span, code = code.0, reason, "closing");
            let retry_after_ms = match code {
                Code::OVERLOADED => RETRY_OVERLOADED_MS,
                Code::NOT_PRIMARY if !peer.welcomed => self.turned_away.retry_after_ms(Instant::now()),
                _ => 0,
            };
            let endpoint = self.elsewhere.clone().filter(|_| code == Code::NOT_PRIMARY);
            close_with(&peer.outbox, code, reason, retry_after_ms, endpoint);
        }
    }

    /// Every client is sent away.
    pub(super) fn disconnect_all(&mut self, code: Code) {
        let all: Vec<_> = self.peers.keys().copied().collect();
        for connection in all {
            self.disconnect(connection, code, code.sentence());
        }
    }

    /// The node stops: every client is told, each with a slot of its own for coming back, spread over two seconds.
    pub(super) fn shut_down(&mut self, within: Duration) {
        tracing::info!(connections = self.peers.len(), within_ms = within.as_millis() as u64, "draining");
        let count = self.peers.len().max(1) as u64;
        for (slot, peer) in self.peers.values().enumerate() {
            let spread_ms = (slot as u64 * RETURN_SPREAD_MS / count) as u32;
            close(&peer.outbox, Code::SHUTDOWN, Code::SHUTDOWN.sentence(), RETURN_AFTER_MS + spread_ms);
        }
    }
}

/// Clients that the core could not take come back after this time at the earliest.
const RETRY_OVERLOADED_MS: u32 = 2_000;

/// So many who ask a node that does not serve within a second may ask again at once.
const ASKED_FREELY: u64 = 500;
/// How often in a second the others may ask, all together.
const ASKED_PER_S: u64 = 1_000;
/// A pair fails over in two seconds: nobody is kept away from its new primary for longer than that.
const ASK_AGAIN_MS_MAX: u32 = 2_000;

/// Clients of a node that stops come back after this time at the earliest, and within the spread behind it.
const RETURN_AFTER_MS: u32 = 250;
const RETURN_SPREAD_MS: u64 = 2_000;

/// Sends `Closing` and closes with the same code.
pub(super) fn close(outbox: &Outbox, code: Code, reason: &str, retry_after_ms: u32) {
    close_with(outbox, code, reason, retry_after_ms, None);
}

fn close_with(outbox: &Outbox, code: Code, reason: &str, retry_after_ms: u32, endpoint: Option<String>) {
    let closing = Closing { code, reason: reason.to_owned(), retry_after_ms, endpoint };
    let frame = Delivery::Closing(closing).encode();
    // Without room for it the code of the carrier alone has to tell.
    let _ = push(outbox, Lane::CONTROL, frame, Class::Reply);
    outbox.close(u32::from(code.0), reason);
}

fn push(outbox: &Outbox, lane: Lane, frame: Bytes, class: Class) -> Pushed {
    outbox.push(Outgoing { lane: transport::Lane(lane.0), frame, class })
}

fn count_dropped(pushed: Pushed) {
    if pushed != Pushed::Queued {
        counter!(name::SIGNALS_DROPPED).increment(1);
    }
}

/// Whether a frame is a page that is worth being compressed.
fn is_large_page(frame: &Bytes) -> bool {
    frame.len() >= LARGE_BYTES && Frame::split(frame).1.first() == Some(&HISTORY_PAGE)
}

/// Pages below this size are sent as they are.
const LARGE_BYTES: usize = 1_024;

const HISTORY_PAGE: u8 = 0x58;
const WELCOME: u8 = 0x42;
const REFUSED: u8 = 0x45;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_who_ask_a_standby_may_ask_again_at_once_and_thousands_are_spread() {
        let (mut turned_away, now) = (TurnedAway::default(), Instant::now());
        let told: Vec<u32> = (0..5_000).map(|_| turned_away.retry_after_ms(now)).collect();
        assert!(told[..500].iter().all(|ms| *ms == 0));
        assert!(told.is_sorted() && told[1_499] == 1_000 && told[4_999] == ASK_AGAIN_MS_MAX);
        let next = now + Duration::from_secs(1);
        assert_eq!(turned_away.retry_after_ms(next), 0, "a second later it is quiet again");
    }
}

//! A connection: two directions of ordered lanes, an outbox with a bound on the server's side, and the many ways to die.

use bytes::Bytes;
use duet_client::machine::ConnectionId;
use duet_protocol::{Code, Command, ConversationId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The server's number of a connection.
pub(crate) type LinkId = u64;

/// Something on its way to the server.
#[derive(Debug, Clone)]
pub(crate) enum Up {
    Frame(Command),
    /// The client finished the lane.
    Finish,
    /// The client closed the connection.
    Gone,
}

/// Something on its way to the client.
#[derive(Debug, Clone)]
pub(crate) enum Down {
    Frame(Bytes),
    /// The server finished the lane.
    Finish,
    /// The server closed the connection.
    Gone(Code),
}

#[derive(Debug)]
pub(crate) struct Link {
    /// To which node.
    pub(crate) node: usize,
    pub(crate) device: usize,
    /// Which life of the device made it.
    pub(crate) generation: u32,
    pub(crate) connection: ConnectionId,
    pub(crate) one_stream: bool,
    pub(crate) datagrams: bool,
    pub(crate) wrapped: BTreeSet<u32>,
    /// What is sent later than this never arrives.
    pub(crate) up_dead_ms: u64,
    pub(crate) down_dead_ms: u64,
    /// Whether each side still believes in it.
    pub(crate) server_side: bool,
    pub(crate) client_side: bool,
    pub(crate) hello_seen: bool,
    pub(crate) outbox: VecDeque<(u32, Down)>,
    pub(crate) outbox_bytes: u64,
    pub(crate) draining: bool,
    /// Runs whose frames are dropped, by lane.
    pub(crate) broken: BTreeMap<u32, u32>,
    pub(crate) wants_room: bool,
    /// It is being closed as too slow; nothing more is taken.
    pub(crate) too_slow: bool,
    report_last_ms: u64,
    /// What the wire's checker knows of the lanes.
    pub(crate) subscriptions: BTreeMap<u32, Subscription>,
    up_last_ms: BTreeMap<u32, u64>,
    down_last_ms: BTreeMap<u32, u64>,
}

/// One lane that was opened for a conversation.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) conversation: ConversationId,
    /// The last event, once `Opened` was seen.
    pub(crate) last: Option<u64>,
}

impl Link {
    pub(crate) fn new(node: usize, device: usize, generation: u32, connection: ConnectionId) -> Self {
        Self {
            node,
            device,
            generation,
            connection,
            one_stream: false,
            datagrams: false,
            wrapped: BTreeSet::new(),
            up_dead_ms: u64::MAX,
            down_dead_ms: u64::MAX,
            server_side: false,
            client_side: true,
            hello_seen: false,
            outbox: VecDeque::new(),
            outbox_bytes: 0,
            draining: false,
            broken: BTreeMap::new(),
            wants_room: false,
            too_slow: false,
            report_last_ms: 0,
            subscriptions: BTreeMap::new(),
            up_last_ms: BTreeMap::new(),
            down_last_ms: BTreeMap::new(),
        }
    }

    /// When something sent now arrives: never before what was sent earlier in the same order.
    pub(crate) fn up_at(&mut self, lane: u32, earliest_ms: u64) -> u64 {
        let order = self.order(lane);
        let last = self.up_last_ms.entry(order).or_default();
        *last = earliest_ms.max(*last);
        *last
    }

    pub(crate) fn down_at(&mut self, lane: u32, earliest_ms: u64) -> u64 {
        let order = self.order(lane);
        let last = self.down_last_ms.entry(order).or_default();
        *last = earliest_ms.max(*last);
        *last
    }

    /// When a report to the core arrives: reports keep their order.
    pub(crate) fn report_at(&mut self, earliest_ms: u64) -> u64 {
        self.report_last_ms = self.report_last_ms.max(earliest_ms);
        self.report_last_ms
    }

    /// After everything that is on its way, in either direction.
    pub(crate) fn last_up_ms(&self) -> u64 {
        self.up_last_ms.values().copied().max().unwrap_or(0)
    }

    pub(crate) fn last_down_ms(&self) -> u64 {
        self.down_last_ms.values().copied().max().unwrap_or(0)
    }

    fn order(&self, lane: u32) -> u32 {
        if self.one_stream || self.wrapped.contains(&lane) { 0 } else { lane }
    }
}

impl Down {
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Frame(bytes) => bytes.len() as u64,
            _ => 0,
        }
    }
}

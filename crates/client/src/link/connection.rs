//! One connection: its task, its lanes, its end.

use super::{
    Dialer,
    lane::{self, Pipe},
    race::{Reached, race},
    socket,
};
use crate::machine::{Carrier, ConnectionId, LaneId, LinkEvent, LinkTraits};
use bytes::Bytes;
use duet_protocol::{Code, Frame, frame::lane_prefix};
use quinn::{Connection, ConnectionError, VarInt};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time,
};

/// Facts on their way to the driver, which all connections share.
pub type Facts = mpsc::Sender<(ConnectionId, LinkEvent)>;

/// Orders that wait for a connection's task. Full: the connection is given up, since its task has not come to them
/// for so long.
const ORDERS_MAX: usize = 1_024;
/// How long a good-bye may take to arrive.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long what was read may take to reach the driver after the connection's end.
const LAST_FACTS: Duration = Duration::from_secs(2);

/// What the driver wants of a connection.
#[derive(Debug)]
pub enum Order {
    /// Open a lane.
    OpenLane(LaneId, Carrier),
    /// Send an encoded frame, with its length.
    Send(LaneId, Bytes),
    /// The client neither sends nor reads on it any more.
    FinishLane(LaneId),
    /// Send an encoded frame, with its length, as a datagram.
    Datagram(Bytes),
    /// End the connection. A good-bye ([`Code::CLOSED_BY_USER`]) gets a moment to arrive, anything else none.
    Close(Code),
}

/// What carries a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Raw QUIC.
    Quic,
    /// A WebSocket over TLS and TCP.
    WebSocket,
}

/// A connection as the driver holds it. Dropped, it closes at once.
#[derive(Debug)]
pub struct Link {
    orders: mpsc::Sender<Order>,
    rtt: watch::Receiver<Option<Duration>>,
    transport: watch::Receiver<Option<Transport>>,
}

impl Link {
    /// `false` when the connection does not take orders any more.
    #[must_use]
    pub fn order(&self, order: Order) -> bool {
        self.orders.try_send(order).is_ok()
    }

    /// Waits until the connection's task has closed it.
    pub async fn ended(mut self) {
        // The other end lives as long as the task; what it sends meanwhile does not matter.
        while self.rtt.changed().await.is_ok() {}
    }

    /// What carries it, once it stands.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        *self.transport.borrow()
    }

    /// The smoothed round trip, once known.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        *self.rtt.borrow()
    }
}

pub(super) fn start(dialer: Dialer, id: ConnectionId, endpoint: String, facts: Facts) -> Link {
    let (orders, inbox) = mpsc::channel(ORDERS_MAX);
    let (rtt_in, rtt) = watch::channel(None);
    let (transport_in, transport) = watch::channel(None);
    tokio::spawn(async move {
        let (code, reason) = live(&dialer, id, &endpoint, &facts, inbox, (rtt_in, transport_in)).await;
        // The driver may be gone; then nobody wants to know.
        let _ = facts.send((id, LinkEvent::Disconnected { code, reason })).await;
    });
    Link { orders, rtt, transport }
}

/// From the dial to the end, and how it ended.
async fn live(
    dialer: &Dialer,
    id: ConnectionId,
    endpoint: &str,
    facts: &Facts,
    mut orders: mpsc::Receiver<Order>,
    (rtt, transport): (watch::Sender<Option<Duration>>, watch::Sender<Option<Transport>>),
) -> (Code, String) {
    let reached = tokio::select! {
        reached = race(dialer, endpoint) => reached,
        () = given_up(&mut orders) => return (Code::CLOSED_BY_USER, String::new()),
    };
    let connection = match reached {
        Ok(Reached::Quic(connection)) => connection,
        Ok(Reached::WebSocket(socket)) => {
            let traits = LinkTraits { datagrams: false, keep_alive: false };
            if facts.send((id, LinkEvent::Connected(traits))).await.is_err() {
                return (Code::CLOSED_BY_USER, String::new());
            }
            transport.send_replace(Some(Transport::WebSocket));
            return Box::pin(socket::run(id, *socket, &mut orders, facts)).await;
        }
        Err(why) => return (Code::UNREACHABLE, why),
    };
    let mut task = Task::new(id, connection.clone(), facts.clone());
    task.open_lane(LaneId::CONTROL);
    let datagrams = connection.max_datagram_size().is_some();
    let connected = LinkEvent::Connected(LinkTraits { datagrams, keep_alive: true });
    if facts.send((id, connected)).await.is_err() {
        return (Code::CLOSED_BY_USER, String::new());
    }
    transport.send_replace(Some(Transport::Quic));
    let end = task.run(&mut orders, &rtt).await;
    task.pipes.clear();
    // Facts that were read before the end come before it; a reader that takes longer has nothing that anybody waits for.
    let readers = async { while task.lanes.join_next().await.is_some() {} };
    let _ = time::timeout(LAST_FACTS, readers).await;
    end
}

/// Ends when the driver closes, or drops, a connection that does not stand yet.
async fn given_up(orders: &mut mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        if matches!(order, Order::Close(_)) {
            return;
        }
    }
}

struct Task {
    id: ConnectionId,
    connection: Connection,
    facts: Facts,
    /// Streams that take frames, by lane. Wrapped lanes use the control lane's.
    pipes: BTreeMap<LaneId, Pipe>,
    lanes: JoinSet<()>,
}

impl Task {
    fn new(id: ConnectionId, connection: Connection, facts: Facts) -> Self {
        let mut lanes = JoinSet::new();
        lanes.spawn(read_datagrams(id, connection.clone(), facts.clone()));
        Self { id, connection, facts, pipes: BTreeMap::new(), lanes }
    }

    async fn run(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        rtt: &watch::Sender<Option<Duration>>,
    ) -> (Code, String) {
        let mut measure = time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Close(code)) => return self.close(code).await,
                    Some(order) => if let Err(code) = self.carry_out(order) {
                        return self.close(code).await;
                    },
                    None => {
                        self.close(Code::CLOSED_BY_USER).await;
                        return (Code::TRANSPORT_CLOSED, "the link was given up".into());
                    }
                },
                error = self.connection.closed() => return why(&error),
                _ = measure.tick() => {
                    rtt.send_replace(Some(self.connection.rtt()));
                    while self.lanes.try_join_next().is_some() {}
                }
            }
        }
    }

    fn carry_out(&mut self, order: Order) -> Result<(), Code> {
        match order {
            Order::OpenLane(lane, Carrier::Stream) => self.open_lane(lane),
            Order::OpenLane(_, Carrier::Wrapped) | Order::Close(_) => {}
            Order::Send(lane, frame) => return self.send(lane, frame),
            Order::FinishLane(lane) => {
                self.pipes.remove(&lane);
            }
            Order::Datagram(frame) => {
                let (_, body) = Frame::split(&frame);
                // A datagram that finds no room is one that was lost.
                let _ = self.connection.send_datagram(body);
            }
        }
        Ok(())
    }

    fn open_lane(&mut self, lane: LaneId) {
        let (pipe, frames) = lane::pipe();
        self.pipes.insert(lane, pipe);
        let (connection, facts) = (self.connection.clone(), self.facts.clone());
        self.lanes.spawn(lane::run(self.id, lane, connection, frames, facts));
    }

    fn send(&mut self, lane: LaneId, frame: Bytes) -> Result<(), Code> {
        let pipe = self.pipes.get(&lane);
        let taken = match (pipe, self.pipes.get(&LaneId::CONTROL)) {
            (Some(pipe), _) => pipe.send(&[frame]),
            (None, Some(control)) => {
                let (_, inner) = Frame::split(&frame);
                control.send(&[lane_prefix(lane.0, inner.len()), inner])
            }
            (None, None) => true,
        };
        // Its bound is far above what the machine sends without an answer: the server does not read any more.
        if taken { Ok(()) } else { Err(Code::TIMEOUT) }
    }

    /// Ends it from here. What was sent before a good-bye gets a moment to arrive.
    async fn close(&mut self, code: Code) -> (Code, String) {
        if code == Code::CLOSED_BY_USER {
            self.pipes.clear();
            // Without the server's answer in time the end comes from here.
            let _ = time::timeout(FAREWELL, self.connection.closed()).await;
        }
        self.pipes.clear();
        self.connection.close(VarInt::from(u32::from(code.0)), b"");
        (code, String::new())
    }
}

async fn read_datagrams(id: ConnectionId, connection: Connection, facts: Facts) {
    while let Ok(bytes) = connection.read_datagram().await {
        // No room: lost, as a datagram may be.
        let _ = facts.try_send((id, LinkEvent::Datagram(bytes)));
    }
}

/// The server's code if it gave one, else what happened here.
fn why(error: &ConnectionError) -> (Code, String) {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let code = u16::try_from(close.error_code.into_inner()).ok().filter(|code| *code >= 1_000);
            let reason = String::from_utf8_lossy(&close.reason).into_owned();
            (code.map_or(Code::TRANSPORT_CLOSED, Code), reason)
        }
        ConnectionError::TimedOut => (Code::TIMEOUT, "the server fell silent".into()),
        other => (Code::TRANSPORT_CLOSED, other.to_string()),
    }
}

/// Shared by the reader of a lane: turns a code of a reset stream into ours.
pub(super) fn reset_code(code: VarInt) -> Option<Code> {
    u16::try_from(code.into_inner()).ok().filter(|code| *code >= 1_000).map(Code)
}

/// What a pipe carries: the pieces of one frame, to be written together.
pub(super) type Pieces = Arc<[Bytes]>;

//! UDP: one flow for each caller, with a socket of its own towards the server, so that the server tells callers apart.

use crate::{IDLE, Settings, Way, weather::Line};
use bytes::Bytes;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// Datagrams of one caller that its flow has not taken yet. Full: dropped.
const INBOX_MAX: usize = 512;
/// Datagrams of one flow that travel. Full: dropped.
const TRAVELLING_MAX: usize = 4_096;
/// Callers at a time. Full: new ones are not heard.
const FLOWS_MAX: usize = 4_096;
const DATAGRAM_MAX: usize = 65_536;

/// Carries until nobody holds the wire.
pub(crate) async fn carry(front: UdpSocket, settings: watch::Receiver<Settings>) {
    let front = Arc::new(front);
    let mut flows: BTreeMap<SocketAddr, mpsc::Sender<Bytes>> = BTreeMap::new();
    let mut buffer = vec![0; DATAGRAM_MAX];
    let mut callers = 0_u64;
    while settings.has_changed().is_ok() {
        // An error is an answer to what was sent to a caller that is gone.
        let Ok((length, caller)) = front.recv_from(&mut buffer).await else { continue };
        if !settings.borrow().datagrams {
            continue;
        }
        let datagram = Bytes::copy_from_slice(&buffer[..length]);
        flows.retain(|_, flow| !flow.is_closed());
        if !flows.contains_key(&caller) && flows.len() < FLOWS_MAX {
            let (inbox, taken) = mpsc::channel(INBOX_MAX);
            callers += 1;
            let flow = Flow::new(caller, Arc::clone(&front), settings.clone(), callers);
            tokio::spawn(flow.run(taken));
            flows.insert(caller, inbox);
        }
        if let Some(flow) = flows.get(&caller) {
            // Full: lost.
            let _ = flow.try_send(datagram);
        }
    }
}

/// One caller.
struct Flow {
    caller: SocketAddr,
    front: Arc<UdpSocket>,
    settings: watch::Receiver<Settings>,
    up: Line,
    down: Line,
    /// By arrival, then by the order of sending.
    travelling: BinaryHeap<Reverse<(Instant, u64, Travelling)>>,
    sent: u64,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Travelling {
    up: bool,
    bytes: Bytes,
}

impl Flow {
    fn new(
        caller: SocketAddr,
        front: Arc<UdpSocket>,
        settings: watch::Receiver<Settings>,
        number: u64,
    ) -> Self {
        let seed = settings.borrow().seed ^ (number << 1);
        let (up, down) = (Line::new(seed), Line::new(seed | 1 << 63));
        Self { caller, front, settings, up, down, travelling: BinaryHeap::new(), sent: 0 }
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<Bytes>) {
        let Ok(mut back) = self.back().await else { return };
        let mut known = self.seat();
        let mut buffer = vec![0; DATAGRAM_MAX];
        let mut quiet_until = Instant::now() + IDLE;
        loop {
            let due = self.travelling.peek().map_or(quiet_until, |Reverse((at, ..))| *at);
            tokio::select! {
                datagram = inbox.recv() => {
                    let Some(datagram) = datagram else { return };
                    quiet_until = Instant::now() + IDLE;
                    self.begin(Way::Up, &datagram);
                }
                // An error is an answer to what was sent to a server that is gone.
                Ok(length) = back.recv(&mut buffer) => {
                    quiet_until = Instant::now() + IDLE;
                    self.begin(Way::Down, &Bytes::copy_from_slice(&buffer[..length]));
                }
                changed = self.settings.changed() => {
                    if changed.is_err() { return }
                    let seat = self.seat();
                    if seat != known {
                        known = seat;
                        let Ok(other) = self.back().await else { return };
                        back = other;
                    }
                }
                () = sleep_until(due) => if Instant::now() >= quiet_until { return },
            }
            self.arrive(&back).await;
        }
    }

    /// What decides which socket leads to the server.
    fn seat(&self) -> (SocketAddr, u64) {
        let settings = self.settings.borrow();
        (settings.to, settings.rebinds)
    }

    async fn back(&self) -> io::Result<UdpSocket> {
        let to = self.settings.borrow().to;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        back.connect(to).await?;
        Ok(back)
    }

    fn begin(&mut self, way: Way, bytes: &Bytes) {
        let settings = self.settings.borrow();
        let up = way == Way::Up;
        let (line, weather) =
            if up { (&mut self.up, &settings.up) } else { (&mut self.down, &settings.down) };
        for at in line.datagram(weather, Instant::now(), bytes.len()).into_iter().flatten() {
            if self.travelling.len() < TRAVELLING_MAX {
                self.sent += 1;
                self.travelling.push(Reverse((at, self.sent, Travelling { up, bytes: bytes.clone() })));
            }
        }
    }

    /// Delivers what has arrived. A full socket loses, as a wire does.
    async fn arrive(&mut self, back: &UdpSocket) {
        while self.travelling.peek().is_some_and(|Reverse((at, ..))| *at <= Instant::now()) {
            let Some(Reverse((_, _, Travelling { up, bytes }))) = self.travelling.pop() else { return };
            let _ = if up { back.send(&bytes).await } else { self.front.send_to(&bytes, self.caller).await };
        }
    }
}

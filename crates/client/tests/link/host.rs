//! The model server behind a real QUIC endpoint: streams and wrappers are lanes, frames are answered in order.

use crate::server::{Lanes, Server};
use bytes::Bytes;
use duet_client::{
    Client, Events, FixedToken, Options,
    link::Trust,
    machine::{Event, LaneId},
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, Frame, FrameDecoder, delivery::Closing, frame::lane_prefix,
};
use quinn::{
    Connection, Endpoint, RecvStream, SendStream, ServerConfig, TransportConfig, VarInt,
    crypto::rustls::QuicServerConfig,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

/// Nothing on loopback takes longer, short of a defect.
const DEADLINE: Duration = Duration::from_secs(20);
/// Wrapped lanes are a number space of their own.
const WRAPPED: u32 = 1 << 20;

pub(crate) struct Host {
    endpoint: Endpoint,
    certificate: Vec<u8>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Seen {
    connections: Vec<Connection>,
    /// Streams opened on the last connection, the control stream included.
    streams: u32,
    wrapped: u32,
    commands: Vec<Command>,
}

struct Shared {
    server: Mutex<Server>,
    seen: Mutex<Seen>,
    /// Ways to the lanes of the last connection.
    ways: Mutex<BTreeMap<LaneId, mpsc::UnboundedSender<Bytes>>>,
    lanes: Mutex<Lanes>,
}

impl Host {
    pub(crate) fn start() -> Self {
        let certified = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let certificate = certified.cert.der().to_vec();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(certificate.clone())], key)
            .unwrap();
        tls.alpn_protocols = vec![duet_protocol::ALPN_NATIVE.to_vec()];
        let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(VarInt::from_u32(32));
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::server(config, (Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let shared = Arc::new(Shared {
            server: Mutex::new(Server::new()),
            seen: Mutex::default(),
            ways: Mutex::default(),
            lanes: Mutex::default(),
        });
        shared.server.lock().unwrap().now_ms = 1_763_000_000_000;
        tokio::spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        Self { endpoint, certificate, shared }
    }

    pub(crate) fn address(&self) -> String {
        let address: SocketAddr = self.endpoint.local_addr().unwrap();
        format!("localhost:{}", address.port())
    }

    pub(crate) fn certificate(&self) -> Vec<u8> {
        self.certificate.clone()
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// Options that reach this host.
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::new(vec![self.address()], Arc::new(FixedToken("token".into())));
        options.trust = Trust::Pinned(vec![self.hash()]);
        options
    }

    pub(crate) async fn client(&self) -> (Client, Events) {
        let client = Client::connect(self.options()).unwrap();
        let events = client.events();
        within("a connection", client.ready()).await.unwrap();
        (client, events)
    }

    pub(crate) fn server<T>(&self, look: impl FnOnce(&mut Server) -> T) -> T {
        look(&mut self.shared.server.lock().unwrap())
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.seen.lock().unwrap().connections.len()
    }

    /// Streams and wrapped lanes of the last connection.
    pub(crate) fn lanes(&self) -> (u32, u32) {
        let seen = self.shared.seen.lock().unwrap();
        (seen.streams, seen.wrapped)
    }

    pub(crate) fn has_seen(&self, what: impl Fn(&Command) -> bool) -> bool {
        self.shared.seen.lock().unwrap().commands.iter().any(what)
    }

    pub(crate) fn last_connection(&self) -> Connection {
        self.shared.seen.lock().unwrap().connections.last().cloned().unwrap()
    }

    /// Somebody else says something.
    pub(crate) fn say(&self, id: ConversationId, text: &str) {
        let deliveries = {
            let lanes = self.shared.lanes.lock().unwrap();
            self.shared.server.lock().unwrap().say(&lanes, id, text)
        };
        self.shared.send(deliveries);
    }

    /// Breaks a stream off in both directions.
    pub(crate) fn break_off(&self, lane: LaneId) {
        self.shared.ways.lock().unwrap().remove(&lane);
    }

    /// Bytes on the control stream as they are.
    pub(crate) fn write_raw(&self, bytes: &'static [u8]) {
        let ways = self.shared.ways.lock().unwrap();
        ways.get(&LaneId::CONTROL).unwrap().send(Bytes::from_static(bytes)).unwrap();
    }

    /// Says good-bye in a frame and with the same code on the connection.
    pub(crate) fn close(&self, code: Code) {
        let closing = Closing { code, reason: "test".into(), retry_after_ms: 0, endpoint: None };
        self.shared.send(vec![(LaneId::CONTROL, Delivery::Closing(closing))]);
        self.last_connection().close(VarInt::from_u32(u32::from(code.0)), b"test");
    }
}

impl Shared {
    fn send(&self, deliveries: Vec<(LaneId, Delivery)>) {
        let ways = self.ways.lock().unwrap();
        for (lane, delivery) in deliveries {
            let frame = delivery.encode();
            let (way, bytes) = match lane.0.checked_sub(WRAPPED) {
                None => (ways.get(&lane), frame),
                Some(number) => {
                    let (_, inner) = Frame::split(&frame);
                    let wrapped = [lane_prefix(number, inner.len()), inner].concat();
                    (ways.get(&LaneId::CONTROL), Bytes::from(wrapped))
                }
            };
            if let Some(way) = way {
                // The connection may have ended.
                let _ = way.send(bytes);
            }
        }
    }

    fn take(&self, lane: LaneId, frame: &Frame) {
        let Ok(Some(command)) = Command::decode(frame) else { return };
        self.seen.lock().unwrap().commands.push(command.clone());
        let answers = {
            let mut lanes = self.lanes.lock().unwrap();
            self.server.lock().unwrap().take(&mut lanes, lane, command)
        };
        self.send(answers);
    }
}

async fn accept(endpoint: Endpoint, shared: Arc<Shared>) {
    while let Some(incoming) = endpoint.accept().await {
        let Ok(connection) = incoming.await else { continue };
        *shared.lanes.lock().unwrap() = Lanes::default();
        shared.ways.lock().unwrap().clear();
        {
            let mut seen = shared.seen.lock().unwrap();
            seen.connections.push(connection.clone());
            (seen.streams, seen.wrapped) = (0, 0);
        }
        tokio::spawn(serve(connection, Arc::clone(&shared)));
    }
}

async fn serve(connection: Connection, shared: Arc<Shared>) {
    let mut next = 0;
    while let Ok((sender, receiver)) = connection.accept_bi().await {
        let lane = LaneId(next);
        next += 1;
        shared.seen.lock().unwrap().streams = next;
        let (way, frames) = mpsc::unbounded_channel();
        shared.ways.lock().unwrap().insert(lane, way);
        tokio::spawn(write(sender, frames));
        tokio::spawn(read(lane, receiver, Arc::clone(&shared)));
    }
}

async fn write(mut sender: SendStream, mut frames: mpsc::UnboundedReceiver<Bytes>) {
    while let Some(frame) = frames.recv().await {
        if sender.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn read(lane: LaneId, mut receiver: RecvStream, shared: Arc<Shared>) {
    let mut decoder = FrameDecoder::default();
    while let Ok(Some(chunk)) = receiver.read_chunk(65_536, true).await {
        decoder.push(&chunk.bytes);
        while let Ok(Some(frame)) = decoder.next() {
            match frame.unwrap_lane() {
                None => shared.take(lane, &frame),
                Some(unwrapped) => {
                    let (number, inner) = unwrapped.unwrap();
                    shared.seen.lock().unwrap().wrapped += u32::from(inner.kind == 0x10);
                    shared.take(LaneId(WRAPPED + number), &inner);
                }
            }
        }
    }
    shared.lanes.lock().unwrap().0.remove(&lane);
}

/// Waits for `what`, with a deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

/// The first event for which `find` gives something.
pub(crate) async fn find<T>(events: &mut Events, what: &str, mut find: impl FnMut(&Event) -> Option<T>) -> T {
    within(what, async {
        loop {
            let event = events.next().await.expect("the client lives");
            if let Some(found) = find(&event) {
                return found;
            }
        }
    })
    .await
}

/// Looks again and again until it holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    within(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

//! An echo server made of the transport's pieces. Frames tell it what to do:
//!
//! kind 10 echo · 11 reset this lane (u32 code) · 12 close the connection (u32 code, reason) · 14 fill
//! this lane until the outbox is full. It reports resets on the control lane as kind 20 (lane, code).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use duet::transport::{
    Certificates, Class, Closed, Connection, Endpoint, EndpointConfig, Established, Inbound, Lane, Limits,
    Origins, Outbox, Outgoing, Pushed, TransportKind, http::Carriers, keys::Keys, tcp, websocket,
};
use duet_protocol::Frame;
use futures_util::sink;
use std::{
    collections::VecDeque,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time};

pub(super) const ECHO: u8 = 10;
pub(super) const RESET: u8 = 11;
pub(super) const CLOSE: u8 = 12;
pub(super) const FILL: u8 = 14;
pub(super) const RESET_SEEN: u8 = 20;

pub(super) const PATH: &str = "/duet/v1";

/// How long anything in these tests may take before it counts as never.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the server saw.
#[derive(Debug)]
pub(super) enum Seen {
    /// A lane was filled: frames queued, and the most bytes the outbox ever held.
    Filled {
        frames: usize,
        bytes_max: usize,
    },
    Writable,
    Closed(Closed),
}

pub(super) struct EchoServer {
    pub(super) address: SocketAddr,
    pub(super) certificates: Certificates,
    seen: mpsc::UnboundedReceiver<Seen>,
    _directory: Option<tempfile::TempDir>,
}

impl EchoServer {
    pub(super) fn start(origins: Origins, limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let addresses = vec![(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        let mut server = Self::start_at(directory.path(), addresses, origins, limits);
        server._directory = Some(directory);
        server
    }

    /// Starts with what an earlier server left in `directory`.
    pub(super) fn start_at(
        directory: &Path,
        addresses: Vec<SocketAddr>,
        origins: Origins,
        limits: Limits,
    ) -> Self {
        let certificates = Certificates::minted(directory).unwrap();
        let config = EndpointConfig {
            addresses,
            certificates: certificates.clone(),
            keys: Keys::load_or_mint(directory).unwrap(),
            limits: limits.clone(),
            origins: origins.clone(),
            path: PATH.into(),
            answer: Arc::new(|_| http::Response::new(Bytes::from_static(b"hello over h3"))),
        };
        let (endpoint, listener) = Endpoint::bind(config).unwrap();
        let address = endpoint.local_addresses()[0];
        let (report, seen) = mpsc::unbounded_channel();
        tokio::spawn(serve_quic(endpoint, report.clone()));
        tokio::spawn(serve_tcp(listener, origins, Arc::new(limits), report));
        Self { address, certificates, seen, _directory: None }
    }

    /// The next thing the server saw.
    pub(super) async fn seen(&mut self) -> Seen {
        time::timeout(PATIENCE, self.seen.recv()).await.expect("nothing was seen in time").unwrap()
    }

    pub(super) async fn closed(&mut self) -> Closed {
        loop {
            if let Seen::Closed(closed) = self.seen().await {
                return closed;
            }
        }
    }
}

async fn serve_quic(endpoint: Endpoint, report: mpsc::UnboundedSender<Seen>) {
    while let Some(pending) = endpoint.accept().await {
        let report = report.clone();
        tokio::spawn(async move {
            match pending.handshake(PATIENCE).await {
                Ok(Established::Native(connection)) => serve(connection, report).await,
                Ok(Established::Http3(mut http3)) => {
                    while let Some(request) = http3.next().await {
                        let report = report.clone();
                        tokio::spawn(async move {
                            if let Ok(connection) = request.accept().await {
                                serve(connection, report).await;
                            }
                        });
                    }
                }
                Err(_) => {}
            }
        });
    }
}

async fn serve_tcp(
    listener: tcp::Listener,
    origins: Origins,
    limits: Arc<Limits>,
    report: mpsc::UnboundedSender<Seen>,
) {
    let carriers = http_routes(Carriers::new(Arc::new(origins.clone()), Arc::clone(&limits)), &report);
    let open = move |upgrade: axum::extract::WebSocketUpgrade,
                     axum::Extension(peer): axum::Extension<tcp::Peer>,
                     headers: http::HeaderMap| {
        let (report, limits) = (report.clone(), Arc::clone(&limits));
        let response = websocket::upgrade(upgrade, peer.0, &headers, &origins, limits, move |connection| {
            serve(connection, report)
        });
        std::future::ready(response)
    };
    let router = axum::Router::new()
        .route("/", axum::routing::get(|| std::future::ready("hello over tcp")))
        .route("/duet/v1/ws", axum::routing::any(open))
        .merge(carriers);
    loop {
        let pending = listener.accept().await;
        tokio::spawn(pending.serve(router.clone()));
    }
}

fn http_routes(carriers: Carriers, report: &mpsc::UnboundedSender<Seen>) -> axum::Router {
    use axum::{
        Extension,
        body::Body,
        extract::State,
        routing::{get, post},
    };
    use http::HeaderMap;
    let report = report.clone();
    let open = move |kind: TransportKind| {
        let report = report.clone();
        move |State(carriers): State<Carriers>,
              Extension(peer): Extension<tcp::Peer>,
              headers: HeaderMap,
              body: Body| async move {
            match carriers.open(kind, peer.0, &headers, body).await {
                Ok((answer, connection)) => {
                    tokio::spawn(serve(connection, report));
                    answer
                }
                Err(answer) => answer,
            }
        }
    };
    let preflight = async |State(carriers): State<Carriers>, headers: HeaderMap| carriers.preflight(&headers);
    let stream = async |State(carriers): State<Carriers>, headers: HeaderMap| carriers.stream(&headers);
    let poll = async |State(carriers): State<Carriers>, headers: HeaderMap| carriers.poll(&headers).await;
    let send = async |State(carriers): State<Carriers>, headers: HeaderMap, body: Body| {
        carriers.send(&headers, body).await
    };
    axum::Router::new()
        .route("/duet/v1/sse", get(stream).post(open(TransportKind::Sse)).options(preflight))
        .route("/duet/v1/poll", get(poll).post(open(TransportKind::Poll)).options(preflight))
        .route("/duet/v1/send", post(send).options(preflight))
        .with_state(carriers)
}

async fn serve(connection: Connection, report: mpsc::UnboundedSender<Seen>) {
    let outbox = connection.outbox();
    let (sender, receiver) = mpsc::channel(8);
    let echo = tokio::spawn(echo(outbox, receiver, report.clone()));
    let sink = Box::pin(sink::unfold(sender, |sender, inbound| async move {
        sender.send(inbound).await?;
        Ok::<_, mpsc::error::SendError<Inbound>>(sender)
    }));
    let closed = connection.run(sink).await;
    echo.await.unwrap();
    let _ = report.send(Seen::Closed(closed));
}

async fn echo(outbox: Outbox, mut inbound: mpsc::Receiver<Inbound>, report: mpsc::UnboundedSender<Seen>) {
    let mut waiting: VecDeque<Outgoing> = VecDeque::new();
    while let Some(item) = inbound.recv().await {
        match item {
            Inbound::Frame { lane, frame } => {
                if let Some(outgoing) = obey(&outbox, lane, frame, &report) {
                    waiting.push_back(outgoing);
                }
            }
            Inbound::Datagram(datagram) => drop(outbox.datagram(datagram)),
            Inbound::LaneFinished { lane } if waiting.is_empty() => outbox.close_lane(lane),
            Inbound::LaneReset { lane, code } => {
                let mut body = BytesMut::new();
                body.put_u32(lane.0);
                body.put_u32(code);
                waiting.push_back(event(Lane::CONTROL, Frame::encode(RESET_SEEN, &body)));
            }
            Inbound::Writable => drop(report.send(Seen::Writable)),
            Inbound::LaneOpened { .. } | Inbound::LaneFinished { .. } => {}
        }
        while let Some(next) = waiting.front().cloned() {
            if outbox.push(next) == Pushed::Full {
                break;
            }
            waiting.pop_front();
        }
    }
}

fn obey(outbox: &Outbox, lane: Lane, frame: Frame, report: &mpsc::UnboundedSender<Seen>) -> Option<Outgoing> {
    let mut body = frame.body;
    match frame.kind {
        ECHO => return Some(event(lane, Frame::encode(ECHO, &body))),
        RESET => outbox.reset_lane(lane, body.get_u32()),
        CLOSE => {
            let code = body.get_u32();
            outbox.close(code, std::str::from_utf8(&body).unwrap());
        }
        FILL => {
            let filling = Frame::encode(ECHO, &[7; 4_000]);
            let (mut frames, mut bytes_max) = (0, 0);
            while outbox.push(event(lane, filling.clone())) == Pushed::Queued {
                frames += 1;
                bytes_max = bytes_max.max(outbox.queued_bytes());
            }
            let _ = report.send(Seen::Filled { frames, bytes_max });
        }
        _ => {}
    }
    None
}

fn event(lane: Lane, frame: Bytes) -> Outgoing {
    Outgoing { lane, frame, class: Class::Event }
}

//! A hand-made client of the carrier that is made of HTTP requests: every request can be sent twice, cut or forged.

use super::{
    client::{client_tls, within},
    echo::EchoServer,
};
use axum::body::{Body, to_bytes};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use duet_protocol::{Frame, FrameDecoder};
use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::{net::SocketAddr, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// One TCP connection.
pub(super) enum Way {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// Where a server is, and how it is known.
#[derive(Clone)]
pub(super) struct Reach {
    address: SocketAddr,
    tls: rustls::ClientConfig,
}

impl Reach {
    fn of(server: &EchoServer) -> Self {
        Self { address: server.address, tls: client_tls(server) }
    }

    async fn http1(&self) -> Way {
        let stream = TokioIo::new(self.tls("http/1.1").await);
        let (way, driving) = within(http1::handshake(stream)).await.unwrap();
        tokio::spawn(driving);
        Way::Http1(way)
    }

    async fn tls(&self, alpn: &str) -> TlsStream<TcpStream> {
        let mut config = self.tls.clone();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = within(TcpStream::connect(self.address)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        within(TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }
}

impl Way {
    pub(super) async fn http1(server: &EchoServer) -> Self {
        Reach::of(server).http1().await
    }

    pub(super) async fn http2(server: &EchoServer) -> Self {
        let stream = TokioIo::new(Reach::of(server).tls("h2").await);
        let (way, driving) = within(http2::handshake(TokioExecutor::new(), stream)).await.unwrap();
        tokio::spawn(driving);
        Self::Http2(way)
    }

    pub(super) async fn ask(&mut self, mut request: Request<Body>) -> Response<Body> {
        let answer = match self {
            Self::Http1(way) => {
                request.headers_mut().insert("host", "localhost".parse().unwrap());
                within(way.send_request(request)).await
            }
            Self::Http2(way) => {
                let uri = format!("https://localhost{}", request.uri().path());
                *request.uri_mut() = uri.parse().unwrap();
                within(way.send_request(request)).await
            }
        };
        answer.unwrap().map(Body::new)
    }
}

/// A request with these fields.
pub(super) fn request(method: Method, path: &str, fields: &[(&str, &str)], body: Bytes) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(format!("/duet/v1/{path}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

/// A whole answer.
pub(super) async fn whole(answer: Response<Body>) -> (StatusCode, HeaderMap, Bytes) {
    let (head, body) = answer.into_parts();
    (head.status, head.headers, within(to_bytes(body, usize::MAX)).await.unwrap())
}

/// The code of an answer that ends a carrier.
pub(super) fn code(fields: &HeaderMap) -> u32 {
    fields["duet-code"].to_str().unwrap().parse().unwrap()
}

/// A client of one carrier. Every request takes a TCP connection of its own.
pub(super) struct Client {
    pub(super) reach: Reach,
    pub(super) key: String,
    pub(super) seq: u64,
    pub(super) ack: u64,
    pub(super) decoder: FrameDecoder,
}

impl Client {
    /// Opens a carrier with these frames.
    pub(super) async fn open(server: &EchoServer, path: &str, frames: Bytes) -> Self {
        let opening = request(Method::POST, path, &[], frames);
        let (status, _, key) = whole(Way::http1(server).await.ask(opening).await).await;
        assert_eq!(status, StatusCode::OK);
        let key = String::from_utf8(key.to_vec()).unwrap();
        Self { reach: Reach::of(server), key, seq: 0, ack: 0, decoder: FrameDecoder::default() }
    }

    /// Sends a chunk under its number.
    pub(super) async fn send_as(&self, seq: u64, chunk: Bytes) -> (StatusCode, HeaderMap, Bytes) {
        let (seq, ack) = (seq.to_string(), self.ack.to_string());
        let fields = [("duet-carrier", self.key.as_str()), ("duet-seq", &seq), ("duet-ack", &ack)];
        whole(self.reach.http1().await.ask(request(Method::POST, "send", &fields, chunk)).await).await
    }

    /// Sends the next chunk.
    pub(super) async fn send(&mut self, chunk: Bytes) {
        self.seq += 1;
        assert_eq!(self.send_as(self.seq, chunk).await.0, StatusCode::NO_CONTENT);
    }

    /// The answer to a poll that says `ack`.
    pub(super) async fn poll_as(&self, ack: u64) -> (StatusCode, HeaderMap, Bytes) {
        let ack = ack.to_string();
        let fields = [("duet-carrier", self.key.as_str()), ("duet-ack", ack.as_str())];
        whole(self.reach.http1().await.ask(request(Method::GET, "poll", &fields, Bytes::new())).await).await
    }

    /// Polls until there are `count` frames.
    pub(super) async fn frames(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let (status, fields, body) = self.poll_as(self.ack).await;
            assert_eq!(status, StatusCode::OK);
            self.ack = fields["duet-batch"].to_str().unwrap().parse().unwrap();
            self.take(&body, &mut frames);
        }
        frames
    }

    /// Begins a stream behind what was acknowledged.
    pub(super) async fn stream(&self) -> Events {
        let ack = self.ack.to_string();
        let fields = [("duet-carrier", self.key.as_str()), ("last-event-id", ack.as_str())];
        let mut way = self.reach.http1().await;
        let answer = way.ask(request(Method::GET, "sse", &fields, Bytes::new())).await;
        Events::of(answer, way)
    }

    /// Takes in what an event or a poll brought.
    pub(super) fn take(&mut self, bytes: &[u8], frames: &mut Vec<Frame>) {
        self.decoder.push(bytes);
        while let Some(frame) = self.decoder.next().unwrap() {
            frames.push(frame);
        }
        assert_eq!(self.decoder.pending_bytes(), 0, "a batch ends inside a frame");
    }
}

/// A stream of events; dropped, its TCP connection is cut.
pub(super) struct Events {
    body: axum::body::BodyDataStream,
    text: String,
    _way: Way,
}

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Batch(u64, Vec<u8>),
    End(String),
}

impl Events {
    pub(super) fn of(answer: Response<Body>, way: Way) -> Self {
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { body: answer.into_body().into_data_stream(), text: String::new(), _way: way }
    }

    /// The next event; none when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if !event.starts_with(':') {
                    return Some(read(&event));
                }
                continue;
            }
            let bytes = within(self.body.next()).await?.unwrap();
            self.text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
}

fn read(event: &str) -> Event {
    match event.split_once('\n').unwrap() {
        ("event: end", data) => Event::End(data.strip_prefix("data: ").unwrap().to_owned()),
        (id, data) => {
            let number = id.strip_prefix("id: ").unwrap().parse().unwrap();
            Event::Batch(number, STANDARD.decode(data.strip_prefix("data: ").unwrap()).unwrap())
        }
    }
}

//! Hand-made clients: raw QUIC, and just enough HTTP/3 to be rude with.

use super::echo::{EchoServer, PATIENCE};
use bytes::{Bytes, BytesMut};
use duet_protocol::{
    ALPN_NATIVE, Frame, FrameDecoder,
    frame::{put_varint, take_varint},
};
use quinn::{
    ClientConfig, Connection, Endpoint, RecvStream, SendStream, TransportConfig, VarInt, crypto::rustls,
};
use std::{net::Ipv4Addr, sync::Arc};
use tokio::time;

/// A QUIC client of the echo server.
pub(super) struct Client {
    pub(super) connection: Connection,
    _endpoint: Endpoint,
}

impl Client {
    pub(super) async fn native(server: &EchoServer) -> Self {
        Self::connect(server, ALPN_NATIVE, |_| {}).await
    }

    pub(super) async fn connect(
        server: &EchoServer,
        alpn: &[u8],
        tune: impl FnOnce(&mut TransportConfig),
    ) -> Self {
        let mut tls = client_tls(server);
        tls.alpn_protocols = vec![alpn.to_vec()];
        let crypto = rustls::QuicClientConfig::try_from(tls).unwrap();
        let mut config = ClientConfig::new(Arc::new(crypto));
        let mut transport = TransportConfig::default();
        tune(&mut transport);
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let connecting = endpoint.connect_with(config, server.address, "localhost").unwrap();
        let connection = within(connecting).await.unwrap();
        Self { connection, _endpoint: endpoint }
    }

    pub(super) async fn lane(&self) -> LaneEnd {
        let (send, recv) = within(self.connection.open_bi()).await.unwrap();
        LaneEnd { send, recv, decoder: FrameDecoder::default() }
    }

    /// The code and reason with which the server closed.
    pub(super) async fn closed(&self) -> (u64, String) {
        match within(self.connection.closed()).await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                (close.error_code.into_inner(), String::from_utf8_lossy(&close.reason).into_owned())
            }
            other => panic!("not closed by the server: {other}"),
        }
    }
}

/// The client's end of a lane.
pub(super) struct LaneEnd {
    pub(super) send: SendStream,
    pub(super) recv: RecvStream,
    pub(super) decoder: FrameDecoder,
}

impl LaneEnd {
    pub(super) async fn write(&mut self, bytes: &[u8]) {
        within(self.send.write_all(bytes)).await.unwrap();
    }

    pub(super) async fn frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.decoder.next().unwrap() {
                return frame;
            }
            let chunk = within(self.recv.read_chunk(usize::MAX, true)).await.unwrap().expect("lane ended");
            self.decoder.push(&chunk.bytes);
        }
    }

    /// Sends a frame and expects it back.
    pub(super) async fn echoes(&mut self, body: &[u8]) {
        self.write(&Frame::encode(super::echo::ECHO, body)).await;
        let frame = self.frame().await;
        assert_eq!((frame.kind, &frame.body[..]), (super::echo::ECHO, body));
    }
}

/// An HTTP/3 client with one WebTransport session.
pub(super) struct SessionClient {
    pub(super) client: Client,
    pub(super) connect: LaneEnd,
    pub(super) session: u64,
    _control: SendStream,
}

impl SessionClient {
    pub(super) async fn open(server: &EchoServer, origin: Option<&str>, path: &str) -> (Self, Bytes) {
        let client = Client::connect(server, b"h3", |_| {}).await;
        let mut control = within(client.connection.open_uni()).await.unwrap();
        control.write_all(&[0, 4, 0]).await.unwrap();
        let mut connect = client.lane().await;
        let session = VarInt::from(connect.send.id()).into_inner();
        let mut fields = vec![
            (":method", "CONNECT"),
            (":protocol", "webtransport"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
        ];
        fields.extend(origin.map(|origin| ("origin", origin)));
        connect.write(&headers(&fields)).await;
        let answer = h3_frame(&mut connect.recv, 1).await.expect("no answer to CONNECT");
        (Self { client, connect, session, _control: control }, answer)
    }

    pub(super) async fn accepted(server: &EchoServer) -> Self {
        let (session, answer) = Self::open(server, None, super::echo::PATH).await;
        assert!(is_ok(&answer), "refused: {answer:?}");
        session
    }

    /// What comes before a stream's payload.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut head = BytesMut::new();
        put_varint(&mut head, 0x41);
        put_varint(&mut head, self.session);
        head.to_vec()
    }

    pub(super) async fn lane(&self) -> LaneEnd {
        let mut lane = self.client.lane().await;
        lane.write(&self.head()).await;
        lane
    }
}

/// Whether a header block begins with `:status 200`.
pub(super) fn is_ok(block: &[u8]) -> bool {
    block.starts_with(&[0, 0, 0xd9])
}

/// An HTTP/3 HEADERS frame, each field written out (RFC 9204 §4.5.6).
pub(super) fn headers(fields: &[(&str, &str)]) -> Bytes {
    let mut block = BytesMut::from(&[0_u8, 0][..]);
    for (name, value) in fields {
        put_prefixed(&mut block, 0x20, 3, name.as_bytes());
        put_prefixed(&mut block, 0x00, 7, value.as_bytes());
    }
    let mut frame = BytesMut::new();
    put_varint(&mut frame, 1);
    put_varint(&mut frame, block.len() as u64);
    frame.extend_from_slice(&block);
    frame.freeze()
}

/// Reads HTTP/3 frames until one of `kind`; its payload. `None` at the end of the stream.
pub(super) async fn h3_frame(recv: &mut RecvStream, kind: u64) -> Option<Bytes> {
    let mut buffer = BytesMut::new();
    loop {
        let mut rest = &buffer[..];
        if let (Some(found), Some(length)) = (take_varint(&mut rest), take_varint(&mut rest))
            && rest.len() as u64 >= length
        {
            let head = buffer.len() - rest.len();
            let mut frame = buffer.split_to(head + length as usize);
            if found == kind {
                return Some(frame.split_off(head).freeze());
            }
            continue;
        }
        // One byte at a time, so that nothing of what follows is swallowed.
        let chunk = within(recv.read_chunk(1, true)).await.ok()??;
        buffer.extend_from_slice(&chunk.bytes);
    }
}

/// TLS that trusts the server's own certificate and nothing else.
pub(super) fn client_tls(server: &EchoServer) -> ::rustls::ClientConfig {
    let mut roots = ::rustls::RootCertStore::empty();
    roots.add(server.certificates.leaf().unwrap()).unwrap();
    let provider = Arc::new(::rustls::crypto::ring::default_provider());
    ::rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

pub(super) async fn within<F: IntoFuture>(future: F) -> F::Output {
    time::timeout(PATIENCE, future).await.expect("took too long")
}

fn put_prefixed(out: &mut BytesMut, pattern: u8, prefix_bits: u32, bytes: &[u8]) {
    let limit = (1_usize << prefix_bits) - 1;
    if bytes.len() < limit {
        out.extend_from_slice(&[pattern | bytes.len() as u8]);
    } else {
        let rest = bytes.len() - limit;
        assert!(rest < 16_384, "two continuation bytes are enough here");
        out.extend_from_slice(&[pattern | limit as u8]);
        if rest < 128 {
            out.extend_from_slice(&[rest as u8]);
        } else {
            out.extend_from_slice(&[(rest & 0x7f) as u8 | 0x80, (rest >> 7) as u8]);
        }
    }
    out.extend_from_slice(bytes);
}

//! Raw QUIC and WebTransport: a lane is a bidirectional stream, in WebTransport with a head that names the session.

use super::Ears;
use crate::{LoadError, offer};
use bytes::{Bytes, BytesMut};
use duet_protocol::{Command, Frame, FrameDecoder, frame::put_varint};
use quinn::{Connection, RecvStream, SendStream, VarInt};
use std::{cell::RefCell, rc::Rc};

/// One connection.
pub(crate) struct Quic {
    connection: Connection,
    /// In WebTransport, what each stream begins with, and each datagram.
    heads: Option<Heads>,
}

struct Heads {
    stream: Bytes,
    datagram: Bytes,
    /// HTTP/3's control stream, and the request: both stay open as long as the session.
    _open: (SendStream, SendStream),
}

/// One stream's way out.
pub(crate) struct QuicLane {
    out: RefCell<(SendStream, BytesMut)>,
}

impl Quic {
    /// A connection whose ALPN is `duet/1`.
    pub(crate) fn native(connection: Connection) -> Self {
        Self { connection, heads: None }
    }

    /// Opens a WebTransport session on a connection whose ALPN is `h3` (docs/protocol.md, "WebTransport in bytes").
    pub(crate) async fn webtransport(connection: Connection, authority: &str) -> Result<Self, LoadError> {
        let lost = |error: &dyn std::fmt::Display| LoadError::Connection(error.to_string());
        let mut control = connection.open_uni().await.map_err(|error| lost(&error))?;
        control.write_all(&settings()).await.map_err(|error| lost(&error))?;
        let (mut request, mut answer) = connection.open_bi().await.map_err(|error| lost(&error))?;
        let session = VarInt::from(request.id()).into_inner();
        request.write_all(&connect_request(authority)).await.map_err(|error| lost(&error))?;
        let mut start = BytesMut::new();
        while start.len() < 5 {
            let chunk = answer.read_chunk(64, true).await.map_err(|error| lost(&error))?;
            let chunk =
                chunk.ok_or_else(|| lost(&"the request for a WebTransport session was not answered"))?;
            start.extend_from_slice(&chunk.bytes);
        }
        // HEADERS, its length, the empty prefix of QPACK, `:status 200` of the static table.
        if start[0] != 1 || start[2..5] != [0, 0, 0xd9] {
            return Err(lost(&"the server refuses WebTransport sessions"));
        }
        // The rest of the answer's stream is the session's end; the connection tells that as well.
        tokio::task::spawn_local(
            async move { while let Ok(Some(_)) = answer.read_chunk(4_096, true).await {} },
        );
        let (mut stream, mut datagram) = (BytesMut::new(), BytesMut::new());
        put_varint(&mut stream, 0x41);
        put_varint(&mut stream, session);
        put_varint(&mut datagram, session / 4);
        let heads = Heads { stream: stream.freeze(), datagram: datagram.freeze(), _open: (control, request) };
        Ok(Self { connection, heads: Some(heads) })
    }

    /// Opens a stream, and reads it in a task of its own.
    pub(crate) async fn open(&self, number: u32, ears: Rc<dyn Ears>) -> Result<QuicLane, LoadError> {
        let opened = self.connection.open_bi().await;
        let (send, receive) = opened.map_err(|error| LoadError::Connection(error.to_string()))?;
        let lane = QuicLane { out: RefCell::new((send, BytesMut::new())) };
        if let Some(heads) = &self.heads {
            lane.send(&heads.stream);
        }
        tokio::task::spawn_local(listen(receive, number, ears));
        Ok(lane)
    }

    pub(crate) fn cut(&self) {
        self.connection.close(VarInt::from_u32(0), b"");
    }

    pub(crate) fn datagram(&self, command: &Command) {
        let (_, body) = Frame::split(&command.encode());
        let datagram = match &self.heads {
            None => body,
            Some(heads) => [&heads.datagram[..], &body[..]].concat().into(),
        };
        // Datagrams may be lost, this one too.
        let _ = self.connection.send_datagram(datagram);
    }
}

impl QuicLane {
    pub(crate) fn send(&self, frame: &Bytes) {
        self.out.borrow_mut().1.extend_from_slice(frame);
        self.flush();
    }

    pub(crate) fn flush(&self) {
        let (stream, pending) = &mut *self.out.borrow_mut();
        offer(stream, pending);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.out.borrow().1.len()
    }
}

async fn listen(mut stream: RecvStream, lane: u32, ears: Rc<dyn Ears>) {
    let mut decoder = FrameDecoder::default();
    while let Ok(Some(chunk)) = stream.read_chunk(CHUNK_BYTES, true).await {
        decoder.push(&chunk.bytes);
        while let Ok(Some(frame)) = decoder.next() {
            ears.heard(lane, &frame);
        }
    }
    ears.ended();
}

/// A control stream with ENABLE_CONNECT_PROTOCOL, H3_DATAGRAM and ENABLE_WEBTRANSPORT, each 1.
fn settings() -> BytesMut {
    let mut values = BytesMut::new();
    for id in [0x08, 0x33, 0x2b60_3742] {
        put_varint(&mut values, id);
        put_varint(&mut values, 1);
    }
    let mut stream = BytesMut::new();
    put_varint(&mut stream, 0x00);
    put_varint(&mut stream, 0x04);
    put_varint(&mut stream, values.len() as u64);
    stream.extend_from_slice(&values);
    stream
}

/// An HTTP/3 HEADERS frame, each field a literal without Huffman code (RFC 9204 §4.5.6).
fn connect_request(authority: &str) -> BytesMut {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "webtransport"),
        (":scheme", "https"),
        (":authority", authority),
        (":path", "/duet/v1"),
    ];
    let mut block = BytesMut::from(&[0_u8, 0][..]);
    for (name, value) in fields {
        put_literal(&mut block, 0x20, 3, name.as_bytes());
        put_literal(&mut block, 0x00, 7, value.as_bytes());
    }
    let mut frame = BytesMut::new();
    put_varint(&mut frame, 0x01);
    put_varint(&mut frame, block.len() as u64);
    frame.extend_from_slice(&block);
    frame
}

/// A string with a prefixed length (RFC 7541 §5.1); its length is below 128 + 2^prefix − 1.
fn put_literal(out: &mut BytesMut, pattern: u8, prefix_bits: u32, text: &[u8]) {
    let limit = (1_usize << prefix_bits) - 1;
    if text.len() < limit {
        out.extend_from_slice(&[pattern | text.len() as u8]);
    } else {
        out.extend_from_slice(&[pattern | limit as u8, (text.len() - limit).min(127) as u8]);
    }
    out.extend_from_slice(text);
}

const CHUNK_BYTES: usize = 64 << 10;

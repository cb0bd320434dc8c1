//! MQTT 3.1.1 (OASIS, 2014), QoS 0: a room is a topic.

use crate::tcp::{Dialect, Join, TcpSpeaker, Tls};
use bytes::{Buf as _, BufMut as _, BytesMut};
use duet_load::Speaker;
use std::{io, rc::Rc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

struct Mqtt {
    topic: String,
}

pub(crate) async fn join(join: &Join<'_>, mut io: Tls) -> io::Result<Rc<dyn Speaker>> {
    let topic = format!("room/{}", join.room);
    let mut body = BytesMut::new();
    put_text(&mut body, "MQTT");
    // Level 4, clean session, no keep-alive.
    body.put_slice(&[4, 2, 0, 0]);
    put_text(&mut body, &format!("load-{}", join.number));
    io.write_all(&packet(0x10, &body)).await?;
    expect(&mut io, 0x20).await?;
    let mut body = BytesMut::from(&[0_u8, 1][..]);
    put_text(&mut body, &topic);
    body.put_u8(0);
    io.write_all(&packet(0x82, &body)).await?;
    expect(&mut io, 0x90).await?;
    Ok(TcpSpeaker::start(io, Mqtt { topic }, BytesMut::new(), join.number(), Rc::clone(join.tally)))
}

impl Dialect for Mqtt {
    fn publish(&self, payload: &[u8], out: &mut BytesMut) {
        out.put_u8(0x30);
        put_length(out, 2 + self.topic.len() + payload.len());
        put_text(out, &self.topic);
        out.put_slice(payload);
    }

    fn parse(&self, input: &mut BytesMut, _out: &mut BytesMut, heard: &mut dyn FnMut(&[u8])) {
        while let Some((head, length)) = header(input) {
            if input.len() < head + length {
                return;
            }
            if input[0] & 0xf0 == 0x30 {
                let topic = usize::from(u16::from_be_bytes([input[head], input[head + 1]]));
                heard(&input[head + 2 + topic..head + length]);
            }
            input.advance(head + length);
        }
    }
}

/// Bytes of the fixed header, and of what follows it.
fn header(input: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for (place, byte) in input.get(1..)?.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((place + 2, length));
        }
    }
    None
}

async fn expect(io: &mut Tls, kind: u8) -> io::Result<()> {
    let mut head = [0; 2];
    io.read_exact(&mut head).await?;
    let mut body = vec![0; usize::from(head[1])];
    io.read_exact(&mut body).await?;
    if head[0] == kind && body.last() == Some(&0) { Ok(()) } else { Err(io::Error::other("MQTT refused")) }
}

fn packet(kind: u8, body: &[u8]) -> BytesMut {
    let mut packet = BytesMut::from(&[kind][..]);
    put_length(&mut packet, body.len());
    packet.put_slice(body);
    packet
}

fn put_length(out: &mut BytesMut, mut length: usize) {
    while length > 0x7f {
        out.put_u8(length as u8 | 0x80);
        length >>= 7;
    }
    out.put_u8(length as u8);
}

fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

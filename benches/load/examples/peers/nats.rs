//! The text protocol of NATS clients: a room is a subject.

use crate::tcp::{Dialect, Join, TcpSpeaker};
use bytes::{Buf as _, BufMut as _, BytesMut};
use duet_load::Speaker;
use std::{io, rc::Rc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

struct Nats {
    subject: String,
}

pub(crate) async fn join(join: &Join<'_>, mut tcp: TcpStream) -> io::Result<Rc<dyn Speaker>> {
    // INFO comes before TLS begins.
    let mut byte = [0];
    while byte != *b"\n" {
        tcp.read_exact(&mut byte).await?;
    }
    let mut io = join.tls(tcp).await.map_err(io::Error::other)?;
    let subject = format!("room.{}", join.room);
    let hello = format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"echo\":true,\"lang\":\"rust\",\"version\":\"1\"}}\r\n\
         SUB {subject} 1\r\nPING\r\n"
    );
    io.write_all(hello.as_bytes()).await?;
    let mut line = Vec::new();
    while !line.ends_with(b"PONG\r\n") {
        io.read_exact(&mut byte).await?;
        line.push(byte[0]);
    }
    Ok(TcpSpeaker::start(io, Nats { subject }, BytesMut::new(), join.number(), Rc::clone(join.tally)))
}

impl Dialect for Nats {
    fn publish(&self, payload: &[u8], out: &mut BytesMut) {
        out.put_slice(b"PUB ");
        out.put_slice(self.subject.as_bytes());
        out.put_slice(format!(" {}\r\n", payload.len()).as_bytes());
        out.put_slice(payload);
        out.put_slice(b"\r\n");
    }

    fn parse(&self, input: &mut BytesMut, out: &mut BytesMut, heard: &mut dyn FnMut(&[u8])) {
        while let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") {
            if input.starts_with(b"MSG ") {
                let digits = input[..end].rsplit(|byte| *byte == b' ').next().unwrap();
                let length: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
                if input.len() < end + 2 + length + 2 {
                    return;
                }
                heard(&input[end + 2..end + 2 + length]);
                input.advance(end + 2 + length + 2);
                continue;
            }
            if input.starts_with(b"PING") {
                out.put_slice(b"PONG\r\n");
            }
            input.advance(end + 2);
        }
    }
}

//! What the peers over TCP have in common: TLS, bytes in both directions, a dialect between.

use crate::{
    floor, mqtt, nats,
    servers::{Server, Which},
    socketio, websocket,
};
use bytes::BytesMut;
use duet_load::{LoadError, Speaker, Tally, offer, tls};
use futures_util::{StreamExt as _, stream};
use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    net::TcpStream,
    time,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub(crate) type Tls = TlsStream<TcpStream>;

/// How a protocol says a message, and what it makes of bytes.
pub(crate) trait Dialect {
    /// Appends a message to the room.
    fn publish(&self, payload: &[u8], out: &mut BytesMut);

    /// Takes whole messages off `input`; what must be answered at once goes to `out`.
    fn parse(&self, input: &mut BytesMut, out: &mut BytesMut, heard: &mut dyn FnMut(&[u8]));
}

/// A participant that speaks a dialect over TLS.
pub(crate) struct TcpSpeaker<D> {
    io: RefCell<Tls>,
    out: RefCell<BytesMut>,
    dialect: D,
}

impl<D: Dialect + 'static> TcpSpeaker<D> {
    /// Takes a connection that has joined its room, and whatever was read beyond that.
    pub(crate) fn start(
        io: Tls,
        dialect: D,
        rest: BytesMut,
        number: u32,
        tally: Rc<Tally>,
    ) -> Rc<dyn Speaker> {
        let speaker = Rc::new(Self { io: RefCell::new(io), out: RefCell::default(), dialect });
        tokio::task::spawn_local(Rc::clone(&speaker).listen(rest, number, tally));
        speaker
    }

    async fn listen(self: Rc<Self>, mut input: BytesMut, number: u32, tally: Rc<Tally>) {
        let mut space = vec![0; 64 << 10];
        loop {
            let read = poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => Poll::Ready(buffer.filled().len()),
                    Poll::Ready(Err(_)) => Poll::Ready(0),
                    Poll::Pending => Poll::Pending,
                }
            });
            let count = read.await;
            if count == 0 {
                return tally.lost();
            }
            input.extend_from_slice(&space[..count]);
            let mut answers = BytesMut::new();
            self.dialect.parse(&mut input, &mut answers, &mut |payload| tally.heard(number, payload));
            if !answers.is_empty() {
                self.out.borrow_mut().extend_from_slice(&answers);
                self.flush();
            }
        }
    }
}

impl<D: Dialect> Speaker for TcpSpeaker<D> {
    fn publish(&self, payload: &[u8]) {
        self.dialect.publish(payload, &mut self.out.borrow_mut());
        self.flush();
    }

    fn flush(&self) {
        let (io, out) = (&mut *self.io.borrow_mut(), &mut *self.out.borrow_mut());
        offer(io, out);
        // What TLS still holds goes with the next flush.
        let _ = Pin::new(io).poll_flush(&mut Context::from_waker(Waker::noop()));
    }

    fn waiting(&self) -> usize {
        self.out.borrow().len()
    }
}

/// Connects everyone and lets them join their rooms.
pub(crate) async fn connect_all(
    server: &Server,
    sessions: usize,
    room: usize,
    tally: &Rc<Tally>,
) -> Result<Vec<Rc<dyn Speaker>>, LoadError> {
    if server.which == Which::Floor {
        return floor::connect_all(server.address, sessions, room, tally).await;
    }
    let config = tls::client(&tls::Trust::Any, &[])?;
    let connector = TlsConnector::from(Arc::new(config));
    let all = (0..sessions).map(|number| {
        let join = Join { server, connector: &connector, number, room: number / room, tally };
        async move {
            let joined = time::timeout(JOIN_TIMEOUT, Box::pin(join.run())).await;
            joined.unwrap_or(Err(LoadError::Silence("a connection")))
        }
    });
    let mut joining = stream::iter(all).buffered(AT_ONCE);
    let mut speakers = Vec::new();
    while let Some(speaker) = joining.next().await {
        speakers.push(speaker?);
    }
    Ok(speakers)
}

/// One participant on its way in.
pub(crate) struct Join<'a> {
    pub(crate) server: &'a Server,
    pub(crate) connector: &'a TlsConnector,
    pub(crate) number: usize,
    pub(crate) room: usize,
    pub(crate) tally: &'a Rc<Tally>,
}

impl Join<'_> {
    async fn run(&self) -> Result<Rc<dyn Speaker>, LoadError> {
        let lost = |error: std::io::Error| LoadError::Connection(error.to_string());
        let tcp = TcpStream::connect(self.server.address).await.map_err(lost)?;
        tcp.set_nodelay(true).map_err(lost)?;
        match self.server.which {
            Which::Mosquitto => mqtt::join(self, self.tls(tcp).await?).await.map_err(lost),
            Which::Nats => nats::join(self, tcp).await.map_err(lost),
            Which::Ws => websocket::join(self, self.tls(tcp).await?).await,
            Which::Socketio => socketio::join(self, self.tls(tcp).await?).await,
            _ => Err(LoadError::Plan("not a peer over TCP".to_owned())),
        }
    }

    pub(crate) async fn tls(&self, tcp: TcpStream) -> Result<Tls, LoadError> {
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        self.connector.connect(name, tcp).await.map_err(|error| LoadError::Connection(error.to_string()))
    }

    pub(crate) fn number(&self) -> u32 {
        u32::try_from(self.number).unwrap()
    }
}

const AT_ONCE: usize = 64;
const JOIN_TIMEOUT: Duration = Duration::from_secs(30);

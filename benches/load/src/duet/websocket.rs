//! WebSocket: one message a frame, lanes in wrappers.

use super::Ears;
use bytes::Bytes;
use duet_protocol::{Frame, FrameDecoder, frame::lane_prefix};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Waker},
};
use tokio::{net::TcpStream, sync::Notify};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

type Io = WebSocketStream<TlsStream<TcpStream>>;

/// One connection.
pub(crate) struct Socket {
    io: RefCell<Io>,
    waiting: Cell<usize>,
    over: Cell<bool>,
    cut: Notify,
}

/// One lane's way out.
pub(crate) struct SocketLane {
    socket: Rc<Socket>,
    number: u32,
}

impl Socket {
    /// Takes an open WebSocket, and reads it in a task of its own.
    pub(crate) fn start(io: Io, ears: Rc<dyn Ears>) -> Rc<Self> {
        let socket = Rc::new(Self {
            io: RefCell::new(io),
            waiting: Cell::new(0),
            over: Cell::new(false),
            cut: Notify::new(),
        });
        tokio::task::spawn_local(Rc::clone(&socket).listen(ears));
        socket
    }

    pub(crate) fn lane(self: &Rc<Self>, number: u32) -> SocketLane {
        SocketLane { socket: Rc::clone(self), number }
    }

    pub(crate) fn cut(&self) {
        self.over.set(true);
        self.cut.notify_one();
    }

    async fn listen(self: Rc<Self>, ears: Rc<dyn Ears>) {
        let mut decoder = FrameDecoder::default();
        loop {
            let next = poll_fn(|cx| self.io.borrow_mut().poll_next_unpin(cx));
            let message = tokio::select! {
                biased;
                () = self.cut.notified() => break,
                message = next => message,
            };
            let Some(Ok(message)) = message else { break };
            if let Message::Binary(bytes) = message {
                decoder.push(&bytes);
            }
            while let Ok(Some(frame)) = decoder.next() {
                match frame.unwrap_lane() {
                    None => ears.heard(0, &frame),
                    Some(Ok((lane, inner))) => ears.heard(lane, &inner),
                    Some(Err(_)) => break,
                }
            }
        }
        self.over.set(true);
        ears.ended();
    }

    fn flush(&self) {
        let mut context = Context::from_waker(Waker::noop());
        if self.io.borrow_mut().poll_flush_unpin(&mut context).is_ready() {
            self.waiting.set(0);
        }
    }
}

impl SocketLane {
    pub(crate) fn send(&self, frame: &Bytes) {
        if self.socket.over.get() {
            return;
        }
        let bytes = if self.number == 0 {
            frame.clone()
        } else {
            let (_, body) = Frame::split(frame);
            [&lane_prefix(self.number, body.len())[..], &body[..]].concat().into()
        };
        self.socket.waiting.set(self.socket.waiting.get() + bytes.len());
        // A socket that is gone is told by its reader.
        let _ = self.socket.io.borrow_mut().start_send_unpin(Message::Binary(bytes));
        self.socket.flush();
    }

    pub(crate) fn flush(&self) {
        self.socket.flush();
    }

    pub(crate) fn waiting(&self) -> usize {
        if self.socket.over.get() { 0 } else { self.socket.waiting.get() }
    }
}

//! Plain WebSocket: a room is a path, a message is a message.

use crate::tcp::{Join, Tls};
use duet_load::{LoadError, Speaker, Tally};
use futures_util::{SinkExt as _, StreamExt as _};
use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    rc::Rc,
    task::{Context, Waker},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// How messages look inside the WebSocket.
pub(crate) trait Wrapping {
    /// The messages that say a payload.
    fn wrap(&self, payload: &[u8]) -> Vec<Message>;

    /// What must be answered.
    fn answer(&self, message: &Message) -> Option<Message>;
}

struct Bare;

impl Wrapping for Bare {
    fn wrap(&self, payload: &[u8]) -> Vec<Message> {
        vec![Message::binary(payload.to_vec())]
    }

    fn answer(&self, _message: &Message) -> Option<Message> {
        None
    }
}

pub(crate) async fn join(join: &Join<'_>, io: Tls) -> Result<Rc<dyn Speaker>, LoadError> {
    let socket = open(io, &format!("/room/{}", join.room)).await?;
    Ok(start(socket, Bare, join))
}

pub(crate) async fn open(io: Tls, path: &str) -> Result<WebSocketStream<Tls>, LoadError> {
    let opened = tokio_tungstenite::client_async(format!("wss://localhost{path}"), io).await;
    opened.map(|(socket, _)| socket).map_err(|error| LoadError::Connection(error.to_string()))
}

struct WebSocketSpeaker<W> {
    io: RefCell<WebSocketStream<Tls>>,
    waiting: Cell<usize>,
    wrapping: W,
}

pub(crate) fn start<W: Wrapping + 'static>(
    io: WebSocketStream<Tls>,
    wrapping: W,
    join: &Join<'_>,
) -> Rc<dyn Speaker> {
    let speaker = Rc::new(WebSocketSpeaker { io: RefCell::new(io), waiting: Cell::new(0), wrapping });
    tokio::task::spawn_local(Rc::clone(&speaker).listen(join.number(), Rc::clone(join.tally)));
    speaker
}

impl<W: Wrapping> WebSocketSpeaker<W> {
    async fn listen(self: Rc<Self>, number: u32, tally: Rc<Tally>) {
        while let Some(Ok(message)) = poll_fn(|cx| self.io.borrow_mut().poll_next_unpin(cx)).await {
            if let Message::Binary(payload) = &message {
                tally.heard(number, payload);
            } else if let Some(answer) = self.wrapping.answer(&message) {
                self.say(answer);
            }
        }
        tally.lost();
    }

    fn say(&self, message: Message) {
        self.waiting.set(self.waiting.get() + message.len());
        // A socket that is gone is told by its reader.
        let _ = self.io.borrow_mut().start_send_unpin(message);
        self.flush();
    }
}

impl<W: Wrapping> Speaker for WebSocketSpeaker<W> {
    fn publish(&self, payload: &[u8]) {
        self.wrapping.wrap(payload).into_iter().for_each(|message| self.say(message));
    }

    fn flush(&self) {
        let mut context = Context::from_waker(Waker::noop());
        if self.io.borrow_mut().poll_flush_unpin(&mut context).is_ready() {
            self.waiting.set(0);
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.get()
    }
}

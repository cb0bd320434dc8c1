//! Socket.IO (protocol 5 over Engine.IO 4), WebSocket from the start: a binary event is a text and an attachment.

use crate::{
    tcp::{Join, Tls},
    websocket::{Wrapping, open, start},
};
use duet_load::{LoadError, Speaker};
use futures_util::{SinkExt as _, StreamExt as _};
use std::rc::Rc;
use tokio_tungstenite::tungstenite::Message;

struct Event;

impl Wrapping for Event {
    fn wrap(&self, payload: &[u8]) -> Vec<Message> {
        let text = "451-[\"m\",{\"_placeholder\":true,\"num\":0}]";
        vec![Message::text(text), Message::binary(payload.to_vec())]
    }

    fn answer(&self, message: &Message) -> Option<Message> {
        matches!(message, Message::Text(text) if text.as_str() == "2").then(|| Message::text("3"))
    }
}

pub(crate) async fn join(join: &Join<'_>, io: Tls) -> Result<Rc<dyn Speaker>, LoadError> {
    let mut socket = open(io, "/socket.io/?EIO=4&transport=websocket").await?;
    let steps = ["40".to_owned(), format!("420[\"join\",\"{}\"]", join.room)];
    // Engine.IO's opening, Socket.IO's connection, the acknowledgement of the event.
    let answers = ["0", "40", "430"];
    for (place, expected) in answers.iter().enumerate() {
        if place > 0 {
            let sent = socket.send(Message::text(steps[place - 1].clone())).await;
            sent.map_err(|error| LoadError::Connection(error.to_string()))?;
        }
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) if text.as_str().starts_with(expected) => break,
                Some(Ok(_)) => {}
                _ => return Err(LoadError::Connection("Socket.IO refused".to_owned())),
            }
        }
    }
    Ok(start(socket, Event, join))
}

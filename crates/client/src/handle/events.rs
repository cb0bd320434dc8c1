//! Events on their way to the application: as a stream to be read, or through a listener.

use crate::machine::Event;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};
use tokio::sync::broadcast;

/// Events that wait for one reader. Full: the oldest are dropped, and the reader is told how many
/// ([`Event::Lagged`]); the client and other readers are not delayed.
pub(super) const EVENTS_MAX: usize = 4_096;

/// Is told every event, in order, one at a time, on a thread of its own.
pub trait Listener: Send + Sync {
    /// Something happened. A panic in here is caught and does not stop the stream.
    fn on_event(&self, event: Event);
}

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(super) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` when the client has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Event> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Event::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Calls `listener` until the client ends.
pub(super) fn listen(
    listener: Arc<dyn Listener>,
    mut receiver: broadcast::Receiver<Event>,
) -> std::io::Result<()> {
    let tell = move || loop {
        let event = match receiver.blocking_recv() {
            Ok(event) => event,
            Err(broadcast::error::RecvError::Lagged(missed)) => Event::Lagged { missed },
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let name = event.name();
        if catch_unwind(AssertUnwindSafe(|| listener.on_event(event))).is_err() {
            tracing::error!(event = name, "a listener panicked");
        }
    };
    thread::Builder::new().name("duet-listener".into()).spawn(tell).map(drop)
}

//! One connection: frames become commands, tokens become identities, and the driver hears of both in order.
//!
//! ```text
//! Greeting ──good hello──► Open ──► (the connection ends)
//!     └── no hello in time, bad token, another frame first ──► Closing, close
//! ```
//!
//! A client that breaks the protocol is told so once and hears nothing more; nothing it sends can panic.

use super::{
    admission::Place,
    auth::{AuthError, Keyring},
    clock::system_ms,
    driver::Arrival,
    outlets::{self, Peer},
    queues::Arrivals,
};
use crate::{
    admin::metrics as name,
    core::{ConnectionId, Identity, Input, Lane},
    transport::{self, Class, Closed, Connection, Inbound, LostReason, Outbox, Outgoing, Silences},
};
use duet_protocol::{
    Code, Command, Delivery, Frame, Hello, Refusal, Subject,
    command::{Authenticate, Identify},
};
use futures_util::{FutureExt as _, sink};
use metrics::counter;
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tracing::{Instrument, Span, field};

/// What every connection needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) arrivals: Arrivals,
    pub(super) keyring: Arc<Keyring>,
    pub(super) hello_timeout: Duration,
    pub(super) silences: Silences,
    pub(super) last_id: Arc<AtomicU64>,
}

impl Entrance {
    /// Carries a connection from its first frame to its end. Whoever spawns this waits for nobody: the future ends with
    /// the connection, and the transport's own deadlines bound it.
    pub(super) async fn carry(self, connection: Connection, place: Place) {
        let id = ConnectionId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1);
        let outbox = connection.outbox();
        let path = outbox.path();
        let span = tracing::info_span!(
            "connection",
            connection = id.0,
            transport = path.transport.name(),
            peer = %path.peer,
            session = field::Empty
        );
        let peer = Peer::new(outbox.clone(), span.clone());
        if self.arrivals.send(Arrival::Opened(id, peer)).await.is_err() {
            return outlets::close(&outbox, Code::SHUTDOWN, Code::SHUTDOWN.sentence(), 1_000);
        }
        let mut silent = Duration::ZERO;
        let listening =
            AssertUnwindSafe(self.clone().listen(id, connection, outbox).instrument(span.clone()));
        match listening.catch_unwind().await {
            Ok(closed) => {
                report(&closed, &span);
                silent = self.silences.before(&closed);
            }
            // The panic itself is in the log; the core must still learn that the connection is gone.
            Err(_) => counter!(name::CONNECTIONS_CLOSED, "cause" => "defect").increment(1),
        }
        drop(place);
        // The driver outlives every connection; when it is gone there is nobody left to tell.
        let gone = match u64::try_from(silent.as_millis()).unwrap_or(u64::MAX) {
            0 => Input::Disconnected { connection: id },
            silent_ms => Input::Lost { connection: id, silent_ms },
        };
        let _ = self.arrivals.send(Arrival::Input(gone)).await;
    }

    async fn listen(self, id: ConnectionId, connection: Connection, outbox: Outbox) -> Closed {
        let greeted = Arc::new(AtomicBool::new(false));
        let hello_timeout = self.hello_timeout;
        let ear =
            Ear { id, outbox: outbox.clone(), entrance: self, greeted: Arc::clone(&greeted), deaf: false };
        let sink = sink::unfold(ear, |ear: Ear, inbound| ear.hear(inbound));
        let carried = connection.run(sink);
        tokio::pin!(carried);
        tokio::select! {
            closed = &mut carried => return closed,
            () = tokio::time::sleep(hello_timeout) => {}
        }
        if !greeted.load(Ordering::Relaxed) {
            counter!(name::CONNECTIONS_REFUSED, "reason" => "no_hello").increment(1);
            outlets::close(&outbox, Code::PROTOCOL_ERROR, "No hello in time.", 0);
        }
        carried.await
    }
}

/// Hears what one client says.
struct Ear {
    id: ConnectionId,
    outbox: Outbox,
    entrance: Entrance,
    greeted: Arc<AtomicBool>,
    /// The connection is being closed; what still arrives is not for us.
    deaf: bool,
}

/// The driver is gone: the connection cannot go on.
struct NobodyListens;

impl Ear {
    async fn hear(mut self, inbound: Inbound) -> Result<Self, NobodyListens> {
        if self.deaf {
            return Ok(self);
        }
        match inbound {
            Inbound::LaneOpened { .. } => {}
            Inbound::Frame { lane, frame } => match Command::decode(&frame) {
                Ok(Some(command)) => self.take(Lane(lane.0), command).await?,
                Ok(None) => {}
                Err(error) => {
                    let reason = format!("frame of kind {:#04x}: {error}", frame.kind);
                    self.refuse(Code::PROTOCOL_ERROR, &reason);
                }
            },
            Inbound::Datagram(bytes) => match signal(bytes) {
                Some(command) if self.is_greeted() => self.take(Lane::CONTROL, command).await?,
                _ => counter!(name::DATAGRAMS_IGNORED).increment(1),
            },
            // The control lane lives as long as the connection.
            Inbound::LaneFinished { lane: transport::Lane::CONTROL }
            | Inbound::LaneReset { lane: transport::Lane::CONTROL, .. } => {
                self.outbox.close(0, "");
                self.deaf = true;
            }
            Inbound::LaneFinished { lane } | Inbound::LaneReset { lane, .. } => {
                self.tell(Input::LaneClosed { connection: self.id, lane: Lane(lane.0) }).await?;
            }
            Inbound::Writable => self.tell(Input::Writable { connection: self.id }).await?,
        }
        Ok(self)
    }

    async fn take(&mut self, lane: Lane, command: Command) -> Result<(), NobodyListens> {
        match command {
            Command::Hello(_) if lane != Lane::CONTROL || self.is_greeted() => {
                self.refuse(Code::PROTOCOL_ERROR, "Hello is the first frame of the control stream, once.");
                Ok(())
            }
            Command::Hello(hello) => self.greet(hello).await,
            _ if !self.is_greeted() => {
                self.refuse(Code::PROTOCOL_ERROR, "The first frame must be Hello.");
                Ok(())
            }
            Command::Authenticate(Authenticate { request, token }) => {
                let connection = self.id;
                let tell = |identity| Input::Reauthenticated { connection, request, identity };
                self.verify(request, &token, tell).await
            }
            Command::Identify(Identify { request, token }) => {
                let connection = self.id;
                let tell = |identity| Input::Identified { connection, request, identity };
                self.verify(request, &token, tell).await
            }
            command => self.tell(Input::Command { connection: self.id, lane, command }).await,
        }
    }

    async fn greet(&mut self, hello: Hello) -> Result<(), NobodyListens> {
        let verified = match &hello.token {
            Some(token) => self.entrance.keyring.verify_fresh(token, system_ms).await,
            None => Err(AuthError::Missing),
        };
        let identity = match verified {
            Ok(identity) => Some(identity),
            // A session that can be resumed goes on, whatever its token has become; the core decides.
            Err(_) if hello.resume.is_some() => None,
            Err(error) => {
                count_refused(error);
                self.refuse(Code::INVALID_TOKEN, &error.to_string());
                return Ok(());
            }
        };
        let mut entropy = [0; 48];
        if let Err(error) = getrandom::fill(&mut entropy) {
            tracing::error!(%error, "no random bytes from the system");
            self.refuse(Code::INTERNAL, Code::INTERNAL.sentence());
            return Ok(());
        }
        self.greeted.store(true, Ordering::Relaxed);
        tracing::debug!(sdk = hello.sdk.as_str(), "hello");
        self.tell(Input::Hello { connection: self.id, identity, hello, entropy }).await
    }

    /// A token for a connection that is open: what a good one means is told, a bad one refused.
    async fn verify(
        &mut self,
        request: u32,
        token: &str,
        meaning: impl FnOnce(Identity) -> Input,
    ) -> Result<(), NobodyListens> {
        match self.entrance.keyring.verify_fresh(token, system_ms).await {
            Ok(identity) => self.tell(meaning(identity)).await,
            Err(error) => {
                count_refused(error);
                let (code, message) = (error.refresh_code(), error.to_string());
                counter!(name::REFUSALS, "code" => code.name()).increment(1);
                let refusal =
                    Refusal { subject: Subject::Request(request), code, message, retry_after_ms: 0 };
                let frame = Delivery::Refused(refusal).encode();
                let _ =
                    self.outbox.push(Outgoing { lane: transport::Lane::CONTROL, frame, class: Class::Reply });
                Ok(())
            }
        }
    }

    async fn tell(&self, input: Input) -> Result<(), NobodyListens> {
        self.entrance.arrivals.send(Arrival::Input(input)).await.map_err(|_| NobodyListens)
    }

    /// Ends the connection for a fault of the client.
    fn refuse(&mut self, code: Code, reason: &str) {
        tracing::info!(code = code.0, reason, "refused");
        counter!(name::DISCONNECTS, "code" => code.name()).increment(1);
        outlets::close(&self.outbox, code, reason, 0);
        self.deaf = true;
    }

    fn is_greeted(&self) -> bool {
        self.greeted.load(Ordering::Relaxed)
    }
}

/// Of all commands only signals may come as a datagram.
fn signal(bytes: bytes::Bytes) -> Option<Command> {
    let frame = Frame::from_datagram(bytes).ok()?;
    let command = Command::decode(&frame).ok()??;
    matches!(command, Command::Typing(_) | Command::Idle(_) | Command::Activity(_)).then_some(command)
}

fn count_refused(error: AuthError) {
    counter!(name::TOKENS_REFUSED, "reason" => error.name()).increment(1);
}

fn report(closed: &Closed, span: &Span) {
    let cause = match closed {
        Closed::ByPeer { .. } => "peer",
        Closed::ByUs { .. } => "server",
        Closed::Misbehaved(_) => "misbehaved",
        Closed::Slow => "slow",
        Closed::Silent => "silent",
        Closed::Lost(LostReason::TimedOut) => "timed_out",
        Closed::Lost(LostReason::Reset) => "reset",
        Closed::Lost(LostReason::Failed(_)) => "failed",
        Closed::Abandoned => "abandoned",
    };
    counter!(name::CONNECTIONS_CLOSED, "cause" => cause).increment(1);
    match closed {
        Closed::ByPeer { code, .. } => tracing::info!(parent: span, cause, code = *code, "closed"),
        Closed::Misbehaved(how) => tracing::info!(parent: span, cause, %how, "closed"),
        Closed::Lost(LostReason::Failed(how)) => tracing::info!(parent: span, cause, how, "closed"),
        other => tracing::info!(parent: span, cause, code = other.our_code().unwrap_or(0), "closed"),
    }
}

//! The node's end: one connection to the witness, made when a question comes and there is none.
//!
//! ```text
//! none ─question─► calling ─welcome─► asking ─reply─► kept ─question─► asking …
//!   ▲                 │ NotSent          │ no reply: Unknown   │ the witness hung up: call anew, nothing was sent
//!   └─────────────────┴──────────────────┴─────────────────────┘
//! ```

use super::{ALPN_WITNESS, Ask, Hello, IDLE_MAX, Reply, VERSION, WireError, receive, send};
use crate::{
    arbiter::machine::Machine,
    core::{Answer, ClusterId, Question},
    peer::{BadIdentity, Identity, Member},
};
use futures_util::FutureExt as _;
use rustls::pki_types::ServerName;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A connection that was not used for so long is made anew: the witness may be about to end it.
const KEEP_MAX: Duration = Duration::from_secs(IDLE_MAX.as_secs() / 2);

/// How long a witness that refused this node is left alone, doubled from time to time.
const REST_MIN: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(30);

/// Asks a witness. Questions go one after the other.
pub struct WitnessCaller {
    address: String,
    name: ServerName<'static>,
    tls: Arc<Mutex<TlsConnector>>,
    hello: Hello,
    line: tokio::sync::Mutex<Option<Line>>,
    /// The last trouble that was logged; it is logged again when it changes.
    said: Mutex<Option<String>>,
    /// A witness that refuses this node is not called again before this, and how long the next rest is.
    rest: Mutex<Option<(Instant, Duration)>>,
}

/// Gives a [`WitnessCaller`] another certificate.
#[derive(Clone)]
pub struct WitnessRenewal {
    tls: Arc<Mutex<TlsConnector>>,
}

impl WitnessRenewal {
    /// It is shown from the next call on.
    ///
    /// # Errors
    /// [`BadIdentity`] when the certificate's files do not belong together.
    pub fn renew(&self, identity: &Identity) -> Result<(), BadIdentity> {
        *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = connector(identity)?;
        Ok(())
    }
}

impl fmt::Debug for WitnessRenewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WitnessRenewal(..)")
    }
}

struct Line {
    stream: TlsStream<TcpStream>,
    next_id: u64,
    used: Instant,
}

impl WitnessCaller {
    /// A caller of the witness at `address`, `host:port`, which is looked up anew for every call.
    ///
    /// # Errors
    /// [`BadIdentity`] when the certificate's files do not belong together.
    pub fn new(address: &str, cluster: ClusterId, identity: &Identity) -> Result<Self, BadIdentity> {
        let tls = Arc::new(Mutex::new(connector(identity)?));
        let name = ServerName::try_from(Member::Witness.name(cluster)).map_err(|error| BadIdentity {
            path: Member::Witness.name(cluster).into(),
            problem: error.to_string(),
        })?;
        let hello = Hello { version: VERSION, cluster, machine: Machine::this(cluster) };
        let (line, said, rest) = Default::default();
        Ok(Self { address: address.to_owned(), name, tls, hello, line, said, rest })
    }

    /// What shows another certificate from the next call on.
    pub(in crate::arbiter) fn renewal(&self) -> WitnessRenewal {
        WitnessRenewal { tls: Arc::clone(&self.tls) }
    }

    /// The answer, before the deadline.
    pub async fn answer(&self, question: Question, deadline: Instant) -> Answer {
        let Ok(mut kept) = timeout_at(deadline, self.line.lock()).await else {
            return Answer::NotSent;
        };
        // Whatever ends this future early, a connection on which a question is open is not used again.
        let mut line = match kept.take().and_then(Line::still_good) {
            Some(line) => line,
            None if self.rests() => return Answer::NotSent,
            None => match timeout_at(deadline, self.call()).await.unwrap_or(Err(WireError::Slow)) {
                Ok(line) => line,
                Err(error) => {
                    self.say(&error);
                    if matches!(error, WireError::Refused(_)) {
                        self.take_a_rest();
                    }
                    return Answer::NotSent;
                }
            },
        };
        match timeout_at(deadline, line.ask(question)).await.unwrap_or(Err(WireError::Slow)) {
            Ok(answer) => {
                *kept = Some(line);
                self.say_well();
                answer
            }
            Err(error) => {
                self.say(&error);
                Answer::Unknown
            }
        }
    }

    fn rests(&self) -> bool {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        rest.is_some_and(|(until, _)| Instant::now() < until)
    }

    /// A refusal changes only when somebody changes a configuration.
    fn take_a_rest(&self) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let length = rest.map_or(REST_MIN, |(_, next)| next);
        *rest = Some((Instant::now() + length, (length * 2).min(REST_MAX)));
    }

    async fn call(&self) -> Result<Line, WireError> {
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut stream = tls.connect(self.name.clone(), tcp).await?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_WITNESS) {
            return Err(WireError::OtherProtocol);
        }
        send(&mut stream, &self.hello).await?;
        match receive(&mut stream).await? {
            Reply::Welcome => Ok(Line { stream, next_id: 1, used: Instant::now() }),
            Reply::Refused(refusal) => Err(refusal.into()),
            Reply::Told { .. } => Err(WireError::OutOfTurn),
        }
    }

    fn say(&self, error: &WireError) {
        let text = error.to_string();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            tracing::warn!(witness = self.address, error = text, "the witness does not answer");
            *said = Some(text);
        }
    }

    fn say_well(&self) {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner).take();
        if said.is_some() {
            tracing::info!(witness = self.address, "the witness answers again");
        }
    }
}

fn connector(identity: &Identity) -> Result<TlsConnector, BadIdentity> {
    Ok(TlsConnector::from(Arc::new(identity.client_config(ALPN_WITNESS)?)))
}

impl fmt::Debug for WitnessCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WitnessCaller").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Line {
    async fn ask(&mut self, question: Question) -> Result<Answer, WireError> {
        let id = self.next_id;
        self.next_id += 1;
        send(&mut self.stream, &Ask::new(id, question)).await?;
        match receive(&mut self.stream).await? {
            Reply::Told { id: told, outcome } if told == id => {
                self.used = Instant::now();
                Ok(outcome.into())
            }
            _ => Err(WireError::OutOfTurn),
        }
    }

    /// Itself, unless the witness hung up or is about to. Between questions it has nothing to say.
    fn still_good(mut self) -> Option<Self> {
        let silent = self.stream.read_u8().now_or_never().is_none();
        (silent && self.used.elapsed() < KEEP_MAX).then_some(self)
    }
}

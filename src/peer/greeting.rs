//! From a QUIC connection to a link: certificates, greeting, judgement, from both ends.
//!
//! ```text
//! caller                                              called
//!   TLS: is this the peer's name, by our authority?     TLS: is this by our authority?
//!   ── stream 0: 0x01 greeting ──►                      whose certificate is it?
//!   ── stream 4: 0x02 ──►                               cluster, version, side; is there a better link?
//!   ◄── stream 0: greeting ──                           the link is up
//!   cluster, version, side; the link is up
//! ```
//!
//! Whoever refuses closes the connection with a code that says why.

use super::{
    ended::{LinkEnded, LinkError, TOO_SLOW, code_of},
    hello::{Greeting, HEAD_BYTES, Refusal},
    identity::Member,
    link::{Guard, Link, LinkInfo},
    standing::Standing,
};
use crate::core::Nonce;
use quinn::{Connecting, Connection, ReadExactError, RecvStream, SendStream, WriteError};
use rustls::pki_types::CertificateDer;
use std::{future::Future, time::Duration};
use tokio::time;

/// Connection and greeting take no longer than this.
pub const GREETING_MAX: Duration = Duration::from_secs(2);

/// The first byte of the lanes' streams.
const PULSE_STREAM: u8 = 1;
const LOG_STREAM: u8 = 2;

/// What both ends need to know.
#[derive(Debug, Clone)]
pub(super) struct Greeter {
    pub(super) greeting: Greeting,
    pub(super) standing: Standing,
    pub(super) log_queue_bytes: usize,
}

impl Greeter {
    /// Makes a link of a connection that this node began.
    pub(super) async fn call(&self, connecting: Connecting) -> Result<Link, LinkError> {
        let connection = within(connecting).await??;
        self.judged(&connection, self.speak(&connection)).await
    }

    /// Makes a link of a connection that somebody else began.
    pub(super) async fn answer(&self, connecting: Connecting) -> Result<Link, LinkError> {
        let connection = within(connecting).await??;
        self.judged(&connection, self.listen(&connection)).await
    }

    /// Tells the other end when nothing comes of it.
    async fn judged(
        &self,
        connection: &Connection,
        greeting: impl Future<Output = Result<Link, LinkError>>,
    ) -> Result<Link, LinkError> {
        let result = within(greeting).await.and_then(|result| result);
        match (&result, connection.close_reason()) {
            (Err(LinkError::Refused(refusal)), _) => {
                connection.close(code_of(*refusal), refusal.to_string().as_bytes());
            }
            (Err(LinkError::NoAnswer(_)), None) => connection.close(TOO_SLOW, b"the greeting took too long"),
            // A stream can notice the end of the connection before its reason.
            (Err(_), Some(reason)) => return Err(reason.into()),
            _ => {}
        }
        result
    }

    async fn speak(&self, connection: &Connection) -> Result<Link, LinkError> {
        identify(connection, self.greeting)?;
        let mut pulse = connection.open_bi().await?;
        let mut log = connection.open_bi().await?;
        write(&mut pulse.0, &[&[PULSE_STREAM], &self.greeting.encode()[..]].concat()).await?;
        write(&mut log.0, &[LOG_STREAM]).await?;
        let (version, peer) = self.judge(&mut pulse.1).await?;
        let info =
            LinkInfo { peer, version, dialled_by: self.greeting.side, address: connection.remote_address() };
        Ok(self.link(info, connection, pulse, log))
    }

    async fn listen(&self, connection: &Connection) -> Result<Link, LinkError> {
        identify(connection, self.greeting)?;
        let (to_pulse, mut from_pulse) = connection.accept_bi().await?;
        let mut pulse = (to_pulse, {
            expect(&mut from_pulse, PULSE_STREAM).await?;
            from_pulse
        });
        let (version, peer) = self.judge(&mut pulse.1).await?;
        let mut log = connection.accept_bi().await?;
        expect(&mut log.1, LOG_STREAM).await?;
        let info = LinkInfo {
            peer,
            version,
            dialled_by: self.greeting.side.other(),
            address: connection.remote_address(),
        };
        if !self.standing.admits(info) {
            return Err(Refusal::Superseded.into());
        }
        write(&mut pulse.0, &self.greeting.encode()).await?;
        Ok(self.link(info, connection, pulse, log))
    }

    async fn judge(&self, stream: &mut RecvStream) -> Result<(u8, Nonce), LinkError> {
        let mut head = [0; HEAD_BYTES];
        read(stream, &mut head).await?;
        let mut rest = vec![0; self.greeting.check_head(&head)?];
        read(stream, &mut rest).await?;
        Ok(self.greeting.check_rest(&rest)?)
    }

    fn link(
        &self,
        info: LinkInfo,
        connection: &Connection,
        pulse: (SendStream, RecvStream),
        log: (SendStream, RecvStream),
    ) -> Link {
        let (guard, log_queue_bytes) = (Guard::new(connection), self.log_queue_bytes);
        Link { info, connection: connection.clone(), pulse, log, guard, log_queue_bytes }
    }
}

/// Whose certificate the other end showed. For the caller, TLS has compared the name already.
fn identify(connection: &Connection, ours: Greeting) -> Result<(), Refusal> {
    let identity = connection.peer_identity().and_then(|any| any.downcast::<Vec<CertificateDer<'_>>>().ok());
    let leaf = identity.as_deref().and_then(|chain| chain.first());
    match leaf.and_then(|leaf| Member::of(leaf, ours.cluster)) {
        Some(Member::Node(side)) if side == ours.side => Err(Refusal::OwnSide),
        Some(Member::Node(_)) => Ok(()),
        Some(Member::Witness) => Err(Refusal::Witness),
        None => Err(Refusal::Stranger),
    }
}

async fn expect(stream: &mut RecvStream, kind: u8) -> Result<(), LinkError> {
    let mut first = [0];
    read(stream, &mut first).await?;
    if first == [kind] { Ok(()) } else { Err(Refusal::NoGreeting.into()) }
}

async fn read(stream: &mut RecvStream, bytes: &mut [u8]) -> Result<(), LinkError> {
    stream.read_exact(bytes).await.map_err(|error| match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => error.into(),
        _ => LinkEnded::BrokenOff.into(),
    })
}

async fn write(stream: &mut SendStream, bytes: &[u8]) -> Result<(), LinkError> {
    stream.write_all(bytes).await.map_err(|error| match error {
        WriteError::ConnectionLost(error) => error.into(),
        _ => LinkEnded::BrokenOff.into(),
    })
}

async fn within<F: Future>(future: F) -> Result<F::Output, LinkError> {
    time::timeout(GREETING_MAX, future).await.map_err(|_| LinkError::NoAnswer(GREETING_MAX))
}

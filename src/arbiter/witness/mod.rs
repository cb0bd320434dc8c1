//! The witness: a third place that keeps the register, so that two nodes can decide without an operator.
//!
//! ```text
//! node                                   witness                  TCP, TLS 1.3, both ends show a certificate of the pair
//!   ── TLS, ALPN duet-witness/1 ───────────►                      names checked: witness.<cluster> · a.<cluster>, b.<cluster>
//!   ── Hello {version, cluster, machine} ──►
//!   ◄── Welcome | Refused(why) ─────────────
//!   ── Ask {id, Read | Swap(Cfg)} ─────────►  fsync
//!   ◄── Told {id, Value | Swapped | …} ─────
//! frame = length u16, big-endian · body (docs/protocol.md, "Bodies")
//! ```
//!
//! The caller asks one thing at a time and gives up a connection on which anything went wrong. What it has not begun to send
//! was [`Answer::NotSent`]; from the first byte on, only a reply is certain.

mod caller;
mod service;

pub use caller::{WitnessCaller, WitnessRenewal};
pub use service::{Ended, Seen, Watcher, WitnessService};

use super::machine::Machine;
use crate::core::{Answer, Cfg, ClusterId, Question};
use duet_protocol::codec::{self, Decode, Encode};
use std::{io, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The protocol's name in TLS.
pub const ALPN_WITNESS: &[u8] = b"duet-witness/1";
/// Bytes of a body at most; everything that is said takes less than 200.
pub const BODY_BYTES_MAX: usize = 512;
/// A connection on which nothing is asked for so long ends; a node asks every second.
pub const IDLE_MAX: Duration = Duration::from_secs(30);

/// What a node says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Hello {
    /// [`VERSION`].
    pub(super) version: u16,
    /// Its pair.
    pub(super) cluster: ClusterId,
    /// Where it runs, if the system tells.
    pub(super) machine: Option<Machine>,
}

/// The version that is spoken. A witness of a later version goes on speaking this one.
pub(super) const VERSION: u16 = 1;

/// What a node says after its hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Ask {
    /// Comes back in the reply; counted within the connection.
    pub(super) id: u64,
    /// `None` reads; otherwise [`Question::Swap`].
    pub(super) swap: Option<Cfg>,
}

impl Ask {
    pub(super) fn new(id: u64, question: Question) -> Self {
        let swap = match question {
            Question::Read => None,
            Question::Swap(next) => Some(next),
        };
        Self { id, swap }
    }

    pub(super) fn question(&self) -> Question {
        self.swap.map_or(Question::Read, Question::Swap)
    }
}

/// What the witness says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) enum Reply {
    /// To a hello: ask.
    Welcome,
    /// To a hello: go away.
    Refused(Refusal),
    /// To a question.
    Told {
        /// Of the question.
        id: u64,
        /// The answer.
        outcome: Outcome,
    },
}

/// [`Answer`] on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) enum Outcome {
    /// See [`Answer::Value`].
    Value(Option<Cfg>),
    /// See [`Answer::Swapped`].
    Swapped,
    /// The witness is too busy and did nothing.
    NotDone,
    /// The witness cannot tell.
    Unknown,
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Value(value) => Self::Value(value),
            Answer::Swapped => Self::Swapped,
            Answer::NotSent => Self::NotDone,
            Answer::Unknown => Self::Unknown,
        }
    }
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Value(value) => Self::Value(value),
            Outcome::Swapped => Self::Swapped,
            Outcome::NotDone => Self::NotSent,
            Outcome::Unknown => Self::Unknown,
        }
    }
}

/// Why a witness does not serve a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum Refusal {
    /// The versions do not meet.
    #[error("the witness does not speak this version: upgrade the older of the two")]
    Version,
    /// Another pair.
    #[error("the witness serves another pair")]
    OtherCluster,
    /// Both run on one machine.
    #[error("witness and node run on the same machine and would die together: give the witness another one")]
    SameMachine,
    /// The certificate is no data node's.
    #[error("the certificate shown is not that of a data node")]
    NotANode,
}

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The connection.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A body above [`BODY_BYTES_MAX`].
    #[error("{0} bytes announced, more than anything that is said here takes")]
    TooLong(usize),
    /// No message.
    #[error("what came is no message: {0}")]
    Codec(#[from] codec::CodecError),
    /// A message in the wrong place.
    #[error("a message came out of turn")]
    OutOfTurn,
    /// The other end was too slow.
    #[error("the other end took too long")]
    Slow,
    /// TLS ended without the protocol's name, or without the other end's certificate.
    #[error("the other end does not speak duet-witness/1")]
    OtherProtocol,
    /// The witness refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Reads one message. Not safe to drop half-way: give up the connection then.
pub(super) async fn receive<T: Decode<()>>(from: &mut (impl AsyncRead + Unpin)) -> Result<T, WireError> {
    let length = usize::from(from.read_u16().await?);
    if length > BODY_BYTES_MAX {
        return Err(WireError::TooLong(length));
    }
    let mut body = [0; BODY_BYTES_MAX];
    from.read_exact(&mut body[..length]).await?;
    Ok(codec::decode(&body[..length])?)
}

/// Writes one message. Not safe to drop half-way.
pub(super) async fn send<T: Encode>(to: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let body = codec::encode(message);
    let mut frame = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes().to_vec();
    frame.extend(body);
    to.write_all(&frame).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{InSync, Nonce, Side, StoreId};
    use proptest::prelude::*;

    fn cfg() -> Cfg {
        let (ver, epoch) = (u64::MAX, u64::MAX);
        let in_sync = InSync { a: Some(StoreId([0xff; 16])), b: Some(StoreId([0xff; 16])) };
        Cfg {
            ver,
            epoch,
            primary: Side::B,
            in_sync,
            holder: Nonce([0xff; 16]),
            cluster: ClusterId([0xff; 16]),
        }
    }

    #[tokio::test]
    async fn every_message_arrives_as_it_was_sent_and_fits() {
        let (mut here, mut there) = tokio::io::duplex(4 * BODY_BYTES_MAX);
        let asks = [Ask::new(u64::MAX, Question::Read), Ask::new(u64::MAX, Question::Swap(cfg()))];
        for ask in asks {
            send(&mut here, &ask).await.unwrap();
            assert_eq!(receive::<Ask>(&mut there).await.unwrap(), ask);
        }
        for answer in [
            Answer::Value(Some(cfg())),
            Answer::Value(None),
            Answer::Swapped,
            Answer::NotSent,
            Answer::Unknown,
        ] {
            send(&mut there, &Reply::Told { id: u64::MAX, outcome: answer.into() }).await.unwrap();
            let Reply::Told { id: u64::MAX, outcome } = receive(&mut here).await.unwrap() else { panic!() };
            assert_eq!(Answer::from(outcome), answer);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let mut input = &bytes[..];
                while receive::<Ask>(&mut input).await.is_ok() {}
                let mut input = &bytes[..];
                while receive::<Reply>(&mut input).await.is_ok() {}
                let _ = receive::<Hello>(&mut &bytes[..]).await;
            });
        }
    }
}

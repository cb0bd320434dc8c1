//! Why a link did not come to be, or is no more; and the codes in which one node tells the other.

use super::{frame::FrameError, hello::Refusal};
use quinn::{ConnectionError, VarInt};
use std::time::Duration;

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnded {
    /// This node closed it.
    #[error("closed here")]
    Stopped,
    /// The other node closed it.
    #[error("closed by the peer")]
    PeerStopped,
    /// Another link takes its place.
    #[error("another link took its place")]
    Superseded,
    /// Nothing was heard for the idle timeout.
    #[error("the peer is silent")]
    Silent,
    /// The peer's process knows nothing of it: it started anew.
    #[error("the peer has started anew")]
    PeerReset,
    /// The peer did not take what was sent within this time.
    #[error("the peer took nothing for {0:?}")]
    Stuck(Duration),
    /// The peer sent what is no message.
    #[error("the peer sent what is no message: {0}")]
    Malformed(FrameError),
    /// A stream ended within a frame, or was reset.
    #[error("the peer broke a stream off")]
    BrokenOff,
    /// The peer says that this node sent what is no message.
    #[error("the peer did not understand this node: {0}")]
    NotUnderstood(String),
    /// Anything else that QUIC reports.
    #[error("{0}")]
    Failed(String),
}

/// Why a link did not come to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The peer's name has no address, or no address can be used.
    #[error("{peer} cannot be reached: {reason}")]
    Unreachable {
        /// As configured.
        peer: String,
        /// What the system said.
        reason: String,
    },
    /// Nobody answered.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// The other end's certificate is not signed by the pair's authority, is out of date, or names somebody else.
    #[error("the other end's certificate is refused: {0}")]
    Untrusted(String),
    /// The other end refuses this node's certificate.
    #[error("the other end refuses this node's certificate: {0}")]
    UntrustedByPeer(String),
    /// This node wants no link with whoever it met.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The other end wants no link with this node.
    #[error("refused by the other end: {0}")]
    RefusedByPeer(Refusal),
    /// It ended while it was being made.
    #[error(transparent)]
    Ended(#[from] LinkEnded),
}

impl From<ConnectionError> for LinkError {
    fn from(error: ConnectionError) -> Self {
        match &error {
            ConnectionError::TransportError(inner) => match alert(u64::from(inner.code)) {
                Some(alert) => Self::Untrusted(trust(alert, &inner.reason)),
                None => Self::Ended(error.into()),
            },
            ConnectionError::ConnectionClosed(close) => match alert(u64::from(close.error_code)) {
                Some(alert) => Self::UntrustedByPeer(trust(alert, &String::from_utf8_lossy(&close.reason))),
                None => Self::Ended(error.into()),
            },
            ConnectionError::ApplicationClosed(close) => match refusal_of(close.error_code) {
                Some(refusal) => Self::RefusedByPeer(refusal),
                None => Self::Ended(error.into()),
            },
            _ => Self::Ended(error.into()),
        }
    }
}

impl From<ConnectionError> for LinkEnded {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::LocallyClosed => Self::Stopped,
            ConnectionError::TimedOut => Self::Silent,
            ConnectionError::Reset => Self::PeerReset,
            ConnectionError::ApplicationClosed(close) => match close.error_code {
                STOPPED => Self::PeerStopped,
                SUPERSEDED => Self::Superseded,
                MALFORMED => Self::NotUnderstood(String::from_utf8_lossy(&close.reason).into_owned()),
                code => Self::Failed(format!("closed by the peer with code {code}")),
            },
            other => Self::Failed(other.to_string()),
        }
    }
}

impl LinkEnded {
    /// The code with which this node closes a connection that ended so.
    pub(super) fn code(&self) -> VarInt {
        match self {
            Self::Superseded => SUPERSEDED,
            Self::Malformed(_) | Self::BrokenOff => MALFORMED,
            Self::Stuck(_) => TOO_SLOW,
            _ => STOPPED,
        }
    }
}

/// The code of a refusal.
pub(super) fn code_of(refusal: Refusal) -> VarInt {
    match refusal {
        Refusal::Superseded => SUPERSEDED,
        Refusal::OtherCluster => OTHER_CLUSTER,
        Refusal::OwnSide => OWN_SIDE,
        Refusal::Witness => WITNESS,
        Refusal::Stranger => STRANGER,
        Refusal::NoCommonVersion => NO_COMMON_VERSION,
        Refusal::NoGreeting => NO_GREETING,
    }
}

fn refusal_of(code: VarInt) -> Option<Refusal> {
    let all = [
        Refusal::Superseded,
        Refusal::OtherCluster,
        Refusal::OwnSide,
        Refusal::Witness,
        Refusal::Stranger,
        Refusal::NoCommonVersion,
        Refusal::NoGreeting,
    ];
    all.into_iter().find(|refusal| code_of(*refusal) == code)
}

/// Closed in good order.
pub(super) const STOPPED: VarInt = VarInt::from_u32(0);
pub(super) const SUPERSEDED: VarInt = VarInt::from_u32(1);
const OTHER_CLUSTER: VarInt = VarInt::from_u32(2);
const OWN_SIDE: VarInt = VarInt::from_u32(3);
const WITNESS: VarInt = VarInt::from_u32(4);
const STRANGER: VarInt = VarInt::from_u32(5);
const NO_COMMON_VERSION: VarInt = VarInt::from_u32(6);
const NO_GREETING: VarInt = VarInt::from_u32(7);
const MALFORMED: VarInt = VarInt::from_u32(8);
pub(super) const TOO_SLOW: VarInt = VarInt::from_u32(9);

/// The TLS alert within a QUIC error code (RFC 9001 §4.8).
fn alert(code: u64) -> Option<u8> {
    let alert = code.checked_sub(0x100)?;
    u8::try_from(alert).ok()
}

/// What an alert (RFC 8446 §6.2) means for a pair; `detail` is what TLS says about it.
fn trust(alert: u8, detail: &str) -> String {
    let meaning = match alert {
        42 => "it names somebody else than the peer: compare pair.cluster and pair.side",
        43 | 46 => "it is not fit for a node",
        44 => "it is revoked",
        45 => "it is out of date, or a clock is wrong: see `duet pair renew`",
        48 | 51 => "it is not signed by this pair's authority: compare pair.ca_file",
        116 => "there is none",
        120 => "it does not speak the pair's protocol: compare pair.peer and pair.listen",
        _ => "TLS failed",
    };
    if detail.is_empty() { format!("{meaning} (TLS alert {alert})") } else { format!("{meaning} ({detail})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_a_code_of_its_own() {
        for code in 1..=7 {
            let code = VarInt::from_u32(code);
            assert_eq!(refusal_of(code).map(code_of), Some(code));
        }
        assert_eq!(refusal_of(STOPPED), None);
        assert_eq!(refusal_of(MALFORMED), None);
    }

    #[test]
    fn only_codes_of_tls_are_alerts() {
        assert_eq!((alert(0x130), alert(0x99), alert(0x200)), (Some(48), None, None));
    }
}

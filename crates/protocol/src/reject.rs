//! Codes: one number for each way in which something is refused or ended, with its name and what to do about it.
//!
//! The range says how an SDK reacts, so that an old one behaves well with a new code: below 100 made by the client ·
//! 1000–1999 a request was refused, the connection stays · 2000–2499 unsubscribed for good · 2500–2999 subscribe again ·
//! 3000–3399 reconnect with backoff · 3400–3499 reconnect now, to the named node · 3500–3999 do not reconnect.

use crate::{
    codec::{Decode, Encode},
    ids::ClientMessageId,
};

/// A code. Unknown numbers are kept as they are and treated by their range.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Code(pub u16);

macro_rules! codes {
    ($($number:literal $constant:ident $retry:literal $sentence:literal)+) => {
        impl Code {
            $(#[doc = $sentence] pub const $constant: Self = Self($number);)+

            /// Every known code: number, name, whether the same thing may succeed later, sentence.
            pub const ALL: &[(u16, &str, bool, &str)] = &[$(($number, stringify!($constant), $retry, $sentence)),+];
        }
    };
}

codes! {
    1 TIMEOUT true "No answer in time."
    2 TRANSPORT_CLOSED true "The connection broke."
    3 UNREACHABLE true "No transport could reach the server."
    4 OUTBOX_FULL false "Too many messages wait to be sent."
    5 OUTBOX_EXPIRED false "The message waited too long to be sent safely; send it again as a new one."
    6 CLOSED_BY_USER false "The client was closed."
    1100 BAD_REQUEST false "The request makes no sense as it is."
    1101 UNAUTHENTICATED false "A token is missing, wrong or of another user."
    1103 FORBIDDEN false "The user may not do this."
    1104 NOT_FOUND false "There is no such thing for this user."
    1109 TOKEN_EXPIRED true "The token has ended; present a fresh one."
    1111 RATE_LIMITED true "Too much at once; wait as long as the answer says."
    1120 CONVERSATION_CLOSED false "The conversation takes no more messages."
    1121 CONFLICT false "Somebody else was first, or the conversation is at another stage."
    1125 DUPLICATE_UNKNOWN false "The message id is too old to tell whether it was accepted before; send it again as a new message."
    1126 DUPLICATE_DIFFERS false "The message id was used for another message."
    1127 CLOCK_SKEW false "The message id lies in the future; correct the clock by the server's time."
    1130 TOO_LARGE false "Larger than the limit allows."
    1131 LIMIT_REACHED false "A limit on number is reached."
    1140 NOT_DURABLE_NOW true "The second node is away; ask for less or wait."
    1141 READ_ONLY true "The server cannot store anything now."
    1142 UNAVAILABLE true "The server cannot read this now; try again."
    1150 NOT_A_MESSAGE false "There is no message at that place."
    1151 MESSAGE_DELETED false "The message was deleted."
    1152 NO_SERVICE true "Nobody serves this method now."
    1153 CALL_TIMEOUT true "The service did not answer in time."
    1154 SERVICE_GONE true "The service left before it answered; it may have done what was asked."
    1160 NOT_ANONYMOUS false "Only an anonymous visitor can be identified, and only as a visitor who is not."
    2000 UNSUBSCRIBED false "The client asked for it, or an operator did."
    2001 ACCESS_REVOKED false "The user is no longer a member."
    2500 INSUFFICIENT_STATE true "The server lost track of the subscription."
    3001 SHUTDOWN true "The server stops."
    3004 INTERNAL true "The server met a defect or a full disk."
    3008 SLOW true "The client reads too slowly."
    3012 NO_PONG true "The client fell silent."
    3013 OVERLOADED true "The server has too much to do."
    3014 CARRIER_GONE true "This node does not know the carrier; open another and resume."
    3400 DRAIN true "The server is about to stop; another node goes on."
    3401 NOT_PRIMARY true "Another node serves now."
    3500 INVALID_TOKEN false "The token is not accepted."
    3501 PROTOCOL_ERROR false "The bytes broke the protocol."
    3502 FORBIDDEN_ORIGIN false "Pages of this origin may not connect."
    3503 FORCED false "An operator closed the session."
    3504 CONNECTION_LIMIT false "The user has too many connections."
    3506 UNSUPPORTED_VERSION false "No common protocol version."
    3510 REVOKED false "The token, the session or the user was revoked."
    3511 REPLACED false "The same session connected again elsewhere."
}

impl Code {
    /// The code's name in lower case, or `unknown`.
    #[must_use]
    pub fn name(self) -> String {
        self.row().map_or_else(|| "unknown".into(), |row| row.1.to_ascii_lowercase())
    }

    /// A sentence that a person can act on.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        self.row().map_or("No description is known for this code.", |row| row.3)
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn retryable(self) -> bool {
        self.row().map_or(matches!(self.0, 2500..=3499), |row| row.2)
    }

    /// Whether a client that was closed with this code must not come back by itself.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self.0, 3500..=3999)
    }

    fn row(self) -> Option<&'static (u16, &'static str, bool, &'static str)> {
        Self::ALL.iter().find(|row| row.0 == self.0)
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

/// A command was refused; nothing changed.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Refusal {
    /// Which command.
    pub subject: Subject,
    /// Why.
    pub code: Code,
    /// For people: what to do.
    pub message: String,
    /// Wait at least this long before the next try, milliseconds; 0 if waiting does not help.
    pub retry_after_ms: u32,
}

/// Which command a refusal answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Subject {
    /// The lane's last command: it carried no number.
    Lane,
    /// The command with this `request`.
    Request(u32),
    /// The publish with this id.
    Message(ClientMessageId),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_their_range_agrees_with_their_retry_advice() {
        for pair in Code::ALL.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        for (number, name, retryable, _) in Code::ALL {
            match number {
                2500..=3499 => assert!(retryable, "{name}"),
                3500..=3999 | 2000..=2499 => assert!(!retryable, "{name}"),
                _ => {}
            }
        }
        assert!(Code(3399).retryable(), "an unknown code is judged by its range");
    }
}

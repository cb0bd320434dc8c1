//! Names and numbers that both sides use, each checked once, where it enters.

use crate::codec::{Decode, Encode, text_codec};
use std::{fmt, sync::Arc};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $extra:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The longest allowed text, in bytes of UTF-8.
            pub const MAX_BYTES: usize = $max;

            /// Checks `text`.
            ///
            /// # Errors
            /// [`BadName`] when it is empty, too long or has a character that is not allowed.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                let allowed: fn(char) -> bool = $extra;
                if !text.is_empty() && text.len() <= $max && text.chars().all(allowed) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadName { what: stringify!($name), rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::parse(text)
            }
        }

        text_codec!($name);
    };
}

text_id!(
    /// A customer company, the root of isolation. It comes from the key that signed a token.
    TenantName, 32, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-',
    "1 to 32 of a-z, 0-9 and -"
);
text_id!(
    /// A person or bot of a tenant: the `sub` of its token.
    UserId, 64, |c| !c.is_control(),
    "1 to 64 bytes without control characters"
);
text_id!(
    /// One installation of a client; a session belongs to one device.
    DeviceId, 64, |c| c.is_ascii_alphanumeric() || "-_.:".contains(c),
    "1 to 64 of letters, digits, - _ . :"
);
text_id!(
    /// What people call a user, a subject line, a software name: shown, never compared.
    DisplayName, 128, |c| !c.is_control(),
    "1 to 128 bytes without control characters"
);
text_id!(
    /// What programs call a kind of system event or a method: compared byte for byte, not shown.
    Label, 64, |c| c.is_ascii_alphanumeric() || "-_.:".contains(c),
    "1 to 64 of letters, digits, - _ . :"
);
text_id!(
    /// A reaction: one emoji, which may be several code points, or a short word.
    Emoji, 64, |c| !c.is_control(),
    "1 to 64 bytes without control characters"
);

/// A text that breaks the rule of the name it should become.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}")]
pub struct BadName {
    /// The name's type.
    pub what: &'static str,
    /// Its rule, for people.
    pub rule: &'static str,
}

macro_rules! bytes_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            /// Reads the usual form of a UUID, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`; hyphens are optional.
            ///
            /// # Errors
            /// [`BadName`] for anything else.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                parse_uuid(text).map(Self).ok_or(BadName { what: stringify!($name), rule: "a UUID" })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_uuid(&self.0, f)
            }
        }
    };
}

bytes_id!(
    /// A conversation: a UUID chosen by who creates it, so that creating twice makes one.
    ConversationId
);
bytes_id!(
    /// A user's logical presence on one device; it outlives connections.
    SessionId
);
bytes_id!(
    /// The client's own id of a message: a UUIDv7 (RFC 9562 §5.7), kept through every retry.
    ClientMessageId
);

impl ClientMessageId {
    /// Builds a UUIDv7 from Unix milliseconds and ten random bytes (six of their bits are overwritten).
    #[must_use]
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        bytes[6..].copy_from_slice(&random);
        bytes[6] = (bytes[6] & 0x0f) | 0x70;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The Unix milliseconds within, or `None` when this is no UUIDv7.
    #[must_use]
    pub fn timestamp_ms(self) -> Option<u64> {
        let b = self.0;
        (b[6] >> 4 == 7 && b[8] >> 6 == 0b10)
            .then(|| u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]))
    }
}

/// Where a reader stands: `seq` events of a conversation received, under the reign `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Position {
    /// The reign of the primary that numbered the event.
    pub epoch: u64,
    /// Position in the conversation: 1, 2, 3, no gaps; 0 is before the first.
    pub seq: u64,
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>()?;
    let mut bytes = [0; 16];
    if digits.len() != 32 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

fn write_uuid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_message_id_carries_its_time_and_says_when_it_is_no_uuid_v7() {
        let id = ClientMessageId::new(1_763_000_000_123, [0xff; 10]);
        assert_eq!(id.timestamp_ms(), Some(1_763_000_000_123));
        assert_eq!(ClientMessageId::parse(&id.to_string()), Ok(id));
        assert_eq!(ClientMessageId([0; 16]).timestamp_ms(), None);
    }

    #[test]
    fn names_are_checked_where_they_enter() {
        assert!(TenantName::parse("acme-2").is_ok());
        for bad in ["", "Acme", "a/b", &"x".repeat(33)] {
            assert!(TenantName::parse(bad).is_err(), "{bad}");
        }
        assert!(UserId::parse("Ana María 🙂").is_ok());
        assert!(UserId::parse("a\nb").is_err());
        assert!(ConversationId::parse("not-a-uuid").is_err());
    }
}

//! The values that samples share, the same in every run.

use duet_protocol::{
    ClientMessageId, ConversationId, DeviceId, DisplayName, Emoji, Label, SessionId, UserId,
};

/// A conversation, a UUIDv7 whose time is 1,763,000,000,000.
pub(crate) const CONVERSATION: ConversationId =
    ConversationId([0x01, 0x9a, 0x7a, 0xfd, 0x1e, 0x00, 0x7a, 0xbc, 0x8d, 0xef, 1, 2, 3, 4, 5, 6]);

/// A session; any 16 bytes will do.
pub(crate) const SESSION: SessionId = SessionId([
    0x0f, 0x1e, 0x2d, 0x3c, 0x4b, 0x5a, 0x69, 0x78, 0x87, 0x96, 0xa5, 0xb4, 0xc3, 0xd2, 0xe1, 0xf0,
]);

/// A message, a UUIDv7 whose time is 1,763,000,000,123.
pub(crate) const MESSAGE: ClientMessageId = ClientMessageId([
    0x01, 0x9a, 0x7a, 0xfd, 0x1e, 0x7b, 0x7f, 0xff, 0xbf, 0xff, 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5,
]);

/// Values at which the encoding of an integer changes its length, and their neighbours.
pub(crate) const BOUNDARIES: [u64; 11] =
    [0, 1, 250, 251, 255, 256, 65_535, 65_536, 4_294_967_295, 4_294_967_296, u64::MAX];

pub(crate) fn user(text: &str) -> UserId {
    UserId::parse(text).unwrap()
}

pub(crate) fn device(text: &str) -> DeviceId {
    DeviceId::parse(text).unwrap()
}

pub(crate) fn name(text: &str) -> DisplayName {
    DisplayName::parse(text).unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    Label::parse(text).unwrap()
}

pub(crate) fn emoji(text: &str) -> Emoji {
    Emoji::parse(text).unwrap()
}

/// A text of so many bytes.
pub(crate) fn text_of(bytes: usize) -> String {
    "token-".chars().cycle().take(bytes).collect()
}

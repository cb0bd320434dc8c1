//! Small words: ticks for how far a message is, and what a user may choose to be.

use duet_client::{machine::MessageStatus, protocol::delivery::Availability};

pub(crate) fn tick(status: MessageStatus) -> &'static str {
    match status {
        MessageStatus::Queued => "…",
        MessageStatus::Accepted => "✓",
        MessageStatus::Mirrored => "✓⁺",
        MessageStatus::Delivered => "✓✓",
        MessageStatus::Read => "✓✓ read",
        MessageStatus::Failed => "✗ not sent (/retry)",
    }
}

pub(crate) fn availability(word: &str) -> Availability {
    match word {
        "busy" => Availability::Busy,
        "away" => Availability::Away,
        "offline" => Availability::Offline,
        _ => Availability::Online,
    }
}

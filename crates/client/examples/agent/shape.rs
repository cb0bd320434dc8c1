//! What the SDK tells, in the words that all SDKs share.

use duet_client::{
    machine::{ClientError, Event, LogEntry, Message, MessageStatus, StateChange, StatusChange},
    protocol::{EventBody, delivery::Presence},
};
use serde_json::{Value, json};

/// An event as a line without the client's name; `None` for what no clause speaks of.
pub(crate) fn event(event: &Event) -> Option<Value> {
    let mut line = match event {
        Event::StateChanged(change) => state(change),
        Event::MessageCreated { message: created, live } => {
            let mut line = message(created);
            line["live"] = json!(live);
            line
        }
        Event::MessageStatus(change) => status(change),
        Event::EphemeralReceived { conversation, author, content } => json!({
            "conversation": conversation.to_string(), "author": author.as_str(), "text": content.as_text(),
        }),
        Event::ConversationUpdated { conversation, entry } => {
            json!({ "conversation": conversation.to_string(), "seq": entry.seq })
        }
        Event::ConversationLost { conversation, error: why } => {
            json!({ "conversation": conversation.to_string(), "code": why.code.0 })
        }
        Event::ReceiptUpdated { conversation, user, received, read } => json!({
            "conversation": conversation.to_string(), "user": user.as_str(), "received": received, "read": read,
        }),
        Event::TypingStarted { conversation, user } | Event::TypingStopped { conversation, user } => {
            json!({ "conversation": conversation.to_string(), "user": user.as_str() })
        }
        Event::PresenceUpdated(presence) => self::presence(presence),
        Event::InboxUpdated(entry) => json!({
            "conversation": entry.conversation.to_string(), "unread": entry.unread, "gone": entry.gone,
        }),
        Event::Discontinuity { conversation, reason } => json!({
            "conversation": conversation.map(|id| id.to_string()), "reason": reason,
        }),
        Event::TokenRefreshed { expires_ms } => json!({ "expires": expires_ms }),
        Event::Error(why) => error(why),
        Event::Lagged { missed } => json!({ "missed": missed }),
        _ => return None,
    };
    line["event"] = json!(event.name());
    Some(line)
}

/// A message, one's own or somebody else's.
pub(crate) fn message(message: &Message) -> Value {
    json!({
        "conversation": message.conversation.to_string(), "id": message.id.to_string(), "seq": message.seq,
        "author": message.author.as_ref().map(|user| user.as_str()), "own": message.own,
        "text": message.content.as_text(), "replyTo": message.reply_to, "status": status_name(message.status),
    })
}

/// An entry of a page of history.
pub(crate) fn entry(entry: &LogEntry) -> Value {
    let said = match &entry.body {
        Some(EventBody::Message(message)) => Some(message),
        _ => None,
    };
    json!({
        "seq": entry.seq, "id": said.map(|message| message.id.to_string()),
        "text": said.and_then(|message| message.content.as_text()),
        "author": entry.author.as_ref().map(|user| user.as_str()),
    })
}

/// What was refused, or went wrong.
pub(crate) fn error(error: &ClientError) -> Value {
    json!({ "code": error.code.0, "message": error.message, "retryAfterMs": error.retry_after_ms })
}

fn state(change: &StateChange) -> Value {
    json!({
        "previous": word(&change.previous), "current": word(&change.current),
        "code": change.code.map_or(0, |code| code.0), "reason": change.reason, "retryIn": change.retry_in_ms,
        "endpoint": change.endpoint, "node": change.node.as_ref().map(|node| node.as_str()),
        "epoch": change.epoch, "resumed": change.resumed,
    })
}

fn status(change: &StatusChange) -> Value {
    json!({
        "conversation": change.conversation.to_string(), "id": change.id.to_string(),
        "status": status_name(change.status), "seq": change.seq,
        "code": change.error.as_ref().map_or(0, |error| error.code.0),
        "retryAfterMs": change.error.as_ref().map_or(0, |error| error.retry_after_ms),
    })
}

fn presence(presence: &Presence) -> Value {
    json!({
        "user": presence.user.as_str(), "availability": word(&presence.availability),
        "connectivity": word(&presence.connectivity), "lastSeen": presence.last_seen_ms,
    })
}

fn status_name(status: MessageStatus) -> String {
    word(&status)
}

/// A variant's name in lower case, which is what the other SDKs call it.
pub(crate) fn word(variant: &impl std::fmt::Debug) -> String {
    format!("{variant:?}").to_lowercase()
}

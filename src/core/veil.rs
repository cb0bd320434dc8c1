//! What a reader may see of stored events: the one place that every event passes on its way out of the store.
//!
//! Over what belongs to a deleted message lies a tombstone, and for visitors private events are withheld. Judged at the
//! moment of the answer, so what was read before a deletion and is answered after it is hidden too.

use super::{
    Core, addition::wrapped, conversation::Conversation, input::ConnectionId, record::ConversationKey,
};
use bytes::Bytes;
use duet_protocol::{
    Event, EventBody, codec,
    event::{Edited, Tombstone, Withheld},
};

impl Core {
    /// Encoded events as the user of this connection may see them now.
    pub(super) fn veiled(
        &self,
        key: ConversationKey,
        reader: ConnectionId,
        events: Vec<(u64, Bytes)>,
    ) -> Vec<(u64, Bytes)> {
        let Some(conversation) = self.veils(key) else { return events };
        let staff = self.is_staff(reader);
        let veil = |(seq, bytes): (u64, Bytes)| {
            let changed = codec::decode(&bytes).ok().and_then(|event| self.seen(conversation, staff, &event));
            (seq, changed.map_or(bytes, |event| codec::encode(&event).into()))
        };
        events.into_iter().map(veil).collect()
    }

    /// The same for events that were decoded.
    pub(super) fn veil_page(&self, key: ConversationKey, reader: ConnectionId, events: &mut [Event]) {
        let Some(conversation) = self.veils(key) else { return };
        let staff = self.is_staff(reader);
        for event in events {
            if let Some(changed) = self.seen(conversation, staff, event) {
                *event = changed;
            }
        }
    }

    /// Whether the user of this connection works for the tenant.
    pub(super) fn is_staff(&self, reader: ConnectionId) -> bool {
        self.connections.get(&reader).is_some_and(|connection| connection.actor.role.is_staff())
    }

    /// The conversation, if there is anything in it that is not for everyone.
    fn veils(&self, key: ConversationKey) -> Option<&Conversation> {
        let conversation = self.state.conversations.get(&key)?;
        (conversation.aside.is_some() || conversation.has_deletions()).then_some(conversation)
    }

    /// What is seen in place of an event, if it is not the event itself.
    fn seen(&self, conversation: &Conversation, staff: bool, event: &Event) -> Option<Event> {
        if event.kind == PRIVATE_KIND && !staff {
            return Some(withheld(event.seq));
        }
        let body = event.decode_body().ok()??;
        let (inside, private) = match &body {
            EventBody::Private(private) => (private.decode_body().ok()??, true),
            _ => (body, false),
        };
        let of = match inside {
            EventBody::Message(_) => event.seq,
            EventBody::Edited(Edited { target, .. }) => target,
            _ => return None,
        };
        let deletion = conversation.deletion(of).filter(|deletion| deletion.index <= self.commit)?;
        let (deletion, deleted_at_ms) = (deletion.seq, deletion.at_ms);
        let tombstone = EventBody::Tombstone(Tombstone { of, deletion, deleted_at_ms });
        let (kind, body) = if private { wrapped(&tombstone) } else { tombstone }.encode();
        Some(Event { kind, body, ..event.clone() })
    }
}

/// Kind of a `Private` event.
const PRIVATE_KIND: u16 = 12;

/// What a visitor gets in place of a private event.
pub(super) fn withheld(seq: u64) -> Event {
    let (kind, body) = EventBody::Withheld(Withheld {}).encode();
    Event { seq, at_ms: 0, author: None, kind, body }
}

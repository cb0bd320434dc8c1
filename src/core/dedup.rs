//! Which message ids were accepted, for as long as a client may retry them.
//!
//! The table is a function of the log: entries go in with the message and out by log time or by count, oldest first.
//! What leaves raises the *floor*: the highest timestamp inside a forgotten id. An unknown id at or below the floor may
//! be a forgotten one, so it is refused; above the floor an unknown id is certainly new. So nothing is ever doubled,
//! whatever is forgotten.

use super::record::{ConversationKey, TenantId};
use duet_protocol::{
    ClientMessageId, UserId,
    codec::{Decode, Encode},
};
use std::collections::BTreeMap;

/// The accepted ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dedup {
    by_id: BTreeMap<(TenantId, UserId, ClientMessageId), u64>,
    by_age: BTreeMap<u64, Accepted>,
    next: u64,
    floor_ms: u64,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Accepted {
    /// Where.
    pub key: ConversationKey,
    /// By whom.
    pub author: UserId,
    /// The client's id.
    pub id: ClientMessageId,
    /// Its position.
    pub seq: u64,
    /// Log index of its entry.
    pub index: u64,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// [`fingerprint`] of what was said.
    pub fingerprint: u64,
}

/// What the table knows of an id.
#[derive(Debug, Clone, PartialEq)]
pub enum Known<'a> {
    /// Certainly never accepted.
    New,
    /// Accepted before.
    Before(&'a Accepted),
    /// Too old to tell.
    Forgotten,
}

impl Dedup {
    /// Looks an id up. `stamp_ms` is the time inside the id.
    #[must_use]
    pub fn look_up(&self, tenant: TenantId, user: &UserId, id: ClientMessageId, stamp_ms: u64) -> Known<'_> {
        let place = self.by_id.get(&(tenant, user.clone(), id));
        match place.and_then(|place| self.by_age.get(place)) {
            Some(accepted) => Known::Before(accepted),
            None if stamp_ms <= self.floor_ms => Known::Forgotten,
            None => Known::New,
        }
    }

    /// Remembers a message; answers with its place in the table.
    pub fn remember(&mut self, accepted: Accepted) -> u64 {
        let place = self.next;
        self.next += 1;
        self.restore(place, accepted);
        place
    }

    /// Forgets what is older than `window_ms` at `now_ms`, and the oldest beyond `entries_max`; answers with their places.
    pub fn forget(&mut self, now_ms: u64, window_ms: u64, entries_max: usize) -> Vec<u64> {
        let mut forgotten = Vec::new();
        while let Some(oldest) = self.by_age.first_entry() {
            let old = now_ms.saturating_sub(oldest.get().at_ms) >= window_ms;
            if !old && self.by_id.len() <= entries_max {
                break;
            }
            let (place, gone) = oldest.remove_entry();
            self.by_id.remove(&(gone.key.tenant, gone.author, gone.id));
            self.floor_ms = self.floor_ms.max(gone.id.timestamp_ms().unwrap_or(gone.at_ms));
            forgotten.push(place);
        }
        forgotten
    }

    /// Puts a stored row back.
    pub fn restore(&mut self, place: u64, accepted: Accepted) {
        self.next = self.next.max(place + 1);
        self.by_id.insert((accepted.key.tenant, accepted.author.clone(), accepted.id), place);
        self.by_age.insert(place, accepted);
    }

    /// The next place and the floor, for the checkpoint.
    #[must_use]
    pub fn marks(&self) -> (u64, u64) {
        (self.next, self.floor_ms)
    }

    /// Sets what [`Dedup::marks`] gave.
    pub fn restore_marks(&mut self, next: u64, floor_ms: u64) {
        self.next = self.next.max(next);
        self.floor_ms = floor_ms;
    }

    /// The message at a place.
    #[must_use]
    pub fn at(&self, place: u64) -> Option<&Accepted> {
        self.by_age.get(&place)
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_age.is_empty()
    }
}

/// Tells one content from another: XXH3-64 over format, reply and bytes.
#[must_use]
pub fn fingerprint(content: &duet_protocol::event::Content, reply_to: Option<u64>) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    hash.update(&content.format.to_be_bytes());
    hash.update(&reply_to.unwrap_or(0).to_be_bytes());
    hash.update(&content.body);
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;
    use duet_protocol::ConversationId;

    fn accepted(stamp_ms: u64, at_ms: u64) -> Accepted {
        Accepted {
            key: ConversationKey { tenant: TenantId(1), conversation: ConversationId([1; 16]) },
            author: UserId::parse("ana").unwrap(),
            id: ClientMessageId::new(stamp_ms, [stamp_ms as u8; 10]),
            seq: 1,
            index: 1,
            at_ms,
            fingerprint: 0,
        }
    }

    #[test]
    fn a_forgotten_id_is_never_taken_for_a_new_one() {
        let mut table = Dedup::default();
        for stamp in 1..=10 {
            table.remember(accepted(stamp, 100 + stamp));
        }
        assert_eq!(table.forget(200, 1_000, 4).len(), 6, "the bound on number holds");
        let look = |stamp: u64| {
            let old = accepted(stamp, 0);
            table.look_up(TenantId(1), &old.author, old.id, stamp)
        };
        for stamp in 1..=6 {
            assert_eq!(look(stamp), Known::Forgotten);
        }
        assert!(matches!(look(7), Known::Before(_)));
        assert_eq!(look(11), Known::New);
        assert_eq!(table.forget(2_000, 1_000, 4).len(), 4, "the window holds");
        assert!(table.is_empty());
    }
}

//! Which message ids were accepted, for as long as a client may retry them.
//!
//! The table is a function of the log: entries go in with the message and out by log time or by count, oldest first.
//! What leaves raises the *floor* of its tenant: the highest timestamp inside a forgotten id. An unknown id at or below
//! the floor may be a forgotten one, so it is refused; above the floor an unknown id is certainly new. So nothing is ever
//! doubled, whatever is forgotten, and what one tenant does never refuses an id of another.
//!
//! A million ids are ordinary, so they lie in memory as they lie in the store: in packs of [`pack::SIZE`], encoded.
//!
//! ```text
//!  place   0 ······ 31  32 ····· 63  64 ····· 95  96 ···
//!  pack        0            1            2           3
//!              gone      │ sealed       sealed     open (the newest, not yet full)
//!                  first ┘                            └ next
//! ```
//!
//! An index leads from id and author to the place. It keeps a hash of the author; what is found is always compared whole.

mod pack;

use super::record::{ConversationKey, TenantId};
use duet_protocol::{ClientMessageId, CodecError, UserId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The accepted ids.
#[derive(Debug, Clone, Default)]
pub struct Dedup {
    /// Full packs, encoded; the first of them holds the place `first`, or would.
    sealed: VecDeque<Box<[u8]>>,
    /// The newest messages, fewer than a pack; those before `first` wait for their pack to be full.
    open: Vec<Accepted>,
    /// The first sealed pack, decoded when its messages begin to leave; empty until then.
    leaving: Vec<Accepted>,
    /// Id, hash of tenant and author, low half of the place.
    index: BTreeSet<(ClientMessageId, u32, u32)>,
    /// Place of the oldest message that is remembered.
    first: u64,
    /// Place of the next message.
    next: u64,
    floors: BTreeMap<TenantId, u64>,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq)]
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
pub enum Known {
    /// Certainly never accepted.
    New,
    /// Accepted before.
    Before(Accepted),
    /// Too old to tell.
    Forgotten,
}

/// What changed in the stored table when messages were forgotten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Forgotten {
    /// Packs of which nothing is remembered any more.
    pub packs: Vec<u64>,
    /// Tenants whose floor may have risen.
    pub tenants: BTreeSet<TenantId>,
}

/// A stored pack that does not fit the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadPack {
    /// It does not decode.
    Damaged(CodecError),
    /// It is missing, too many, or holds another number of messages than its place says.
    Count,
}

impl Dedup {
    /// Looks an id up. `stamp_ms` is the time inside the id.
    #[must_use]
    pub fn look_up(&self, tenant: TenantId, user: &UserId, id: ClientMessageId, stamp_ms: u64) -> Known {
        let owner = owner(tenant, user);
        let places = self.index.range((id, owner, 0)..=(id, owner, u32::MAX));
        let found = places.filter_map(|(_, _, low)| self.at(self.whole(*low)));
        match found.into_iter().find(|found| found.key.tenant == tenant && found.author == *user) {
            Some(accepted) => Known::Before(accepted),
            None if self.floors.get(&tenant).is_some_and(|floor_ms| stamp_ms <= *floor_ms) => {
                Known::Forgotten
            }
            None => Known::New,
        }
    }

    /// Remembers a message; answers with the number of its pack.
    pub fn remember(&mut self, accepted: Accepted) -> u64 {
        let place = self.next;
        self.index.insert(index_key(&accepted, place));
        self.open.push(accepted);
        self.next += 1;
        if self.open.len() == pack::SIZE {
            self.sealed.push_back(pack::encode(&self.open).into_boxed_slice());
            self.open.clear();
        }
        place / PACK
    }

    /// Forgets what is older than `window_ms` at `now_ms`, and the oldest beyond `entries_max`.
    pub fn forget(&mut self, now_ms: u64, window_ms: u64, entries_max: usize) -> Forgotten {
        let mut forgotten = Forgotten::default();
        while self.first < self.next {
            let many = self.len() > entries_max;
            let place = self.first;
            let Some(oldest) = self.oldest() else { break };
            if !many && now_ms.saturating_sub(oldest.at_ms) < window_ms {
                break;
            }
            let (tenant, key) = (oldest.key.tenant, index_key(oldest, place));
            let stamp_ms = oldest.id.timestamp_ms().unwrap_or(oldest.at_ms);
            self.index.remove(&key);
            let floor_ms = self.floors.entry(tenant).or_default();
            *floor_ms = stamp_ms.max(*floor_ms);
            forgotten.tenants.insert(tenant);
            self.first += 1;
            if self.first.is_multiple_of(PACK) {
                self.sealed.pop_front();
                self.leaving = Vec::new();
                forgotten.packs.push(place / PACK);
            }
        }
        forgotten
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no id is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The places of the oldest message and of the next one, for the checkpoint.
    pub(super) fn marks(&self) -> (u64, u64) {
        (self.first, self.next)
    }

    /// The highest timestamp inside a forgotten id of a tenant, Unix milliseconds.
    pub(super) fn floor_ms(&self, tenant: TenantId) -> Option<u64> {
        self.floors.get(&tenant).copied()
    }

    /// A pack as it is stored; nothing for one that is gone.
    pub(super) fn pack(&self, number: u64) -> Option<Vec<u8>> {
        if number == self.next / PACK {
            return (!self.open.is_empty()).then(|| pack::encode(&self.open));
        }
        self.sealed_pack(number).map(<[u8]>::to_vec)
    }

    /// The table whose [`Dedup::marks`], floors and packs these are.
    pub(super) fn restore(
        (first, next): (u64, u64),
        floors: BTreeMap<TenantId, u64>,
        packs: BTreeMap<u64, Vec<u8>>,
    ) -> Result<Self, BadPack> {
        let numbers = first / PACK..next.div_ceil(PACK);
        if first > next || !packs.keys().copied().eq(numbers) {
            return Err(BadPack::Count);
        }
        let mut table = Self { first, next, floors, ..Self::default() };
        let mut index = Vec::with_capacity(usize::try_from(next - first).unwrap_or(0));
        for (number, bytes) in packs {
            let messages = pack::decode(&bytes).map_err(BadPack::Damaged)?;
            if messages.len() as u64 != (next - number * PACK).min(PACK) {
                return Err(BadPack::Count);
            }
            let placed = messages.iter().zip(number * PACK..).filter(|(_, place)| *place >= first);
            index.extend(placed.map(|(accepted, place)| index_key(accepted, place)));
            if messages.len() == pack::SIZE {
                table.sealed.push_back(bytes.into_boxed_slice());
            } else {
                table.open = messages;
            }
        }
        // Built at once from sorted keys, its nodes are full: half the memory of one insertion after the other.
        table.index = index.into_iter().collect();
        Ok(table)
    }

    fn oldest(&mut self) -> Option<&Accepted> {
        let (number, slot) = (self.first / PACK, slot(self.first));
        if number == self.next / PACK {
            return self.open.get(slot);
        }
        if self.leaving.is_empty() {
            self.leaving = self.sealed_pack(number).map(whole_pack)?;
        }
        self.leaving.get(slot)
    }

    fn at(&self, place: u64) -> Option<Accepted> {
        let number = place / PACK;
        if number == self.next / PACK {
            return self.open.get(slot(place)).cloned();
        }
        self.sealed_pack(number).map(whole_pack)?.into_iter().nth(slot(place))
    }

    fn sealed_pack(&self, number: u64) -> Option<&[u8]> {
        let at = usize::try_from(number.checked_sub(self.first / PACK)?).ok()?;
        self.sealed.get(at).map(AsRef::as_ref)
    }

    /// The place whose low half is `low`: there is one, because fewer than 2³² messages are remembered.
    fn whole(&self, low: u32) -> u64 {
        self.first + u64::from(low.wrapping_sub(low_half(self.first)))
    }
}

/// Equal when they remember the same; what is decoded at the moment does not count.
impl PartialEq for Dedup {
    fn eq(&self, other: &Self) -> bool {
        self.marks() == other.marks()
            && self.floors == other.floors
            && self.index == other.index
            && self.sealed == other.sealed
            && self.open == other.open
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

const PACK: u64 = pack::SIZE as u64;

fn slot(place: u64) -> usize {
    (place % PACK) as usize
}

fn low_half(number: u64) -> u32 {
    (number & u64::from(u32::MAX)) as u32
}

fn index_key(accepted: &Accepted, place: u64) -> (ClientMessageId, u32, u32) {
    (accepted.id, owner(accepted.key.tenant, &accepted.author), low_half(place))
}

fn owner(tenant: TenantId, user: &UserId) -> u32 {
    low_half(xxhash_rust::xxh3::xxh3_64_with_seed(user.as_str().as_bytes(), tenant.0.into()))
}

fn whole_pack(bytes: &[u8]) -> Vec<Accepted> {
    match pack::decode(bytes) {
        Ok(messages) => messages,
        Err(error) => unreachable!("a pack that was encoded or checked here does not decode: {error}"),
    }
}

#[cfg(test)]
mod laws;

//! The checkpoint: the fold as rows, keyed so that a change writes only the rows that it touched.
//!
//! Keys are big-endian and begin with a kind byte; values use the protocol's codec. `docs/storage.md` lists them.

use super::{
    conversation::{Conversation, Head, Member},
    dedup::{BadPack, Dedup},
    effect::Row,
    marks::{Aside, Marks},
    record::{ConversationKey, TenantId, UserKey},
    standing::{Fact, KnownAs, TokenMark},
    state::{Session, State, Tip, User},
};
use duet_protocol::{
    ConversationId, SessionId, TenantName, UserId,
    codec::{self, CodecError, Decode, Encode},
};
use std::collections::BTreeMap;

/// Names one row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RowKey {
    /// [`Meta`].
    Meta,
    /// A tenant's name.
    Tenant(TenantId),
    /// A [`User`].
    User(UserKey),
    /// A [`Session`].
    Session(SessionId),
    /// A [`Head`].
    Conversation(ConversationKey),
    /// A [`Member`].
    Member(ConversationKey, UserId),
    /// A pack of the table of message ids.
    Dedup(u64),
    /// The floor of a tenant in that table, Unix milliseconds.
    DedupFloor(TenantId),
    /// The first index of a reign.
    Reign(u64),
    /// [`Marks`] of a message.
    Marks(ConversationKey, u64),
    /// [`Aside`].
    Aside(ConversationKey),
    /// Who an anonymous user turned out to be.
    Identified(UserKey),
    /// A token that was revoked.
    RevokedToken(TenantId, TokenMark),
    /// A user whose tokens were.
    RevokedUser(UserKey),
    /// The token by which a session lives.
    SessionToken(SessionId),
}

/// A row that cannot be read: the checkpoint is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRow {
    /// The key is none of ours.
    #[error("a state row has an unknown key of kind {0:#04x}")]
    Key(u8),
    /// The value does not decode.
    #[error("a state row of kind {0:#04x} is damaged: {1}")]
    Value(u8, CodecError),
    /// A member of a conversation that has no row.
    #[error("a member row belongs to no conversation")]
    Orphan,
    /// The table of message ids is not whole.
    #[error("the table of message ids lacks a row, or has one too many")]
    Dedup,
}

/// What belongs to the whole.
#[derive(Debug, Clone, Copy, PartialEq, Encode, Decode)]
struct Meta {
    tip: Tip,
    dedup_first: u64,
    dedup_next: u64,
}

impl RowKey {
    /// The bytes of the key.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Meta => vec![META],
            Self::Tenant(id) => join(TENANT, &[&id.0.to_be_bytes()]),
            Self::User(key) => user_row(USER, key),
            Self::Session(id) => join(SESSION, &[&id.0]),
            Self::Conversation(key) => {
                join(CONVERSATION, &[&key.tenant.0.to_be_bytes(), &key.conversation.0])
            }
            Self::Member(key, user) => {
                let (tenant, user) = (key.tenant.0.to_be_bytes(), user.as_str().as_bytes());
                join(MEMBER, &[&tenant, &key.conversation.0, user])
            }
            Self::Dedup(pack) => join(DEDUP, &[&pack.to_be_bytes()]),
            Self::Identified(key) => user_row(IDENTIFIED, key),
            Self::RevokedToken(tenant, token) => join(REVOKED_TOKEN, &[&tenant.0.to_be_bytes(), &token.0]),
            Self::RevokedUser(key) => user_row(REVOKED_USER, key),
            Self::SessionToken(id) => join(SESSION_TOKEN, &[&id.0]),
            Self::Reign(epoch) => join(REIGN, &[&epoch.to_be_bytes()]),
            Self::DedupFloor(tenant) => join(DEDUP_FLOOR, &[&tenant.0.to_be_bytes()]),
            Self::Marks(key, seq) => {
                let tenant = key.tenant.0.to_be_bytes();
                join(MARKS, &[&tenant, &key.conversation.0, &seq.to_be_bytes()])
            }
            Self::Aside(key) => join(ASIDE, &[&key.tenant.0.to_be_bytes(), &key.conversation.0]),
        }
    }
}

impl State {
    /// The rows that changed since the last call, as of now.
    pub fn take_dirty_rows(&mut self) -> Vec<Row> {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.insert(RowKey::Meta);
        dirty.into_iter().map(|key| (key.encode(), self.row_value(&key))).collect()
    }

    /// Builds the fold from stored rows, in any order.
    ///
    /// # Errors
    /// [`BadRow`] when one cannot be read; nothing can be trusted then.
    pub fn from_rows(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, BadRow> {
        let mut state = Self::default();
        let (mut heads, mut members) = (BTreeMap::new(), Vec::new());
        let mut changes = Vec::new();
        let (mut marks, mut floors, mut packs) = ((0, 0), BTreeMap::new(), BTreeMap::new());
        for (key, value) in rows {
            let kind = key.first().copied().unwrap_or(0);
            match (kind, key.get(1..).unwrap_or_default()) {
                (META, []) => {
                    let meta: Meta = read(kind, &value)?;
                    state.tip = meta.tip;
                    marks = (meta.dedup_first, meta.dedup_next);
                }
                (TENANT, rest) => {
                    let name: TenantName = read(kind, &value)?;
                    state.tenants.insert(TenantId(u32::from_be_bytes(array(kind, rest)?)), name);
                }
                (USER, rest) => {
                    let user: User = read(kind, &value)?;
                    state.users.insert(user_key(kind, rest)?, user);
                }
                (SESSION, rest) => {
                    let session: Session = read(kind, &value)?;
                    state.put_session(SessionId(array(kind, rest)?), session);
                }
                (CONVERSATION, rest) => {
                    let (key, []) = conversation_key(kind, rest)? else { return Err(BadRow::Key(kind)) };
                    heads.insert(key, read::<Head>(kind, &value)?);
                }
                (MEMBER, rest) => {
                    let (key, user) = conversation_key(kind, rest)?;
                    members.push((key, user_id(kind, user)?, read::<Member>(kind, &value)?));
                }
                (DEDUP, rest) => {
                    packs.insert(u64::from_be_bytes(array(kind, rest)?), value);
                }
                (DEDUP_FLOOR, rest) => {
                    let tenant = TenantId(u32::from_be_bytes(array(kind, rest)?));
                    floors.insert(tenant, read::<u64>(kind, &value)?);
                }
                (REIGN, rest) => {
                    let epoch = u64::from_be_bytes(array(kind, rest)?);
                    state.reigns.insert(epoch, read(kind, &value)?);
                }
                (MARKS, rest) => {
                    let (key, seq) = conversation_key(kind, rest)?;
                    let seq = u64::from_be_bytes(array(kind, seq)?);
                    changes.push((key, Change::Marks(seq, read(kind, &value)?)));
                }
                (ASIDE, rest) => {
                    let (key, []) = conversation_key(kind, rest)? else { return Err(BadRow::Key(kind)) };
                    changes.push((key, Change::Aside(read(kind, &value)?)));
                }
                (IDENTIFIED, rest) => {
                    let known = read::<KnownAs>(kind, &value)?;
                    state.standing.put(Fact::Identified(user_key(kind, rest)?, known));
                }
                (REVOKED_TOKEN, rest) => {
                    let (tenant, token) = rest.split_at_checked(4).ok_or(BadRow::Key(kind))?;
                    let tenant = TenantId(u32::from_be_bytes(array(kind, tenant)?));
                    let token = TokenMark(array(kind, token)?);
                    state.standing.put(Fact::Token(tenant, token, read(kind, &value)?));
                }
                (REVOKED_USER, rest) => {
                    state.standing.put(Fact::User(user_key(kind, rest)?, read(kind, &value)?));
                }
                (SESSION_TOKEN, rest) => {
                    let session = SessionId(array(kind, rest)?);
                    state.standing.sessions.insert(session, read(kind, &value)?);
                }
                _ => return Err(BadRow::Key(kind)),
            }
        }
        state.dedup = Dedup::restore(marks, floors, packs).map_err(|bad| match bad {
            BadPack::Damaged(error) => BadRow::Value(DEDUP, error),
            BadPack::Count => BadRow::Dedup,
        })?;
        state.assemble(heads, members, changes)
    }

    fn assemble(
        mut self,
        heads: BTreeMap<ConversationKey, Head>,
        members: Vec<(ConversationKey, UserId, Member)>,
        changes: Vec<(ConversationKey, Change)>,
    ) -> Result<Self, BadRow> {
        let whole = |(key, head)| (key, Conversation::restored(head));
        let mut conversations: BTreeMap<_, _> = heads.into_iter().map(whole).collect();
        for (key, user, member) in members {
            conversations.get_mut(&key).ok_or(BadRow::Orphan)?.members.insert(user, member);
        }
        for (key, change) in changes {
            let conversation = conversations.get_mut(&key).ok_or(BadRow::Orphan)?;
            match change {
                Change::Marks(seq, marks) => conversation.restore_marks(seq, marks),
                Change::Aside(aside) => conversation.aside = Some(aside),
            }
        }
        for (key, conversation) in conversations {
            self.put_conversation(key, conversation);
            self.index_direct(key);
        }
        Ok(self)
    }

    fn row_value(&self, key: &RowKey) -> Option<Vec<u8>> {
        match key {
            RowKey::Meta => {
                let (dedup_first, dedup_next) = self.dedup.marks();
                Some(codec::encode(&Meta { tip: self.tip, dedup_first, dedup_next }))
            }
            RowKey::Tenant(id) => self.tenants.get(id).map(codec::encode),
            RowKey::User(key) => self.users.get(key).map(codec::encode),
            RowKey::Session(id) => self.sessions.get(id).map(codec::encode),
            RowKey::Conversation(key) => self.conversations.get(key).map(|c| codec::encode(&c.head)),
            RowKey::Member(key, user) => {
                self.conversations.get(key).and_then(|c| c.members.get(user)).map(codec::encode)
            }
            RowKey::Dedup(pack) => self.dedup.pack(*pack),
            RowKey::Reign(epoch) => self.reigns.get(epoch).map(codec::encode),
            RowKey::Identified(key) => self.standing.identified.get(key).map(codec::encode),
            RowKey::RevokedToken(tenant, token) => {
                self.standing.tokens.get(&(*tenant, *token)).map(codec::encode)
            }
            RowKey::RevokedUser(key) => self.standing.users.get(key).map(codec::encode),
            RowKey::SessionToken(id) => self.standing.sessions.get(id).map(codec::encode),
            RowKey::DedupFloor(tenant) => {
                self.dedup.floor_ms(*tenant).map(|floor_ms| codec::encode(&floor_ms))
            }
            RowKey::Marks(key, seq) => {
                self.conversations.get(key).and_then(|c| c.marks.get(seq)).map(codec::encode)
            }
            RowKey::Aside(key) => {
                self.conversations.get(key).and_then(|c| c.aside.as_ref()).map(codec::encode)
            }
        }
    }
}

/// A row that belongs to a conversation beside its head and its members.
enum Change {
    Marks(u64, Marks),
    Aside(Aside),
}

const META: u8 = 0x01;
const TENANT: u8 = 0x02;
const USER: u8 = 0x03;
const SESSION: u8 = 0x04;
const CONVERSATION: u8 = 0x05;
const MEMBER: u8 = 0x06;
pub(super) const DEDUP: u8 = 0x07;
const DEDUP_FLOOR: u8 = 0x08;
const REIGN: u8 = 0x09;
const MARKS: u8 = 0x10;
const ASIDE: u8 = 0x11;
const IDENTIFIED: u8 = 0x0a;
const REVOKED_TOKEN: u8 = 0x0b;
const REVOKED_USER: u8 = 0x0c;
const SESSION_TOKEN: u8 = 0x0d;

fn user_row(kind: u8, key: &UserKey) -> Vec<u8> {
    join(kind, &[&key.tenant.0.to_be_bytes(), key.user.as_str().as_bytes()])
}

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

fn read<T: Decode<()>>(kind: u8, value: &[u8]) -> Result<T, BadRow> {
    codec::decode(value).map_err(|error| BadRow::Value(kind, error))
}

fn array<const N: usize>(kind: u8, bytes: &[u8]) -> Result<[u8; N], BadRow> {
    bytes.try_into().map_err(|_| BadRow::Key(kind))
}

fn user_id(kind: u8, bytes: &[u8]) -> Result<UserId, BadRow> {
    let text = std::str::from_utf8(bytes).map_err(|_| BadRow::Key(kind))?;
    UserId::parse(text).map_err(|_| BadRow::Key(kind))
}

fn user_key(kind: u8, bytes: &[u8]) -> Result<UserKey, BadRow> {
    let (tenant, user) = bytes.split_at_checked(4).ok_or(BadRow::Key(kind))?;
    let tenant = TenantId(u32::from_be_bytes(array(kind, tenant)?));
    Ok(UserKey { tenant, user: user_id(kind, user)? })
}

fn conversation_key(kind: u8, bytes: &[u8]) -> Result<(ConversationKey, &[u8]), BadRow> {
    let (key, rest) = bytes.split_at_checked(20).ok_or(BadRow::Key(kind))?;
    let tenant = TenantId(u32::from_be_bytes(array(kind, &key[..4])?));
    let conversation = ConversationId(array(kind, &key[4..])?);
    Ok((ConversationKey { tenant, conversation }, rest))
}

//! Records: the durable facts, and the entries of the one ordered log that holds them.
//!
//! Encoded with the protocol's codec: append variants and never reorder them; old logs must stay readable.
//! An encoded entry is `epoch · index · at_ms · chain before · record` (see `docs/storage.md`).

use super::{
    addition::Addition,
    standing::{Identification, Revocation, TokenMark},
    state::Tip,
};
use bytes::Bytes;
use duet_protocol::{
    ClientMessageId, ConversationId, DeviceId, DisplayName, Event, EventBody, SessionId, TenantName, UserId,
    codec::{self, CodecError, Decode, Encode},
    delivery::{Availability, ConversationKind, Status},
    event::{Content, Created, MemberJoined, MemberLeft, Message, StatusChanged},
    hello::Role,
};

/// A tenant's number on this pair; assigned once, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct TenantId(pub u32);

/// A user within its tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct UserKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
}

/// A conversation within its tenant: two tenants may use one id without ever meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct ConversationKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The conversation.
    pub conversation: ConversationId,
}

/// A member as a record introduces it.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct NewMember {
    /// Who.
    pub user: UserId,
    /// What others see as their name.
    pub name: DisplayName,
    /// Their role.
    pub role: Role,
}

/// A durable fact. `seq` is the position of the first event that the record adds to its conversation.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub enum Record {
    /// A primary began to reign; every start of a process does.
    EpochBegan,
    /// A tenant has a number.
    TenantRegistered {
        /// The number.
        tenant: TenantId,
        /// The name.
        name: TenantName,
    },
    /// A user is new, or has another name or role.
    UserSeen {
        /// Who.
        key: UserKey,
        /// What others see as their name.
        name: DisplayName,
        /// Their role.
        role: Role,
    },
    /// A user chose an availability.
    AvailabilitySet {
        /// Who.
        key: UserKey,
        /// The choice.
        availability: Availability,
    },
    /// A session began.
    SessionOpened {
        /// Its id.
        session: SessionId,
        /// Whose.
        key: UserKey,
        /// On which installation.
        device: DeviceId,
        /// SHA-256 of the secret in its resume token.
        secret_hash: [u8; 32],
        /// When the token that opened it ends, Unix milliseconds; 0 for never.
        token_expires_ms: u64,
    },
    /// A session ended: left, or dropped for too long.
    SessionEnded {
        /// Its id.
        session: SessionId,
        /// When it was last connected, Unix milliseconds.
        seen_ms: u64,
    },
    /// A conversation began.
    ConversationCreated {
        /// Which.
        key: ConversationKey,
        /// Its rules.
        kind: ConversationKind,
        /// What it is about.
        subject: Option<DisplayName>,
        /// Who began it; a member as well, unless a service.
        creator: UserId,
        /// The first members.
        members: Vec<NewMember>,
    },
    /// Members joined.
    MembersAdded {
        /// Which.
        key: ConversationKey,
        /// First event.
        seq: u64,
        /// By whom.
        by: UserId,
        /// Who; none was a member.
        members: Vec<NewMember>,
    },
    /// A member left.
    MemberRemoved {
        /// Which.
        key: ConversationKey,
        /// Event.
        seq: u64,
        /// By whom.
        by: UserId,
        /// Who.
        user: UserId,
        /// Whether an active support conversation loses its agent by this and waits for another one.
        queues: bool,
    },
    /// An agent became responsible for a support conversation, which is active from now on.
    Assigned {
        /// Which.
        key: ConversationKey,
        /// First event.
        seq: u64,
        /// By whom.
        by: UserId,
        /// The agent.
        agent: NewMember,
        /// Whether the agent becomes a member by this.
        joins: bool,
    },
    /// A support conversation reached another stage.
    StatusSet {
        /// Which.
        key: ConversationKey,
        /// Event.
        seq: u64,
        /// By whom.
        by: UserId,
        /// The stage.
        status: Status,
    },
    /// Somebody said something.
    MessagePublished {
        /// Which.
        key: ConversationKey,
        /// Event.
        seq: u64,
        /// Who.
        author: UserId,
        /// The client's id of the message.
        id: ClientMessageId,
        /// What.
        content: Content,
        /// To which message it replies.
        reply_to: Option<u64>,
    },
    /// A member received or read more.
    WatermarkAdvanced {
        /// Which.
        key: ConversationKey,
        /// Who.
        user: UserId,
        /// Holds every event up to here.
        received: u64,
        /// Has seen every event up to here.
        read: u64,
    },
    /// A fresh token was presented for a session.
    SessionRenewed {
        /// Its id.
        session: SessionId,
        /// When the token ends, Unix milliseconds; 0 for never.
        token_expires_ms: u64,
    },
    /// Something was added that is no message for everyone.
    Added {
        /// Which.
        key: ConversationKey,
        /// Event.
        seq: u64,
        /// By whom.
        author: UserId,
        /// The client's id of it.
        id: ClientMessageId,
        /// What.
        addition: Addition,
        /// Whether visitors do not see it.
        private: bool,
    },
    /// A session lives by another token than before, or by one that has an id.
    SessionAuthorised {
        /// Its id.
        session: SessionId,
        /// The token's id, if it has one.
        token: Option<TokenMark>,
    },
    /// An anonymous visitor proved who they are.
    VisitorIdentified(Identification),
    /// An operator took a token, or a user's tokens, back.
    Revoked(Revocation),
}

impl Record {
    /// Whether visitors do not see what the record adds.
    #[must_use]
    pub fn is_private(&self) -> bool {
        matches!(self, Self::Added { private: true, .. })
    }

    /// The events that the record adds, in order.
    #[must_use]
    pub fn events(&self, at_ms: u64) -> Vec<(ConversationKey, Event)> {
        let (key, seq, author, bodies) = match self {
            Self::ConversationCreated { key, kind, subject, creator, members } => {
                let created = EventBody::Created(Created { kind: *kind, subject: subject.clone() });
                let joined = members.iter().map(joined);
                (key, 1, creator, std::iter::once(created).chain(joined).collect())
            }
            Self::MembersAdded { key, seq, by, members } => {
                (key, *seq, by, members.iter().map(joined).collect::<Vec<_>>())
            }
            Self::MemberRemoved { key, seq, by, user, queues } => {
                let mut bodies = vec![EventBody::MemberLeft(MemberLeft { user: user.clone() })];
                bodies.extend(
                    queues.then_some(EventBody::StatusChanged(StatusChanged { status: Status::Queued })),
                );
                (key, *seq, by, bodies)
            }
            Self::Assigned { key, seq, by, agent, joins } => {
                let mut bodies = if *joins { vec![joined(agent)] } else { Vec::new() };
                bodies
                    .push(EventBody::Assigned(duet_protocol::event::Assigned { agent: agent.user.clone() }));
                (key, *seq, by, bodies)
            }
            Self::StatusSet { key, seq, by, status } => {
                (key, *seq, by, vec![EventBody::StatusChanged(StatusChanged { status: *status })])
            }
            Self::MessagePublished { key, seq, author, id, content, reply_to } => {
                let message = Message { id: *id, content: content.clone(), reply_to: *reply_to };
                (key, *seq, author, vec![EventBody::Message(message)])
            }
            Self::Added { key, seq, author, id, addition, private } => {
                (key, *seq, author, vec![addition.body(*id, *private)])
            }
            Self::VisitorIdentified(identification) => return identification.events(at_ms),
            _ => return Vec::new(),
        };
        let number = |(seq, body): (u64, EventBody)| {
            let (kind, body) = body.encode();
            (*key, Event { seq, at_ms, author: Some(author.clone()), kind, body })
        };
        (seq..).zip(bodies).map(number).collect()
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Encode, Decode)]
pub struct Entry {
    /// The reign in which it was appended.
    pub epoch: u64,
    /// Its position in the log: 1, 2, 3.
    pub index: u64,
    /// When the primary appended it, Unix milliseconds; never goes back.
    pub at_ms: u64,
    /// The chain up to the entry before: two logs with equal chains at an index are equal up to it.
    pub chain_before: u64,
    /// The fact.
    pub record: Record,
}

impl Entry {
    /// The encoded entry.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        codec::encode(self).into()
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`CodecError`] when the bytes are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(bytes)
    }

    /// Whether this entry joins on to a log that ends at `tip`.
    #[must_use]
    pub fn follows(&self, tip: &Tip) -> bool {
        self.index == tip.index + 1
            && self.chain_before == tip.chain
            && self.epoch >= tip.epoch
            && self.at_ms >= tip.at_ms
    }

    /// The end of a log whose last entry this is; `bytes` is its encoding.
    #[must_use]
    pub fn tip_after(&self, bytes: &[u8]) -> Tip {
        let chain = Self::chain_after(self.chain_before, bytes);
        Tip { epoch: self.epoch, index: self.index, at_ms: self.at_ms, chain }
    }

    /// The chain after the entry whose encoding is `bytes`: XXH3-64, seeded with the chain before it.
    #[must_use]
    pub fn chain_after(chain_before: u64, bytes: &[u8]) -> u64 {
        xxhash_rust::xxh3::xxh3_64_with_seed(bytes, chain_before)
    }
}

fn joined(member: &NewMember) -> EventBody {
    EventBody::MemberJoined(MemberJoined {
        user: member.user.clone(),
        name: member.name.clone(),
        role: member.role,
    })
}

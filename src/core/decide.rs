//! Decisions: from a command and the fold to records, or to a refusal. May fail, changes nothing.
//!
//! Who may do what is decided here and nowhere else. A user sees a conversation as a member, or as staff of the tenant if
//! it is a support conversation; everything else answers "not found", whether it exists or not.

use super::{
    config::CoreConfig,
    conversation::Conversation,
    dedup::{Accepted, fingerprint},
    record::{ConversationKey, NewMember, Record, TenantId, UserKey},
    reject::{Reject, not_found},
    state::State,
};
use duet_protocol::{
    Code, UserId,
    command::{
        AddMembers, Assign, CreateConversation, Durability, Publish, RemoveMember, SetAvailability, SetStatus,
    },
    delivery::{ConversationKind, Status},
    hello::Role,
};

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user.
    pub key: UserKey,
    /// Their role, from the token.
    pub role: Role,
}

/// What is to be done about a command that was not refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Append these; answer when they are committed.
    Append(Vec<Record>),
    /// It was done before, by the entry at `index`: answer when that one is committed.
    Already {
        /// The entry.
        index: u64,
    },
}

/// The view of one actor on the fold.
#[derive(Debug, Clone, Copy)]
pub struct Decider<'a> {
    /// The fold.
    pub state: &'a State,
    /// The numbers.
    pub config: &'a CoreConfig,
    /// Who acts.
    pub actor: &'a Actor,
    /// Whether an entry is on two disks before it is acknowledged.
    pub mirrors: bool,
}

impl<'a> Decider<'a> {
    /// The conversation, if the actor may see it.
    ///
    /// # Errors
    /// `NOT_FOUND`.
    pub fn visible(&self, key: ConversationKey) -> Result<&'a Conversation, Reject> {
        let found = self.state.conversations.get(&key).filter(|conversation| {
            let staff = conversation.head.kind == ConversationKind::Support && self.actor.role.is_staff();
            staff || conversation.members.contains_key(&self.actor.key.user)
        });
        found.ok_or_else(|| not_found("conversation"))
    }

    /// Whether the actor may know whether `user` is there.
    ///
    /// # Errors
    /// `FORBIDDEN` for a visitor who shares no conversation with them.
    pub fn may_watch(&self, user: &UserId) -> Result<(), Reject> {
        if self.actor.role.is_staff() || *user == self.actor.key.user {
            return Ok(());
        }
        let other = UserKey { tenant: self.tenant(), user: user.clone() };
        let (mine, theirs) =
            (self.state.memberships.get(&self.actor.key), self.state.memberships.get(&other));
        match (mine, theirs) {
            (Some(mine), Some(theirs)) if !mine.is_disjoint(theirs) => Ok(()),
            _ => Err(Reject::new(
                Code::FORBIDDEN,
                "Visitors may watch only who shares a conversation with them.",
            )),
        }
    }

    /// A message.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `TOO_LARGE`, `NOT_FOUND`, `FORBIDDEN`, `CONVERSATION_CLOSED`, `CLOCK_SKEW`, `DUPLICATE_UNKNOWN`,
    /// `DUPLICATE_DIFFERS`, `NOT_DURABLE_NOW`.
    pub fn publish(
        &self,
        now_ms: u64,
        key: ConversationKey,
        publish: &Publish,
    ) -> Result<(Decision, Option<Accepted>), Reject> {
        let conversation = self.may_write(key, publish)?;
        let user = &self.actor.key.user;
        let said = fingerprint(&publish.content, publish.reply_to);
        if let Some(before) = self.accepted_before(now_ms, key, publish.id, said)? {
            return Ok((Decision::Already { index: before.index }, Some(before)));
        }
        match conversation.head.status {
            Status::Closed => {
                return Err(Reject::new(Code::CONVERSATION_CLOSED, Code::CONVERSATION_CLOSED.sentence()));
            }
            Status::Resolved if !self.actor.role.is_staff() => {
                let seq = conversation.head.seq + 1;
                let queued = Record::StatusSet { key, seq, by: user.clone(), status: Status::Queued };
                return Ok((Decision::Append(vec![queued, self.message(key, seq + 1, publish)]), None));
            }
            _ => {}
        }
        Ok((Decision::Append(vec![self.message(key, conversation.head.seq + 1, publish)]), None))
    }

    /// Whether a message may be said at all: for ephemeral ones, the only question.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `TOO_LARGE`, `NOT_FOUND`, `FORBIDDEN`, `NOT_DURABLE_NOW`.
    pub fn may_write(&self, key: ConversationKey, publish: &Publish) -> Result<&'a Conversation, Reject> {
        let conversation = self.visible(key)?;
        if !conversation.members.contains_key(&self.actor.key.user) {
            return Err(Reject::new(Code::FORBIDDEN, "Join the conversation before writing in it."));
        }
        if conversation.head.kind == ConversationKind::Broadcast && !self.actor.role.is_staff() {
            return Err(forbidden("Only staff write in a broadcast."));
        }
        self.check_content(&publish.content)?;
        if publish.reply_to.is_some_and(|seq| seq == 0 || seq > conversation.head.seq) {
            return Err(bad("A reply must name an event that exists."));
        }
        if publish.durability == Durability::Mirrored {
            self.check_mirrors()?;
        }
        Ok(conversation)
    }

    /// A new conversation.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `NOT_FOUND` (a user never seen), `FORBIDDEN`, `CONFLICT`, `LIMIT_REACHED`.
    pub fn create(&self, key: ConversationKey, create: &CreateConversation) -> Result<Decision, Reject> {
        let me = &self.actor.key.user;
        if let Some(existing) = self.state.conversations.get(&key) {
            let same = existing.head.creator == *me && existing.head.kind == create.kind;
            return if same {
                Ok(Decision::Already { index: existing.head.index })
            } else {
                Err(Reject::new(Code::CONFLICT, "This conversation id is taken; choose another."))
            };
        }
        let service = self.actor.role == Role::Service;
        match (create.kind, create.members.len()) {
            (ConversationKind::Direct, _) if service => {
                return Err(forbidden("A service has no direct ones."));
            }
            (ConversationKind::Direct, 1) if create.members[0] != *me => {}
            (ConversationKind::Direct, _) => {
                return Err(bad("A direct conversation has exactly one other member."));
            }
            (kind, 0..=MEMBERS_AT_ONCE_MAX) if is_group(kind) && self.actor.role.is_staff() => {}
            (kind, 0..=MEMBERS_AT_ONCE_MAX) if is_group(kind) => {
                return Err(forbidden("Visitors may not create groups."));
            }
            (ConversationKind::Support, 0) if !service => {}
            (ConversationKind::Support, 1) if service => {}
            _ => return Err(bad("That many members do not fit this kind of conversation.")),
        }
        let mut members: Vec<NewMember> = Vec::new();
        let first = if service { None } else { Some(me) };
        for user in first.into_iter().chain(&create.members) {
            if members.iter().all(|member| member.user != *user) {
                members.push(self.known_member(user)?);
            }
        }
        self.check_visitor_direct(create)?;
        let (kind, subject, creator) = (create.kind, create.subject.clone(), me.clone());
        Ok(Decision::Append(vec![Record::ConversationCreated { key, kind, subject, creator, members }]))
    }

    /// More members for a group.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `NOT_FOUND`, `FORBIDDEN`, `LIMIT_REACHED`.
    pub fn add_members(&self, key: ConversationKey, add: &AddMembers) -> Result<Decision, Reject> {
        let service = self.actor.role == Role::Service;
        let conversation = match self.state.conversations.get(&key) {
            Some(group) if service && is_group(group.head.kind) => group,
            _ => self.visible(key)?,
        };
        if !is_group(conversation.head.kind) || !self.actor.role.is_staff() {
            return Err(Reject::new(Code::FORBIDDEN, "Only staff may add members, and only to groups."));
        }
        if add.users.is_empty() || add.users.len() > MEMBERS_AT_ONCE_MAX {
            return Err(bad("Add 1 to 100 members at once."));
        }
        let mut members: Vec<NewMember> = Vec::new();
        for user in &add.users {
            let twice = members.iter().any(|member| member.user == *user);
            if !twice && !conversation.members.contains_key(user) {
                members.push(self.known_member(user)?);
            }
        }
        if members.is_empty() {
            return Ok(Decision::Already { index: conversation.head.index });
        }
        if conversation.members.len() + members.len() > self.config.members_max {
            return Err(Reject::new(Code::LIMIT_REACHED, "The group is full."));
        }
        let (seq, by) = (conversation.head.seq + 1, self.actor.key.user.clone());
        Ok(Decision::Append(vec![Record::MembersAdded { key, seq, by, members }]))
    }

    /// A member goes.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`.
    pub fn remove_member(&self, key: ConversationKey, remove: &RemoveMember) -> Result<Decision, Reject> {
        let conversation = self.visible(key)?;
        let (me, head) = (&self.actor.key.user, &conversation.head);
        let own = remove.user == *me && head.kind != ConversationKind::Direct;
        let group = is_group(head.kind) && (head.creator == *me || self.is_supervisor());
        let support = head.kind == ConversationKind::Support && self.is_supervisor();
        if !(own || group || support) {
            return Err(forbidden("Only its creator or a supervisor may remove a member."));
        }
        if !conversation.members.contains_key(&remove.user) {
            return Ok(Decision::Already { index: head.index });
        }
        let (seq, by, user) = (head.seq + 1, me.clone(), remove.user.clone());
        let queues = head.status == Status::Active && head.assignee.as_ref() == Some(&user);
        Ok(Decision::Append(vec![Record::MemberRemoved { key, seq, by, user, queues }]))
    }

    /// An agent becomes responsible: one record, so exactly one agent.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `CONFLICT`.
    pub fn assign(&self, key: ConversationKey, assign: &Assign) -> Result<Decision, Reject> {
        let conversation = self.visible(key)?;
        let head = &conversation.head;
        if head.kind != ConversationKind::Support || !self.actor.role.is_staff() {
            return Err(Reject::new(Code::FORBIDDEN, "Only staff may take a support conversation."));
        }
        let me = &self.actor.key.user;
        let agent = assign.agent.as_ref().unwrap_or(me);
        if agent != me && !self.is_supervisor() {
            return Err(Reject::new(Code::FORBIDDEN, "Only a supervisor may assign somebody else."));
        }
        match (&head.status, &head.assignee) {
            (Status::Closed, _) => {
                return Err(Reject::new(Code::CONVERSATION_CLOSED, Code::CONVERSATION_CLOSED.sentence()));
            }
            (Status::Active, Some(current)) if current == agent => {
                return Ok(Decision::Already { index: head.index });
            }
            (Status::Active, Some(_)) if !self.is_supervisor() => {
                return Err(Reject::new(Code::CONFLICT, "Another agent was first."));
            }
            _ => {}
        }
        let agent = self.known_member(agent)?;
        if !agent.role.is_staff() {
            return Err(Reject::new(Code::FORBIDDEN, "Only staff can be responsible."));
        }
        let joins = !conversation.members.contains_key(&agent.user);
        Ok(Decision::Append(vec![Record::Assigned { key, seq: head.seq + 1, by: me.clone(), agent, joins }]))
    }

    /// The next stage of a support conversation.
    ///
    /// # Errors
    /// `NOT_FOUND`, `FORBIDDEN`, `CONFLICT`.
    pub fn set_status(&self, key: ConversationKey, set: &SetStatus) -> Result<Decision, Reject> {
        let conversation = self.visible(key)?;
        let (me, head) = (&self.actor.key.user, &conversation.head);
        if head.kind != ConversationKind::Support {
            return Err(bad("Only support conversations have stages."));
        }
        if head.status == set.status {
            return Ok(Decision::Already { index: head.index });
        }
        match (head.status, set.status) {
            (_, Status::Queued | Status::Active) => {
                return Err(Reject::new(
                    Code::CONFLICT,
                    "Assigning makes it active; a visitor's message queues it.",
                ));
            }
            (Status::Closed, _) => {
                return Err(Reject::new(Code::CONVERSATION_CLOSED, Code::CONVERSATION_CLOSED.sentence()));
            }
            (_, Status::Closed) if !self.actor.role.is_staff() => {
                return Err(forbidden("Only staff may close for good; a visitor may resolve."));
            }
            _ => {}
        }
        let foreign =
            head.assignee.as_ref().is_some_and(|agent| agent != me) && self.actor.role == Role::Agent;
        if foreign {
            return Err(forbidden("Only the responsible agent or a supervisor may do this."));
        }
        let (seq, by, status) = (head.seq + 1, me.clone(), set.status);
        Ok(Decision::Append(vec![Record::StatusSet { key, seq, by, status }]))
    }

    /// A chosen availability.
    #[must_use]
    pub fn set_availability(&self, set: &SetAvailability) -> Decision {
        let (key, availability) = (self.actor.key.clone(), set.availability);
        match self.state.user(&key) {
            Some(user) if user.availability == availability => {
                Decision::Already { index: self.state.tip.index }
            }
            _ => Decision::Append(vec![Record::AvailabilitySet { key, availability }]),
        }
    }

    fn message(&self, key: ConversationKey, seq: u64, publish: &Publish) -> Record {
        Record::MessagePublished {
            key,
            seq,
            author: self.actor.key.user.clone(),
            id: publish.id,
            content: publish.content.clone(),
            reply_to: publish.reply_to,
        }
    }

    /// A visitor reaches only staff directly; strangers among visitors stay strangers.
    fn check_visitor_direct(&self, create: &CreateConversation) -> Result<(), Reject> {
        let visitor = !self.actor.role.is_staff() && create.kind == ConversationKind::Direct;
        for user in create.members.iter().filter(|_| visitor) {
            if !self.known_member(user)?.role.is_staff() {
                return Err(Reject::new(Code::FORBIDDEN, "Visitors may write only to staff directly."));
            }
        }
        Ok(())
    }

    fn known_member(&self, user: &UserId) -> Result<NewMember, Reject> {
        let key = UserKey { tenant: self.tenant(), user: user.clone() };
        let known = self.state.user(&key).ok_or_else(|| not_found("user"))?;
        let count = self.state.memberships.get(&key).map_or(0, std::collections::BTreeSet::len);
        if count >= self.config.user_conversations_max {
            return Err(Reject::new(Code::LIMIT_REACHED, "A member takes part in too many conversations."));
        }
        Ok(NewMember { user: key.user, name: known.name.clone(), role: known.role })
    }

    pub(super) fn is_supervisor(&self) -> bool {
        matches!(self.actor.role, Role::Supervisor | Role::Service)
    }

    fn tenant(&self) -> TenantId {
        self.actor.key.tenant
    }
}

/// How far a message id may lie in the future.
pub const CLOCK_SKEW_MS_MAX: u64 = 10 * 60_000;

/// Members that one command may bring.
pub const MEMBERS_AT_ONCE_MAX: usize = 100;

/// Whether a conversation of this kind takes members as staff like.
fn is_group(kind: ConversationKind) -> bool {
    matches!(kind, ConversationKind::Group | ConversationKind::Broadcast)
}

fn bad(message: &str) -> Reject {
    Reject::new(Code::BAD_REQUEST, message)
}

fn forbidden(message: &str) -> Reject {
    Reject::new(Code::FORBIDDEN, message)
}

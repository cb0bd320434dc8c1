//! Decisions on what is added to a conversation besides messages: changes of messages, notes, system events.

use super::{
    addition::Addition,
    conversation::Conversation,
    decide::{CLOCK_SKEW_MS_MAX, Decider, Decision},
    dedup::{Accepted, Known},
    mutant::Mutant,
    record::{ConversationKey, Record},
    reject::Reject,
};
use duet_protocol::{
    ClientMessageId, Code, UserId,
    amend::{Amend, Note, PostSystem},
    command::Durability,
    delivery::{ConversationKind, Status},
    event::{Content, format},
    hello::Role,
};

/// What never changes about a message that somebody wants to change: read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who wrote it.
    pub author: Option<UserId>,
    /// Whether it is a note.
    pub private: bool,
}

/// What came of a question whether an addition may be made.
pub type Outcome = Result<(Decision, Option<Accepted>), Reject>;

impl Decider<'_> {
    /// Everything about a change that can be said without its target. The id, if it was accepted before.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `TOO_LARGE`, `NOT_FOUND`, `CONVERSATION_CLOSED`, `CLOCK_SKEW`, `DUPLICATE_UNKNOWN`,
    /// `DUPLICATE_DIFFERS`, `NOT_DURABLE_NOW`, `NOT_A_MESSAGE`.
    pub fn may_amend(
        &self,
        now_ms: u64,
        key: ConversationKey,
        amend: &Amend,
    ) -> Result<Option<Accepted>, Reject> {
        let conversation = self.visible(key)?;
        self.check_durability(amend.durability)?;
        let addition = Addition::from(amend);
        if let Addition::Edit { content, .. } = &addition {
            self.check_content(content)?;
        }
        let before = self.accepted_before(now_ms, key, amend.id, addition.fingerprint())?;
        let deletes = matches!(addition, Addition::Delete { .. });
        if before.is_none() && conversation.head.status == Status::Closed && !deletes {
            return Err(Reject::new(Code::CONVERSATION_CLOSED, Code::CONVERSATION_CLOSED.sentence()));
        }
        if !(1..=conversation.head.seq).contains(&target_of(&addition)) {
            return Err(no_message());
        }
        Ok(before)
    }

    /// A change, once its target is known; `None` is no message.
    ///
    /// # Errors
    /// As [`may_amend`](Self::may_amend); `FORBIDDEN`, `MESSAGE_DELETED`, `LIMIT_REACHED`.
    pub fn amend(
        &self,
        now_ms: u64,
        key: ConversationKey,
        amend: &Amend,
        target: Option<&Target>,
    ) -> Outcome {
        if let Some(before) = self.may_amend(now_ms, key, amend)? {
            return Ok((Decision::Already { index: before.index }, Some(before)));
        }
        let (conversation, staff) = (self.visible(key)?, self.actor.role.is_staff());
        let target = target.filter(|target| staff || !target.private).ok_or_else(no_message)?;
        let (addition, me) = (Addition::from(amend), &self.actor.key.user);
        let seq = target_of(&addition);
        match &addition {
            Addition::React { .. } if !target.private && !conversation.members.contains_key(me) => {
                return Err(Reject::new(Code::FORBIDDEN, "Join the conversation before reacting in it."));
            }
            Addition::React { .. } => {}
            _ if target.author.as_ref() == Some(me) || self.is_supervisor() => {}
            _ => return Err(Reject::new(Code::FORBIDDEN, "This message is somebody else's.")),
        }
        if let Some(deletion) = conversation.deletion(seq) {
            if !matches!(addition, Addition::Delete { .. }) {
                return Err(Reject::new(Code::MESSAGE_DELETED, Code::MESSAGE_DELETED.sentence()));
            }
            let (author, fingerprint) = (me.clone(), addition.fingerprint());
            let (index, at_ms, seq) = (deletion.index, deletion.at_ms, deletion.seq);
            let gone = Accepted { key, author, id: amend.id, seq, index, at_ms, fingerprint };
            return Ok((Decision::Already { index }, Some(gone)));
        }
        let marks = conversation.marks.get(&seq);
        if let Addition::React { emoji, on: true, .. } = &addition
            && marks.is_some_and(|marks| !marks.takes(emoji))
        {
            return Err(Reject::new(
                Code::LIMIT_REACHED,
                "This message has had too many different reactions.",
            ));
        }
        Ok((self.add(key, conversation, amend.id, addition, target.private), None))
    }

    /// A message among staff.
    ///
    /// # Errors
    /// As for a message, and `FORBIDDEN` for visitors.
    pub fn note(&self, now_ms: u64, key: ConversationKey, note: &Note) -> Outcome {
        let conversation = self.visible(key)?;
        if !self.actor.role.is_staff() {
            return Err(Reject::new(Code::FORBIDDEN, "Only staff write notes."));
        }
        if conversation.head.kind == ConversationKind::Direct {
            return Err(Reject::new(Code::BAD_REQUEST, "A direct conversation has no notes."));
        }
        if note.reply_to.is_some_and(|seq| seq == 0 || seq > conversation.head.seq) {
            return Err(Reject::new(Code::BAD_REQUEST, "A reply must name an event that exists."));
        }
        self.check_durability(note.durability)?;
        self.check_content(&note.content)?;
        self.plain_addition(now_ms, key, conversation, note.id, note.into(), true)
    }

    /// Something that happened.
    ///
    /// # Errors
    /// As for a message, and `FORBIDDEN` for everyone but services.
    pub fn post_system(&self, now_ms: u64, key: ConversationKey, post: &PostSystem) -> Outcome {
        let conversation = self.visible(key)?;
        if self.actor.role != Role::Service {
            return Err(Reject::new(Code::FORBIDDEN, "Only services post system events."));
        }
        if !matches!(post.content.format, format::TEXT | format::JSON) {
            return Err(Reject::new(Code::BAD_REQUEST, "A system event is text or JSON."));
        }
        self.check_durability(post.durability)?;
        self.check_content(&post.content)?;
        self.plain_addition(now_ms, key, conversation, post.id, post.into(), false)
    }

    fn plain_addition(
        &self,
        now_ms: u64,
        key: ConversationKey,
        conversation: &Conversation,
        id: ClientMessageId,
        addition: Addition,
        private: bool,
    ) -> Outcome {
        if let Some(before) = self.accepted_before(now_ms, key, id, addition.fingerprint())? {
            return Ok((Decision::Already { index: before.index }, Some(before)));
        }
        if conversation.head.status == Status::Closed {
            return Err(Reject::new(Code::CONVERSATION_CLOSED, Code::CONVERSATION_CLOSED.sentence()));
        }
        Ok((self.add(key, conversation, id, addition, private), None))
    }

    fn add(
        &self,
        key: ConversationKey,
        conversation: &Conversation,
        id: ClientMessageId,
        addition: Addition,
        private: bool,
    ) -> Decision {
        let (seq, author) = (conversation.head.seq + 1, self.actor.key.user.clone());
        Decision::Append(vec![Record::Added { key, seq, author, id, addition, private }])
    }

    /// What was accepted under this id, if it is known and the same.
    ///
    /// # Errors
    /// `BAD_REQUEST`, `CLOCK_SKEW`, `DUPLICATE_UNKNOWN`, `DUPLICATE_DIFFERS`.
    pub(super) fn accepted_before(
        &self,
        now_ms: u64,
        key: ConversationKey,
        id: ClientMessageId,
        fingerprint: u64,
    ) -> Result<Option<Accepted>, Reject> {
        let stamp_ms = id
            .timestamp_ms()
            .ok_or_else(|| Reject::new(Code::BAD_REQUEST, "A message id must be a UUIDv7."))?;
        if stamp_ms > now_ms + CLOCK_SKEW_MS_MAX {
            return Err(Reject::new(Code::CLOCK_SKEW, Code::CLOCK_SKEW.sentence()));
        }
        let me = &self.actor.key;
        match self.state.look_up(me, id, stamp_ms) {
            Known::Before(before) if before.key != key || before.fingerprint != fingerprint => {
                Err(Reject::new(Code::DUPLICATE_DIFFERS, Code::DUPLICATE_DIFFERS.sentence()))
            }
            Known::Before(before) => Ok(Some(before)),
            Known::Forgotten if !self.config.has_mutant(Mutant::ForgetWithoutFloor) => {
                Err(Reject::new(Code::DUPLICATE_UNKNOWN, Code::DUPLICATE_UNKNOWN.sentence()))
            }
            Known::New | Known::Forgotten => Ok(None),
        }
    }

    /// What everybody's content must be.
    pub(super) fn check_content(&self, content: &Content) -> Result<(), Reject> {
        let max = self.config.limits.message_bytes_max;
        if content.body.len() > max as usize {
            return Err(Reject::new(Code::TOO_LARGE, format!("A message may have {max} bytes.")));
        }
        if content.body.is_empty() {
            return Err(Reject::new(Code::BAD_REQUEST, "A message must not be empty."));
        }
        let text = matches!(content.format, format::TEXT | format::JSON | format::CARD);
        if text && std::str::from_utf8(&content.body).is_err() {
            return Err(Reject::new(Code::BAD_REQUEST, "Text must be UTF-8."));
        }
        Ok(())
    }

    fn check_durability(&self, durability: Durability) -> Result<(), Reject> {
        match durability {
            Durability::Ephemeral => Err(Reject::new(Code::BAD_REQUEST, "Only messages may be ephemeral.")),
            Durability::Mirrored => self.check_mirrors(),
            Durability::Accepted => Ok(()),
        }
    }

    /// Whether what is mirrored can be had now.
    pub(super) fn check_mirrors(&self) -> Result<(), Reject> {
        if self.mirrors {
            return Ok(());
        }
        let message = "This node has no peer in sync; ask for `accepted`.";
        Err(Reject::later(Code::NOT_DURABLE_NOW, message, 5_000))
    }
}

fn target_of(addition: &Addition) -> u64 {
    match addition {
        Addition::Edit { target, .. } | Addition::Delete { target } | Addition::React { target, .. } => {
            *target
        }
        Addition::Note { .. } | Addition::System { .. } => 0,
    }
}

fn no_message() -> Reject {
    Reject::new(Code::NOT_A_MESSAGE, Code::NOT_A_MESSAGE.sentence())
}

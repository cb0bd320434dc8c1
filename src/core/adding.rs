//! What writes to a conversation's lane, in the order in which it came.
//!
//! A change needs to know who wrote its target. That lies in the store, so the change waits for a read, and what comes
//! behind it on its lane waits with it: clients rely on the order of what they send. Other lanes go on.
//!
//! ```text
//!  Amend ──► may it be? ──► Read target ──► EventsRead ──► may it be now? ──► Record ──► the next one of the lane
//!                              ▲ Publish, Note, Amend behind it wait: at most WAITING_MAX a connection
//! ```

use super::{
    Core,
    catch_up::Reading,
    connection::LaneUse,
    decide::Decision,
    decide_adding::Target,
    dedup::Accepted,
    effect::Effect,
    full_disk::not_now,
    input::{ConnectionId, Lane, ReadFailed},
    record::ConversationKey,
    reject::Reject,
    release::Held,
};
use bytes::Bytes;
use duet_protocol::{
    ClientMessageId, Code, Command, Event, EventBody, Subject,
    amend::{Amend, Change},
    codec,
    command::Durability,
    delivery::Published,
};
use std::collections::VecDeque;

/// What waits on a lane: first the change whose target is being read, then what came behind it.
pub(super) type Waiting = VecDeque<Command>;

impl Core {
    /// A command that writes.
    pub(super) fn write(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        command: Command,
    ) -> Result<(), Reject> {
        if !self.waiting.contains_key(&(id, lane)) {
            return self.write_now(now_ms, id, lane, key, &command);
        }
        let lanes = self.waiting.range((id, Lane::CONTROL)..).take_while(|((other, _), _)| *other == id);
        if lanes.map(|(_, waiting)| waiting.len()).sum::<usize>() >= WAITING_MAX {
            return Err(Reject::later(Code::RATE_LIMITED, "Too many changes wait.", RETRY_MS));
        }
        self.waiting.entry((id, lane)).or_default().push_back(command);
        Ok(())
    }

    fn write_now(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        command: &Command,
    ) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let decider = self.decider(connection);
        let (message, private, outcome) = match command {
            Command::Publish(publish) => return self.publish(now_ms, id, lane, key, publish.clone()),
            Command::Amend(amend) => match decider.may_amend(now_ms, key, amend)? {
                None => return self.read_target(id, lane, key, amend),
                Some(before) => (amend.id, false, (Decision::Already { index: before.index }, Some(before))),
            },
            Command::Note(note) => (note.id, true, decider.note(now_ms, key, note)?),
            Command::PostSystem(post) => (post.id, false, decider.post_system(now_ms, key, post)?),
            _ => return Ok(()),
        };
        self.added(now_ms, id, lane, key, message, private, outcome)
    }

    fn read_target(
        &mut self,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        amend: &Amend,
    ) -> Result<(), Reject> {
        if self.read_only {
            return Err(not_now());
        }
        let Some(index) = self.state.conversations.get(&key).map(|c| c.head.index) else { return Ok(()) };
        let upto = match &amend.change {
            Change::Edit(edit) => edit.target,
            Change::Delete(delete) => delete.target,
            Change::React(react) => react.target,
        };
        self.waiting.entry((id, lane)).or_default().push_back(Command::Amend(amend.clone()));
        let read = self.next_read(Reading::Target { connection: id, lane });
        let (conversation, after, bytes_max, latest) = (key, upto - 1, 1, false);
        let effect = Effect::Read { read, conversation, after, upto, bytes_max, latest };
        self.hold(index, Held::Read { read, effect });
        Ok(())
    }

    /// The target of the first change that waits on a lane was read.
    pub(super) fn target_read(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        result: Result<Vec<(u64, Bytes)>, ReadFailed>,
    ) {
        let Some(mut waiting) = self.waiting.remove(&(id, lane)) else { return };
        let lane_use = self.connections.get(&id).and_then(|connection| connection.lanes.get(&lane));
        let Some(LaneUse::Conversation(key)) = lane_use.copied() else { return };
        if let Some(Command::Amend(amend)) = waiting.pop_front()
            && let Err(reject) = self.amend(now_ms, id, lane, key, &amend, result)
        {
            self.refuse(id, lane, Subject::Message(amend.id), reject);
        }
        while let Some(command) = waiting.pop_front() {
            let subject = super::commands::subject_of(&command);
            if let Err(reject) = self.write_now(now_ms, id, lane, key, &command) {
                self.refuse(id, lane, subject, reject);
            }
            if let Some(again) = self.waiting.get_mut(&(id, lane)) {
                return again.append(&mut waiting);
            }
        }
    }

    fn amend(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        amend: &Amend,
        result: Result<Vec<(u64, Bytes)>, ReadFailed>,
    ) -> Result<(), Reject> {
        if self.read_only {
            return Err(not_now());
        }
        let event = result.ok().and_then(|rows| codec::decode::<Event>(&rows.first()?.1).ok());
        let Some(event) = event else {
            return Err(Reject::later(Code::UNAVAILABLE, Code::UNAVAILABLE.sentence(), 1_000));
        };
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let target = target(&event);
        let outcome = self.decider(connection).amend(now_ms, key, amend, target.as_ref())?;
        let private = target.is_some_and(|target| target.private);
        self.added(now_ms, id, lane, key, amend.id, private, outcome)
    }

    /// Appends what was decided; it is acknowledged like a message.
    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn added(
        &mut self,
        now_ms: u64,
        connection: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        id: ClientMessageId,
        private: bool,
        (decision, before): (Decision, Option<Accepted>),
    ) -> Result<(), Reject> {
        let index = self.carry_out(now_ms, decision)?;
        let (seq, at_ms) = match &before {
            Some(before) => (before.seq, before.at_ms),
            None => (self.state.conversations.get(&key).map_or(0, |c| c.head.seq), self.state.tip.at_ms),
        };
        let (durability, duplicate) = (Durability::Accepted, before.is_some());
        let published = Published { id, seq, at_ms, durability, replicas: 1, duplicate };
        let listener = self.hub.listener_mut(key, connection, lane).map(|listener| listener.since);
        if let Some(since) = listener {
            self.hold(index, Held::Published { key, connection, lane, since, published });
        }
        if !duplicate {
            self.touch_inboxes_of(index, key, private);
        }
        Ok(())
    }
}

/// What a stored event is for who wants to change it; `None` when it is no message.
fn target(event: &Event) -> Option<Target> {
    let body = event.decode_body().ok()??;
    let (inside, private) = match &body {
        EventBody::Private(private) => (private.decode_body().ok()??, true),
        _ => (body, false),
    };
    matches!(inside, EventBody::Message(_)).then(|| Target { author: event.author.clone(), private })
}

/// Commands of one connection that wait behind changes, those included; beyond, they are refused.
const WAITING_MAX: usize = 64;

/// When to send again what found no room to wait.
const RETRY_MS: u32 = 200;

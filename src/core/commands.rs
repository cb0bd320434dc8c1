//! Commands of clients: from a frame to a decision, to records, to answers that wait for their commit.

use super::{
    Core,
    connection::{Connection, LaneUse},
    conversation::Conversation,
    decide::{Decider, Decision},
    effect::Effect,
    full_disk::not_now,
    input::{ConnectionId, Lane},
    mutant::Mutant,
    record::{ConversationKey, Record},
    reject::{Reject, not_found},
    release::Held,
};
use duet_protocol::{
    Code, Command, ConversationId, Delivery, Subject,
    command::{CreateConversation, Durability, Ping, Publish, Receipt},
    delivery::{Created, Done, Ephemeral, Pong, Published, ReceiptUpdated, Unsubscribed},
};

impl Core {
    /// One frame of a client.
    pub(super) fn command(&mut self, now_ms: u64, id: ConnectionId, lane: Lane, command: Command) {
        let Some(connection) = self.connections.get(&id) else { return };
        let expired = connection.expires_ms != 0 && connection.expires_ms <= now_ms;
        let subject = subject_of(&command);
        if expired && !matches!(command, Command::Ping(_) | Command::Goodbye(_) | Command::Close(_)) {
            let reject = Reject::new(Code::TOKEN_EXPIRED, Code::TOKEN_EXPIRED.sentence());
            return self.refuse(id, lane, subject, reject);
        }
        let use_of_lane = connection.lanes.get(&lane).copied();
        let outcome = match (lane, use_of_lane) {
            (Lane::CONTROL, _) => self.control(now_ms, id, command),
            (_, None) => self.first_on_lane(now_ms, id, lane, command),
            (_, Some(LaneUse::Conversation(key))) => self.conversation(now_ms, id, lane, key, command),
            (_, Some(LaneUse::Bulk)) => match command {
                Command::HistoryRequest(request) => self.history(id, lane, request),
                Command::Close(_) => {
                    self.close_lane(id, lane);
                    Ok(())
                }
                _ => Err(wrong_lane()),
            },
        };
        if let Err(reject) = outcome {
            self.refuse(id, lane, subject, reject);
            let unused = self.connections.get(&id).is_some_and(|c| !c.lanes.contains_key(&lane));
            if lane != Lane::CONTROL && unused && use_of_lane.is_none() {
                self.effects.push_back(Effect::CloseLane { connection: id, lane });
            }
        }
    }

    /// Answers with a refusal.
    pub(super) fn refuse(&mut self, connection: ConnectionId, lane: Lane, subject: Subject, reject: Reject) {
        self.send(connection, lane, &Delivery::Refused(reject.about(subject)));
    }

    /// The decider for a connection's user.
    pub(super) fn decider<'a>(&'a self, connection: &'a Connection) -> Decider<'a> {
        let mirrors = self.mirrors();
        Decider { state: &self.state, config: &self.config, actor: &connection.actor, mirrors }
    }

    fn control(&mut self, now_ms: u64, id: ConnectionId, command: Command) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let tenant = connection.actor.key.tenant;
        let key = |conversation: ConversationId| ConversationKey { tenant, conversation };
        let decider = self.decider(connection);
        let (request, decision) = match command {
            Command::Ping(Ping { nonce }) => {
                let pong = Pong { nonce, server_time_ms: now_ms };
                self.send(id, Lane::CONTROL, &Delivery::Pong(pong));
                return Ok(());
            }
            Command::Goodbye(_) => return self.goodbye(now_ms, id),
            Command::Typing(signal) => return self.typing(now_ms, id, signal),
            Command::Idle(signal) => return self.idle(id, signal),
            Command::Activity(signal) => return self.activity(id, signal),
            Command::WatchMembers(watch) => return self.watch_members(id, &watch),
            Command::WatchPresence(watch) => return self.watch_presence(id, watch),
            Command::WatchInbox(watch) => return self.watch_inbox(id, watch),
            Command::Serve(serve) => return self.serve_calls(id, serve),
            Command::Call(call) => return self.call(now_ms, id, call),
            Command::Answer(answer) => {
                self.answer_call(id, answer);
                return Ok(());
            }
            Command::CreateConversation(create) => return self.create(now_ms, id, tenant, &create),
            Command::SetAvailability(set) => (set.request, Ok(decider.set_availability(&set))),
            Command::AddMembers(add) => (add.request, decider.add_members(key(add.conversation), &add)),
            Command::RemoveMember(remove) => {
                (remove.request, decider.remove_member(key(remove.conversation), &remove))
            }
            Command::Assign(assign) => (assign.request, decider.assign(key(assign.conversation), &assign)),
            Command::SetStatus(set) => (set.request, decider.set_status(key(set.conversation), &set)),
            _ => return Err(wrong_lane()),
        };
        let index = self.carry_out(now_ms, decision?)?;
        self.hold_answer(index, id, Lane::CONTROL, &Delivery::Done(Done { request }));
        Ok(())
    }

    fn first_on_lane(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        command: Command,
    ) -> Result<(), Reject> {
        let lanes = self.connections.get(&id).map_or(0, |connection| connection.lanes.len());
        if lanes >= self.config.limits.lanes_max as usize {
            return Err(Reject::new(Code::LIMIT_REACHED, "Too many lanes are open on this connection."));
        }
        let streams = self.connections.get(&id).map_or(0, Connection::streams);
        let streams_max = self.config.limits.streams_max as usize + STREAMS_ENDING_MAX;
        if lane.is_stream() && streams >= streams_max {
            return Err(Reject::new(Code::LIMIT_REACHED, "Too many streams are open; use a wrapped lane."));
        }
        match command {
            Command::Open(open) => self.open(id, lane, &open),
            Command::HistoryRequest(request) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.lanes.insert(lane, LaneUse::Bulk);
                }
                self.history(id, lane, request).inspect_err(|_| self.lane_closed(id, lane))
            }
            Command::Typing(signal) => self.typing(now_ms, id, signal),
            _ => Err(Reject::new(Code::BAD_REQUEST, "A lane begins with Open or HistoryRequest.")),
        }
    }

    fn conversation(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        command: Command,
    ) -> Result<(), Reject> {
        match command {
            Command::Publish(_) | Command::Amend(_) | Command::Note(_) | Command::PostSystem(_) => {
                self.write(now_ms, id, lane, key, command)
            }
            Command::Receipt(receipt) => self.receipt(now_ms, id, key, receipt),
            Command::Typing(signal) => self.typing(now_ms, id, signal),
            Command::Close(_) => {
                self.close_lane(id, lane);
                Ok(())
            }
            _ => Err(wrong_lane()),
        }
    }

    /// The client asked for the end of a wrapped lane.
    fn close_lane(&mut self, id: ConnectionId, lane: Lane) {
        self.lane_closed(id, lane);
        let code = Code::UNSUBSCRIBED;
        let ended = Unsubscribed { code, reason: code.sentence().into() };
        self.send(id, lane, &Delivery::Unsubscribed(ended));
        self.effects.push_back(Effect::CloseLane { connection: id, lane });
    }

    pub(super) fn publish(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        lane: Lane,
        key: ConversationKey,
        publish: Publish,
    ) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        if publish.durability == Durability::Ephemeral {
            self.decider(connection).may_write(key, &publish)?;
            let author = connection.actor.key.user.clone();
            let cast = Delivery::Ephemeral(Ephemeral { author, content: publish.content });
            let (_, targets) = self.hub.live(key);
            self.effects.push_back(Effect::Cast { frame: cast.encode(), targets });
            let (seq, at_ms, durability, replicas) = (0, now_ms, publish.durability, 0);
            let sent = Published { id: publish.id, seq, at_ms, durability, replicas, duplicate: false };
            self.send(id, lane, &Delivery::Published(sent));
            return Ok(());
        }
        let (mut decision, mut before) = self.decider(connection).publish(now_ms, key, &publish)?;
        if before.is_some() && self.has_mutant(Mutant::NoDedup) {
            let (author, content) = (connection.actor.key.user.clone(), publish.content.clone());
            let seq = self.state.conversations.get(&key).map_or(1, |c| c.head.seq + 1);
            let (id, reply_to) = (publish.id, publish.reply_to);
            let again = Record::MessagePublished { key, seq, author, id, content, reply_to };
            (decision, before) = (Decision::Append(vec![again]), None);
        }
        let duplicate = before.is_some();
        let mut index = self.carry_out(now_ms, decision)?;
        if duplicate && self.has_mutant(Mutant::DuplicateAnsweredEarly) {
            index = self.commit;
        }
        let (seq, at_ms) = match before {
            Some(before) => (before.seq, before.at_ms),
            None => (self.state.conversations.get(&key).map_or(0, |c| c.head.seq), self.state.tip.at_ms),
        };
        let durability = Durability::Accepted;
        let published = Published { id: publish.id, seq, at_ms, durability, replicas: 1, duplicate };
        let Some(since) = self.hub.listener_mut(key, id, lane).map(|listener| listener.since) else {
            return Ok(());
        };
        self.hold(index, Held::Published { key, connection: id, lane, since, published });
        if !duplicate {
            self.touch_inboxes(index, key);
        }
        Ok(())
    }

    fn receipt(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        key: ConversationKey,
        receipt: Receipt,
    ) -> Result<(), Reject> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let user = connection.actor.key.user.clone();
        let conversation = self.decider(connection).visible(key)?;
        let head = conversation.head.seq;
        let Some(member) = conversation.members.get(&user) else { return Ok(()) };
        let read = receipt.read.min(head).max(member.read);
        let received = receipt.received.min(head).max(member.received).max(read);
        if (received, read) == (member.received, member.read) {
            return Ok(());
        }
        let record = Record::WatermarkAdvanced { key, user: user.clone(), received, read };
        let index = self.carry_out(now_ms, Decision::Append(vec![record]))?;
        if self.members_shown(key) {
            let frame =
                Delivery::ReceiptUpdated(ReceiptUpdated { user: user.clone(), received, read }).encode();
            self.hold(index, Held::Notice { key, frame });
        }
        self.touch_own_inbox(index, key, &user);
        Ok(())
    }

    fn create(
        &mut self,
        now_ms: u64,
        id: ConnectionId,
        tenant: super::TenantId,
        create: &CreateConversation,
    ) -> Result<(), Reject> {
        let key = ConversationKey { tenant, conversation: create.conversation };
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let me = &connection.actor.key.user;
        let existing = create.members.first().and_then(|other| {
            let (a, b) = if me < other { (me, other) } else { (other, me) };
            self.state.directs.get(&(tenant, a.clone(), b.clone())).copied()
        });
        let direct = create.kind == duet_protocol::delivery::ConversationKind::Direct;
        let (conversation, index) = match existing.filter(|_| direct) {
            Some(conversation) => (conversation, self.index_of(ConversationKey { tenant, conversation })?),
            None => {
                let decision = self.decider(connection).create(key, create)?;
                (create.conversation, self.carry_out(now_ms, decision)?)
            }
        };
        let created = Created { request: create.request, conversation };
        self.hold_answer(index, id, Lane::CONTROL, &Delivery::Created(created));
        Ok(())
    }

    /// Appends what was decided and holds its consequences; answers with the index to wait for.
    pub(super) fn carry_out(&mut self, now_ms: u64, decision: Decision) -> Result<u64, Reject> {
        let records = match decision {
            Decision::Already { index } => return Ok(index),
            Decision::Append(records) => records,
        };
        if self.read_only {
            return Err(not_now());
        }
        let mut index = self.state.tip.index;
        for record in records {
            let consequence = record.clone();
            index = self.append(now_ms, record);
            self.hold_consequence(index, consequence);
        }
        Ok(index)
    }

    fn hold_consequence(&mut self, index: u64, record: Record) {
        match record {
            Record::AvailabilitySet { key, availability } => {
                self.hold(index, Held::Availability { key, availability });
            }
            Record::MemberRemoved { key, user, .. } => {
                self.leave_inbox(index, key, &user);
                self.hold(index, Held::Revoked { key, user });
                self.touch_inboxes(index, key);
            }
            Record::MembersAdded { key, members, .. } => {
                let users = members.into_iter().map(|member| member.user).collect();
                self.hold(index, Held::Joined { key, users });
                self.touch_inboxes(index, key);
            }
            Record::Assigned { key, agent, joins, .. } => {
                let users = joins.then_some(agent.user).into_iter().collect();
                self.hold(index, Held::Joined { key, users });
                self.touch_inboxes(index, key);
            }
            Record::ConversationCreated { key, .. } | Record::StatusSet { key, .. } => {
                self.touch_inboxes(index, key);
            }
            _ => {}
        }
    }

    fn index_of(&self, key: ConversationKey) -> Result<u64, Reject> {
        let conversation = self.state.conversations.get(&key).ok_or_else(|| not_found("conversation"))?;
        Ok(conversation.head.index)
    }

    /// Forgets a lane.
    pub(super) fn lane_closed(&mut self, id: ConnectionId, lane: Lane) {
        self.waiting.remove(&(id, lane));
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if let Some(LaneUse::Conversation(key)) = connection.lanes.remove(&lane) {
            self.hub.leave(key, id, lane);
            self.forget_counts();
        }
    }

    /// Whether members are told of each other's watermarks and presence: not in large groups.
    pub(super) fn members_shown(&self, key: ConversationKey) -> bool {
        self.state.conversations.get(&key).is_some_and(Conversation::shows_members)
    }

    /// The lanes of a conversation's listeners, one connection each, without those of `user`; none where members are not
    /// told of each other.
    pub(super) fn listeners_except(
        &self,
        key: ConversationKey,
        user: &duet_protocol::UserId,
    ) -> Vec<ConnectionId> {
        let Some(room) = self.hub.room(key).filter(|_| self.members_shown(key)) else { return Vec::new() };
        let others = room.listeners.values().filter(|listener| listener.user != *user);
        let mut connections: Vec<_> = others.map(|listener| listener.target.connection).collect();
        connections.dedup();
        connections
    }
}

/// Streams beyond the limit that are taken for such as are just ending: a client counts them no longer when it has finished
/// them, and the next one may overtake the end of the last.
const STREAMS_ENDING_MAX: usize = 8;

fn wrong_lane() -> Reject {
    Reject::new(Code::BAD_REQUEST, "This frame does not belong on this lane.")
}

pub(super) fn subject_of(command: &Command) -> Subject {
    match command {
        Command::Authenticate(c) => Subject::Request(c.request),
        Command::SetAvailability(c) => Subject::Request(c.request),
        Command::WatchPresence(c) => Subject::Request(c.request),
        Command::WatchInbox(c) => Subject::Request(c.request),
        Command::WatchMembers(c) => Subject::Request(c.request),
        Command::Identify(c) => Subject::Request(c.request),
        Command::CreateConversation(c) => Subject::Request(c.request),
        Command::AddMembers(c) => Subject::Request(c.request),
        Command::RemoveMember(c) => Subject::Request(c.request),
        Command::Assign(c) => Subject::Request(c.request),
        Command::SetStatus(c) => Subject::Request(c.request),
        Command::Serve(c) => Subject::Request(c.request),
        Command::Call(c) => Subject::Request(c.request),
        Command::HistoryRequest(c) => Subject::Request(c.request),
        Command::Publish(c) => Subject::Message(c.id),
        Command::Amend(c) => Subject::Message(c.id),
        Command::Note(c) => Subject::Message(c.id),
        Command::PostSystem(c) => Subject::Message(c.id),
        _ => Subject::Lane,
    }
}

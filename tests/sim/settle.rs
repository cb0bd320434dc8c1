//! The end of a run: everything heals, everyone comes to rest, and then every client must show what the log says.

use crate::{
    app::{Item, View},
    truth::{Room, is_message},
    wire::tenant_id,
    workload::user_id,
    world::World,
};
use duet::core::{ConversationKey, Core, TenantId, UserKey};
use duet_client::machine::{Input, State};
use duet_protocol::{
    ConversationId, EventBody,
    delivery::{Connectivity, Status},
};

/// The longest that healing may take.
const HEALING_MS: u64 = 240_000;
/// Longer than it takes to notice a silent connection, and the grace of presence after that.
const REST_MS: u64 = 75_000;

impl World {
    /// Heals everything and compares everyone with the log.
    pub(crate) fn settle(&mut self) {
        if self.violation.is_some() {
            return;
        }
        self.calm = true;
        self.heal();
        for device in 0..self.devices.len() {
            (self.devices[device].offline_until_ms, self.devices[device].slow_until_ms) = (0, 0);
            // Some vanish without a word: nobody may go on showing them.
            if self.rng.chance(120) {
                self.vanish(device);
            } else if self.devices[device].open {
                self.feed(device, Input::Connect);
                self.feed(device, Input::NetworkChanged);
            }
        }
        let deadline_ms = self.now_ms + HEALING_MS;
        while self.violation.is_none() && !self.is_quiet() {
            if self.now_ms >= deadline_ms {
                let why = self.unrest();
                return self.violated(format!("no progress: after healing it never came to rest: {why}"));
            }
            self.run_until(self.now_ms + 500);
        }
        self.run_until(self.now_ms + REST_MS);
        // A session that ended or a checkpoint may just be on its way to the disk.
        for _ in 0..20 {
            if self.violation.is_none() && !self.is_quiet() {
                self.run_until(self.now_ms + 500);
            }
        }
        if self.violation.is_none() && !self.is_quiet() {
            let why = self.unrest();
            return self.violated(format!("no progress: it came to rest and went on: {why}"));
        }
        for device in 0..self.devices.len() {
            let result = self.compare(device);
            self.check(result.map_err(|what| format!("at the end, device {device}: {what}")));
        }
        if self.violation.is_none() && self.pair.is_some() {
            return self.settle_pair();
        }
        if self.violation.is_none() {
            self.crash(0, 10);
            self.run_until(self.now_ms + 20);
        }
    }

    /// What was broken works again.
    fn heal(&mut self) {
        for node in 0..self.nodes.len() {
            (self.nodes[node].stall_ms, self.nodes[node].unreadable_until_ms) = (0, 0);
        }
        if self.pair.is_some() {
            self.heal_pair();
        }
        for node in 0..self.nodes.len() {
            let process = self.nodes[node].process;
            self.read_only(node, process, false);
        }
    }

    fn is_quiet(&self) -> bool {
        let rested = self.devices.iter().filter(|device| device.open).all(|device| {
            let waiting = device.machine.outbox().iter().any(|entry| entry.failed.is_none());
            device.machine.state() == State::Connected && !waiting
        });
        let written = self.nodes.iter().all(|node| node.core.is_some() && node.disk.unsynced() == 0);
        rested && written && self.pair_is_in_sync()
    }

    pub(crate) fn unrest(&self) -> String {
        let devices = self.devices.iter().filter(|device| device.open).map(|device| {
            let waiting = device.machine.outbox().iter().filter(|entry| entry.failed.is_none()).count();
            format!("device {} {:?} {waiting} waiting", device.index, device.machine.state())
        });
        let nodes = self.nodes.iter().map(|node| format!("{:?}", node.core.as_ref().and_then(Core::role)));
        devices.chain(nodes).collect::<Vec<_>>().join(", ")
    }

    fn compare(&self, device: usize) -> Result<(), String> {
        let this = &self.devices[device];
        if !this.open {
            return Ok(());
        }
        let tenant = tenant_id(&self.truth, this.plan.tenant)?;
        for (id, view) in &this.app.views {
            let key = ConversationKey { tenant, conversation: *id };
            let Some(room) = self.truth.room(key) else {
                return Err(format!("{id} is shown and was never created"));
            };
            if !self.may_see(key, device) {
                return Err(format!("{id} is still shown though it is no longer this user's"));
            }
            let position = this.machine.position(*id).map(|position| position.seq);
            if position != Some(room.events.len() as u64) {
                return Err(format!(
                    "{id} has {} entries, and the client stands at {position:?}",
                    room.events.len()
                ));
            }
            shows(view, room).map_err(|what| format!("{id}: {what}"))?;
            self.marks(view, room, device).map_err(|what| format!("{id}: {what}"))?;
        }
        if this.app.inbox_on {
            self.inbox(tenant, device)?;
        }
        if !self.plan.clock_jumps {
            self.presence(tenant, device)?;
        }
        Ok(())
    }

    fn may_see(&self, key: ConversationKey, device: usize) -> bool {
        let plan = &self.devices[device].plan;
        let conversation = self.truth.state.conversations.get(&key);
        conversation.is_some_and(|conversation| {
            let support = conversation.head.kind == duet_protocol::delivery::ConversationKind::Support;
            support && plan.role.is_staff() || conversation.members.contains_key(&user_id(plan.user))
        })
    }

    /// Everyone's watermarks as this client was told.
    fn marks(&self, view: &View, room: &Room, device: usize) -> Result<(), String> {
        let me = user_id(self.devices[device].plan.user);
        for (user, marks) in room.marks.iter().filter(|(user, _)| **user != me) {
            if view.marks.get(user) != Some(marks) {
                return Err(format!("{user} is at {marks:?} and shown at {:?}", view.marks.get(user)));
            }
        }
        Ok(())
    }

    /// The list of conversations, and how many messages are unread.
    fn inbox(&self, tenant: TenantId, device: usize) -> Result<(), String> {
        let this = &self.devices[device];
        let me = user_id(this.plan.user);
        let mut listed = 0;
        for (key, room) in self.truth.rooms.iter().filter(|(key, _)| key.tenant == tenant) {
            let Some(conversation) = self.truth.state.conversations.get(key) else { continue };
            let member = room.marks.get(&me);
            let open = conversation.head.status != Status::Closed;
            if !(member.is_some() || (self.may_see(*key, device) && open)) {
                continue;
            }
            listed += 1;
            let id: ConversationId = key.conversation;
            let entry = this.app.inbox.get(&id).ok_or(format!("{id} is missing in the inbox"))?;
            let read = member.map_or(0, |marks| marks.1);
            let wanted =
                (room.events.len() as u64, read, room.unread(read), stage(room, &conversation.head.status));
            let found = (entry.head, entry.read, entry.unread, entry.status);
            if found != wanted {
                return Err(format!("the inbox says {found:?} of {id}, the log {wanted:?}"));
            }
        }
        if listed != this.app.inbox.len() {
            return Err(format!("the inbox has {} conversations, the log {listed}", this.app.inbox.len()));
        }
        Ok(())
    }

    /// Nobody is a ghost, and nobody who is there is missed.
    fn presence(&self, tenant: TenantId, device: usize) -> Result<(), String> {
        // Visitors may be refused the list, and keep what they heard by the way.
        let staff = self.devices[device].plan.role.is_staff();
        for user in self.devices[device].app.watched.iter().filter(|_| staff) {
            let key = UserKey { tenant, user: user.clone() };
            let here = self.devices.iter().any(|other| {
                other.open
                    && user_id(other.plan.user) == key.user
                    && other.plan.tenant == self.devices[device].plan.tenant
            });
            let told = self.devices[device].app.presence.get(user).map(|(_, presence)| presence.connectivity);
            let right = match told {
                Some(Connectivity::Connected | Connectivity::Idle | Connectivity::Reachable) => here,
                Some(Connectivity::Offline) => !here,
                Some(Connectivity::Reconnecting) => false,
                None => false,
            };
            if !right {
                return Err(format!("{user} is there: {here}, and shown as {told:?}"));
            }
        }
        Ok(())
    }
}

/// The stage as the events tell it, for support conversations; others have but one.
fn stage(room: &Room, stored: &Status) -> Status {
    let mut stage = None;
    for event in &room.events {
        match event.decode_body() {
            Ok(Some(EventBody::Created(created))) => {
                let support = created.kind == duet_protocol::delivery::ConversationKind::Support;
                stage = Some(if support { Status::Queued } else { Status::Active });
            }
            Ok(Some(EventBody::Assigned(_))) => stage = Some(Status::Active),
            Ok(Some(EventBody::StatusChanged(changed))) => stage = Some(changed.status),
            _ => {}
        }
    }
    stage.unwrap_or(*stored)
}

/// A view shows the log from where it began to its end.
fn shows(view: &View, room: &Room) -> Result<(), String> {
    let head = room.events.len() as u64;
    let begins = view.begins.ok_or("it is shown and was never opened")?;
    let earlier = view.items.range(..begins).map(|(seq, _)| *seq);
    for seq in earlier.chain(begins..=head) {
        let event = room.events.get(seq as usize - 1).ok_or(format!("there is no entry {seq}"))?;
        let right = match (view.items.get(&seq), event.decode_body()) {
            (Some(Item::Message(id, body)), Ok(Some(EventBody::Message(message)))) => {
                *id == message.id && *body == message.content.body
            }
            (Some(Item::Other), _) => !is_message(event),
            _ => false,
        };
        if !right {
            return Err(format!("entry {seq} of {head} is shown as {:?}", view.items.get(&seq)));
        }
    }
    match view.items.last_key_value() {
        Some((last, _)) if *last > head => Err(format!("entry {last} is shown and the log has {head}")),
        _ => Ok(()),
    }
}

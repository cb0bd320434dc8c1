//! What people do: write, read, leaf through the past, come and go, hand conversations over.

use crate::{
    plan::{GROUP, SUPPORT},
    wire::tag,
    world::{Happening, World},
};
use duet_client::machine::{Call, From, Input, NewMessage, State};
use duet_protocol::{
    ConversationId, UserId,
    command::{Durability, Page},
    delivery::{Availability, ConversationKind, Status},
    event::Content,
    hello::Role,
};

impl World {
    /// One person does one thing.
    pub(crate) fn act(&mut self, device: usize) {
        if self.calm {
            return;
        }
        let in_ms = self.rng.between(self.plan.act_every_ms);
        self.later(in_ms, Happening::Act(device));
        if !self.devices[device].open {
            if self.devices[device].generation == 0 || self.rng.chance(400) {
                self.devices[device].open = true;
                self.feed(device, Input::Connect);
            }
            return;
        }
        if self.devices[device].machine.state() == State::Failed {
            return self.feed(device, Input::Connect);
        }
        match self.rng.below(100) {
            0..44 => self.say_something(device),
            44..54 => self.look_into_something(device),
            54..57 => {
                if let Some(id) = self.shown(device) {
                    self.app(device).views.remove(&id);
                    self.feed(device, Input::Unsubscribe(id));
                }
            }
            57..69 => self.read_something(device),
            69..74 => self.type_something(device),
            74..78 => self.leaf(device),
            78..84 => self.create_something(device),
            84..90 => self.watch_something(device),
            90..96 => self.arrange_something(device),
            96..98 => self.settle_failures(device),
            98 => self.come_and_go(device),
            _ => self.feed(device, Input::NetworkChanged),
        }
    }

    fn say_something(&mut self, device: usize) {
        let Some(id) = self.known(device) else { return };
        let mut text = format!("{} {}", tag(self.devices[device].plan.tenant), self.rng.next() % 100_000);
        if self.rng.chance(60) {
            text.push_str(&"x".repeat(self.rng.between((500, 3_000)) as usize));
        }
        let durability = if self.rng.chance(60) { Durability::Ephemeral } else { Durability::Accepted };
        let reply_to = self.rng.chance(50).then_some(1);
        self.send(device, id, NewMessage { content: Content::text(&text), reply_to, durability });
    }

    fn look_into_something(&mut self, device: usize) {
        let Some(id) = self.known(device) else { return };
        if !self.devices[device].app.views.contains_key(&id) {
            self.app(device).views.insert(id, crate::app::View::default());
            let from = if self.rng.chance(200) { From::Latest(2) } else { From::Default };
            self.feed(device, Input::Subscribe(id, from));
        }
    }

    fn read_something(&mut self, device: usize) {
        let Some(id) = self.shown(device) else { return };
        let seq = self.devices[device].machine.position(id).map_or(0, |position| position.seq);
        let seq = if self.rng.chance(300) { self.rng.below(seq + 1) } else { seq };
        self.feed(device, Input::MarkRead(id, seq));
    }

    fn type_something(&mut self, device: usize) {
        let Some(id) = self.shown(device) else { return };
        let input = match self.rng.below(4) {
            0 => Input::StopTyping(id),
            1 => Input::Idle(self.rng.chance(300)),
            _ => Input::Keystroke(id),
        };
        self.feed(device, input);
    }

    fn leaf(&mut self, device: usize) {
        let Some(id) = self.known(device) else { return };
        let head = self.key(device, id).map_or(0, |key| self.truth.head(key));
        let seq = self.rng.below(head + 3);
        let page = match self.rng.below(3) {
            0 => Page::After(seq),
            1 => Page::Before(seq),
            _ => Page::Before(u64::MAX),
        };
        let limit = self.rng.between((1, 60)) as u16;
        self.call(device, Call::History(id, page, limit));
    }

    fn create_something(&mut self, device: usize) {
        let plan = &self.devices[device].plan;
        let (user, role) = (plan.user, plan.role);
        let call = match role {
            Role::Visitor if self.rng.chance(600) => {
                let conversation = SUPPORT[usize::from(user == "viktor")];
                create(conversation, ConversationKind::Support, &[])
            }
            Role::Agent if user == "anna" && self.rng.chance(600) => {
                let members: Vec<&str> = self.colleagues(device).filter(|other| *other != user).collect();
                create(GROUP, ConversationKind::Group, &members)
            }
            _ => {
                let partner = match user {
                    "vera" => "anna",
                    "anna" => "vera",
                    _ => return,
                };
                let now_ms = self.device_ms(device);
                let fresh = self.devices[device].machine.new_conversation_id(now_ms);
                let id = self.devices[device].app.direct.unwrap_or(fresh);
                if self.devices[device].app.creating.values().any(|asked| *asked == id) {
                    return;
                }
                create(id, ConversationKind::Direct, &[partner])
            }
        };
        self.call(device, call);
    }

    fn watch_something(&mut self, device: usize) {
        let call = match self.rng.below(8) {
            0 => Call::WatchInbox(false),
            1..=3 => Call::WatchInbox(true),
            4 => {
                let choices = [Availability::Online, Availability::Busy, Availability::Away];
                Call::SetAvailability(*self.rng.pick(&choices).unwrap_or(&Availability::Online))
            }
            _ => {
                let users: Vec<UserId> = self.colleagues(device).map(user_id).collect();
                Call::WatchPresence(users)
            }
        };
        match &call {
            // The machine tells what changed since it last told; an application keeps its list meanwhile.
            Call::WatchInbox(on) => self.app(device).inbox_on = *on,
            Call::WatchPresence(users) => self.app(device).watched = users.iter().cloned().collect(),
            _ => {}
        }
        self.call(device, call);
    }

    /// Membership and the life of support conversations.
    fn arrange_something(&mut self, device: usize) {
        let Some(id) = self.known(device) else { return };
        let colleagues: Vec<UserId> = self.colleagues(device).map(user_id).collect();
        let Some(other) = self.rng.pick(&colleagues).cloned() else { return };
        let call = match self.rng.below(10) {
            0..=2 => Call::Assign(id, None),
            3 => Call::Assign(id, Some(other)),
            4 => Call::SetStatus(id, Status::Resolved),
            5 if self.rng.chance(150) => Call::SetStatus(id, Status::Closed),
            6 | 7 => Call::AddMembers(GROUP, vec![other]),
            8 => Call::RemoveMember(GROUP, other),
            _ if self.rng.chance(300) => Call::RemoveMember(id, other),
            _ => return,
        };
        self.call(device, call);
    }

    fn settle_failures(&mut self, device: usize) {
        let Some(id) = self.devices[device].app.failed.keys().next().copied() else { return };
        if self.rng.chance(500) {
            self.retry(device, id);
        } else {
            self.app(device).failed.remove(&id);
            self.feed(device, Input::Discard(id));
        }
    }

    fn come_and_go(&mut self, device: usize) {
        if self.rng.chance(600) {
            self.reload(device);
        } else {
            self.devices[device].open = false;
            self.feed(device, Input::Close);
        }
    }

    pub(crate) fn call(&mut self, device: usize, call: Call) {
        let now_ms = self.device_ms(device);
        let asked = match &call {
            Call::CreateConversation { conversation, .. } => Some(*conversation),
            _ => None,
        };
        let (inbox, presence) = (matches!(call, Call::WatchInbox(_)), matches!(call, Call::WatchPresence(_)));
        let request = self.devices[device].machine.call(now_ms, call);
        let app = self.app(device);
        app.asked_inbox = if inbox { Some(request) } else { app.asked_inbox };
        app.asked_presence = if presence { Some(request) } else { app.asked_presence };
        if let Some(conversation) = asked {
            self.app(device).creating.insert(request, conversation);
        }
        self.take_outputs(device);
    }

    /// A conversation that the device may know.
    fn known(&mut self, device: usize) -> Option<ConversationId> {
        let plan = &self.devices[device].plan;
        let own = SUPPORT[usize::from(plan.user == "viktor")];
        let mut known =
            if plan.role == Role::Visitor { vec![own, GROUP] } else { vec![SUPPORT[0], SUPPORT[1], GROUP] };
        known.extend(self.devices[device].app.direct);
        self.rng.pick(&known).copied()
    }

    fn shown(&mut self, device: usize) -> Option<ConversationId> {
        let shown: Vec<ConversationId> = self.devices[device].app.views.keys().copied().collect();
        self.rng.pick(&shown).copied()
    }

    /// The users of a device's tenant.
    fn colleagues(&self, device: usize) -> impl Iterator<Item = &'static str> {
        let tenant = self.devices[device].plan.tenant;
        let mut users: Vec<&str> =
            self.devices.iter().filter(|d| d.plan.tenant == tenant).map(|d| d.plan.user).collect();
        users.sort_unstable();
        users.dedup();
        users.into_iter()
    }
}

pub(crate) fn user_id(user: &str) -> UserId {
    UserId::parse(user).expect("a user's name")
}

fn create(conversation: ConversationId, kind: ConversationKind, members: &[&str]) -> Call {
    let members = members.iter().map(|user| user_id(user)).collect();
    Call::CreateConversation { conversation, kind, subject: None, members }
}

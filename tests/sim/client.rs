//! A device: the real client machine, what it persisted, the application above it, and the link below.

use crate::{
    app::App,
    link::Up,
    plan::DevicePlan,
    rng::Rng,
    truth::Sent,
    world::{Happening, World},
};
use duet::core::ConversationKey;
use duet_client::machine::{
    Carrier, Config, From, Input, Machine, NewMessage, OutboxEntry, Output, Persist, Saved, SavedSession,
    Token, TokenError,
};
use duet_protocol::{ClientMessageId, ConversationId, DeviceId, Position};
use std::collections::BTreeMap;

pub(crate) struct Device {
    pub(crate) index: usize,
    pub(crate) plan: DevicePlan,
    pub(crate) machine: Machine,
    /// Grows with every reload.
    pub(crate) generation: u32,
    pub(crate) app: App,
    /// Links by the machine's own numbers.
    pub(crate) links: BTreeMap<u64, u64>,
    /// Whether the user is there at all.
    pub(crate) open: bool,
    pub(crate) offline_until_ms: u64,
    pub(crate) slow_until_ms: u64,
    saved_session: Option<SavedSession>,
    /// The highest epoch under which the application ever received an event, kept with its copies.
    epoch_kept: u64,
    saved_outbox: BTreeMap<ClientMessageId, OutboxEntry>,
    sent: u64,
}

impl Device {
    pub(crate) fn new(index: usize, plan: DevicePlan, nodes: usize, rng: &mut Rng) -> Self {
        Self {
            machine: machine(index, &plan, nodes, rng),
            index,
            plan,
            generation: 0,
            app: App::default(),
            links: BTreeMap::new(),
            open: false,
            offline_until_ms: 0,
            slow_until_ms: 0,
            saved_session: None,
            epoch_kept: 0,
            saved_outbox: BTreeMap::new(),
            sent: 0,
        }
    }

    /// By the world's clock.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.machine.next_deadline().map(|at_ms| at_ms.saturating_add_signed(-self.plan.clock_offset_ms))
    }
}

impl World {
    /// Feeds a device's machine.
    pub(crate) fn feed(&mut self, device: usize, input: Input) {
        let now_ms = self.device_ms(device);
        self.devices[device].machine.handle(now_ms, input);
        self.take_outputs(device);
    }

    /// The device's own clock.
    pub(crate) fn device_ms(&self, device: usize) -> u64 {
        self.now_ms.saturating_add_signed(self.devices[device].plan.clock_offset_ms)
    }

    /// The application sends a message; `Ok` when it was queued.
    pub(crate) fn send(&mut self, device: usize, conversation: ConversationId, message: NewMessage) {
        let now_ms = self.device_ms(device);
        let durable = message.durability != duet_protocol::command::Durability::Ephemeral;
        let queued = self.devices[device].machine.send(now_ms, conversation, message);
        if let (Ok(message), true) = (&queued, durable) {
            self.remember_sent(device, message.id);
        }
        self.take_outputs(device);
    }

    /// The application sends a failed message again.
    pub(crate) fn retry(&mut self, device: usize, id: ClientMessageId) {
        let now_ms = self.device_ms(device);
        let queued = self.devices[device].machine.retry(now_ms, id);
        if let Ok(message) = &queued {
            if message.id == id {
                // Its first sending may have come through; its place among the others is no longer promised.
                if let Some(sent) = self.truth.sent.get_mut(&id) {
                    sent.ordered = false;
                }
            } else {
                self.remember_sent(device, message.id);
            }
            let app = self.app(device);
            app.failed.remove(&id);
            app.pending.insert(message.id, (message.conversation, message.content.body.clone()));
        }
        self.take_outputs(device);
    }

    /// The page is loaded anew, or the process starts again: what was persisted is all that is left.
    pub(crate) fn reload(&mut self, device: usize) {
        self.note(|| format!("device {device} reloads"));
        self.figures.reloads += 1;
        let now_ms = self.device_ms(device);
        let links: Vec<u64> = self.devices[device].links.values().copied().collect();
        let keep = self.rng.chance(500);
        let fresh = machine(device, &self.devices[device].plan, self.nodes.len(), &mut self.rng);
        let this = &mut self.devices[device];
        this.links.clear();
        this.generation += 1;
        let old = std::mem::replace(&mut this.machine, fresh);
        this.epoch_kept = this.epoch_kept.max(old.epoch());
        let saved = Saved {
            session: this.saved_session.clone(),
            outbox: this.saved_outbox.values().cloned().collect(),
        };
        let mut app = App { direct: this.app.direct, created: this.app.created.clone(), ..App::default() };
        app.inbox_on = this.app.inbox_on;
        let mut again = Vec::new();
        for (id, view) in std::mem::take(&mut this.app.views) {
            // An application that kept its copy goes on behind it; another one begins anew.
            match view.whole_upto().filter(|_| keep) {
                Some(seq) => {
                    let (mut view, position) = (view, Position { epoch: this.epoch_kept, seq });
                    view.items.split_off(&(seq + 1));
                    app.views.insert(id, view);
                    again.push((id, From::After(position)));
                }
                None => {
                    app.views.insert(id, crate::app::View::default());
                    again.push((id, From::Default));
                }
            }
        }
        this.app = app;
        for link in links {
            self.close_up(link);
            self.forget_dead(link);
        }
        self.devices[device].machine.handle(now_ms, Input::Restore(saved));
        self.take_outputs(device);
        for (id, from) in again {
            self.feed(device, Input::Subscribe(id, from));
        }
        if self.devices[device].app.inbox_on {
            self.call(device, duet_client::machine::Call::WatchInbox(true));
        }
        if self.devices[device].open {
            self.feed(device, Input::Connect);
        }
    }

    /// The device is switched off: no leave is taken, and it does not come back.
    pub(crate) fn vanish(&mut self, device: usize) {
        self.note(|| format!("device {device} vanishes"));
        let links: Vec<u64> = self.devices[device].links.values().copied().collect();
        for link in links {
            self.cut(link, true);
        }
        let fresh = machine(device, &self.devices[device].plan, self.nodes.len(), &mut self.rng);
        let this = &mut self.devices[device];
        this.links.clear();
        this.generation += 1;
        (this.machine, this.open) = (fresh, false);
    }

    /// The device forgets everything that it ever knew: what it was told is no longer true.
    pub(crate) fn begin_anew(&mut self, device: usize) {
        let open = self.devices[device].open;
        self.vanish(device);
        let this = &mut self.devices[device];
        (this.app, this.saved_session) = (App::default(), None);
        this.saved_outbox.clear();
        this.open = open;
        if open {
            self.feed(device, Input::Connect);
        }
    }

    pub(crate) fn token(&mut self, device: usize, generation: u32, result: Result<Token, TokenError>) {
        if self.devices[device].generation == generation {
            self.feed(device, Input::Token(result));
        }
    }

    pub(crate) fn take_outputs(&mut self, device: usize) {
        let mut outputs = Vec::new();
        while let Some(output) = self.devices[device].machine.poll_output() {
            outputs.push(output);
        }
        // A process may die in the middle of carrying out what its machine wants.
        let dies = !self.calm && outputs.len() > 1 && self.rng.chance(1);
        let last = if dies { self.rng.below(outputs.len() as u64) as usize } else { outputs.len() };
        for output in outputs.into_iter().take(last) {
            self.carry_out_for(device, output);
        }
        if dies {
            self.reload(device);
        }
    }

    fn carry_out_for(&mut self, device: usize, output: Output) {
        self.note(|| match &output {
            Output::Event(event) => format!("device {device} told {event:?}"),
            Output::Send { lane, command, .. } => format!("device {device} on {} {command:?}", lane.0),
            output => format!("device {device} {output:?}"),
        });
        let link = |world: &Self, connection: duet_client::machine::ConnectionId| {
            world.devices[device].links.get(&connection.0).copied()
        };
        match output {
            Output::Connect { connection, endpoint } => self.dial(device, connection, &endpoint),
            Output::OpenLane { connection, lane, carrier } => {
                let id = link(self, connection);
                if let Some(link) = id.and_then(|id| self.links.get_mut(&id))
                    && carrier == Carrier::Wrapped
                {
                    link.wrapped.insert(lane.0);
                }
            }
            Output::Send { connection, lane, command } => {
                if let Some(id) = link(self, connection) {
                    self.send_up(id, lane.0, Up::Frame(command));
                }
            }
            Output::FinishLane { connection, lane } => {
                let id = link(self, connection);
                let wrapped = id
                    .and_then(|id| self.links.get(&id))
                    .is_none_or(|link| link.one_stream || link.wrapped.contains(&lane.0));
                if let (Some(id), false) = (id, wrapped) {
                    self.send_up(id, lane.0, Up::Finish);
                }
            }
            Output::Datagram { connection, command } => {
                if let Some(id) = link(self, connection) {
                    self.datagram_up(id, command);
                }
            }
            Output::Disconnect { connection, .. } => {
                if let Some(id) = self.devices[device].links.remove(&connection.0) {
                    self.close_up(id);
                    self.forget_dead(id);
                }
            }
            Output::NeedToken { .. } => self.bring_token(device),
            Output::Persist(persist) => self.devices[device].persist(persist),
            Output::Event(event) => {
                let this = &mut self.devices[device];
                let epoch = this.machine.epoch();
                let taken = this.app.take(epoch, event);
                self.check(taken.map_err(|what| format!("device {device}: {what}")));
            }
            Output::Rebind { .. } => {}
        }
    }

    fn bring_token(&mut self, device: usize) {
        let plan = &self.devices[device].plan;
        let expires_ms = if plan.token_life_ms == 0 { 0 } else { self.token_ms() + plan.token_life_ms };
        let token = Token(format!("{}|{}|{:?}|{expires_ms}", plan.tenant, plan.user, plan.role));
        let failed = !self.calm && self.rng.chance(100);
        let result =
            if failed { Err(TokenError::Unavailable("the back end is away".into())) } else { Ok(token) };
        let in_ms = self.rng.below(200);
        self.later(in_ms, Happening::Token(device, self.devices[device].generation, result));
    }

    fn remember_sent(&mut self, device: usize, id: ClientMessageId) {
        let this = &mut self.devices[device];
        this.sent += 1;
        let ordered = this.plan.publishes_in_flight == 1;
        self.truth.sent.insert(id, Sent { device, order: this.sent, ordered });
    }

    /// The server's name of a device's conversation.
    pub(crate) fn key(&self, device: usize, conversation: ConversationId) -> Option<ConversationKey> {
        let tenant = crate::wire::tenant_id(&self.truth, self.devices[device].plan.tenant).ok()?;
        Some(ConversationKey { tenant, conversation })
    }
}

impl Device {
    fn persist(&mut self, persist: Persist) {
        match persist {
            Persist::Put(entry) => drop(self.saved_outbox.insert(entry.id, entry)),
            Persist::Remove(id) => drop(self.saved_outbox.remove(&id)),
            Persist::Session(session) => self.saved_session = session,
        }
    }
}

fn machine(index: usize, plan: &DevicePlan, nodes: usize, rng: &mut Rng) -> Machine {
    let device = DeviceId::parse(&format!("device-{index}")).expect("a device's name");
    let mut config = Config::new(endpoints(nodes), device, rng.bytes());
    config.publishes_in_flight = plan.publishes_in_flight;
    config.backlog = plan.backlog;
    if plan.one_stream {
        config.streams_max = 0;
    }
    Machine::new(config)
}

/// The addresses of so many nodes.
pub(crate) fn endpoints(nodes: usize) -> Vec<String> {
    (0..nodes).map(|node| format!("{node}:1")).collect()
}

//! The fake network: delays, order within a lane and none between lanes, bounded outboxes, connections that end early,
//! late, or without a word.

use crate::{
    link::{Down, Link, LinkId, Up},
    node::whole,
    wire::{self, Wire},
    world::{Happening, Report, World},
};
use bytes::Bytes;
use duet_client::machine::{ConnectionId as Dial, Input as Fact, LaneId, LinkEvent, LinkTraits};
use duet_protocol::{Code, Command, Delivery, Frame};

/// Both sides take a silent connection for dead after this time.
const IDLE_MS: u64 = 30_000;

impl World {
    /// A client begins to connect.
    pub(crate) fn dial(&mut self, device: usize, connection: Dial, endpoint: &str) {
        self.last_link += 1;
        let id = self.last_link;
        let node = usize::from(endpoint.starts_with('1'));
        let mut link = Link::new(node, device, self.devices[device].generation, connection);
        let plan = &self.devices[device].plan;
        (link.one_stream, link.datagrams) = (plan.one_stream, plan.datagrams);
        self.devices[device].links.insert(connection.0, id);
        self.links.insert(id, link);
        let in_ms = self.rng.between(self.plan.wire_ms) * 2;
        self.later(in_ms, Happening::Dialed(id));
    }

    pub(crate) fn dialed(&mut self, id: LinkId) {
        let Some((device, node)) = self.links.get(&id).map(|link| (link.device, link.node)) else { return };
        if self.devices[device].offline_until_ms > self.now_ms {
            // Nothing comes back: the client gives up by itself, or is told at once.
            if self.rng.chance(500) {
                self.client_notices(id, Code::UNREACHABLE);
            }
            return;
        }
        if self.nodes[node].core.is_none() {
            return self.client_notices(id, Code::UNREACHABLE);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        link.server_side = true;
        let plan = &self.devices[device].plan;
        let traits = LinkTraits { datagrams: plan.datagrams, keep_alive: plan.keep_alive };
        self.feed_link(id, LinkEvent::Connected(traits));
    }

    /// A client sends on a lane.
    pub(crate) fn send_up(&mut self, id: LinkId, lane: u32, up: Up) {
        let delay_ms = self.delay_ms(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Up::Frame(command) = &up {
            wire::sent(link, lane, command);
        }
        let at_ms = link.up_at(lane, self.now_ms + delay_ms);
        self.at(at_ms, Happening::Up(id, lane, up));
    }

    /// A datagram of a client: it may be lost or overtake.
    pub(crate) fn datagram_up(&mut self, id: LinkId, command: Command) {
        if !self.rng.chance(200) {
            let delay_ms = self.delay_ms(id);
            self.later(delay_ms, Happening::Up(id, 0, Up::Frame(command)));
        }
    }

    /// The client closes the connection, after what it sent.
    pub(crate) fn close_up(&mut self, id: LinkId) {
        let delay_ms = self.delay_ms(id);
        let Some(link) = self.links.get_mut(&id) else { return };
        link.client_side = false;
        let at_ms = link.last_up_ms().max(self.now_ms + delay_ms);
        self.at(at_ms, Happening::Up(id, 0, Up::Gone));
        self.at(at_ms + IDLE_MS, Happening::ServerNotices(id));
    }

    /// An empty outbox takes one frame of any size.
    pub(crate) fn has_room(&self, id: LinkId, bytes: u64) -> bool {
        let fits = |held: u64| held == 0 || held + bytes <= self.plan.outbox_bytes;
        self.links.get(&id).is_some_and(|link| fits(link.outbox_bytes))
    }

    /// The server puts something into a connection's outbox.
    pub(crate) fn queue_down(&mut self, id: LinkId, lane: u32, down: Down) {
        let taking = |link: &&mut Link| link.server_side && !link.too_slow;
        let Some(link) = self.links.get_mut(&id).filter(taking) else { return };
        link.outbox_bytes += down.size();
        link.outbox.push_back((lane, down));
        let drain = !std::mem::replace(&mut link.draining, true);
        if link.outbox_bytes > self.plan.outbox_bytes * 4 + 200_000 {
            link.outbox.clear();
            (link.outbox_bytes, link.too_slow) = (0, true);
            self.note(|| format!("{id} reads too slowly"));
            self.later(0, Happening::ClientNotices(id, Code::SLOW));
            return self.later(0, Happening::ServerNotices(id));
        }
        if drain {
            self.later(0, Happening::Drain(id));
        }
    }

    /// The outbox gives up a part of what it holds.
    pub(crate) fn drain(&mut self, id: LinkId) {
        let delay_ms = self.delay_ms(id);
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        let slow = self.devices[link.device].slow_until_ms > now_ms;
        let mut leaving = Vec::new();
        while let Some((lane, down)) = link.outbox.pop_front() {
            link.outbox_bytes -= down.size();
            let at_ms = match down {
                Down::Gone(_) => link.last_down_ms().max(now_ms + delay_ms),
                _ => link.down_at(lane, now_ms + delay_ms),
            };
            leaving.push((at_ms, lane, down));
            if slow {
                break;
            }
        }
        link.draining = !link.outbox.is_empty();
        let (again, room) = (link.draining, link.outbox_bytes <= self.plan.outbox_bytes / 2);
        let room = room && std::mem::take(&mut link.wants_room);
        let report_ms = link.report_at(now_ms);
        for (at_ms, lane, down) in leaving {
            self.at(at_ms, Happening::Down(id, lane, down));
        }
        if room {
            self.at(report_ms, Happening::Report(id, Report::Room));
        }
        if again {
            let in_ms = self.rng.between((20, 200));
            self.later(in_ms, Happening::Drain(id));
        }
    }

    /// A frame of the ephemeral plane for the client.
    pub(crate) fn signal(&mut self, id: LinkId, frame: Bytes) {
        let Some(link) = self.links.get(&id) else { return };
        if !link.datagrams {
            if self.has_room(id, frame.len() as u64) {
                self.queue_down(id, 0, Down::Frame(frame));
            }
        } else if link.server_side && !self.rng.chance(200) {
            let delay_ms = self.delay_ms(id);
            self.later(delay_ms, Happening::Datagram(id, Frame::split(&frame).1));
        }
    }

    /// Something of the server reaches the client.
    pub(crate) fn arrive_down(&mut self, id: LinkId, lane: u32, down: Down) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.client_side || self.now_ms > link.down_dead_ms {
            return;
        }
        match down {
            Down::Frame(bytes) => {
                let delivery = match Delivery::decode(&whole(&bytes)) {
                    Ok(Some(delivery)) => delivery,
                    other => return self.violated(format!("a frame that no client can read: {other:?}")),
                };
                let device = &self.devices[link.device];
                let wire = Wire { truth: &self.truth, device: &device.plan, epoch: device.machine.epoch() };
                let checked = wire.check(link, lane, &delivery);
                let device = device.index;
                self.note(|| format!("device {device} heard on {lane} {delivery:?}"));
                self.check(checked);
                self.feed_link(id, LinkEvent::Delivery(LaneId(lane), delivery));
            }
            Down::Finish if link.wrapped.contains(&lane) || link.one_stream => {}
            Down::Finish => self.feed_link(id, LinkEvent::LaneClosed(LaneId(lane), None)),
            Down::Gone(code) => self.client_notices(id, code),
        }
    }

    pub(crate) fn arrive_datagram(&mut self, id: LinkId, bytes: Bytes) {
        let alive = |link: &&Link| link.client_side && self.now_ms <= link.down_dead_ms;
        if self.links.get(&id).filter(alive).is_some() {
            self.feed_link(id, LinkEvent::Datagram(bytes));
        }
    }

    /// The client learns that its connection is gone.
    pub(crate) fn client_notices(&mut self, id: LinkId, code: Code) {
        let Some(link) = self.links.get(&id).filter(|link| link.client_side) else { return };
        let (device, connection) = (link.device, link.connection);
        self.devices[device].links.remove(&connection.0);
        let event = LinkEvent::Disconnected { code, reason: String::new() };
        self.feed_link(id, event);
        if let Some(link) = self.links.get_mut(&id) {
            link.client_side = false;
        }
        self.forget_dead(id);
    }

    /// The connection breaks: what is on its way may still arrive in part, and each side notices in its time.
    pub(crate) fn cut(&mut self, id: LinkId, silently: bool) {
        let (up_ms, down_ms) = (self.rng.below(30), self.rng.below(30));
        let (server_ms, client_ms) =
            if silently { (IDLE_MS, IDLE_MS) } else { (self.rng.below(400), self.rng.below(400)) };
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.up_dead_ms = link.up_dead_ms.min(now_ms + up_ms);
        link.down_dead_ms = link.down_dead_ms.min(now_ms + down_ms);
        let notices = !silently || self.devices[link.device].plan.keep_alive;
        self.note(|| format!("cut {id}, silently {silently}"));
        self.later(server_ms, Happening::ServerNotices(id));
        if notices {
            self.later(client_ms, Happening::ClientNotices(id, Code::TRANSPORT_CLOSED));
        }
    }

    /// One lane is reset in both directions.
    pub(crate) fn reset_lane(&mut self, id: LinkId, lane: u32) {
        let reset = self.links.get(&id).is_some_and(|link| {
            let runs = self.nodes[link.node].paused(self.now_ms).is_none();
            runs && link.client_side && link.server_side && !link.one_stream && !link.wrapped.contains(&lane)
        });
        if reset {
            self.note(|| format!("reset lane {lane} of {id}"));
            self.arrive_up(id, lane, Up::Finish);
            self.feed_link(id, LinkEvent::LaneClosed(LaneId(lane), None));
        }
    }

    /// The process behind a connection died.
    pub(crate) fn server_is_gone(&mut self, id: LinkId) {
        let (later_ms, silent) = (self.rng.below(60), self.rng.chance(100));
        let notice_ms = if silent { IDLE_MS } else { self.rng.below(400) };
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        link.server_side = false;
        link.up_dead_ms = now_ms;
        link.down_dead_ms = link.down_dead_ms.min(now_ms + later_ms);
        let notices = !silent || self.devices[link.device].plan.keep_alive;
        if notices {
            self.later(notice_ms, Happening::ClientNotices(id, Code::TRANSPORT_CLOSED));
        }
        self.forget_dead(id);
    }

    /// Drops a connection that nobody believes in any more.
    pub(crate) fn forget_dead(&mut self, id: LinkId) {
        if self.links.get(&id).is_some_and(|link| !link.client_side && !link.server_side) {
            self.links.remove(&id);
        }
    }

    fn feed_link(&mut self, id: LinkId, event: LinkEvent) {
        let Some(link) = self.links.get(&id) else { return };
        let (device, generation, connection) = (link.device, link.generation, link.connection);
        if self.devices[device].generation == generation {
            self.feed(device, Fact::Link(connection, event));
        }
    }

    fn delay_ms(&mut self, id: LinkId) -> u64 {
        let slow = self.links.get(&id).is_some_and(|l| self.devices[l.device].slow_until_ms > self.now_ms);
        self.rng.between(self.plan.wire_ms) + if slow { 200 } else { 0 }
    }
}

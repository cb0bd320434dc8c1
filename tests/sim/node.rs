//! The driver of the simulated server: it tells the core what happened and carries out what the core wants, on the fake
//! disk and the fake network. A crash takes everything but the disk.

use crate::{
    link::{Down, LinkId, Up},
    wire::display_name,
    world::{Happening, ReadOrder, Report, World},
};
use duet::core::{ConnectionId, Core, Effect, Identity, Input, Lane, PairEffect, ReadFailed, Target};
use duet_protocol::{
    Code, Command, Delivery, Frame, Subject, TenantName, UserId, delivery::Closing, hello::Role,
};

impl World {
    /// Tells a node's core a fact.
    pub(crate) fn tell(&mut self, node: usize, input: Input) {
        let now = self.nodes[node].now(self.now_ms);
        if let Some(core) = &mut self.nodes[node].core {
            core.handle(now, input);
            self.carry_out(node);
        }
    }

    /// Carries out what a core wants: its disk first, so that the checkers can see what it has when it speaks.
    pub(crate) fn carry_out(&mut self, node: usize) {
        let mut rest = Vec::new();
        while let Some(effect) = self.nodes[node].core.as_mut().and_then(Core::poll_effect) {
            match effect {
                Effect::Append(append) => {
                    if self.nodes[node].read_only && self.pair.is_none() {
                        return self.violated("the core writes although it was told that it may not".into());
                    }
                    self.nodes[node].disk.append(append);
                }
                Effect::Checkpoint { index, rows } => self.nodes[node].disk.checkpoint(index, rows),
                Effect::Pair(PairEffect::Truncate { after }) => self.truncate(node, after),
                Effect::Pair(PairEffect::SaveEpoch(epoch)) => self.nodes[node].disk.save_epoch(epoch),
                effect => rest.push(effect),
            }
        }
        self.witness(node);
        let process = self.nodes[node].process;
        for effect in rest {
            // What a core wants after it wanted its own end is void.
            if self.nodes[node].process == process {
                self.carry_out_one(node, effect);
            }
        }
        self.begin_barrier(node);
        let this = &mut self.nodes[node];
        let open = this.core.as_ref().is_some_and(|core| !core.is_saturated());
        if open && !this.waiting.is_empty() && !std::mem::replace(&mut this.admits, true) {
            self.later(0, Happening::Waiting(node));
        }
    }

    fn carry_out_one(&mut self, node: usize, effect: Effect) {
        self.overhear(node, &effect);
        match effect {
            Effect::Append(_) | Effect::Checkpoint { .. } | Effect::Revoked { .. } => {}
            Effect::Send { connection, lane, frame } => {
                self.queue_down(connection.0, lane.0, Down::Frame(frame));
            }
            Effect::Deliver { seq, frame, targets } => {
                for target in targets {
                    self.deliver(target, seq, frame.clone());
                }
            }
            Effect::Cast { frame, targets } => {
                for target in targets {
                    if self.has_room(target.connection.0, frame.len() as u64) {
                        self.queue_down(target.connection.0, target.lane.0, Down::Frame(frame.clone()));
                    }
                }
            }
            Effect::Signal { frame, connections } => {
                for connection in connections {
                    self.signal(connection.0, frame.clone());
                }
            }
            Effect::Read { read, conversation, after, upto, bytes_max, latest } => {
                let order = ReadOrder { read, key: conversation, after, upto, bytes_max, latest };
                let in_ms = self.rng.between(self.plan.read_ms);
                self.later(in_ms, Happening::ReadDone(node, self.nodes[node].process, order));
            }
            Effect::CloseLane { connection, lane } => self.queue_down(connection.0, lane.0, Down::Finish),
            Effect::Pair(order) => self.carry_out_for_pair(node, order),
            Effect::Disconnect { connection, code, reason } => self.hang_up(connection.0, code, reason),
        }
    }

    /// Lets everything in that waited, as long as the core takes it.
    pub(crate) fn take_waiting(&mut self, node: usize) {
        self.nodes[node].admits = false;
        while self.nodes[node].core.as_ref().is_some_and(|core| !core.is_saturated()) {
            let Some((id, lane, up)) = self.nodes[node].waiting.pop_front() else { return };
            self.take_in(id, lane, up);
        }
    }

    pub(crate) fn read_done(&mut self, node: usize, process: u32, order: &ReadOrder) {
        if process != self.nodes[node].process {
            return;
        }
        let result = if self.now_ms < self.nodes[node].unreadable_until_ms {
            Err(ReadFailed)
        } else {
            let ReadOrder { key, after, upto, bytes_max, latest, .. } = *order;
            Ok(self.nodes[node].disk.read(key, after, upto, bytes_max, latest))
        };
        self.tell(node, Input::EventsRead { read: order.read, result });
    }

    pub(crate) fn read_only(&mut self, node: usize, process: u32, on: bool) {
        if process == self.nodes[node].process && self.nodes[node].core.is_some() {
            self.note(|| format!("node {node} takes no writes: {on}"));
            self.nodes[node].read_only = on;
            self.nodes[node].reserve_used = on && self.rng.chance(500);
            self.tell(node, Input::ReadOnly(on));
        }
    }

    /// Something of a client reaches the server; while the core is saturated it waits, in order.
    pub(crate) fn arrive_up(&mut self, id: LinkId, lane: u32, up: Up) {
        let Some(link) = self.links.get(&id) else { return };
        if !link.server_side || self.now_ms > link.up_dead_ms {
            return;
        }
        let node = &mut self.nodes[link.node];
        if !node.waiting.is_empty() || node.core.as_ref().is_some_and(Core::is_saturated) {
            return node.waiting.push_back((id, lane, up));
        }
        self.take_in(id, lane, up);
    }

    fn take_in(&mut self, id: LinkId, lane: u32, up: Up) {
        let Some(link) = self.links.get_mut(&id).filter(|link| link.server_side) else { return };
        let (node, connection) = (link.node, ConnectionId(id));
        match up {
            Up::Gone => {
                link.server_side = false;
                self.tell(node, Input::Disconnected { connection });
                self.forget_dead(id);
            }
            Up::Finish => self.tell(node, Input::LaneClosed { connection, lane: Lane(lane) }),
            Up::Frame(Command::Hello(hello)) if !link.hello_seen => {
                link.hello_seen = true;
                let identity = hello.token.as_deref().and_then(|token| self.verify(node, token));
                let entropy = self.rng.bytes();
                self.tell(node, Input::Hello { connection, identity, hello, entropy });
            }
            Up::Frame(Command::Authenticate(authenticate)) => {
                let request = authenticate.request;
                match self.verify(node, &authenticate.token) {
                    Some(identity) => {
                        self.tell(node, Input::Reauthenticated { connection, request, identity });
                    }
                    None => {
                        let reject = duet_protocol::Refusal {
                            subject: Subject::Request(request),
                            code: Code::UNAUTHENTICATED,
                            message: "The token has ended.".into(),
                            retry_after_ms: 0,
                        };
                        self.queue_down(id, 0, Down::Frame(Delivery::Refused(reject).encode()));
                    }
                }
            }
            Up::Frame(command) => self.tell(node, Input::Command { connection, lane: Lane(lane), command }),
        }
    }

    pub(crate) fn server_notices(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if std::mem::take(&mut link.server_side) {
            let node = link.node;
            self.tell(node, Input::Disconnected { connection: ConnectionId(id) });
            self.forget_dead(id);
        }
    }

    pub(crate) fn report(&mut self, id: LinkId, report: Report) {
        let node = self.links.get(&id).filter(|link| link.server_side).map(|link| link.node);
        if let Some(node) = node {
            self.tell(
                node,
                match report {
                    Report::NoRoom(target, seq) => Input::Overflowed { target, seq },
                    Report::Room => Input::Writable { connection: ConnectionId(id) },
                },
            );
        }
    }

    fn deliver(&mut self, target: Target, seq: u64, frame: bytes::Bytes) {
        let Target { connection, lane, run } = target;
        let room = self.has_room(connection.0, frame.len() as u64);
        let Some(link) = self.links.get_mut(&connection.0).filter(|link| link.server_side) else { return };
        if link.broken.get(&lane.0).is_some_and(|broken| *broken >= run) {
            return;
        }
        if room {
            return self.queue_down(connection.0, lane.0, Down::Frame(frame));
        }
        link.broken.insert(lane.0, run);
        link.wants_room = true;
        self.figures.overflows += 1;
        let in_ms = self.rng.below(5);
        let at_ms = self.links.get_mut(&connection.0).map_or(0, |link| link.report_at(self.now_ms + in_ms));
        self.at(at_ms, Happening::Report(connection.0, Report::NoRoom(target, seq)));
    }

    /// The server closes a connection, after what it has said on it.
    fn hang_up(&mut self, id: LinkId, code: Code, reason: String) {
        self.note(|| format!("server closes {id}: {code} {reason}"));
        let closing = Closing { code, reason, retry_after_ms: 0, endpoint: None };
        self.queue_down(id, 0, Down::Frame(Delivery::Closing(closing).encode()));
        self.queue_down(id, 0, Down::Gone(code));
        if let Some(link) = self.links.get_mut(&id) {
            link.server_side = false;
        }
    }

    /// Takes a token apart: `tenant|user|role|expires`.
    fn verify(&self, node: usize, token: &str) -> Option<Identity> {
        let mut parts = token.split('|');
        let (tenant, user, role) = (parts.next()?, parts.next()?, parts.next()?);
        let expires_ms: u64 = parts.next()?.parse().ok()?;
        if expires_ms != 0 && expires_ms <= self.nodes[node].now(self.now_ms).unix_ms {
            return None;
        }
        let role = match role {
            "Visitor" => Role::Visitor,
            "Agent" => Role::Agent,
            "Supervisor" => Role::Supervisor,
            _ => Role::Service,
        };
        Some(Identity {
            tenant: TenantName::parse(tenant).ok()?,
            user: UserId::parse(user).ok()?,
            name: display_name(tenant, user),
            role,
            expires_ms,
            made_ms: 0,
            token: None,
        })
    }
}

/// The frame within its encoding.
pub(crate) fn whole(encoded: &bytes::Bytes) -> Frame {
    Frame::from_datagram(Frame::split(encoded).1).expect("the core sends whole frames")
}

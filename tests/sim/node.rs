//! The driver of the simulated server: it tells the core what happened and carries out what the core wants, on the fake
//! disk and the fake network. A crash takes everything but the disk.

use crate::{
    link::{Down, LinkId, Up},
    plan::TENANTS,
    restored,
    wire::display_name,
    world::{Happening, ReadOrder, Report, World},
};
use duet::core::{ConnectionId, Core, Effect, Identity, Input, Lane, ReadFailed, Target};
use duet_protocol::{
    Code, Command, Delivery, Frame, Subject, TenantName, UserId, delivery::Closing, hello::Role,
};

impl World {
    /// A process starts on what the disk holds.
    pub(crate) fn restart(&mut self) {
        let (state, tail) = match self.node.disk.recover() {
            Ok(found) => found,
            Err(error) => return self.violated(format!("I12: the checkpoint does not load: {error}")),
        };
        self.note(|| format!("start, {} entries behind the checkpoint", tail.len()));
        let mut core = match Core::restore(self.plan.core.clone(), state, tail) {
            Ok(core) => core,
            Err(error) => return self.violated(format!("I12: the log does not load: {error}")),
        };
        self.check(restored::state(core.state(), &self.truth));
        self.check(restored::events(&self.node.disk, &self.truth));
        let tenants = TENANTS.map(|tenant| TenantName::parse(tenant).expect("a tenant's name"));
        core.start(self.server_ms(), &tenants);
        self.node.core = Some(core);
        self.carry_out();
    }

    /// The process dies and loses a part of what was not synced; another one follows after a while.
    pub(crate) fn crash(&mut self, down_ms: u64) {
        if self.node.core.take().is_none() {
            return;
        }
        self.figures.crashes += 1;
        let unsynced = self.node.disk.unsynced() as u64;
        let kept = self.rng.below(unsynced + 1) as usize;
        self.note(|| format!("crash, {kept} of {unsynced} unsynced writes survive"));
        let entries = self.node.disk.crash(kept);
        self.absorb(entries);
        self.node.process += 1;
        (self.node.read_only, self.node.stall_ms) = (false, 0);
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.server_is_gone(link);
        }
        self.later(down_ms, Happening::Restart(self.node.process));
    }

    /// Tells the core a fact.
    pub(crate) fn tell(&mut self, input: Input) {
        let now_ms = self.server_ms();
        if let Some(core) = &mut self.node.core {
            core.handle(now_ms, input);
            self.carry_out();
        }
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.node.core.as_mut().and_then(Core::poll_effect) {
            match effect {
                Effect::Append(append) => {
                    if self.node.read_only {
                        return self.violated("the core writes although it was told that it may not".into());
                    }
                    self.node.disk.append(append);
                }
                Effect::Checkpoint { index, rows } => self.node.disk.checkpoint(index, rows),
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
                    self.later(in_ms, Happening::ReadDone(self.node.process, order));
                }
                Effect::CloseLane { connection, lane } => self.queue_down(connection.0, lane.0, Down::Finish),
                Effect::Pair(order) => return self.violated(format!("a node without a peer: {order:?}")),
                Effect::Disconnect { connection, code, reason } => self.hang_up(connection.0, code, reason),
            }
        }
        // A full disk writes nothing; one that still has its reserve writes what was taken before.
        let writes = !(self.node.read_only && self.node.reserve_used);
        if writes && self.node.disk.begin_barrier() {
            let in_ms = self.rng.between(self.plan.commit_ms) + std::mem::take(&mut self.node.stall_ms);
            self.later(in_ms, Happening::BarrierDone(self.node.process));
        }
    }

    pub(crate) fn barrier_done(&mut self, process: u32) {
        if process != self.node.process {
            return;
        }
        let entries = self.node.disk.end_barrier();
        self.absorb(entries);
        let upto = self.node.disk.durable();
        self.tell(Input::Persisted { upto });
    }

    fn absorb(&mut self, entries: Vec<bytes::Bytes>) {
        for bytes in entries {
            if self.violation.is_none() {
                let absorbed = self.truth.absorb(&bytes);
                self.check(absorbed);
            }
        }
    }

    pub(crate) fn read_done(&mut self, process: u32, order: &ReadOrder) {
        if process != self.node.process {
            return;
        }
        let result = if self.now_ms < self.node.unreadable_until_ms {
            Err(ReadFailed)
        } else {
            let ReadOrder { key, after, upto, bytes_max, latest, .. } = *order;
            Ok(self.node.disk.read(key, after, upto, bytes_max, latest))
        };
        self.tell(Input::EventsRead { read: order.read, result });
    }

    pub(crate) fn read_only(&mut self, process: u32, on: bool) {
        if process == self.node.process && self.node.core.is_some() {
            self.node.read_only = on;
            self.node.reserve_used = on && self.rng.chance(500);
            self.tell(Input::ReadOnly(on));
        }
    }

    /// Something of a client reaches the server.
    pub(crate) fn arrive_up(&mut self, id: LinkId, lane: u32, up: Up) {
        let now_ms = self.now_ms;
        let Some(link) = self.links.get_mut(&id) else { return };
        if !link.server_side || now_ms > link.up_dead_ms {
            return;
        }
        let connection = ConnectionId(id);
        match up {
            Up::Gone => {
                link.server_side = false;
                self.tell(Input::Disconnected { connection });
                self.forget_dead(id);
            }
            Up::Finish => self.tell(Input::LaneClosed { connection, lane: Lane(lane) }),
            Up::Frame(Command::Hello(hello)) if !link.hello_seen => {
                link.hello_seen = true;
                let identity = hello.token.as_deref().and_then(|token| self.verify(token));
                let entropy = self.rng.bytes();
                self.tell(Input::Hello { connection, identity, hello, entropy });
            }
            Up::Frame(Command::Authenticate(authenticate)) => {
                let request = authenticate.request;
                match self.verify(&authenticate.token) {
                    Some(identity) => self.tell(Input::Reauthenticated { connection, request, identity }),
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
            Up::Frame(command) => self.tell(Input::Command { connection, lane: Lane(lane), command }),
        }
    }

    pub(crate) fn server_notices(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if std::mem::take(&mut link.server_side) {
            self.tell(Input::Disconnected { connection: ConnectionId(id) });
            self.forget_dead(id);
        }
    }

    pub(crate) fn report(&mut self, id: LinkId, report: Report) {
        if self.links.get(&id).is_some_and(|link| link.server_side) {
            self.tell(match report {
                Report::NoRoom(target, seq) => Input::Overflowed { target, seq },
                Report::Room => Input::Writable { connection: ConnectionId(id) },
            });
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
    fn verify(&self, token: &str) -> Option<Identity> {
        let mut parts = token.split('|');
        let (tenant, user, role) = (parts.next()?, parts.next()?, parts.next()?);
        let expires_ms: u64 = parts.next()?.parse().ok()?;
        if expires_ms != 0 && expires_ms <= self.server_ms() {
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
        })
    }
}

/// The frame within its encoding.
pub(crate) fn whole(encoded: &bytes::Bytes) -> Frame {
    Frame::from_datagram(Frame::split(encoded).1).expect("the core sends whole frames")
}

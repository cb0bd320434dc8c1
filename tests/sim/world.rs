//! The world: one clock, one queue of what will happen, one thread. Everything in it is a function of the seed.

use crate::{
    app::App,
    client::Device,
    link::{Down, Link, LinkId, Up},
    pair::{Pair, PairHappening},
    plan::{Case, Plan, START_MS},
    process::Node,
    rng::Rng,
    truth::Truth,
};
use bytes::Bytes;
use duet::core::{Input, Target};
use duet_client::machine::{Token, TokenError};
use duet_protocol::Code;
use std::collections::{BTreeMap, VecDeque};

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    /// Milliseconds by the clock on the wall, which nobody in here can see.
    pub(crate) now_ms: u64,
    /// One, or the two of a pair.
    pub(crate) nodes: Vec<Node>,
    pub(crate) pair: Option<Pair>,
    pub(crate) devices: Vec<Device>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) last_link: LinkId,
    pub(crate) truth: Truth,
    /// Nothing breaks any more and nobody acts.
    pub(crate) calm: bool,
    pub(crate) figures: Figures,
    pub(crate) violation: Option<String>,
    queue: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    trace: Option<VecDeque<String>>,
}

/// What a run amounted to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) simulated_ms: u64,
    pub(crate) acknowledged: u64,
    pub(crate) crashes: u64,
    pub(crate) overflows: u64,
    pub(crate) reloads: u64,
    pub(crate) reigns: u64,
    pub(crate) snapshots: u64,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.simulated_ms += other.simulated_ms;
        self.acknowledged += other.acknowledged;
        self.crashes += other.crashes;
        self.overflows += other.overflows;
        self.reloads += other.reloads;
        self.reigns += other.reigns;
        self.snapshots += other.snapshots;
    }
}

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    Up(LinkId, u32, Up),
    Down(LinkId, u32, Down),
    /// A datagram for the client.
    Datagram(LinkId, Bytes),
    /// The client's attempt reaches the server.
    Dialed(LinkId),
    ServerNotices(LinkId),
    ClientNotices(LinkId, Code),
    /// The connection reports to the core: no room, or room again.
    Report(LinkId, Report),
    Drain(LinkId),
    /// What waited because the core was saturated.
    Waiting(usize),
    /// Of a node's process, as everything below that names both.
    BarrierDone(usize, u32),
    ReadDone(usize, u32, ReadOrder),
    Restart(usize, u32),
    ReadOnly(usize, u32, bool),
    Pair(PairHappening),
    Token(usize, u32, Result<Token, TokenError>),
    Act(usize),
    Fault,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Report {
    NoRoom(Target, u64),
    Room,
}

#[derive(Debug)]
pub(crate) struct ReadOrder {
    pub(crate) read: duet::core::ReadId,
    pub(crate) key: duet::core::ConversationKey,
    pub(crate) after: u64,
    pub(crate) upto: u64,
    pub(crate) bytes_max: usize,
    pub(crate) latest: bool,
}

/// How one seed ended.
pub(crate) struct Outcome {
    pub(crate) figures: Figures,
    pub(crate) violation: Option<String>,
    pub(crate) trace: VecDeque<String>,
}

/// Lives one seed to its end.
pub(crate) fn run(seed: u64, case: Case, trace: bool) -> Outcome {
    let mut rng = Rng::new(seed);
    let plan = Plan::draw(&mut rng, case);
    let mut world = World::new(plan, rng, trace);
    world.live();
    world.figures.simulated_ms = world.now_ms - START_MS;
    world.figures.acknowledged = world.truth.messages.len() as u64;
    Outcome { figures: world.figures, violation: world.violation, trace: world.trace.unwrap_or_default() }
}

impl World {
    fn new(plan: Plan, mut rng: Rng, trace: bool) -> Self {
        let devices = plan.devices.iter().cloned().enumerate();
        let nodes = if plan.pair.is_some() { 2 } else { 1 };
        let devices = devices.map(|(index, plan)| Device::new(index, plan, nodes, &mut rng)).collect();
        Self {
            truth: Truth::new(plan.core.dedup_bounds()),
            plan,
            rng,
            now_ms: START_MS,
            nodes: Vec::new(),
            pair: None,
            devices,
            links: BTreeMap::new(),
            last_link: 0,
            calm: false,
            figures: Figures::default(),
            violation: None,
            queue: BTreeMap::new(),
            serial: 0,
            trace: trace.then(VecDeque::new),
        }
    }

    fn live(&mut self) {
        if self.plan.pair.is_some() {
            self.begin_pair();
        } else {
            self.nodes.push(Node::default());
            self.restart(0);
        }
        for device in 0..self.devices.len() {
            let soon = self.rng.below(1_500);
            self.later(soon, Happening::Act(device));
        }
        let soon = self.rng.between(self.plan.fault_every_ms);
        self.later(soon, Happening::Fault);
        self.run_until(START_MS + self.plan.busy_ms);
        self.settle();
    }

    /// Lets time pass; stops at a violation.
    pub(crate) fn run_until(&mut self, end_ms: u64) {
        let (mut at_ms, mut steps) = (0, 0u32);
        while self.violation.is_none() {
            let next_ms = self.next_ms().filter(|next_ms| *next_ms <= end_ms);
            let Some(next_ms) = next_ms else {
                self.now_ms = end_ms;
                return;
            };
            self.now_ms = next_ms.max(self.now_ms);
            if at_ms != self.now_ms {
                (at_ms, steps) = (self.now_ms, 0);
            }
            steps += 1;
            if steps > STEPS_AT_ONCE_MAX {
                return self.violated("something turns in circles without time passing".into());
            }
            self.step();
        }
    }

    /// Plans a happening.
    pub(crate) fn later(&mut self, in_ms: u64, happening: Happening) {
        self.at(self.now_ms + in_ms, happening);
    }

    pub(crate) fn at(&mut self, at_ms: u64, happening: Happening) {
        self.serial += 1;
        self.enqueue(at_ms, self.serial, happening);
    }

    fn enqueue(&mut self, at_ms: u64, serial: u64, happening: Happening) {
        self.queue.insert((at_ms.max(self.now_ms), serial), happening);
    }

    pub(crate) fn violated(&mut self, what: String) {
        if self.violation.is_none() {
            self.note(|| format!("VIOLATION {what}"));
            self.violation = Some(what);
        }
    }

    pub(crate) fn check(&mut self, result: Result<(), String>) {
        if let Err(what) = result {
            self.violated(what);
        }
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        let at_ms = self.now_ms - START_MS;
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_MAX {
                trace.pop_front();
            }
            let what: String = shorten(&what()).chars().take(LINE_MAX).collect();
            trace.push_back(format!("{at_ms:>7} {what}"));
        }
    }

    pub(crate) fn app(&mut self, device: usize) -> &mut App {
        &mut self.devices[device].app
    }

    fn next_ms(&self) -> Option<u64> {
        let queued = self.queue.first_key_value().map(|((at_ms, _), _)| *at_ms);
        let nodes = self.nodes.iter().filter_map(Node::next_deadline_ms);
        let devices = self.devices.iter().filter_map(Device::next_deadline_ms);
        queued.into_iter().chain(nodes).chain(devices).min()
    }

    fn step(&mut self) {
        let due = self.queue.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= self.now_ms);
        if due {
            if let Some(((_, serial), happening)) = self.queue.pop_first() {
                let paused = self.node_of(&happening).and_then(|node| self.nodes[node].paused(self.now_ms));
                match paused {
                    // Whatever waits for a process that is stopped keeps its place.
                    Some(until_ms) => self.enqueue(until_ms, serial, happening),
                    None => self.happen(happening),
                }
            }
            return;
        }
        let due =
            self.nodes.iter().position(|node| node.next_deadline_ms().is_some_and(|at| at <= self.now_ms));
        if let Some(node) = due {
            return self.tell(node, Input::Tick);
        }
        let due = self.devices.iter().position(|d| d.next_deadline_ms().is_some_and(|at| at <= self.now_ms));
        if let Some(device) = due {
            self.feed(device, duet_client::machine::Input::Tick);
        }
    }

    /// The node whose process has to do it.
    fn node_of(&self, happening: &Happening) -> Option<usize> {
        match happening {
            Happening::Up(link, ..)
            | Happening::Dialed(link)
            | Happening::ServerNotices(link)
            | Happening::Report(link, _)
            | Happening::Drain(link) => self.links.get(link).map(|link| link.node),
            Happening::Waiting(node)
            | Happening::BarrierDone(node, _)
            | Happening::ReadDone(node, ..)
            | Happening::ReadOnly(node, ..) => Some(*node),
            Happening::Pair(happening) => happening.node(),
            _ => None,
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Up(link, lane, up) => self.arrive_up(link, lane, up),
            Happening::Down(link, lane, down) => self.arrive_down(link, lane, down),
            Happening::Datagram(link, bytes) => self.arrive_datagram(link, bytes),
            Happening::Dialed(link) => self.dialed(link),
            Happening::ServerNotices(link) => self.server_notices(link),
            Happening::ClientNotices(link, code) => self.client_notices(link, code),
            Happening::Report(link, report) => self.report(link, report),
            Happening::Drain(link) => self.drain(link),
            Happening::Waiting(node) => self.take_waiting(node),
            Happening::BarrierDone(node, process) => self.barrier_done(node, process),
            Happening::ReadDone(node, process, order) => self.read_done(node, process, &order),
            Happening::Restart(node, process) if process == self.nodes[node].process => self.restart(node),
            Happening::Restart(..) => {}
            Happening::ReadOnly(node, process, on) => self.read_only(node, process, on),
            Happening::Pair(happening) => self.happen_in_pair(happening),
            Happening::Token(device, generation, result) => self.token(device, generation, result),
            Happening::Act(device) => self.act(device),
            Happening::Fault => self.fault(),
        }
    }
}

/// Lists of bytes by their first one.
fn shorten(line: &str) -> String {
    let (mut short, mut rest) = (String::new(), line);
    while let Some(at) = rest.find('[') {
        let list = &rest[at + 1..];
        let end = list.find(|c: char| !c.is_ascii_digit() && c != ',' && c != ' ').unwrap_or(list.len());
        short.push_str(&rest[..=at]);
        let keep = if end > 24 { list.find(',').unwrap_or(end) } else { end };
        short.push_str(&list[..keep]);
        rest = &list[end..];
    }
    short + rest
}

/// More steps than this within a millisecond are a livelock.
const STEPS_AT_ONCE_MAX: u32 = 200_000;
/// Lines of a trace that are kept.
const TRACE_MAX: usize = 20_000;
/// Characters of a line.
const LINE_MAX: usize = 500;

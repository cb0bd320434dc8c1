//! Two cores under test with an arbiter between them: everything is delivered at once and in order, unless a test cuts it.

use super::{
    Answer, Append, Cfg, ClusterId, ConnectionId, Core, CoreConfig, Effect, Input, Nonce, Now, PairConfig,
    PairEffect, PairFact, Question, Role, Side, State, StoreId,
    rig::{NOW_MS, identity},
};
use bytes::Bytes;
use duet_protocol::{Command, DeviceId, DisplayName, Hello, TenantName};
use std::collections::VecDeque;

/// A node of the pair under test.
pub(super) struct Member {
    pub(super) core: Option<Core>,
    pub(super) config: PairConfig,
    /// Entries on the disk.
    pub(super) log: Vec<Bytes>,
    /// What the core told clients and nobody has looked at.
    pub(super) told: Vec<Effect>,
    /// Its disk takes writes but finishes none.
    pub(super) slow: bool,
    pub(super) roles: Vec<Role>,
    written: Vec<Bytes>,
    starts: u8,
}

/// Two nodes, a link, an arbiter, one clock.
pub(super) struct Pair {
    pub(super) nodes: [Member; 2],
    pub(super) register: Option<Cfg>,
    pub(super) link: bool,
    pub(super) arbiter: bool,
    pub(super) mono_ms: u64,
    mail: VecDeque<(usize, Input)>,
}

impl Pair {
    /// Both nodes started, and a while passed: a reigns and both are in sync.
    pub(super) fn in_sync() -> Self {
        let mut pair = Self::with(|config| config);
        pair.start(0);
        pair.start(1);
        pair.pass(1_000);
        pair
    }

    pub(super) fn with(change: impl Fn(PairConfig) -> PairConfig) -> Self {
        let node = |side, store| {
            let config = PairConfig::new(side, ClusterId([9; 16]), Nonce::default(), StoreId([store; 16]));
            Member {
                core: None,
                config: change(config),
                log: Vec::new(),
                told: Vec::new(),
                slow: false,
                roles: Vec::new(),
                written: Vec::new(),
                starts: 0,
            }
        };
        Self {
            nodes: [node(Side::A, 0xa), node(Side::B, 0xb)],
            register: None,
            link: true,
            arbiter: true,
            mono_ms: 10_000,
            mail: VecDeque::new(),
        }
    }

    /// A process starts on what its disk holds.
    pub(super) fn start(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        member.starts += 1;
        let mut nonce = [0; 16];
        (nonce[0], nonce[1]) = (at as u8 + 1, member.starts);
        member.config.nonce = Nonce(nonce);
        let (config, log) = (CoreConfig::default(), member.log.clone());
        let mut core =
            Core::restore_member(config, member.config, State::default(), log).expect("a good log");
        core.join(now(self.mono_ms), &[TenantName::parse("acme").expect("a name")]);
        member.core = Some(core);
        if self.link {
            for side in 0..2 {
                self.mail.push_back((side, Input::Pair(PairFact::LinkUp)));
            }
        }
        self.settle();
    }

    /// A process dies; what its disk had not finished is lost.
    pub(super) fn kill(&mut self, at: usize) {
        self.nodes[at].core = None;
        self.nodes[at].written.clear();
        self.mail.retain(|(to, _)| *to != at);
        self.mail.push_back((1 - at, Input::Pair(PairFact::LinkDown)));
        self.settle();
    }

    /// The link between the nodes is cut, or comes back.
    pub(super) fn set_link(&mut self, up: bool) {
        self.link = up;
        for side in 0..2 {
            let fact = if up { PairFact::LinkUp } else { PairFact::LinkDown };
            self.mail.push_back((side, Input::Pair(fact)));
        }
        self.settle();
    }

    /// Time passes in steps of 20 ms.
    pub(super) fn pass(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            self.mono_ms += 20;
            for side in 0..2 {
                self.mail.push_back((side, Input::Tick));
            }
            self.settle();
        }
    }

    pub(super) fn tell(&mut self, at: usize, input: Input) {
        self.mail.push_back((at, input));
        self.settle();
    }

    /// What clients were told by a node since the last call.
    pub(super) fn take_told(&mut self, at: usize) -> Vec<Effect> {
        std::mem::take(&mut self.nodes[at].told)
    }

    pub(super) fn hello(&mut self, at: usize, connection: ConnectionId, user: &str) {
        let hello = Hello {
            versions: vec![1],
            token: None,
            resume: None,
            device: DeviceId::parse("device").expect("a name"),
            sdk: DisplayName::parse("test").expect("a name"),
            epoch_seen: 0,
            capabilities: 0,
        };
        let mut entropy = [0; 48];
        (entropy[0], entropy[1]) = (connection.0 as u8, at as u8);
        let identity = Some(identity(user, duet_protocol::hello::Role::Agent, 0));
        self.tell(at, Input::Hello { connection, identity, hello, entropy });
    }

    pub(super) fn say(&mut self, at: usize, connection: ConnectionId, lane: super::Lane, command: Command) {
        self.tell(at, Input::Command { connection, lane, command });
    }

    pub(super) fn core(&self, at: usize) -> &Core {
        self.nodes[at].core.as_ref().expect("a running node")
    }

    pub(super) fn role(&self, at: usize) -> Role {
        self.core(at).role().expect("a node of a pair")
    }

    /// Delivers until nothing is under way.
    pub(super) fn settle(&mut self) {
        for _ in 0..100_000 {
            let Some((at, input)) = self.mail.pop_front() else { return };
            let Some(core) = self.nodes[at].core.as_mut() else { continue };
            core.handle(now(self.mono_ms), input);
            while let Some(effect) = self.nodes[at].core.as_mut().and_then(Core::poll_effect) {
                self.carry_out(at, effect);
            }
        }
        panic!("the pair never comes to rest");
    }

    /// What waits for the disk of a node is finished.
    pub(super) fn finish_disk(&mut self, at: usize) {
        let member = &mut self.nodes[at];
        member.slow = false;
        member.log.append(&mut member.written);
        let upto = member.log.len() as u64;
        self.tell(at, Input::Persisted { upto });
    }

    fn carry_out(&mut self, at: usize, effect: Effect) {
        let member = &mut self.nodes[at];
        match effect {
            Effect::Append(Append { index, bytes, .. }) => {
                member.written.push(bytes);
                if !member.slow {
                    member.log.append(&mut member.written);
                    self.mail.push_back((at, Input::Persisted { upto: index }));
                }
            }
            Effect::Pair(PairEffect::Truncate { after }) => {
                member.log.truncate(after as usize);
                self.mail.push_back((at, Input::Pair(PairFact::Truncated)));
            }
            Effect::Pair(PairEffect::SaveEpoch(epoch)) => {
                member.config.max_epoch = epoch;
                self.mail.push_back((at, Input::Pair(PairFact::EpochSaved(epoch))));
            }
            Effect::Pair(PairEffect::ReadLog { from, .. }) => {
                let result = Ok(member.log.iter().skip(from as usize - 1).cloned().collect());
                self.mail.push_back((at, Input::Pair(PairFact::LogRead { from, result })));
            }
            Effect::Pair(PairEffect::Say(message)) => {
                if self.link && self.nodes[1 - at].core.is_some() {
                    self.mail.push_back((1 - at, Input::Pair(PairFact::Peer(message))));
                }
            }
            Effect::Pair(PairEffect::Ask { ask, question }) => {
                let answer = self.answer(question);
                self.mail.push_back((at, Input::Pair(PairFact::Answered { ask, answer })));
            }
            Effect::Pair(PairEffect::Role(role)) => member.roles.push(role),
            Effect::Pair(PairEffect::Restart) => {
                member.core = None;
                self.mail.retain(|(to, _)| *to != at);
                self.start(at);
            }
            effect => member.told.push(effect),
        }
    }

    fn answer(&mut self, question: Question) -> Answer {
        if !self.arbiter {
            return Answer::NotSent;
        }
        match question {
            Question::Swap(next) if self.register.map_or(0, |cfg| cfg.ver) + 1 == next.ver => {
                self.register = Some(next);
                Answer::Swapped
            }
            _ => Answer::Value(self.register),
        }
    }
}

fn now(mono_ms: u64) -> Now {
    Now { unix_ms: NOW_MS + mono_ms, mono_ms }
}

//! The arbiter: one linearizable register that is reached with delay, loses questions and answers, and is away for a while.
//! Without an arbiter each node has a register of its own on its disk.

use crate::{
    pair::PairHappening,
    world::{Happening, World},
};
use duet::core::{Answer, AskId, Cfg, PairFact, Question};

#[derive(Debug, Default)]
pub(crate) struct Arbiter {
    pub(crate) register: Option<Cfg>,
    pub(crate) down_until_ms: u64,
    /// Whether whoever asks meanwhile is told at once that nobody is there.
    pub(crate) refuses: bool,
    /// Questions and answers take as long as they like until then.
    pub(crate) sluggish_until_ms: u64,
    /// Each node cannot reach it until then.
    pub(crate) cut_until_ms: [u64; 2],
    /// Swaps on their way.
    pub(crate) swaps_in_flight: u32,
    /// The questions of each node that have no answer yet.
    open: Vec<(usize, u32, AskId)>,
    /// Those that were given up: an answer may yet come.
    given_up: Vec<(usize, u32, AskId)>,
}

impl World {
    pub(crate) fn ask(&mut self, node: usize, ask: AskId, question: Question) {
        self.note(|| format!("node {node} asks {ask:?} {question:?}"));
        let process = self.nodes[node].process;
        if !self.pair_plan().automatic {
            let in_ms = self.rng.between(self.plan.commit_ms);
            return self.later(in_ms, Happening::Pair(PairHappening::Asked(node, process, ask, question)));
        }
        let plan = self.pair_plan();
        let (range, loss) = (plan.arbiter_ms, if self.calm { 0 } else { plan.arbiter_loss });
        let now_ms = self.now_ms;
        let arbiter = &mut self.pair_mut().arbiter;
        if now_ms < arbiter.down_until_ms && arbiter.refuses {
            let refused = PairHappening::Answered(node, process, ask, Answer::NotSent);
            self.pair_mut().arbiter.open.push((node, process, ask));
            return self.later(5, Happening::Pair(refused));
        }
        arbiter.open.push((node, process, ask));
        let cut = now_ms < arbiter.cut_until_ms[node];
        if !cut && !self.rng.chance(loss) {
            let mut in_ms = self.rng.between(range);
            if !self.calm && self.rng.chance(loss / 4) {
                // A question may come long after everybody has given it up.
                in_ms += self.rng.between((500, 4_000));
            }
            in_ms += self.sluggish_ms();
            self.pair_mut().arbiter.swaps_in_flight += u32::from(matches!(question, Question::Swap(_)));
            self.later(in_ms, Happening::Pair(PairHappening::Asked(node, process, ask, question)));
        }
        let late = PairHappening::Answered(node, process, ask, Answer::Unknown);
        self.later(ANSWER_MS_MAX, Happening::Pair(late));
    }

    /// How much longer something takes now on its way to the arbiter or back.
    fn sluggish_ms(&mut self) -> u64 {
        let sluggish = self.now_ms < self.pair_mut().arbiter.sluggish_until_ms;
        if sluggish && self.rng.chance(700) { self.rng.between((0, 3_500)) } else { 0 }
    }

    /// A question reaches the register.
    pub(crate) fn asked(&mut self, node: usize, process: u32, ask: AskId, question: Question) {
        if !self.pair_plan().automatic {
            return self.asked_alone(node, process, ask, question);
        }
        let now_ms = self.now_ms;
        let arbiter = &mut self.pair_mut().arbiter;
        arbiter.swaps_in_flight -= u32::from(matches!(question, Question::Swap(_)));
        if now_ms < arbiter.down_until_ms {
            return;
        }
        let (value, answer) = decide(arbiter.register, question);
        let old = std::mem::replace(&mut arbiter.register, value);
        let cut = now_ms < arbiter.cut_until_ms[node];
        if answer == Answer::Swapped {
            self.note(|| format!("the register is {value:?}"));
            self.check_members();
            self.ambush();
            self.usurp(old, value);
        }
        let plan = self.pair_plan();
        let (range, loss) = (plan.arbiter_ms, if self.calm { 0 } else { plan.arbiter_loss });
        if !cut && !self.rng.chance(loss) {
            let in_ms = self.rng.between(range) + self.sluggish_ms();
            self.later(in_ms, Happening::Pair(PairHappening::Answered(node, process, ask, answer)));
        }
    }

    /// The first answer counts, whatever it says; if it says that nobody knows, another may come later.
    pub(crate) fn answered(&mut self, node: usize, process: u32, ask: AskId, answer: Answer) {
        let this = (node, process, ask);
        let late = self.pair_plan().late_answers;
        let Arbiter { open, given_up, .. } = &mut self.pair_mut().arbiter;
        if let Some(at) = open.iter().position(|open| *open == this) {
            open.swap_remove(at);
            if answer == Answer::Unknown && late {
                given_up.push(this);
            }
        } else if let Some(at) = given_up.iter().position(|open| *open == this) {
            given_up.swap_remove(at);
        } else {
            return;
        }
        self.note(|| format!("node {node} is answered {ask:?} {answer:?}"));
        self.tell_process(node, process, PairFact::Answered { ask, answer });
    }

    /// Without an arbiter: the node's own register.
    fn asked_alone(&mut self, node: usize, process: u32, ask: AskId, question: Question) {
        if self.nodes[node].process != process {
            return;
        }
        let (value, answer) = decide(self.nodes[node].disk.register, question);
        self.nodes[node].disk.register = value;
        if answer == Answer::Swapped {
            self.note(|| format!("the register of {node} is {value:?}"));
            // What an operator forces is looked at when the node reigns.
            if self.pair_mut().operator.promoting.is_none() {
                self.check_members();
            }
        }
        self.pair_mut().arbiter.open.push((node, process, ask));
        self.answered(node, process, ask, answer);
    }

    /// Without an arbiter: what the peer knows is newer.
    pub(crate) fn adopt(&mut self, node: usize, cfg: Cfg) {
        self.note(|| format!("node {node} adopts {cfg:?}"));
        let register = &mut self.nodes[node].disk.register;
        if register.is_none_or(|own| (own.epoch, own.ver) < (cfg.epoch, cfg.ver)) {
            *register = Some(cfg);
        }
    }

    /// The value that decides who holds every acknowledged entry.
    pub(crate) fn newest_cfg(&self) -> Option<Cfg> {
        let pair = self.pair.as_ref()?;
        if self.pair_plan().automatic {
            return pair.arbiter.register;
        }
        let own = self.nodes.iter().filter_map(|node| node.disk.register);
        own.max_by_key(|cfg| (cfg.epoch, cfg.ver))
    }
}

fn decide(register: Option<Cfg>, question: Question) -> (Option<Cfg>, Answer) {
    match question {
        Question::Read => (register, Answer::Value(register)),
        Question::Swap(next) if next.ver == register.map_or(0, |cfg| cfg.ver) + 1 => {
            (Some(next), Answer::Swapped)
        }
        Question::Swap(_) => (register, Answer::Value(register)),
    }
}

/// A question that has no answer by then has none.
const ANSWER_MS_MAX: u64 = 1_000;

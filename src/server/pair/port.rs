//! The driver's way to everything about the pair: carries out what the core wants and keeps what is under way.

use super::{
    Aside, Line, Reply,
    asker::{Ask, Asks},
    snapshot::Courier,
    status::Board,
};
use crate::{
    core::{Answer, OrderRefused, PairEffect, PairFact, PairOrder, Role},
    peer::SendRefused,
    server::queues::{Job, ReadJob},
};
use std::collections::BTreeMap;

/// What the driver has of its pair.
pub(in crate::server) struct Port {
    line: Option<Line>,
    asks: Asks,
    courier: Courier,
    board: Board,
    /// Operators who wait. Bounded: the core carries out one order at a time and refuses the rest at once.
    replies: BTreeMap<u64, Reply>,
    next_request: u64,
    /// Whether the store remembers that this node may acknowledge alone; unknown after a start.
    alone: Option<bool>,
}

/// What the driver has to do for an effect.
#[derive(Debug)]
pub(in crate::server) enum Todo {
    /// Hand it to the store thread.
    Job(Job),
    /// Hand it to a reader.
    Read(ReadJob),
    /// Tell the core.
    Tell(PairFact),
    /// Begin anew as a process.
    Again(Aside),
}

impl Port {
    pub(super) fn new(asks: Asks, courier: Courier, board: Board) -> Self {
        Self { line: None, asks, courier, board, replies: BTreeMap::new(), next_request: 0, alone: None }
    }

    /// The link to the peer is up.
    pub(in crate::server) fn link_up(&mut self, line: Line) -> PairFact {
        self.line = Some(line);
        self.board.link(true);
        PairFact::LinkUp
    }

    /// It is gone.
    pub(in crate::server) fn link_down(&mut self) -> PairFact {
        self.line = None;
        self.board.link(false);
        PairFact::LinkDown
    }

    /// The arbiter answered a question, or did not.
    pub(in crate::server) fn answered(&self, answer: Answer) {
        self.board.arbiter(!matches!(answer, Answer::Unknown | Answer::NotSent));
    }

    /// An operator's order on its way to the core.
    pub(in crate::server) fn order(&mut self, order: PairOrder, reply: Reply) -> PairFact {
        let request = self.next_request;
        self.next_request += 1;
        self.replies.insert(request, reply);
        PairFact::Operator { request, order }
    }

    /// What the board shows besides the role.
    pub(in crate::server) fn report(&mut self, core: &crate::core::Core) {
        let statistics = self.line.as_ref().map(|line| line.sender.statistics());
        self.board.report(core, statistics);
    }

    /// Carries out what the core wants, as far as it can be done here.
    pub(in crate::server) fn carry_out(&mut self, effect: PairEffect) -> Option<Todo> {
        match effect {
            PairEffect::Say(message) => {
                let sent = self.line.as_ref().map(|line| line.sender.send(&message));
                // Something of the stream is lost: it begins again where the peer stands.
                if let Some(Err(SendRefused::Full(_) | SendRefused::Frame(_))) = sent {
                    tracing::warn!("the link to the peer has no room");
                    return Some(Todo::Tell(PairFact::LinkUp));
                }
                None
            }
            PairEffect::Ask { ask, question } => {
                let asked = self.asks.try_send(Ask::Question(ask, question));
                asked.is_err().then_some(Todo::Tell(PairFact::Answered { ask, answer: Answer::NotSent }))
            }
            PairEffect::Adopt(cfg) => {
                if self.asks.try_send(Ask::Adopt(cfg)).is_err() {
                    tracing::error!("the register on this node could not take the peer's newer value");
                }
                None
            }
            PairEffect::Truncate { after } => {
                tracing::info!(after, "taking back what the primary does not have");
                Some(Todo::Job(Job::Truncate { after }))
            }
            PairEffect::SaveEpoch(epoch) => Some(Todo::Job(Job::SaveEpoch(epoch))),
            PairEffect::ReadLog { from, bytes_max } => Some(Todo::Read(ReadJob::Log { from, bytes_max })),
            PairEffect::SendSnapshot => {
                let begun = self.line.as_ref().is_some_and(|line| self.courier.send(line.files.clone()));
                (!begun).then_some(Todo::Tell(PairFact::SnapshotDone(false)))
            }
            PairEffect::Resync { fork } => Some(Todo::Again(Aside::Store { fork })),
            PairEffect::Restart => Some(Todo::Again(Aside::Nothing)),
            PairEffect::Role(role) => {
                self.board.role(role);
                let alone = match role {
                    Role::Primary { in_sync, .. } => Some(!in_sync),
                    Role::Standby { in_sync: true, .. } => Some(false),
                    Role::Standby { in_sync: false, .. } | Role::Joining => None,
                };
                match role {
                    Role::Standby { in_sync: true, .. } => self.courier.forget_old_store(),
                    Role::Primary { in_sync: true, .. } => self.courier.release_log(),
                    _ => {}
                }
                let changed = alone.is_some() && alone != self.alone;
                self.alone = alone.or(self.alone);
                alone.filter(|_| changed).map(|alone| Todo::Job(Job::Alone(alone)))
            }
            PairEffect::SteppedDown => {
                tracing::info!("stepped down with everything acknowledged");
                None
            }
            PairEffect::Told { request, result } => {
                self.answer(request, result);
                None
            }
        }
    }

    fn answer(&mut self, request: u64, result: Result<(), OrderRefused>) {
        if let Some(reply) = self.replies.remove(&request) {
            // An operator who has gone away needs no answer.
            let _ = reply.send(result.map_err(Into::into));
        }
    }
}

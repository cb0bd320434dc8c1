//! The driver's way to everything about the pair: carries out what the core wants and keeps what is under way.

use super::{
    Aside, Line, Reply,
    asker::{Ask, Asks},
    snapshot::Courier,
    status::Board,
};
use crate::{
    core::{Answer, OrderRefused, PairEffect, PairFact, PairOrder, Role},
    peer::{Lane, SendRefused, frame::lane},
    server::queues::{Job, ReadJob},
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

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
    /// When the log said last that the link took no message.
    said: Option<Instant>,
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
        let (line, replies, next_request) = (None, BTreeMap::new(), 0);
        Self { line, asks, courier, board, replies, next_request, alone: None, said: None }
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
                let refused = self.line.as_ref().and_then(|line| line.sender.send(&message).err())?;
                self.say(&refused);
                breaks_the_stream(lane(&message), &refused).then_some(Todo::Tell(PairFact::LinkUp))
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

    /// Logs why the link took a message not, once a second at most.
    fn say(&mut self, refused: &SendRefused) {
        let now = Instant::now();
        if self.said.is_none_or(|said| now.saturating_duration_since(said) >= Duration::from_secs(1)) {
            self.said = Some(now);
            tracing::warn!(%refused, "the link did not take a message for the peer");
        }
    }

    fn answer(&mut self, request: u64, result: Result<(), OrderRefused>) {
        if let Some(reply) = self.replies.remove(&request) {
            // An operator who has gone away needs no answer.
            let _ = reply.send(result.map_err(Into::into));
        }
    }
}

/// Whether entries are missing now, so that the stream has to begin again where the peer stands. What belongs to no stream is
/// said again by itself: to answer its loss with more of it would never end.
fn breaks_the_stream(lane: Lane, refused: &SendRefused) -> bool {
    lane == Lane::Log && !matches!(refused, SendRefused::Ended(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::LinkEnded;

    #[test]
    fn only_what_is_missing_in_the_stream_makes_it_begin_again() {
        assert!(breaks_the_stream(Lane::Log, &SendRefused::Full(Lane::Log)));
        assert!(
            !breaks_the_stream(Lane::Pulse, &SendRefused::Full(Lane::Pulse)),
            "the next heartbeat comes anyway"
        );
        assert!(
            !breaks_the_stream(Lane::Log, &SendRefused::Ended(LinkEnded::BrokenOff)),
            "the next link begins it"
        );
    }
}

//! The driver of a node of a pair: what link, operator and disk say goes to the core, what the core wants to the port.

use super::{Drain, Driver};
use crate::{
    admin::pair::Refused,
    core::{Input, LogGone, PairFact, PairOrder, Role},
    server::{
        pair::{Aside, Port, Reply, Todo},
        queues::{Job, ReadJob},
    },
};
use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

impl Driver {
    /// This standby is to take everything from the primary anew.
    pub(super) fn rejoin(&mut self, reply: Reply) {
        let follows = matches!(self.core.role(), Some(Role::Standby { .. }));
        if follows {
            self.again = Some(Aside::Store { fork: None });
        }
        // An operator who has gone away needs no answer.
        let _ = reply.send(if follows { Ok(()) } else { Err(Refused::NotStandby) });
    }

    pub(super) fn about_pair(&mut self, what: impl FnOnce(&mut Port) -> PairFact) {
        if let Some(port) = &mut self.port {
            let fact = what(port);
            self.handle(Input::Pair(fact));
        }
    }

    /// A primary that stops lets its peer go on, if that has everything: nobody's message waits for a failover.
    pub(super) fn hand_over(&mut self) {
        if matches!(self.core.role(), Some(Role::Primary { in_sync: true, .. })) {
            let (reply, _) = oneshot::channel();
            self.about_pair(|port| port.order(PairOrder::Switchover, reply));
        }
    }

    /// Whether the peer knows that this process stops, so that it does not wait for it: told when this node reigns no more.
    pub(super) fn has_left(&mut self, drain: &mut Drain, now: Instant) -> bool {
        if self.port.is_none() {
            return true;
        }
        let left = *drain.left.get_or_insert_with(|| {
            self.handle(Input::Pair(PairFact::Stopping));
            now
        });
        now >= left + LAST_WORD
    }

    /// A barrier that takes too long on a node of a pair is a reason to hand over.
    pub(super) fn watch_disk(&mut self) {
        if self.port.is_some() && self.progress.stuck_for() > DISK_STUCK_AFTER {
            self.progress.look_again();
            tracing::error!("the disk has not finished a write for {} s", DISK_STUCK_AFTER.as_secs());
            self.handle(Input::Pair(PairFact::DiskStuck));
        }
    }

    pub(super) fn do_for_pair(&mut self, todo: Option<Todo>, next: &mut VecDeque<Input>) {
        match todo {
            Some(Todo::Job(job)) => {
                if let Job::Truncate { after } = job {
                    self.progress.truncated(after);
                }
                self.backlog.push_back(job);
            }
            Some(Todo::Read(ReadJob::Log { from, bytes_max })) => {
                if self.read(from, ReadJob::Log { from, bytes_max }).is_err() {
                    let result = Err(LogGone::Failed);
                    next.push_back(Input::Pair(PairFact::LogRead { from, result }));
                }
            }
            Some(Todo::Read(ReadJob::Events(_))) | None => {}
            Some(Todo::Tell(fact)) => next.push_back(Input::Pair(fact)),
            Some(Todo::Again(aside)) => self.again = Some(aside),
        }
    }
}

/// How long the last word to the peer may take until it is out.
const LAST_WORD: Duration = Duration::from_millis(50);

/// A disk that takes longer for one group is stuck.
const DISK_STUCK_AFTER: Duration = Duration::from_secs(3);

//! Calls that wait for their answer, and wishes that hold for every connection. Pure bookkeeping.

use super::{
    call::{Call, RequestId},
    input::LaneId,
};
use duet_protocol::{ConversationId, UserId, delivery::Availability, ids::Label};
use std::collections::BTreeMap;

/// The table.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: u32,
    pending: BTreeMap<RequestId, Pending>,
    authentication: Option<u32>,
    pub(crate) standing: Standing,
}

/// One call.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) call: Call,
    pub(crate) asker: Asker,
    pub(crate) stage: Stage,
}

/// Who wants the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Application,
    /// The machine itself, to restore what the application once asked for.
    Machine,
}

/// How far a call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Not sent on the present connection.
    Waiting,
    /// Refused because the token had ended; waits for a fresh one.
    Blocked,
    /// Sent on the control lane.
    Sent,
    /// Sent on a lane of its own.
    OnLane(LaneId),
}

/// What was once asked for and holds for every connection.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) availability: Option<Availability>,
    pub(crate) presence: Option<Vec<UserId>>,
    pub(crate) inbox: bool,
    pub(crate) serves: Option<Vec<Label>>,
}

/// Most calls without an answer. Full: the new one is refused.
pub(crate) const REQUESTS_MAX: usize = 1_000;

impl Requests {
    pub(crate) fn next_id(&mut self) -> RequestId {
        self.last = self.last.wrapping_add(1).max(1);
        RequestId(self.last)
    }

    /// `false` when there are too many.
    pub(crate) fn insert(&mut self, request: RequestId, call: Call, asker: Asker) -> bool {
        let room = self.pending.len() < REQUESTS_MAX;
        if room {
            self.pending.insert(request, Pending { call, asker, stage: Stage::Waiting });
        }
        room
    }

    pub(crate) fn remove(&mut self, request: RequestId) -> Option<Pending> {
        self.pending.remove(&request)
    }

    pub(crate) fn get(&self, request: RequestId) -> Option<&Pending> {
        self.pending.get(&request)
    }

    pub(crate) fn get_mut(&mut self, request: RequestId) -> Option<&mut Pending> {
        self.pending.get_mut(&request)
    }

    /// Those at a stage, in the order in which they were asked.
    pub(crate) fn at(&self, stage: impl Fn(Stage) -> bool) -> Vec<RequestId> {
        let at = self.pending.iter().filter(|(_, pending)| stage(pending.stage));
        at.map(|(request, _)| *request).collect()
    }

    pub(crate) fn is_creating(&self, id: ConversationId) -> bool {
        self.pending.values().any(|pending| {
            matches!(pending.call, Call::CreateConversation { conversation, .. } if conversation == id)
        })
    }

    /// What a call that failed asked for, if it holds for every connection and still does: it must be asked again.
    /// When there is no hope of it (`again` is false), it is wished for no longer.
    pub(crate) fn remove_wish(&mut self, request: RequestId, again: bool) -> Option<Call> {
        let call = &self.pending.get(&request)?.call;
        let standing = &mut self.standing;
        let holds = match call {
            Call::SetAvailability(choice) => standing.availability == Some(*choice),
            Call::WatchPresence(users) => standing.presence.as_ref() == Some(users),
            Call::WatchInbox(on) => *on && standing.inbox,
            Call::Serve(methods) => standing.serves.as_ref() == Some(methods),
            _ => false,
        };
        if holds && !again {
            match call {
                Call::SetAvailability(_) => standing.availability = None,
                Call::WatchPresence(_) => standing.presence = None,
                Call::Serve(_) => standing.serves = None,
                _ => standing.inbox = false,
            }
        }
        (holds && again).then(|| call.clone())
    }

    /// Whether an earlier request to end the inbox has not been answered: what is told of it still is of the old one.
    pub(crate) fn is_ending_inbox(&self, before: RequestId) -> bool {
        let earlier = self.pending.range(..before);
        earlier.into_iter().any(|(_, pending)| matches!(pending.call, Call::WatchInbox(false)))
    }

    /// Whether a call of this kind is under way, so that it need not be said again.
    pub(crate) fn has(&self, kind: impl Fn(&Call) -> bool) -> bool {
        self.pending.values().any(|pending| kind(&pending.call))
    }

    pub(crate) fn begin_authentication(&mut self) -> u32 {
        let RequestId(request) = self.next_id();
        self.authentication = Some(request);
        request
    }

    pub(crate) fn is_authenticating(&self) -> bool {
        self.authentication.is_some()
    }

    /// The connection is gone, and the answer with it.
    pub(crate) fn forget_authentication(&mut self) {
        self.authentication = None;
    }

    /// Whether the answer `request` is to the last `Authenticate`; it is answered then.
    pub(crate) fn take_authentication(&mut self, request: u32) -> bool {
        let asked = self.authentication == Some(request);
        if asked {
            self.authentication = None;
        }
        asked
    }
}

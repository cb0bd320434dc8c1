//! One conversation as the client knows it: where it stands in the log, who has received and read what, which own
//! messages still change their status, who types. Knows nothing of connections, lanes or queues.

use super::{
    event::MessageStatus,
    fold::Changes,
    input::{From, LaneId},
};
use duet_protocol::{ClientMessageId, Position, UserId, delivery::Member, delivery::Status};
use std::collections::BTreeMap;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// How the application wants to see it; `None` when it is open for the outbox only.
    pub(crate) shown: Option<From>,
    /// Up to where the application was told.
    pub(crate) position: Option<Position>,
    pub(crate) lane: Lane,
    /// Openings since the last one that went well.
    pub(crate) tries: u32,
    pub(crate) status: Option<Status>,
    /// The last event when the lane was opened: what comes up to it is history, and `status` knows it already.
    pub(crate) head: u64,
    /// Of the other members.
    marks: BTreeMap<UserId, Marks>,
    /// Own messages that were shown and can still come further, by seq.
    own: BTreeMap<u64, Own>,
    pub(crate) receipts: Receipts,
    /// When the own typing was last announced.
    pub(crate) typing_at_ms: Option<u64>,
    typists: BTreeMap<UserId, Typist>,
    /// What became of messages.
    pub(crate) changes: Changes,
}

/// Whether the subscription has a lane, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// None: offline, no room, or about to be opened.
    Closed,
    /// None until a timer ends.
    Waiting,
    /// `Open` was sent.
    Opening(LaneId),
    /// The backlog is arriving.
    Backlog(LaneId),
    /// What arrives is new.
    Live(LaneId),
}

impl Lane {
    pub(crate) fn id(self) -> Option<LaneId> {
        match self {
            Self::Opening(lane) | Self::Backlog(lane) | Self::Live(lane) => Some(lane),
            Self::Closed | Self::Waiting => None,
        }
    }

    /// The lane, once the server has confirmed it.
    pub(crate) fn standing(self) -> Option<LaneId> {
        match self {
            Self::Backlog(lane) | Self::Live(lane) => Some(lane),
            _ => None,
        }
    }
}

/// Watermarks of one member.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    pub(crate) received: u64,
    pub(crate) read: u64,
}

/// The own watermarks.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// Up to where the user has read.
    pub(crate) read: u64,
    /// The last event of somebody else that arrived.
    pub(crate) received: u64,
    /// What the server knows.
    pub(crate) told: Marks,
    /// When it was told last.
    pub(crate) sent_at_ms: Option<u64>,
}

/// An own message in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Own {
    pub(crate) id: ClientMessageId,
    pub(crate) status: MessageStatus,
}

#[derive(Debug)]
struct Typist {
    version: u64,
    active: bool,
}

/// What an event's seq means here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    Next,
    /// Shown before.
    Duplicate,
    /// At least one is missing before it.
    Gap,
}

/// Own messages whose status is followed; beyond it the oldest keep the status they have.
const OWN_MAX: usize = 1_000;
/// Members whose watermarks and typing are followed; beyond it new ones are not.
const MEMBERS_MAX: usize = 1_000;

impl Conversation {
    pub(crate) fn new(shown: Option<From>) -> Self {
        Self {
            shown,
            position: match shown {
                Some(From::After(position)) => Some(position),
                _ => None,
            },
            lane: Lane::Closed,
            tries: 0,
            status: None,
            head: 0,
            marks: BTreeMap::new(),
            own: BTreeMap::new(),
            receipts: Receipts::default(),
            typing_at_ms: None,
            typists: BTreeMap::new(),
            changes: Changes::default(),
        }
    }

    /// Judges an event and, when it is the next one, moves the position onto it.
    pub(crate) fn advance(&mut self, seq: u64, epoch: u64) -> Verdict {
        let Some(position) = &mut self.position else { return Verdict::Gap };
        if seq <= position.seq {
            return Verdict::Duplicate;
        }
        if seq != position.seq + 1 {
            return Verdict::Gap;
        }
        *position = Position { epoch: position.epoch.max(epoch), seq };
        Verdict::Next
    }

    /// Begins at `position`. Own messages that were settled before stay known, so that their entries are not told again.
    pub(crate) fn start(&mut self, position: Position) {
        self.position = Some(position);
        self.receipts.received = 0;
    }

    /// Begins anew at `position`: nothing of what was shown counts any more.
    pub(crate) fn restart(&mut self, position: Position) {
        self.own.clear();
        self.changes = Changes::default();
        self.start(position);
    }

    /// Takes the members' watermarks from a snapshot. Those of `me` become what the server knows.
    pub(crate) fn set_members(&mut self, members: &[Member], me: Option<&UserId>) {
        self.marks.clear();
        self.receipts.told = Marks::default();
        for member in members.iter().take(MEMBERS_MAX) {
            let marks = Marks { received: member.received, read: member.read };
            if Some(&member.user) == me {
                self.receipts.told = marks;
                self.receipts.read = self.receipts.read.max(marks.read);
            } else {
                self.marks.insert(member.user.clone(), marks);
            }
        }
    }

    /// A member's watermarks moved; `false` when that is no news.
    pub(crate) fn set_marks(&mut self, user: &UserId, marks: Marks) -> bool {
        if self.marks.len() >= MEMBERS_MAX && !self.marks.contains_key(user) {
            return true;
        }
        let known = self.marks.entry(user.clone()).or_default();
        let new = Marks { received: known.received.max(marks.received), read: known.read.max(marks.read) };
        std::mem::replace(known, new) != new
    }

    pub(crate) fn member_left(&mut self, user: &UserId) {
        self.marks.remove(user);
    }

    /// A member is known by another id from now on, who may be a member already.
    pub(crate) fn member_identified(&mut self, before: &UserId, user: &UserId) {
        if let Some(marks) = self.marks.remove(before) {
            self.set_marks(user, marks);
        }
    }

    /// An own message has a place in the log. Gives back the status it has at once.
    pub(crate) fn own_stored(
        &mut self,
        seq: u64,
        id: ClientMessageId,
        status: MessageStatus,
    ) -> MessageStatus {
        let status = self.status_at(seq).max(status);
        if status < MessageStatus::Read || self.is_ahead(seq) {
            self.own.insert(seq, Own { id, status });
            if self.own.len() > OWN_MAX {
                self.own.pop_first();
            }
        }
        status
    }

    /// The own message at `seq`, if it is still followed.
    pub(crate) fn own_at(&self, seq: u64) -> Option<Own> {
        self.own.get(&seq).copied()
    }

    /// Own messages that came further because others' watermarks moved, with their seq.
    pub(crate) fn own_progress(&mut self) -> Vec<(u64, Own)> {
        let (received, read) = self.highest_marks();
        let mut moved = Vec::new();
        for (seq, own) in self.own.range_mut(..=received.max(read)) {
            let status = reached(*seq, received, read).max(own.status);
            if status != own.status {
                own.status = status;
                moved.push((*seq, *own));
            }
        }
        let passed = self.position.map_or(0, |position| position.seq);
        self.own.retain(|seq, own| own.status < MessageStatus::Read || *seq > passed);
        moved
    }

    /// Whether the event at `seq` has yet to come. An own message can be answered, and even read, before its event
    /// arrives behind a backlog: it must be known then, or it would be shown a second time.
    fn is_ahead(&self, seq: u64) -> bool {
        self.position.is_none_or(|position| seq > position.seq)
    }

    /// The watermarks that the server should hear of, if any.
    pub(crate) fn due_receipt(&self) -> Option<Marks> {
        let seq = self.position?.seq;
        let due = Marks {
            received: self.receipts.received.max(self.receipts.read).min(seq),
            read: self.receipts.read.min(seq),
        };
        let told = self.receipts.told;
        (due.received > told.received || due.read > told.read)
            .then_some(Marks { received: due.received.max(told.received), read: due.read.max(told.read) })
    }

    /// Somebody's typing; `Some(active)` when that changes what is shown.
    pub(crate) fn typing(&mut self, user: &UserId, version: u64, active: bool) -> Option<bool> {
        if let Some(typist) = self.typists.get_mut(user) {
            if version <= typist.version {
                return None;
            }
            let changed = typist.active != active;
            *typist = Typist { version, active };
            return changed.then_some(active);
        }
        if self.typists.len() < MEMBERS_MAX {
            self.typists.insert(user.clone(), Typist { version, active });
        }
        active.then_some(true)
    }

    /// Whether a later state of this typist is known.
    pub(crate) fn is_stale_typing(&self, user: &UserId, version: u64) -> bool {
        self.typists.get(user).is_some_and(|typist| version <= typist.version)
    }

    /// Somebody's typing ended by time or by what they said; whether it was shown.
    pub(crate) fn typing_over(&mut self, user: &UserId) -> bool {
        self.typists.get_mut(user).is_some_and(|typist| std::mem::take(&mut typist.active))
    }

    /// The connection is gone: what is shown stays for its time, and versions count anew on the next one.
    pub(crate) fn new_typing_versions(&mut self) {
        self.typists.retain(|_, typist| typist.active);
        for typist in self.typists.values_mut() {
            typist.version = 0;
        }
        self.typing_at_ms = None;
    }

    /// The lane or the connection is gone: versions count anew on the next one. Gives back who was shown typing.
    pub(crate) fn forget_typists(&mut self) -> Vec<UserId> {
        let typists = std::mem::take(&mut self.typists);
        typists.into_iter().filter(|(_, typist)| typist.active).map(|(user, _)| user).collect()
    }

    fn status_at(&self, seq: u64) -> MessageStatus {
        let (received, read) = self.highest_marks();
        reached(seq, received, read)
    }

    fn highest_marks(&self) -> (u64, u64) {
        self.marks
            .values()
            .fold((0, 0), |(received, read), marks| (received.max(marks.received), read.max(marks.read)))
    }
}

fn reached(seq: u64, received: u64, read: u64) -> MessageStatus {
    if seq <= read {
        MessageStatus::Read
    } else if seq <= received {
        MessageStatus::Delivered
    } else {
        MessageStatus::Accepted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::parse(name).unwrap()
    }

    #[test]
    fn the_position_moves_by_one_and_never_back() {
        let mut conversation = Conversation::new(Some(From::After(Position { epoch: 3, seq: 5 })));
        let verdicts = [5, 7, 6, 6, 7].map(|seq| conversation.advance(seq, 2));
        use Verdict::{Duplicate, Gap, Next};
        assert_eq!(verdicts, [Duplicate, Gap, Next, Duplicate, Next]);
        assert_eq!(conversation.position, Some(Position { epoch: 3, seq: 7 }));
    }

    #[test]
    fn an_own_message_comes_further_with_the_fastest_other_member_and_never_back() {
        let mut conversation = Conversation::new(Some(From::Default));
        let id = ClientMessageId([1; 16]);
        assert_eq!(conversation.own_stored(4, id, MessageStatus::Mirrored), MessageStatus::Mirrored);
        assert!(conversation.set_marks(&user("bo"), Marks { received: 4, read: 0 }));
        assert_eq!(conversation.own_progress(), [(4, Own { id, status: MessageStatus::Delivered })]);
        assert!(!conversation.set_marks(&user("bo"), Marks { received: 3, read: 0 }));
        assert!(conversation.set_marks(&user("cy"), Marks { received: 0, read: 9 }));
        assert_eq!(conversation.own_progress(), [(4, Own { id, status: MessageStatus::Read })]);
        assert_eq!(conversation.own_progress(), []);
        assert_eq!(conversation.own_stored(9, id, MessageStatus::Accepted), MessageStatus::Read);
    }

    #[test]
    fn an_own_message_that_was_settled_before_its_entry_came_stays_known_until_it_comes() {
        let mut conversation = Conversation::new(Some(From::Default));
        let id = ClientMessageId([1; 16]);
        conversation.own_stored(4, id, MessageStatus::Accepted);
        conversation.start(Position { epoch: 1, seq: 2 });
        assert!(conversation.own_at(4).is_some(), "the first opening forgets nothing");
        conversation.set_marks(&user("bo"), Marks { received: 9, read: 9 });
        assert_eq!(conversation.own_progress(), [(4, Own { id, status: MessageStatus::Read })]);
        assert!(conversation.own_at(4).is_some(), "read by others before its own entry came");
        assert_eq!(conversation.own_stored(3, id, MessageStatus::Accepted), MessageStatus::Read);
        assert!(conversation.own_at(3).is_some());
        conversation.restart(Position { epoch: 1, seq: 2 });
        assert!(conversation.own_at(4).is_none(), "a discontinuity forgets everything");
    }

    #[test]
    fn stale_typing_is_not_shown() {
        let mut conversation = Conversation::new(Some(From::Default));
        let states = [(2, true), (1, false), (3, true), (4, false), (4, true)];
        let shown = states.map(|(version, active)| conversation.typing(&user("bo"), version, active));
        assert_eq!(shown, [Some(true), None, None, Some(false), None]);
    }

    #[test]
    fn an_own_message_that_was_read_before_its_event_came_is_known_until_the_event_came() {
        let mut conversation = Conversation::new(Some(From::Default));
        conversation.restart(Position { epoch: 1, seq: 4 });
        let id = ClientMessageId([7; 16]);
        assert_eq!(conversation.own_stored(5, id, MessageStatus::Read), MessageStatus::Read);
        conversation.own_progress();
        assert!(conversation.own_at(5).is_some(), "its event is still behind the backlog");
        assert_eq!(conversation.advance(5, 1), Verdict::Next);
        conversation.own_progress();
        assert!(conversation.own_at(5).is_none(), "nothing more can become of it");
    }
}

//! The inboxes of large groups: told of changes in a walk over the members, a piece at a time, and seldom.
//!
//! ```text
//!  a change ──► wait EVERY_MS ──► STEP members ──► PAUSE_MS ──► STEP members ──► … ──► all told
//!                   ▲                                                                   │ changed meanwhile
//!                   └───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! So ten thousand members cost what they are told and no more, however fast messages come, and no single step is long.

use super::{
    Core,
    inbox::entry,
    input::Lane,
    record::{ConversationKey, UserKey},
    timers::Timer,
};
use duet_protocol::{Delivery, UserId};
use std::{collections::btree_map::Entry, ops::Bound};

/// How far a walk has come.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// The last member that was told.
    after: Option<UserId>,
    /// The conversation's last event when the walk began.
    seq: u64,
}

impl Core {
    /// A large group changed: its members' lists are told soon.
    pub(super) fn plan_lists(&mut self, key: ConversationKey) {
        if let Entry::Vacant(place) = self.lists.entry(key) {
            place.insert(Walk { after: None, seq: 0 });
            self.timers.set(self.state.tip.at_ms + EVERY_MS, Timer::Lists(key));
        }
    }

    /// The next piece of a walk.
    pub(super) fn tell_members(&mut self, now_ms: u64, key: ConversationKey) {
        let Some(mut walk) = self.lists.remove(&key) else { return };
        let Some(conversation) = self.state.conversations.get(&key) else { return };
        let (index, head) = (conversation.head.index, conversation.head.seq);
        let from = walk.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        if walk.after.is_none() {
            walk.seq = head;
        }
        let (mut told, mut walked) = (Vec::new(), 0);
        for user in conversation.members.range((from, Bound::Unbounded)).map(|(user, _)| user).take(STEP) {
            let user_key = UserKey { tenant: key.tenant, user: user.clone() };
            let listed = self.board.connections(&user_key);
            let listed = listed.filter(|id| self.connections.get(id).is_some_and(|c| c.inbox));
            told.extend(listed.map(|id| (id, Delivery::InboxEntry(entry(key, conversation, user)))));
            walk.after = Some(user.clone());
            walked += 1;
        }
        for (id, frame) in told {
            self.hold_answer(index, id, Lane::CONTROL, &frame);
        }
        if walked == STEP {
            self.lists.insert(key, walk);
            self.timers.set(now_ms + PAUSE_MS, Timer::Lists(key));
        } else if walk.seq < head {
            self.plan_lists(key);
        }
    }
}

/// How long changes are collected before members are told.
const EVERY_MS: u64 = 2_000;
/// Members that one step looks at.
const STEP: usize = 500;
/// Between two steps.
const PAUSE_MS: u64 = 10;

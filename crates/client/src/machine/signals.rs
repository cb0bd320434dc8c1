//! The ephemeral plane and what is shown beside messages: typing, presence, idleness, receipts, the inbox.

use super::{Event, Machine, Output, Timer};
use duet_protocol::{
    Command, ConversationId, UserId,
    command::Receipt,
    delivery::{InboxEntry, Presence},
    signal::{IdleSignal, TypingSignal, TypingState},
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of others, and what was said of oneself.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Versions grow through all connections of a process, and begin at the clock so that they grow through
    /// processes as well.
    version: u64,
    idle: bool,
    presence: BTreeMap<UserId, (u64, u64)>,
    inbox: BTreeMap<ConversationId, InboxEntry>,
    /// Conversations that the present watch has named, until it is complete.
    named: Option<BTreeSet<ConversationId>>,
}

/// Users whose presence version is remembered. Full: the first is forgotten, so that a stale one could be shown.
const PRESENCE_MAX: usize = 2_000;
/// Most conversations that a server names when a watch begins.
const INBOX_FIRST_MAX: usize = 200;
/// How long typing holds while the server's number is not known.
const TYPING_TTL_MS: u64 = 10_000;

impl Machine {
    /// The user saw everything up to here.
    pub(super) fn mark_read(&mut self, id: ConversationId, seq: u64) {
        if let Some(conversation) = self.conversations.get_mut(&id) {
            let known = conversation.position.map_or(seq, |position| position.seq);
            conversation.receipts.read = conversation.receipts.read.max(seq.min(known));
            self.schedule_receipt(id);
        }
    }

    /// Tells the server the watermarks, if it does not know them and the lane stands.
    pub(super) fn send_receipt(&mut self, id: ConversationId) {
        self.timers.clear(&Timer::Receipt(id));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let (Some(lane), Some(due)) = (conversation.lane.standing(), conversation.due_receipt()) else {
            return;
        };
        conversation.receipts.told = due;
        conversation.receipts.sent_at_ms = Some(self.now_ms);
        self.on_lane(lane, Command::Receipt(Receipt { received: due.received, read: due.read }));
    }

    pub(super) fn keystroke(&mut self, id: ConversationId) {
        let ttl_ms = self.typing_ttl_ms();
        let now_ms = self.now_ms;
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        let due = conversation.typing_at_ms.is_none_or(|at_ms| now_ms >= at_ms + ttl_ms / 3);
        if due {
            conversation.typing_at_ms = Some(now_ms);
        }
        self.timers.set(Timer::TypingStop(id), now_ms + ttl_ms / 2);
        if due {
            self.signal_typing(id, true);
        }
    }

    /// The own typing ended, with a message or without; others are told, once.
    pub(super) fn stop_typing(&mut self, id: ConversationId) {
        self.timers.clear(&Timer::TypingStop(id));
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        if conversation.typing_at_ms.take().is_some() {
            self.signal_typing(id, false);
        }
    }

    pub(super) fn idle(&mut self, idle: bool) {
        if self.signals.idle != idle {
            self.signals.idle = idle;
            self.signal_idle();
        }
    }

    /// A new connection knows nothing of signals.
    pub(super) fn resume_signals(&mut self) {
        if self.signals.idle {
            self.signal_idle();
        }
    }

    /// Somebody types, or stopped.
    pub(super) fn typing(&mut self, state: &TypingState) {
        let TypingState { conversation: id, user, version, ttl_ms } = state;
        if self.is_me(Some(user)) {
            return;
        }
        let Some(conversation) = self.conversations.get_mut(id).filter(|known| known.shown.is_some()) else {
            return;
        };
        let active = *ttl_ms > 0;
        let stale = conversation.is_stale_typing(user, *version);
        let changed = conversation.typing(user, *version, active);
        let timer = Timer::TypingExpire(*id, user.clone());
        if active && !stale {
            self.timers.set(timer, self.now_ms + u64::from(*ttl_ms));
        } else if !stale {
            self.timers.clear(&timer);
        }
        match changed {
            Some(true) => self.emit(Event::TypingStarted { conversation: *id, user: user.clone() }),
            Some(false) => self.emit(Event::TypingStopped { conversation: *id, user: user.clone() }),
            None => {}
        }
    }

    pub(super) fn typing_expired(&mut self, id: ConversationId, user: &UserId) {
        let over = self.conversations.get_mut(&id).is_some_and(|known| known.typing_over(user));
        if over {
            self.emit(Event::TypingStopped { conversation: id, user: user.clone() });
        }
    }

    /// A message ends its author's typing.
    pub(super) fn said_something(&mut self, id: ConversationId, user: &UserId) {
        self.timers.clear(&Timer::TypingExpire(id, user.clone()));
        self.typing_expired(id, user);
    }

    /// A new connection counts its signals anew. Who types is shown for as long as they said, so that a short break
    /// does not flicker.
    pub(super) fn new_typing_versions(&mut self, id: ConversationId) {
        self.timers.clear(&Timer::TypingStop(id));
        if let Some(conversation) = self.conversations.get_mut(&id) {
            conversation.new_typing_versions();
        }
    }

    /// Nobody is known to type in this conversation any more.
    pub(super) fn end_typing(&mut self, id: ConversationId) {
        let Some(conversation) = self.conversations.get_mut(&id) else { return };
        for user in conversation.forget_typists() {
            self.timers.clear(&Timer::TypingExpire(id, user.clone()));
            self.emit(Event::TypingStopped { conversation: id, user });
        }
    }

    /// Somebody's presence, unless it is an old one.
    pub(super) fn presence(&mut self, presence: Presence) {
        let version = (self.session.epoch, presence.version);
        let known = self.signals.presence.get(&presence.user);
        if known.is_some_and(|known| *known >= version) {
            return;
        }
        self.signals.presence.insert(presence.user.clone(), version);
        if self.signals.presence.len() > PRESENCE_MAX {
            self.signals.presence.pop_first();
        }
        self.emit(Event::PresenceUpdated(presence));
    }

    /// One conversation of the inbox.
    pub(super) fn inbox_entry(&mut self, entry: InboxEntry) {
        let id = entry.conversation;
        let rank = |entry: &InboxEntry| (entry.head, entry.read);
        let snapshot = self.signals.named.as_mut().map(|named| named.insert(id)).is_some();
        let known = self.signals.inbox.get(&id);
        if known == Some(&entry) || (!snapshot && known.is_some_and(|known| rank(known) > rank(&entry))) {
            return;
        }
        if entry.gone {
            self.signals.inbox.remove(&id);
        } else {
            self.signals.inbox.insert(id, entry.clone());
        }
        self.emit(Event::InboxUpdated(entry));
    }

    /// A watch begins: what it does not name is gone.
    pub(super) fn inbox_begins(&mut self) {
        self.signals.named = Some(BTreeSet::new());
    }

    pub(super) fn inbox_complete(&mut self) {
        let Some(named) = self.signals.named.take() else { return };
        // A full list says nothing about those that it has no room for.
        let whole = named.len() < INBOX_FIRST_MAX;
        let gone: Vec<InboxEntry> = self
            .signals
            .inbox
            .values()
            .filter(|entry| whole && !named.contains(&entry.conversation))
            .cloned()
            .collect();
        for entry in gone {
            self.signals.inbox.remove(&entry.conversation);
            self.emit(Event::InboxUpdated(InboxEntry { gone: true, ..entry }));
        }
        self.emit(Event::InboxReady);
    }

    fn signal_typing(&mut self, conversation: ConversationId, active: bool) {
        if self.conversations.get(&conversation).is_none_or(|known| known.lane.standing().is_none()) {
            return;
        }
        let version = self.next_version();
        self.signal(Command::Typing(TypingSignal { conversation, version, active }));
    }

    fn signal_idle(&mut self) {
        let (version, idle) = (self.next_version(), self.signals.idle);
        self.signal(Command::Idle(IdleSignal { version, idle }));
    }

    /// As a datagram where there are any, else on lane 0; not at all while offline.
    fn signal(&mut self, command: Command) {
        let Some(online) = self.life.online() else { return };
        let connection = online.connection;
        if online.datagrams {
            self.outputs.push_back(Output::Datagram { connection, command });
        } else {
            self.control(command);
        }
    }

    fn next_version(&mut self) -> u64 {
        self.signals.version = self.server_now_ms().max(self.signals.version + 1);
        self.signals.version
    }

    fn typing_ttl_ms(&self) -> u64 {
        self.session.limits.map_or(TYPING_TTL_MS, |limits| u64::from(limits.typing_ttl_ms))
    }
}

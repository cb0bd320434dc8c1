//! Presence: what each user chose (durable, told by the log) and what is observed of their connections (volatile).
//!
//! ```text
//!            connected         one device idle       all others in the background
//!  Offline ─────────────► Connected ◄──────► Idle ◄──────► Reachable
//!     ▲                       │ last connection dropped │       │
//!     │ grace is over         ▼                         ▼       ▼
//!     └────────────────── Reconnecting ◄────────────────────────┘
//! ```
//! A user who says goodbye on their last device skips the grace. All devices and tabs of a user are one presence: the best
//! of them. The grace counts from the last sign of life, so that a silence counts once and not twice.
//!
//! A change is told at once, unless one of the same user was told within [`QUIET_MS`]: then what is left after that time
//! is told. So each watcher gets at most one frame per user in that time, however often a connection flaps.

use super::{
    input::ConnectionId,
    record::{ConversationKey, UserKey},
};
use duet_protocol::{
    delivery::{Availability, Connectivity, Presence},
    signal::Activity,
};
use std::collections::{BTreeMap, BTreeSet};

/// Presence of all users that are or were just here.
#[derive(Debug, Default)]
pub struct Board {
    users: BTreeMap<UserKey, Observed>,
    watchers: BTreeMap<UserKey, BTreeSet<ConnectionId>>,
    room_watchers: BTreeMap<ConversationKey, BTreeSet<ConnectionId>>,
    /// The last version that was given to anybody: it never goes back, also for users who were forgotten meanwhile.
    version: u64,
}

/// What is observed of one user.
#[derive(Debug)]
struct Observed {
    /// Connections, and how the user attends to each.
    devices: BTreeMap<ConnectionId, Activity>,
    /// The last sign of life of the last one that dropped, while the grace runs.
    dropped_ms: Option<u64>,
    availability: Availability,
    last_seen_ms: u64,
    shown: (Availability, Connectivity),
    /// When that was told, if it was.
    told_ms: Option<u64>,
    version: u64,
}

/// What is to be told of a user.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Nothing.
    None,
    /// Not before this time, Unix milliseconds.
    Later(u64),
    /// This, now.
    Now(Presence),
}

impl Board {
    /// A connection of a user is here. `availability` and `last_seen_ms` count when nothing was known of the user.
    pub fn arrive(
        &mut self,
        key: &UserKey,
        connection: ConnectionId,
        availability: Availability,
        last_seen_ms: u64,
    ) {
        let observed = self.observe(key, availability, last_seen_ms);
        observed.devices.insert(connection, Activity::Active);
        observed.last_seen_ms = observed.last_seen_ms.max(last_seen_ms);
        observed.dropped_ms = None;
    }

    /// A connection of a user is gone, and gave its last sign of life at `seen_ms`; with `grace` the user may come back.
    pub fn depart(&mut self, key: &UserKey, connection: ConnectionId, seen_ms: u64, grace: bool) {
        let Some(observed) = self.users.get_mut(key) else { return };
        if observed.devices.remove(&connection).is_some() {
            observed.last_seen_ms = observed.last_seen_ms.max(seen_ms);
            observed.dropped_ms = (observed.devices.is_empty() && grace).then_some(observed.last_seen_ms);
        }
    }

    /// A connection of one user is another user's from now on.
    pub fn rename(
        &mut self,
        before: &UserKey,
        key: &UserKey,
        connection: ConnectionId,
        availability: Availability,
        now_ms: u64,
    ) {
        let activity = self.users.get(before).and_then(|user| user.devices.get(&connection)).copied();
        self.depart(before, connection, now_ms, false);
        self.arrive(key, connection, availability, now_ms);
        if let Some(activity) = activity {
            self.set_activity(key, connection, activity);
        }
    }

    /// After a restart: a user with a session may come back.
    pub fn expect(&mut self, key: &UserKey, availability: Availability, last_seen_ms: u64, now_ms: u64) {
        let observed = self.observe(key, availability, last_seen_ms);
        observed.dropped_ms = Some(now_ms);
        observed.shown = (availability, Connectivity::Reconnecting);
    }

    /// Ends the grace if it began `grace_ms` ago.
    pub fn end_grace(&mut self, key: &UserKey, now_ms: u64, grace_ms: u64) {
        if let Some(observed) = self.users.get_mut(key)
            && observed.dropped_ms.is_some_and(|dropped| dropped + grace_ms <= now_ms)
        {
            observed.dropped_ms = None;
        }
    }

    /// From when on the grace of a user counts, if it runs.
    #[must_use]
    pub fn dropped_ms(&self, key: &UserKey) -> Option<u64> {
        self.users.get(key).and_then(|observed| observed.dropped_ms)
    }

    /// Marks one device.
    pub fn set_activity(&mut self, key: &UserKey, connection: ConnectionId, activity: Activity) {
        if let Some(device) = self.users.get_mut(key).and_then(|user| user.devices.get_mut(&connection)) {
            *device = activity;
        }
    }

    /// The log says what the user chose.
    pub fn set_availability(&mut self, key: &UserKey, availability: Availability) {
        if let Some(observed) = self.users.get_mut(key) {
            observed.availability = availability;
        }
    }

    /// The connections of a user.
    pub fn connections(&self, key: &UserKey) -> impl Iterator<Item = ConnectionId> + '_ {
        self.users.get(key).into_iter().flat_map(|observed| observed.devices.keys().copied())
    }

    /// Who watches a user by name.
    #[must_use]
    pub fn watchers(&self, key: &UserKey) -> BTreeSet<ConnectionId> {
        self.watchers.get(key).cloned().unwrap_or_default()
    }

    /// A connection begins to watch a user.
    pub fn watch(&mut self, key: UserKey, watcher: ConnectionId) {
        self.watchers.entry(key).or_default().insert(watcher);
    }

    /// A connection watches a user no longer.
    pub fn unwatch(&mut self, key: &UserKey, watcher: ConnectionId) {
        remove(&mut self.watchers, key, watcher);
    }

    /// Who watches the members of a conversation without having it open.
    pub fn room_watchers(&self, key: ConversationKey) -> impl Iterator<Item = ConnectionId> + '_ {
        self.room_watchers.get(&key).into_iter().flatten().copied()
    }

    /// A connection begins to watch the members of a conversation.
    pub fn watch_room(&mut self, key: ConversationKey, watcher: ConnectionId) {
        self.room_watchers.entry(key).or_default().insert(watcher);
    }

    /// A connection watches them no longer.
    pub fn unwatch_room(&mut self, key: ConversationKey, watcher: ConnectionId) {
        remove(&mut self.room_watchers, &key, watcher);
    }

    /// Nobody watches anybody any more.
    pub fn unwatch_all(&mut self) {
        self.watchers.clear();
        self.room_watchers.clear();
    }

    /// What is to be told of a user; what it gives counts as told.
    pub fn changed(&mut self, key: &UserKey, now_ms: u64) -> Change {
        let Some(observed) = self.users.get_mut(key) else { return Change::None };
        let now = observed.now();
        if now == observed.shown {
            return Change::None;
        }
        let free_ms = observed.told_ms.map_or(0, |told_ms| told_ms + QUIET_MS);
        if now_ms < free_ms {
            return Change::Later(free_ms);
        }
        self.version += 1;
        (observed.shown, observed.version, observed.told_ms) = (now, self.version, Some(now_ms));
        Change::Now(observed.presence(key))
    }

    /// A version for something that is counted rather than observed.
    pub fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    /// Drops what is kept of a user who is offline, if everyone was told so; their last connection is in the log.
    pub fn forget_offline(&mut self, key: &UserKey) {
        let told = |user: &Observed| user.shown == user.now();
        if self.users.get(key).is_some_and(|user| user.connectivity() == Connectivity::Offline && told(user))
        {
            self.users.remove(key);
        }
    }

    /// The user's presence as it was told last. `availability` and `last_seen_ms` count when nothing is observed.
    #[must_use]
    pub fn presence(&self, key: &UserKey, availability: Availability, last_seen_ms: u64) -> Presence {
        self.users.get(key).map_or_else(
            || Presence {
                user: key.user.clone(),
                availability,
                connectivity: Connectivity::Offline,
                last_seen_ms,
                version: self.version,
            },
            |observed| observed.presence(key),
        )
    }

    /// In which of the three numbers of a large conversation a member counts.
    #[must_use]
    pub fn counts_as(&self, key: &UserKey) -> Counted {
        match self.users.get(key).map(Observed::now) {
            None | Some((Availability::Offline, _) | (_, Connectivity::Offline)) => Counted::Offline,
            Some((Availability::Online | Availability::Busy, Connectivity::Connected)) => Counted::Connected,
            Some(_) => Counted::Away,
        }
    }

    fn observe(&mut self, key: &UserKey, availability: Availability, last_seen_ms: u64) -> &mut Observed {
        let version = self.version;
        self.users.entry(key.clone()).or_insert_with(|| Observed {
            devices: BTreeMap::new(),
            dropped_ms: None,
            availability,
            last_seen_ms,
            shown: (availability, Connectivity::Offline),
            told_ms: None,
            version,
        })
    }
}

impl Observed {
    fn now(&self) -> (Availability, Connectivity) {
        (self.availability, self.connectivity())
    }

    fn connectivity(&self) -> Connectivity {
        match self.devices.values().min() {
            Some(Activity::Active) => Connectivity::Connected,
            Some(Activity::Idle) => Connectivity::Idle,
            Some(Activity::Background) => Connectivity::Reachable,
            None if self.dropped_ms.is_some() => Connectivity::Reconnecting,
            None => Connectivity::Offline,
        }
    }

    /// What was told last: a snapshot must not be ahead of it. A change that waits may be taken back, and then nobody would
    /// correct whoever had been shown it.
    fn presence(&self, key: &UserKey) -> Presence {
        let (availability, connectivity) = self.shown;
        Presence {
            user: key.user.clone(),
            availability,
            connectivity,
            last_seen_ms: self.last_seen_ms,
            version: self.version,
        }
    }
}

/// The part of a large conversation's members to which one belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// There, and in use.
    Connected,
    /// There in another way.
    Away,
    /// Not there, or invisible.
    Offline,
}

/// After a change was told, the next one of the same user waits for so long, milliseconds.
pub const QUIET_MS: u64 = 250;

fn remove<K: Ord>(watchers: &mut BTreeMap<K, BTreeSet<ConnectionId>>, key: &K, watcher: ConnectionId) {
    if let Some(of_key) = watchers.get_mut(key) {
        of_key.remove(&watcher);
        if of_key.is_empty() {
            watchers.remove(key);
        }
    }
}

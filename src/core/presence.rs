//! Presence: what each user chose (durable, told by the log) and what is observed of their connections (volatile).
//!
//! ```text
//!            connected                        idle on all devices
//!  Offline ─────────────► Connected ◄──────────────────────────► Idle
//!     ▲                       │ last connection dropped            │
//!     │ grace is over         ▼                                    │
//!     └────────────────── Reconnecting ◄───────────────────────────┘
//! ```
//! A user who says goodbye on their last device skips the grace. All devices and tabs of a user are one presence.

use super::{input::ConnectionId, record::UserKey};
use duet_protocol::delivery::{Availability, Connectivity, Presence};
use std::collections::{BTreeMap, BTreeSet};

/// Presence of all users that are or were just here.
#[derive(Debug, Default)]
pub struct Board {
    users: BTreeMap<UserKey, Observed>,
    watchers: BTreeMap<UserKey, BTreeSet<ConnectionId>>,
    /// The last version that was given to anybody: it never goes back, also for users who were forgotten meanwhile.
    version: u64,
}

/// What is observed of one user.
#[derive(Debug)]
struct Observed {
    /// Connections; whether each is idle.
    devices: BTreeMap<ConnectionId, bool>,
    /// When the last one dropped, while the grace runs.
    dropped_ms: Option<u64>,
    availability: Availability,
    last_seen_ms: u64,
    shown: (Availability, Connectivity),
    version: u64,
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
        observed.devices.insert(connection, false);
        observed.dropped_ms = None;
    }

    /// A connection of a user is gone; with `grace` the user may come back.
    pub fn depart(&mut self, key: &UserKey, connection: ConnectionId, now_ms: u64, grace: bool) {
        let Some(observed) = self.users.get_mut(key) else { return };
        if observed.devices.remove(&connection).is_some() {
            observed.last_seen_ms = now_ms;
            observed.dropped_ms = (observed.devices.is_empty() && grace).then_some(now_ms);
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

    /// Marks one device.
    pub fn set_idle(&mut self, key: &UserKey, connection: ConnectionId, idle: bool) {
        if let Some(device) = self.users.get_mut(key).and_then(|user| user.devices.get_mut(&connection)) {
            *device = idle;
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

    /// Who watches a user.
    #[must_use]
    pub fn watchers(&self, key: &UserKey) -> Vec<ConnectionId> {
        self.watchers.get(key).into_iter().flatten().copied().collect()
    }

    /// A connection begins to watch a user.
    pub fn watch(&mut self, key: UserKey, watcher: ConnectionId) {
        self.watchers.entry(key).or_default().insert(watcher);
    }

    /// A connection watches a user no longer.
    pub fn unwatch(&mut self, key: &UserKey, watcher: ConnectionId) {
        if let Some(watchers) = self.watchers.get_mut(key) {
            watchers.remove(&watcher);
            if watchers.is_empty() {
                self.watchers.remove(key);
            }
        }
    }

    /// The user's presence if it changed since it was last shown; users that are offline are forgotten.
    pub fn changed(&mut self, key: &UserKey) -> Option<Presence> {
        let observed = self.users.get_mut(key)?;
        let now = (observed.availability, observed.connectivity());
        if now == observed.shown {
            return None;
        }
        self.version += 1;
        (observed.shown, observed.version) = (now, self.version);
        Some(observed.presence(key))
    }

    /// Drops what is kept of a user who is offline; their last connection is in the log.
    pub fn forget_offline(&mut self, key: &UserKey) {
        if self.users.get(key).is_some_and(|user| user.connectivity() == Connectivity::Offline) {
            self.users.remove(key);
        }
    }

    /// The user's presence now. `availability` and `last_seen_ms` count when nothing is observed.
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

    fn observe(&mut self, key: &UserKey, availability: Availability, last_seen_ms: u64) -> &mut Observed {
        let version = self.version;
        self.users.entry(key.clone()).or_insert_with(|| Observed {
            devices: BTreeMap::new(),
            dropped_ms: None,
            availability,
            last_seen_ms,
            shown: (availability, Connectivity::Offline),
            version,
        })
    }
}

impl Observed {
    fn connectivity(&self) -> Connectivity {
        if self.devices.values().any(|idle| !idle) {
            Connectivity::Connected
        } else if !self.devices.is_empty() {
            Connectivity::Idle
        } else if self.dropped_ms.is_some() {
            Connectivity::Reconnecting
        } else {
            Connectivity::Offline
        }
    }

    fn presence(&self, key: &UserKey) -> Presence {
        Presence {
            user: key.user.clone(),
            availability: self.availability,
            connectivity: self.connectivity(),
            last_seen_ms: self.last_seen_ms,
            version: self.version,
        }
    }
}

//! What a run is to do.

use crate::{LoadError, tls::Trust};
use serde::Serialize;
use std::{net::SocketAddr, time::Duration};

/// A run against one Duet server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the server listens for clients.
    pub address: SocketAddr,
    /// Its name, as its certificate has it.
    pub host: String,
    /// Which certificate to take.
    pub trust: Trust,
    /// How sessions travel; one after the other gets the next of the list.
    pub carriers: Vec<Carrier>,
    /// How many sessions.
    pub sessions: usize,
    /// What they do.
    pub shape: Shape,
    /// Before anything counts.
    pub warm_up: Duration,
    /// What counts.
    pub duration: Duration,
    /// The server's process, if it is on this machine.
    pub server: Option<u32>,
    /// Distinguishes the users of this run from those of others.
    pub run: String,
}

/// How a session travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// Raw QUIC.
    Native,
    /// WebTransport over HTTP/3.
    WebTransport,
    /// WebSocket over TLS.
    WebSocket,
}

/// What the sessions do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Rooms of so many; every message reaches its room, the speaker included.
    Rooms {
        /// Sessions in a room.
        size: usize,
        /// How many messages.
        pressure: Pressure,
        /// Bytes of a message.
        payload_bytes: usize,
        /// How safe a message must be.
        durability: Durability,
        /// Whether members also type and confirm what they read, as people do.
        lively: bool,
    },
    /// Connected, and silent.
    Idle,
    /// All connections break at once, and every session comes back.
    Storm {
        /// Sessions in a room that each has open.
        size: usize,
    },
}

/// How many messages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pressure {
    /// An open loop: so many messages a second in all, whatever becomes of them.
    PerSecond(f64),
    /// A closed loop: each session has so many of its own messages on the way, and no more.
    InFlight(usize),
}

/// How safe a message must be before it is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Not stored.
    Ephemeral,
    /// On one disk.
    Accepted,
    /// On two.
    Mirrored,
}

/// Where tokens come from.
pub trait Tokens {
    /// A token for this user with this role (`visitor`, `agent`, `supervisor`, `service`).
    ///
    /// # Errors
    /// A sentence.
    fn token(&self, user: &str, role: &str) -> Result<String, String>;
}

/// Hears a line about how it goes, about once a second.
pub type Progress<'a> = dyn FnMut(&str) + 'a;

pub(crate) fn say(progress: &mut Progress<'_>, line: &str) {
    progress(line);
}

impl Plan {
    /// Refuses what cannot be run.
    ///
    /// # Errors
    /// [`LoadError::Plan`]
    pub fn check(&self) -> Result<(), LoadError> {
        let refuse = |sentence: &str| Err(LoadError::Plan(sentence.to_owned()));
        if self.sessions == 0 || self.sessions > SESSIONS_MAX {
            return refuse("sessions: 1 to 100000");
        }
        if self.carriers.is_empty() {
            return refuse("carriers: at least one");
        }
        if self.duration.is_zero() || self.duration > DURATION_MAX || self.warm_up > DURATION_MAX {
            return refuse("seconds: 1 to 86400, and a warm-up of no more");
        }
        match self.shape {
            Shape::Rooms { size, .. } | Shape::Storm { size } if size == 0 || size > self.sessions => {
                refuse("room: 1 to the number of sessions")
            }
            Shape::Rooms { payload_bytes, .. } if !(12..=60_000).contains(&payload_bytes) => {
                refuse("payload: 12 to 60000 bytes")
            }
            Shape::Rooms { pressure: Pressure::PerSecond(rate), .. } if !(rate > 0.0 && rate <= 1e7) => {
                refuse("rate: above 0, at most 10000000 messages a second")
            }
            Shape::Rooms { pressure: Pressure::InFlight(each), .. } if !(1..=1_000).contains(&each) => {
                refuse("in flight: 1 to 1000 messages for each session")
            }
            _ => Ok(()),
        }
    }
}

const SESSIONS_MAX: usize = 100_000;
const DURATION_MAX: Duration = Duration::from_secs(86_400);

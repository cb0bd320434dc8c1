//! One round: every known address is tried once, and the first node that takes the session ends it.
//!
//! ```text
//!  first address ──► dialled ──(silent for a moment, or gone)──► next one dialled beside it, and so on
//!                       │ the carrier stands
//!                       ▼
//!                    greeted, one at a time ──► welcome: the round is won, the others are closed
//!                       └── refused, lost ──► the next that stands, or the next address
//! ```
//!
//! Only one connection of a round has ever sent a hello that is not answered, so that a loser never becomes a session.
//! Nothing here waits between addresses; waiting is for the time between rounds.

use super::input::{ConnectionId, LinkTraits};
use duet_protocol::Code;
use std::collections::VecDeque;

/// A round under way.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) purpose: Purpose,
    dials: Vec<Dial>,
    greeted: Option<ConnectionId>,
    /// Not tried yet in this round.
    left: VecDeque<String>,
    /// Tried, or not to be tried, in this round.
    tried: Vec<String>,
    /// Addresses that gave no answer.
    silent: Vec<String>,
    /// A node said that it is not the one: whoever is silent after that had as much time as that answer took.
    redirected: bool,
    outcome: Outcome,
}

/// What a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// There is no connection.
    Connect,
    /// The node in use will stop.
    Leave,
    /// The node in use is silent: perhaps another one reigns by now.
    Doubt,
}

/// What a failed round leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Code,
    pub(crate) reason: String,
    /// The longest wait that any node asked for.
    pub(crate) retry_after_ms: u32,
}

/// A connection that has not been welcomed yet.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) connection: ConnectionId,
    pub(crate) endpoint: String,
    /// Known when the carrier stands.
    pub(crate) traits: Option<LinkTraits>,
    pub(crate) begun_ms: u64,
}

impl Round {
    /// A round through `addresses`; `avoid` is not tried even if a node names it.
    pub(crate) fn new(purpose: Purpose, addresses: Vec<String>, avoid: Option<String>) -> Self {
        let outcome = Outcome { code: Code::TIMEOUT, reason: "no welcome in time".into(), retry_after_ms: 0 };
        Self {
            purpose,
            dials: Vec::new(),
            greeted: None,
            left: addresses.into(),
            tried: avoid.into_iter().collect(),
            silent: Vec::new(),
            redirected: false,
            outcome,
        }
    }

    /// The next address, from now on a tried one.
    pub(crate) fn next_address(&mut self) -> Option<String> {
        let address = self.left.pop_front()?;
        self.tried.push(address.clone());
        Some(address)
    }

    pub(crate) fn begin(&mut self, dial: Dial) {
        self.dials.push(dial);
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.left.is_empty()
    }

    pub(crate) fn dial(&self, connection: ConnectionId) -> Option<&Dial> {
        self.dials.iter().find(|dial| dial.connection == connection)
    }

    /// The carrier of a dial stands.
    pub(crate) fn stands(&mut self, connection: ConnectionId, traits: LinkTraits) {
        if let Some(dial) = self.dials.iter_mut().find(|dial| dial.connection == connection) {
            dial.traits = Some(traits);
        }
    }

    /// The connection that should be greeted now, if none is.
    pub(crate) fn greet(&mut self) -> Option<(ConnectionId, LinkTraits)> {
        if self.greeted.is_some() {
            return None;
        }
        let next = self.dials.iter().find_map(|dial| Some((dial.connection, dial.traits?)))?;
        self.greeted = Some(next.0);
        Some(next)
    }

    /// Whether a connection was greeted and has not answered.
    pub(crate) fn awaits_welcome(&self) -> bool {
        self.greeted.is_some()
    }

    /// Whether another carrier stands beside the one that was greeted.
    pub(crate) fn has_spare(&self) -> bool {
        self.dials.iter().any(|dial| dial.traits.is_some() && Some(dial.connection) != self.greeted)
    }

    /// A dial ended with this code. `true` when it had been greeted.
    pub(crate) fn lost(&mut self, connection: ConnectionId, outcome: Outcome) -> bool {
        let Some(at) = self.dials.iter().position(|dial| dial.connection == connection) else { return false };
        let dial = self.dials.remove(at);
        if outcome.code.0 < 1_000 {
            self.silent.push(dial.endpoint);
        }
        self.redirected |= is_redirect(outcome.code);
        let retry_after_ms = self.outcome.retry_after_ms.max(outcome.retry_after_ms);
        self.outcome = Outcome { retry_after_ms, ..outcome };
        let greeted = self.greeted == Some(connection);
        if greeted {
            self.greeted = None;
        }
        greeted
    }

    /// A node named this address: it is the next one, unless it had its turn.
    pub(crate) fn name(&mut self, endpoint: String) {
        if !self.tried.contains(&endpoint) {
            self.left.retain(|left| *left != endpoint);
            self.left.push_front(endpoint);
        }
    }

    /// The connection that was greeted has had its time.
    pub(crate) fn greeted(&self) -> Option<ConnectionId> {
        self.greeted
    }

    /// When the round is over although dials still run: all other nodes have answered, and these had time enough.
    pub(crate) fn hopeless_at(&self, patience_ms: u64) -> Option<u64> {
        if !self.redirected || self.greeted.is_some() || self.has_more() {
            return None;
        }
        self.dials.iter().map(|dial| dial.begun_ms + patience_ms).max()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.dials.is_empty() && self.left.is_empty()
    }

    /// Takes the winner out.
    pub(crate) fn win(&mut self, connection: ConnectionId) -> Option<Dial> {
        let at = self.dials.iter().position(|dial| dial.connection == connection)?;
        Some(self.dials.remove(at))
    }

    /// What is still under way.
    pub(crate) fn connections(&self) -> Vec<ConnectionId> {
        self.dials.iter().map(|dial| dial.connection).collect()
    }

    /// Why it failed, and which addresses gave no answer.
    pub(crate) fn end(self) -> (Outcome, Vec<String>) {
        let running = self.dials.into_iter().map(|dial| dial.endpoint);
        (self.outcome, self.silent.into_iter().chain(running).collect())
    }
}

/// Whether a code says that another node goes on.
pub(crate) fn is_redirect(code: Code) -> bool {
    matches!(code.0, 3400..=3499)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAITS: LinkTraits = LinkTraits { datagrams: false, keep_alive: true };

    fn dial(n: u64) -> Dial {
        Dial { connection: ConnectionId(n), endpoint: format!("{n}:1"), traits: None, begun_ms: n }
    }

    fn lost(code: Code) -> Outcome {
        Outcome { code, reason: String::new(), retry_after_ms: 7 }
    }

    #[test]
    fn one_connection_is_greeted_at_a_time() {
        let mut round = Round::new(Purpose::Connect, vec![], None);
        (1..=2).for_each(|n| round.begin(dial(n)));
        assert_eq!(round.greet(), None);
        round.stands(ConnectionId(2), TRAITS);
        round.stands(ConnectionId(1), TRAITS);
        assert_eq!(round.greet().map(|(id, _)| id), Some(ConnectionId(1)));
        assert_eq!(round.greet(), None);
        assert!(round.has_spare());
        assert!(round.lost(ConnectionId(1), lost(Code::NOT_PRIMARY)));
        assert_eq!(round.greet().map(|(id, _)| id), Some(ConnectionId(2)));
    }

    #[test]
    fn a_named_address_comes_next_and_no_address_comes_twice() {
        let mut round =
            Round::new(Purpose::Doubt, vec!["a:1".into(), "b:1".into(), "c:1".into()], Some("d:1".into()));
        assert_eq!(round.next_address().as_deref(), Some("a:1"));
        for named in ["d:1", "a:1", "c:1"] {
            round.name(named.into());
        }
        let rest: Vec<_> = std::iter::from_fn(|| round.next_address()).collect();
        assert_eq!(rest, ["c:1", "b:1"]);
    }

    #[test]
    fn a_silent_address_is_given_up_only_when_a_node_has_answered_that_it_is_another() {
        let mut round = Round::new(Purpose::Connect, vec![], None);
        (1..=3).for_each(|n| round.begin(dial(n)));
        round.lost(ConnectionId(2), lost(Code::UNREACHABLE));
        assert_eq!(round.hopeless_at(400), None);
        round.lost(ConnectionId(3), lost(Code::NOT_PRIMARY));
        assert_eq!(round.hopeless_at(400), Some(401));
        let (outcome, silent) = round.end();
        assert_eq!((outcome.code, outcome.retry_after_ms), (Code::NOT_PRIMARY, 7));
        assert_eq!(silent, ["2:1", "1:1"]);
    }
}

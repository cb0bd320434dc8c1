//! Which of several links stands. Both nodes call and both answer, so there can be two links for a moment; the rule leaves one,
//! the same on both nodes, and never changes its mind about two living links:
//!
//! 1. a link that has ended gives way to any;
//! 2. a link to another process of the peer than before is newer: it stands;
//! 3. of two links between the same processes, the one that side a began stands;
//! 4. of two that the same side began, the later: a node calls only when it has none.

use super::{ended::SUPERSEDED, link::LinkInfo};
use crate::core::Side;
use quinn::Connection;
use std::sync::{Arc, Mutex, PoisonError};

/// The link that stands, if any. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing(Arc<Mutex<Option<(LinkInfo, Connection)>>>);

impl Standing {
    /// Whether this link would stand now.
    pub(super) fn admits(&self, new: LinkInfo) -> bool {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        standing
            .as_ref()
            .is_none_or(|(old, connection)| connection.close_reason().is_some() || replaces(new, *old))
    }

    /// Lets this link stand, and closes the one before; false when it does not stand.
    pub(super) fn adopt(&self, info: LinkInfo, connection: &Connection) -> bool {
        if !self.admits(info) {
            return false;
        }
        let mut standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, old)) = standing.replace((info, connection.clone())) {
            old.close(SUPERSEDED, b"another link took its place");
        }
        true
    }

    /// The link that stands and lives.
    pub(super) fn living(&self) -> Option<Connection> {
        let standing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let living = standing.as_ref().filter(|(_, connection)| connection.close_reason().is_none());
        living.map(|(_, connection)| connection.clone())
    }
}

/// Rules 2 to 4.
fn replaces(new: LinkInfo, old: LinkInfo) -> bool {
    new.peer != old.peer || new.dialled_by == old.dialled_by || new.dialled_by == Side::A
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Nonce;

    fn link(peer: u8, dialled_by: Side) -> LinkInfo {
        LinkInfo { peer: Nonce([peer; 16]), version: 1, dialled_by, address: ([127, 0, 0, 1], 1).into() }
    }

    #[test]
    fn of_two_links_between_the_same_processes_that_of_side_a_stands_in_whatever_order_they_come() {
        let (by_a, by_b) = (link(1, Side::A), link(1, Side::B));
        assert!(replaces(by_a, by_b));
        assert!(!replaces(by_b, by_a));
    }

    #[test]
    fn a_peer_that_started_anew_or_called_again_is_believed() {
        assert!(replaces(link(2, Side::B), link(1, Side::A)));
        assert!(replaces(link(1, Side::B), link(1, Side::B)));
    }
}

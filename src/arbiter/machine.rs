//! Which machine this is, so that a witness can tell that it shares one with a data node: both would die at once.
//!
//! `machine-id(5)` asks programs not to hand the id out. What is sent is a hash of it with the pair's id.

use crate::core::ClusterId;
use duet_protocol::codec::{Decode, Encode};
use sha2::{Digest as _, Sha256};
use std::fs;

/// A machine, recognisable within one pair only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Machine(pub [u8; 32]);

impl Machine {
    /// This one; `None` where the system gives it no id.
    #[must_use]
    pub fn this(cluster: ClusterId) -> Option<Self> {
        let read = |path: &&str| fs::read_to_string(path).ok().filter(|id| !id.trim().is_empty());
        let id = PLACES.iter().find_map(read)?;
        Some(Self::of(&id, cluster))
    }

    fn of(id: &str, cluster: ClusterId) -> Self {
        let digest = Sha256::new().chain_update(b"duet-witness/1").chain_update(cluster.0);
        Self(digest.chain_update(id.trim().as_bytes()).finalize().into())
    }
}

const PLACES: &[&str] = &["/etc/machine-id", "/var/lib/dbus/machine-id"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_the_same_within_a_pair_and_unknown_outside() {
        let (one, other) = (ClusterId([1; 16]), ClusterId([2; 16]));
        assert_eq!(Machine::of("abc\n", one), Machine::of("abc", one));
        assert_ne!(Machine::of("abc", one), Machine::of("abd", one));
        assert_ne!(Machine::of("abc", one), Machine::of("abc", other));
    }
}

//! The first bytes of a link: who calls, from which pair, and what it can speak. Pure.
//!
//! ```text
//! greeting = cluster:16 length:u16 version_min:u8 version_max:u8 side:u8 nonce:16 more
//! ```
//!
//! `length` counts what follows it; `more` is for later versions and skipped. Both nodes send the same thing. The cluster
//! is looked at before anything else, and its place never changes. The version spoken is the highest that both know.

use crate::core::{ClusterId, Nonce, Side};
use bytes::{BufMut as _, Bytes, BytesMut};

/// The versions of the link that this program speaks.
pub const VERSIONS: Versions = Versions { min: 1, max: 1 };

/// Bytes of a greeting up to and with its length.
pub const HEAD_BYTES: usize = 18;
/// Bytes of what follows the length, at most.
pub const REST_BYTES_MAX: usize = 1_024;
const REST_BYTES_MIN: usize = 19;

/// A range of versions, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// The oldest.
    pub min: u8,
    /// The newest.
    pub max: u8,
}

impl Versions {
    /// The highest version that both know.
    #[must_use]
    pub fn common(self, other: Self) -> Option<u8> {
        let highest = self.max.min(other.max);
        (highest >= self.min.max(other.min)).then_some(highest)
    }
}

/// What a node says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    /// Its pair.
    pub cluster: ClusterId,
    /// What it speaks.
    pub versions: Versions,
    /// Its side.
    pub side: Side,
    /// Its process.
    pub nonce: Nonce,
}

/// Why a node wants no link with whoever it met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its greeting names another pair.
    #[error("the other end belongs to another pair: compare pair.cluster on both nodes")]
    OtherCluster,
    /// It is this node, or a copy of it.
    #[error("the other end has this node's own side: one node of a pair must be a, the other b")]
    OwnSide,
    /// Its certificate is of this pair, but not that of a data node: the witness called, or was called.
    #[error("the other end shows the witness's certificate, which opens no link")]
    Witness,
    /// Its certificate names nobody of this pair.
    #[error("the other end's certificate names nobody of this pair")]
    Stranger,
    /// No version in common.
    #[error("the other end speaks no version of the link that this one speaks: upgrade the older node")]
    NoCommonVersion,
    /// What it sent is no greeting.
    #[error("what came first is no greeting")]
    NoGreeting,
    /// There is a link already that goes before this one. Not a fault.
    #[error("there is a link already")]
    Superseded,
}

impl Greeting {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEAD_BYTES + REST_BYTES_MIN);
        out.put_slice(&self.cluster.0);
        out.put_u16(u16::try_from(REST_BYTES_MIN).unwrap_or(u16::MAX));
        out.put_u8(self.versions.min);
        out.put_u8(self.versions.max);
        out.put_u8(match self.side {
            Side::A => 0,
            Side::B => 1,
        });
        out.put_slice(&self.nonce.0);
        out.freeze()
    }

    /// Looks at the head of the other node's greeting: how many bytes follow.
    ///
    /// # Errors
    /// [`Refusal::OtherCluster`] before anything else, [`Refusal::NoGreeting`].
    pub fn check_head(&self, head: &[u8; HEAD_BYTES]) -> Result<usize, Refusal> {
        let (cluster, length) = head.split_at(16);
        if cluster != self.cluster.0 {
            return Err(Refusal::OtherCluster);
        }
        let length = length.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
        let range = REST_BYTES_MIN..=REST_BYTES_MAX;
        if range.contains(&length) { Ok(length) } else { Err(Refusal::NoGreeting) }
    }

    /// Looks at the rest of it: the version to speak, and the other process.
    ///
    /// # Errors
    /// [`Refusal`] for a node with which there can be no link.
    pub fn check_rest(&self, rest: &[u8]) -> Result<(u8, Nonce), Refusal> {
        let (&[min, max, side], rest) = rest.split_first_chunk().ok_or(Refusal::NoGreeting)?;
        let version = self.versions.common(Versions { min, max }).ok_or(Refusal::NoCommonVersion)?;
        let side = match side {
            0 => Side::A,
            1 => Side::B,
            _ => return Err(Refusal::NoGreeting),
        };
        if side == self.side {
            return Err(Refusal::OwnSide);
        }
        let nonce = rest.first_chunk().ok_or(Refusal::NoGreeting)?;
        Ok((version, Nonce(*nonce)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(side: Side) -> Greeting {
        Greeting {
            cluster: ClusterId([0xc0; 16]),
            versions: Versions { min: 2, max: 4 },
            side,
            nonce: Nonce([0x0e; 16]),
        }
    }

    fn judge(ours: &Greeting, bytes: &[u8]) -> Result<(u8, Nonce), Refusal> {
        let (head, rest) = bytes.split_first_chunk().unwrap();
        let length = ours.check_head(head)?;
        assert_eq!(length, rest.len());
        ours.check_rest(rest)
    }

    #[test]
    fn the_bytes_are_those_of_the_document() {
        let wanted = [&[0xc0; 16][..], &[0, 19, 2, 4, 1], &[0x0e; 16]].concat();
        assert_eq!(greeting(Side::B).encode(), wanted);
        assert_eq!(judge(&greeting(Side::A), &wanted), Ok((4, Nonce([0x0e; 16]))));
    }

    #[test]
    fn the_pair_is_judged_before_anything_else() {
        let theirs = Greeting {
            cluster: ClusterId([0xc1; 16]),
            versions: Versions { min: 9, max: 9 },
            ..greeting(Side::A)
        };
        assert_eq!(judge(&greeting(Side::A), &theirs.encode()), Err(Refusal::OtherCluster));
        let mut nonsense = theirs.encode().to_vec();
        nonsense[16..].fill(0xff);
        assert_eq!(judge(&greeting(Side::A), &nonsense), Err(Refusal::OtherCluster));
    }

    #[test]
    fn a_node_with_which_there_can_be_no_link_is_told_why() {
        let ours = greeting(Side::A);
        assert_eq!(judge(&ours, &ours.encode()), Err(Refusal::OwnSide));
        let newer = Greeting { versions: Versions { min: 5, max: 9 }, ..greeting(Side::B) };
        assert_eq!(judge(&ours, &newer.encode()), Err(Refusal::NoCommonVersion));
        let mut no_side = greeting(Side::B).encode().to_vec();
        no_side[20] = 2;
        assert_eq!(judge(&ours, &no_side), Err(Refusal::NoGreeting));
    }

    #[test]
    fn what_a_later_version_adds_is_skipped() {
        let mut later = greeting(Side::B).encode().to_vec();
        later.extend([1, 2, 3]);
        later[17] += 3;
        assert_eq!(judge(&greeting(Side::A), &later), Ok((4, Nonce([0x0e; 16]))));
    }
}

//! Which reign numbered which events of a conversation.
//!
//! A client's position is an epoch and a seq: "under this reign I held everything up to here". The log has that position
//! if the reign is one of its own and no later reign numbered an event at or below the seq. Otherwise the client saw
//! events that this log lost, and must not go on from there.

use duet_protocol::{
    Position,
    codec::{Decode, Encode},
};
use std::collections::VecDeque;

/// Which reign numbered which events of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Encode, Decode)]
pub struct Shares {
    /// Epoch and the first seq of its own, both ascending.
    firsts: VecDeque<(u64, u64)>,
}

impl Shares {
    /// From `seq` on events are numbered by the reign `epoch`.
    pub fn begin(&mut self, epoch: u64, seq: u64) {
        match self.firsts.back_mut() {
            Some((last, _)) if *last == epoch => return,
            // The reign before numbered nothing here.
            Some((last, first)) if *first == seq => *last = epoch,
            _ => self.firsts.push_back((epoch, seq)),
        }
        if self.firsts.len() > SHARES_MAX {
            self.firsts.pop_front();
        }
    }

    /// Whether a client that held everything up to `position` under its reign holds what is here. Reigns older than the
    /// latest [`SHARES_MAX`] are judged by the oldest of these.
    #[must_use]
    pub fn agree(&self, position: Position) -> bool {
        let later = self.firsts.iter().find(|(epoch, _)| *epoch > position.epoch);
        later.is_none_or(|(_, first)| position.seq < *first)
    }
}

/// Reigns that are remembered for a conversation.
const SHARES_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_beyond_what_its_reign_left_here_is_not_shared() {
        let mut shares = Shares::default();
        for (epoch, seq) in [(1, 1), (1, 5), (2, 8), (3, 8), (6, 20)] {
            shares.begin(epoch, seq);
        }
        let agree = |epoch, seq| shares.agree(Position { epoch, seq });
        assert!(agree(1, 7) && !agree(1, 8), "reign 3 numbered 8");
        assert!(agree(2, 7) && !agree(2, 8), "reign 2 numbered nothing");
        assert!(agree(3, 19) && !agree(5, 20) && agree(6, 1_000));
        assert!(agree(0, 0) && !agree(0, 1));
        for epoch in 7..1_000 {
            shares.begin(epoch, epoch * 10);
        }
        assert_eq!(shares.firsts.len(), SHARES_MAX);
    }
}

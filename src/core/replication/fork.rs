//! Where two logs part, told by the reigns in them alone.
//!
//! Nobody but the holder of a reign writes entries of it, one after the other: two logs that both know a reign by the same
//! first index are equal up to the end of it in the one in which it is shorter. What lies above the end of the last such
//! reign is each log's own. This works however much of either log is gone, which a comparison of entries would not.

use std::collections::BTreeMap;

/// The last index that two logs share: `ours` by epoch and first index, with its last index, and `theirs`, the other's last
/// reigns in the same way, oldest first. 0 when no reign is known to both: then too much counts as our own, never too little.
#[must_use]
pub(in crate::core) fn shared_end(ours: &BTreeMap<u64, u64>, end: u64, theirs: &[(u64, u64)]) -> u64 {
    let common = theirs.iter().rposition(|(epoch, first)| ours.get(epoch) == Some(first));
    let Some(at) = common else { return 0 };
    let next_ours = ours.range(theirs[at].0 + 1..).next().map(|(_, first)| *first);
    let next_theirs = theirs.get(at + 1).map(|(_, first)| *first);
    let last = |next: Option<u64>| next.map_or(u64::MAX, |first| first.saturating_sub(1));
    end.min(last(next_ours)).min(last(next_theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(ours: &[(u64, u64)], end: u64, theirs: &[(u64, u64)]) -> u64 {
        shared_end(&ours.iter().copied().collect(), end, theirs)
    }

    #[test]
    fn a_log_that_only_lags_behind_shares_all_that_it_has() {
        assert_eq!(shared(&[(1, 1), (3, 10)], 15, &[(1, 1), (3, 10)]), 15);
        assert_eq!(shared(&[(1, 1)], 9, &[(1, 1), (3, 10)]), 9);
        assert_eq!(shared(&[(1, 1)], 5, &[(1, 1), (3, 10), (4, 20)]), 5);
    }

    #[test]
    fn two_logs_part_where_the_last_reign_ends_that_both_know() {
        assert_eq!(shared(&[(3, 1), (6, 33), (8, 34)], 51, &[(3, 1), (1_000, 37)]), 32);
        assert_eq!(shared(&[(3, 1), (6, 33), (8, 34)], 51, &[(3, 1), (1_000, 20)]), 19);
        assert_eq!(
            shared(&[(3, 1), (6, 33)], 51, &[(3, 1), (6, 34), (9, 50)]),
            32,
            "two reigns of one number"
        );
    }

    #[test]
    fn logs_without_a_reign_in_common_share_nothing() {
        assert_eq!(shared(&[(1, 1)], 5, &[(2, 1)]), 0);
        assert_eq!(shared(&[], 0, &[(2, 1)]), 0);
        assert_eq!(shared(&[(1, 1)], 5, &[]), 0);
    }
}

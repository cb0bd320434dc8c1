//! Whether a concurrent history of one register is linearizable. Versions are totally ordered and every proposed value is
//! unique, so no search is needed: each version gets the earliest moment at which it can have been installed, in order, and
//! that moment must not lie behind anything that saw the version.

use duet::core::{Answer, Cfg, Question};
use std::collections::BTreeMap;

/// A question and its answer. Times are of one clock, in any unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) begun: u64,
    pub(crate) ended: u64,
    pub(crate) question: Question,
    pub(crate) answer: Answer,
}

impl Asked {
    fn proposed(&self) -> Option<Cfg> {
        match self.question {
            Question::Swap(next) => Some(next),
            Question::Read => None,
        }
    }

    /// The version that was the register's at some moment of it.
    fn saw(&self) -> Option<u64> {
        match (self.answer, self.proposed()) {
            (Answer::Value(value), _) => Some(value.map_or(0, |cfg| cfg.ver)),
            (Answer::Swapped, Some(next)) => Some(next.ver),
            _ => None,
        }
    }
}

/// The number of versions that were installed, or what is wrong.
pub(crate) fn check(history: &[Asked]) -> Result<u64, String> {
    let values = values(history)?;
    let last = values.keys().last().copied().unwrap_or(0);
    let mut installed = 0;
    for ver in 1..=last {
        let (earliest, latest) = installer(history, ver, values.get(&ver))?;
        // Whoever saw an earlier version did so before this one came.
        let seen_before = history.iter().filter(|asked| asked.saw().is_some_and(|saw| saw < ver));
        installed = seen_before.map(|asked| asked.begun).chain([earliest, installed]).max().unwrap_or(0);
        if installed > latest {
            return Err(format!("version {ver} can only have come after its swap had ended"));
        }
        let too_soon =
            history.iter().find(|asked| asked.saw().is_some_and(|saw| saw >= ver) && asked.ended < installed);
        if let Some(asked) = too_soon {
            return Err(format!("{asked:?} saw version {ver} or later before it can have come"));
        }
    }
    Ok(last)
}

/// What every version was, as far as anybody saw; two must not disagree, and nothing that was refused may be there.
fn values(history: &[Asked]) -> Result<BTreeMap<u64, Cfg>, String> {
    let mut values = BTreeMap::new();
    for asked in history {
        let seen = match (asked.answer, asked.proposed()) {
            (Answer::Value(Some(cfg)), _) => cfg,
            (Answer::Swapped, Some(next)) => next,
            _ => continue,
        };
        if *values.entry(seen.ver).or_insert(seen) != seen {
            return Err(format!("two values have version {}", seen.ver));
        }
    }
    let winners = history.iter().filter(|asked| asked.answer == Answer::Swapped);
    let mut won: Vec<u64> = winners.filter_map(Asked::saw).collect();
    won.sort_unstable();
    if let Some(twice) = won.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("version {} was won twice", twice[0]));
    }
    Ok(values)
}

/// When the version can have come: not before its swap began, and not after it ended if that was told.
fn installer(history: &[Asked], ver: u64, value: Option<&Cfg>) -> Result<(u64, u64), String> {
    let mut can_have = history.iter().filter(|asked| {
        let proposed = asked.proposed().filter(|next| next.ver == ver);
        let is_it = proposed.is_some_and(|next| value.is_none_or(|value| *value == next));
        is_it && matches!(asked.answer, Answer::Swapped | Answer::Unknown)
    });
    let first = can_have.clone().map(|asked| asked.begun).min();
    let first = first.ok_or_else(|| format!("nobody can have installed version {ver}"))?;
    let told = can_have.find(|asked| asked.answer == Answer::Swapped);
    Ok((first, told.map_or(u64::MAX, |asked| asked.ended)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arbiter::laws::cfg;

    fn asked(begun: u64, ended: u64, question: Question, answer: Answer) -> Asked {
        Asked { begun, ended, question, answer }
    }

    fn swap(begun: u64, ended: u64, next: Cfg, answer: Answer) -> Asked {
        asked(begun, ended, Question::Swap(next), answer)
    }

    fn read(begun: u64, ended: u64, value: Option<Cfg>) -> Asked {
        asked(begun, ended, Question::Read, Answer::Value(value))
    }

    #[test]
    fn a_good_history_passes() {
        let (one, rival, two, three) = (cfg(1, 1), cfg(1, 2), cfg(2, 3), cfg(3, 4));
        let history = [
            swap(0, 10, one, Answer::Swapped),
            swap(0, 10, rival, Answer::Value(Some(one))),
            read(5, 12, None),
            swap(11, 20, two, Answer::Unknown),
            read(21, 22, Some(one)),
            read(23, 30, Some(two)),
            swap(24, 40, three, Answer::Swapped),
        ];
        assert_eq!(check(&history), Ok(3));
    }

    #[test]
    fn every_kind_of_lie_is_found() {
        let (one, rival, two) = (cfg(1, 1), cfg(1, 2), cfg(2, 3));
        let lies: [(&str, Vec<Asked>); 7] = [
            ("a read of the past", vec![swap(0, 1, one, Answer::Swapped), read(2, 3, None)]),
            ("a read of the future", vec![read(0, 1, Some(one)), swap(2, 3, one, Answer::Swapped)]),
            ("two winners", vec![swap(0, 9, one, Answer::Swapped), swap(0, 9, rival, Answer::Swapped)]),
            (
                "a refused swap that happened",
                vec![swap(0, 1, one, Answer::Value(None)), read(2, 3, Some(one))],
            ),
            (
                "a swap that was not sent and happened",
                vec![swap(0, 1, one, Answer::NotSent), read(2, 3, Some(one))],
            ),
            (
                "an acknowledged swap that was lost",
                vec![
                    swap(0, 1, one, Answer::Swapped),
                    swap(2, 3, two, Answer::Swapped),
                    read(4, 5, Some(one)),
                ],
            ),
            ("a version without its predecessor", vec![swap(0, 1, two, Answer::Swapped)]),
        ];
        for (lie, history) in lies {
            assert!(check(&history).is_err(), "{lie}");
        }
    }
}

//! An open loop's timetable: what is due does not depend on what was answered.

/// So many messages a second, evenly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    begin_ns: u64,
    per_second: f64,
    next: u64,
}

impl Pace {
    /// Begins at `begin_ns`.
    pub(crate) fn new(begin_ns: u64, per_second: f64) -> Self {
        Self { begin_ns, per_second, next: 0 }
    }

    /// The next message that is due at `now_ns`: its number from 0, and when it was due.
    pub(crate) fn take(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let due_ns = self.begin_ns + (self.next as f64 * 1e9 / self.per_second) as u64;
        (due_ns <= now_ns).then(|| {
            self.next += 1;
            (self.next - 1, due_ns)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_its_messages_however_late_it_is_asked() {
        let mut pace = Pace::new(1_000, 4_000.0);
        let mut taken = 0;
        for now in [0, 500_000_000, 1_000_000_999] {
            while let Some((number, due)) = pace.take(now) {
                assert_eq!((number, due), (taken, 1_000 + taken * 250_000));
                taken += 1;
            }
        }
        assert_eq!(taken, 4_000);
    }
}

//! How many connections there may be: in all, and from one address. Who is let in holds a place until it is dropped.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Counts places. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(super) struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    total_max: usize,
    per_address_max: usize,
    closed: AtomicBool,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A connection's right to exist.
#[derive(Debug)]
pub(super) struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turned {
    /// The node has as many connections as it may.
    Full,
    /// The address has as many as one may.
    AddressFull,
    /// The node is about to stop.
    Closed,
}

impl Turned {
    /// The name in metrics and logs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::Closed => "draining",
        }
    }
}

impl Admission {
    pub(super) fn new(total_max: usize, per_address_max: usize) -> Self {
        let (closed, taken) = (AtomicBool::new(false), Mutex::default());
        Self { shared: Arc::new(Shared { total_max, per_address_max, closed, taken }) }
    }

    /// Takes a place for a connection from `address`.
    pub(super) fn enter(&self, address: IpAddr) -> Result<Place, Turned> {
        if self.shared.closed.load(Ordering::Relaxed) {
            return Err(Turned::Closed);
        }
        let address = address.to_canonical();
        let mut taken = self.shared.lock();
        if taken.total >= self.shared.total_max {
            return Err(Turned::Full);
        }
        let of_address = taken.by_address.entry(address).or_default();
        if *of_address >= self.shared.per_address_max {
            return Err(Turned::AddressFull);
        }
        *of_address += 1;
        taken.total += 1;
        Ok(Place { shared: Arc::clone(&self.shared), address })
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.shared.lock();
        taken.total -= 1;
        if let Some(count) = taken.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_it_is_left_and_nobody_enters_a_closed_house() {
        let admission = Admission::new(2, 1);
        let (a, b): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        let first = admission.enter(a).unwrap();
        assert_eq!(admission.enter(a).unwrap_err(), Turned::AddressFull);
        let _second = admission.enter(b).unwrap();
        assert_eq!(admission.enter([10, 0, 0, 3].into()).unwrap_err(), Turned::Full);
        drop(first);
        let mapped: IpAddr = "::ffff:10.0.0.2".parse().unwrap();
        assert_eq!(admission.enter(mapped).unwrap_err(), Turned::AddressFull, "one address in two spellings");
        drop(admission.enter(a).unwrap());
        admission.close();
        assert_eq!(admission.enter(a).unwrap_err(), Turned::Closed);
        assert_eq!(admission.shared.lock().total, 1);
    }
}

//! A register on this machine's disk: the arbiter *manual*, what the witness keeps, and a node's copy of what it saw.
//!
//! ```text
//!            ┌── a swap that fits: fsynced ──┐
//! Holds(v) ──┤                               ├─► Holds(v + 1)
//!            └── fails after the rename ─────┴─► Broken: every answer is Unknown until the process starts anew
//! ```
//!
//! Questions that write wait for the disk one after the other, at most [`WAITING_MAX`], the rest are turned away unheard;
//! reads never wait: until a swap is durable, the value before it is the value. A question whose asker has gone is not begun.

use super::file::{RegisterError, RegisterFile, WriteError};
use crate::core::{Answer, Cfg, ClusterId, Question};
use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, Semaphore, oneshot};

/// Writes that wait for the disk at most.
pub const WAITING_MAX: usize = 64;

/// Runs a job that blocks on a disk on a thread where it may. The job must run to its end, whoever waits for it.
pub type RunBlocking = Arc<dyn Fn(Job) + Send + Sync>;

/// What may block on a disk.
pub type Job = Box<dyn FnOnce() + Send>;

/// A compare-and-swap register in a file. Clones share it.
#[derive(Clone)]
pub struct Register {
    shared: Arc<Shared>,
    run: RunBlocking,
}

struct Shared {
    cluster: ClusterId,
    file: Mutex<RegisterFile>,
    view: Mutex<View>,
    waiting: Arc<Semaphore>,
    broken: Notify,
}

/// What may be told without touching the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum View {
    /// The value that is durable.
    Holds(Option<Cfg>),
    /// A write failed in a way that leaves two values possible.
    Broken,
}

impl Register {
    /// Opens the register of a pair in `directory`. Blocks on the disk: at the start only.
    ///
    /// # Errors
    /// [`RegisterError`].
    pub fn open(directory: &Path, cluster: ClusterId, run: RunBlocking) -> Result<Self, RegisterError> {
        let (file, value) = RegisterFile::open(directory, cluster)?;
        let shared = Shared {
            cluster,
            file: Mutex::new(file),
            view: Mutex::new(View::Holds(value)),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            broken: Notify::new(),
        };
        Ok(Self { shared: Arc::new(shared), run })
    }

    /// The answer; waits for the disk as long as the disk takes. A swap whose asker stops waiting may still happen.
    pub async fn answer(&self, question: Question) -> Answer {
        match question {
            Question::Read => self.shared.seen(),
            Question::Swap(next) => self.write(move |shared| shared.swap(&next)).await,
        }
    }

    /// Raises the register to a value that was learnt elsewhere, unless it holds a newer one; [`Answer::Swapped`] when it
    /// was raised, the value otherwise.
    pub async fn adopt(&self, learnt: Cfg) -> Answer {
        match self.held() {
            Some(Some(held)) if place(Some(held)) >= place(Some(learnt)) => Answer::Value(Some(held)),
            _ => self.write(move |shared| shared.adopt(&learnt)).await,
        }
    }

    /// The durable value; `None` once the register is broken.
    #[must_use]
    pub fn held(&self) -> Option<Option<Cfg>> {
        match *lock(&self.shared.view) {
            View::Holds(value) => Some(value),
            View::Broken => None,
        }
    }

    /// Returns when the register broke; for one waiter.
    pub async fn broken(&self) {
        while self.held().is_some() {
            self.shared.broken.notified().await;
        }
    }

    async fn write(&self, work: impl FnOnce(&Shared) -> Answer + Send + 'static) -> Answer {
        let Ok(permit) = Arc::clone(&self.shared.waiting).try_acquire_owned() else {
            return Answer::NotSent;
        };
        let (tell, told) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        (self.run)(Box::new(move || {
            let _permit = permit;
            if !tell.is_closed() {
                // Whoever asked may have gone meanwhile; the answer is of no use then.
                let _ = tell.send(work(&shared));
            }
        }));
        told.await.unwrap_or(Answer::Unknown)
    }
}

impl fmt::Debug for Register {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Register").field("view", &*lock(&self.shared.view)).finish_non_exhaustive()
    }
}

impl Shared {
    fn swap(&self, next: &Cfg) -> Answer {
        let mut file = lock(&self.file);
        let View::Holds(value) = *lock(&self.view) else { return Answer::Unknown };
        let fits = next.cluster == self.cluster && next.ver.checked_sub(1) == Some(version(value));
        if fits { self.replace(&mut file, value, next) } else { Answer::Value(value) }
    }

    fn adopt(&self, learnt: &Cfg) -> Answer {
        let mut file = lock(&self.file);
        let View::Holds(value) = *lock(&self.view) else { return Answer::Unknown };
        let newer = learnt.cluster == self.cluster && place(Some(*learnt)) > place(value);
        if newer { self.replace(&mut file, value, learnt) } else { Answer::Value(value) }
    }

    fn replace(&self, file: &mut RegisterFile, value: Option<Cfg>, next: &Cfg) -> Answer {
        match file.write(next) {
            Ok(()) => {
                *lock(&self.view) = View::Holds(Some(*next));
                Answer::Swapped
            }
            Err(error @ WriteError::Unchanged(_)) => {
                tracing::error!(%error, ver = next.ver, "a new value of the register was not written");
                Answer::Value(value)
            }
            Err(error @ WriteError::Doubtful(_)) => {
                tracing::error!(%error, ver = next.ver, "the register is used no more until the process starts anew");
                *lock(&self.view) = View::Broken;
                self.broken.notify_one();
                Answer::Unknown
            }
        }
    }

    fn seen(&self) -> Answer {
        match *lock(&self.view) {
            View::Holds(value) => Answer::Value(value),
            View::Broken => Answer::Unknown,
        }
    }
}

/// Which of two values is newer. Two registers without an arbiter count their versions apart: the reign decides first.
pub(super) fn place(value: Option<Cfg>) -> (u64, u64) {
    value.map_or((0, 0), |cfg| (cfg.epoch, cfg.ver))
}

/// The version of a value; an empty register has 0.
pub(super) fn version(value: Option<Cfg>) -> u64 {
    value.map_or(0, |cfg| cfg.ver)
}

/// Nothing that holds these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{InSync, Nonce, Side, StoreId};
    use futures_util::FutureExt as _;

    const CLUSTER: ClusterId = ClusterId([0xc0; 16]);

    fn cfg(ver: u64) -> Cfg {
        let in_sync = InSync::alone(Side::B, StoreId([1; 16]));
        Cfg { ver, epoch: ver, primary: Side::B, in_sync, holder: Nonce([2; 16]), cluster: CLUSTER }
    }

    fn on_the_spot() -> RunBlocking {
        Arc::new(|job| job())
    }

    #[tokio::test]
    async fn a_value_learnt_elsewhere_raises_the_register_and_an_older_one_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let register = Register::open(directory.path(), CLUSTER, on_the_spot()).unwrap();
        assert_eq!(register.adopt(cfg(7)).await, Answer::Swapped);
        assert_eq!(register.adopt(cfg(6)).await, Answer::Value(Some(cfg(7))));
        assert_eq!(register.answer(Question::Swap(cfg(8))).await, Answer::Swapped);
        let strange = Cfg { cluster: ClusterId([9; 16]), ..cfg(9) };
        assert_eq!(register.adopt(strange).await, Answer::Value(Some(cfg(8))));
        assert_eq!(register.answer(Question::Swap(strange)).await, Answer::Value(Some(cfg(8))));
    }

    #[tokio::test]
    async fn a_full_queue_turns_away_unheard_and_a_read_never_waits() {
        let directory = tempfile::tempdir().unwrap();
        let stuck: Arc<Mutex<Vec<Job>>> = Arc::default();
        let run: RunBlocking = {
            let stuck = Arc::clone(&stuck);
            Arc::new(move |job| lock(&stuck).push(job))
        };
        let register = Register::open(directory.path(), CLUSTER, run).unwrap();
        let mut askers = Vec::new();
        for _ in 0..WAITING_MAX {
            let mut asker = Box::pin(register.answer(Question::Swap(cfg(1))));
            assert!(asker.as_mut().now_or_never().is_none());
            askers.push(asker);
        }
        assert_eq!(register.answer(Question::Swap(cfg(1))).await, Answer::NotSent);
        assert_eq!(register.answer(Question::Read).await, Answer::Value(None));
        // Those who went away before their turn changed nothing.
        drop(askers.drain(1..));
        lock(&stuck).drain(..).for_each(|job| job());
        assert_eq!(askers.remove(0).await, Answer::Swapped);
        assert_eq!(register.answer(Question::Read).await, Answer::Value(Some(cfg(1))));
    }

    #[tokio::test]
    async fn a_register_of_doubtful_content_answers_nothing_any_more() {
        let directory = tempfile::tempdir().unwrap();
        let register = Register::open(directory.path(), CLUSTER, on_the_spot()).unwrap();
        let path = super::super::file::register_path(directory.path(), CLUSTER);
        // A directory in the way lets the rename fail, after the draft was written.
        std::fs::create_dir(&path).unwrap();
        assert_eq!(register.answer(Question::Swap(cfg(1))).await, Answer::Unknown);
        assert_eq!(register.answer(Question::Read).await, Answer::Unknown);
        register.broken().await;
    }
}

//! The end: waits for a signal or a failure, and stops in order.
//!
//! ```text
//! SIGTERM, SIGINT ─► /readyz 503, nobody new ─► accepted writes reach the disk ─► Closing 3001 to every client
//!                 ─► outboxes flushed, connections gone ─► store settled ─► exit 0          (deadline: drain.deadline_ms)
//! a second signal ─► exit at once       a part failed ─► exit 1, what was acknowledged is on the disk
//! ```

use super::{
    ServeError,
    accept::Ports,
    admission::Admission,
    driver::{Fact, Stopped},
    pair::{Aside, PairCertificates},
    queues::Facts,
};
use crate::store::StoreError;
use std::time::{Duration, Instant};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::timeout,
};

/// The signals that a server obeys.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// From now on they no longer end the process by themselves.
    pub(super) fn listen() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(|error| ServeError::system("signal handling", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hang_up: listen(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked::Stop("SIGTERM"),
            _ = self.interrupt.recv() => Asked::Stop("SIGINT"),
            _ = self.hang_up.recv() => Asked::Reload,
        }
    }

    /// The next one that asks to stop.
    async fn stop(&mut self) -> &'static str {
        loop {
            if let Asked::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }
}

/// How a server ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// It was told to.
    Stopped,
    /// The process has to begin anew, after this is done.
    Again(Aside),
}

/// What a signal asks for.
pub(super) enum Asked {
    Stop(&'static str),
    Reload,
}

/// What is running.
pub(super) struct Parts {
    pub(super) signals: Signals,
    pub(super) store_done: oneshot::Receiver<Result<(), StoreError>>,
    pub(super) driver_done: JoinHandle<Stopped>,
    pub(super) tasks: JoinSet<&'static str>,
    pub(super) facts: Facts,
    pub(super) admission: Admission,
    pub(super) ports: Ports,
    /// Those with which the node and its peer know each other.
    pub(super) pair_certificates: Option<PairCertificates>,
    pub(super) deadline: Duration,
}

/// Waits until the server is told to stop, then stops it.
///
/// # Errors
/// [`ServeError`] when a part of the server failed, before or while stopping.
pub(super) async fn until_stopped(mut parts: Parts) -> Result<Ended, ServeError> {
    loop {
        tokio::select! {
            asked = parts.signals.next() => match asked {
                Asked::Reload => reload(&parts),
                Asked::Stop(signal) => {
                    tracing::info!(signal, "stopping");
                    break;
                }
            },
            result = &mut parts.store_done => return match result {
                Ok(Ok(())) => let_go(parts).await,
                result => Err(store_failure(result)),
            },
            result = &mut parts.driver_done => match result {
                Ok(Stopped::Again(aside)) => return begin_anew(parts, aside).await,
                result => return Err(driver_failure(&mut parts.store_done, result.is_err()).await),
            },
            ended = parts.tasks.join_next() => {
                // A task ends when the driver no longer listens to it: then the driver says why.
                return match timeout(FLUSH, &mut parts.driver_done).await {
                    Ok(Ok(Stopped::Again(aside))) => begin_anew(parts, aside).await,
                    _ => Err(task_failure(&ended)),
                };
            }
        }
    }
    parts.admission.close();
    parts.ports.refuse_new();
    let deadline = Instant::now() + parts.deadline;
    let asked = parts.facts.send(Fact::Drain(deadline)).await;
    drop(parts.facts);
    let stopped = async {
        if asked.is_ok() {
            let _ = timeout(parts.deadline + GRACE, &mut parts.driver_done).await;
        }
        parts.driver_done.abort();
        // With the driver its end of the store's queue is gone: the store writes what it has and ends.
        match timeout(parts.deadline + GRACE, &mut parts.store_done).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(result) => Err(store_failure(result)),
            Err(_) => Err(ServeError::system("the orderly end of the store", &"the disk is too slow")),
        }
    };
    let result = tokio::select! {
        result = stopped => result,
        signal = parts.signals.stop() => {
            tracing::warn!(signal, "stopping at once");
            return Ok(Ended::Stopped);
        }
    };
    parts.tasks.abort_all();
    parts.ports.close(GRACE).await;
    if result.is_ok() {
        tracing::info!("stopped");
    }
    result.map(|()| Ended::Stopped)
}

/// The store ended in good order, because the driver let go of it a moment ago: the driver says why.
async fn let_go(mut parts: Parts) -> Result<Ended, ServeError> {
    match timeout(GRACE, &mut parts.driver_done).await {
        Ok(Ok(Stopped::Again(aside))) => {
            let store = if aside == Aside::Nothing { "stays" } else { "is put aside" };
            tracing::warn!(store, "beginning anew: what is in memory is thrown away");
            leave(parts).await;
            Ok(Ended::Again(aside))
        }
        Ok(Err(_)) => Err(ServeError::Defect("the driver")),
        Ok(Ok(Stopped::Drained | Stopped::StoreGone)) | Err(_) => Err(ServeError::Defect("the store thread")),
    }
}

/// The driver wants the process to begin anew: what it handed to the store is written, what it said to clients is sent.
async fn begin_anew(mut parts: Parts, aside: Aside) -> Result<Ended, ServeError> {
    tracing::warn!(?aside, "beginning anew");
    parts.admission.close();
    parts.ports.refuse_new();
    let settled = timeout(SETTLE_MAX, &mut parts.store_done).await;
    leave(parts).await;
    match settled {
        Ok(Ok(Ok(()))) => Ok(Ended::Again(aside)),
        Ok(result) => Err(store_failure(result)),
        Err(_) => Err(ServeError::system("anew", &"the disk does not finish its writes")),
    }
}

/// Nobody is let in any more, and what was said to clients is sent.
async fn leave(mut parts: Parts) {
    parts.admission.close();
    parts.ports.refuse_new();
    parts.tasks.abort_all();
    parts.ports.close(FLUSH).await;
}

/// How long a disk may take to finish before a process begins anew.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// How long clients have to hear that they are sent away.
const FLUSH: Duration = Duration::from_millis(250);

/// What the last steps may take beyond the deadline.
const GRACE: Duration = Duration::from_secs(2);

fn reload(parts: &Parts) {
    if let Some(certificates) = &parts.pair_certificates {
        certificates.reload();
    }
    match parts.ports.certificates().reload() {
        Ok(changed) => tracing::info!(changed, "certificates read again"),
        Err(error) => tracing::error!(%error, "the certificate in use stays"),
    }
}

fn store_failure(result: Result<Result<(), StoreError>, oneshot::error::RecvError>) -> ServeError {
    match result {
        Ok(Err(error)) => ServeError::Store(error),
        Ok(Ok(())) | Err(_) => ServeError::Defect("the store thread"),
    }
}

/// The driver ends early by a defect of its own, or because the store is gone: then the store knows why.
async fn driver_failure(
    store_done: &mut oneshot::Receiver<Result<(), StoreError>>,
    panicked: bool,
) -> ServeError {
    if panicked {
        return ServeError::Defect("the driver");
    }
    match timeout(GRACE, store_done).await {
        Ok(result) => store_failure(result),
        Err(_) => ServeError::Defect("the driver"),
    }
}

fn task_failure(ended: &Option<Result<&'static str, tokio::task::JoinError>>) -> ServeError {
    match ended {
        Some(Ok(name)) => ServeError::Defect(name),
        Some(Err(_)) | None => ServeError::Defect("a listener"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Arguments, Config},
        server::{accept, admission::Admission, auth::Keyring, connection::Entrance, http, queues, start},
    };
    use std::sync::{Arc, atomic::AtomicU64};

    /// A server of which nothing runs; the senders are what a driver and a store would end with.
    async fn parts(
        dir: &std::path::Path,
    ) -> (Parts, oneshot::Sender<Result<(), StoreError>>, oneshot::Sender<Stopped>) {
        let flag = |key: &str, value: &str| ("--set".to_owned(), key.to_owned(), value.to_owned());
        let listen = ["listen.clients", "listen.admin", "listen.dev"].map(|key| flag(key, "127.0.0.1:0"));
        let data = [flag("data_dir", &dir.display().to_string())];
        let flags = listen.into_iter().chain(data).collect();
        let arguments = Arguments { flags, dev: true, serving: true, ..Arguments::default() };
        let config = Config::load(&arguments, std::iter::empty()).unwrap();
        start::make_data_dir(&config.data_dir).unwrap();
        let (arrivals, _) = queues::arrivals();
        let (facts, _) = queues::facts();
        let entrance = Entrance {
            arrivals,
            keyring: Arc::new(Keyring::new(&[]).unwrap()),
            hello_timeout: Duration::from_secs(1),
            silences: crate::transport::Limits::default().silences(),
            last_id: Arc::new(AtomicU64::new(0)),
        };
        let admission = Admission::new(1, 1);
        let http = http::bind(&config).await.unwrap();
        let ports = accept::open(&config, &http, entrance, admission.clone()).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending());
        let (store, store_done) = oneshot::channel();
        let (driver, driven) = oneshot::channel();
        let driver_done = tokio::spawn(async move { driven.await.expect("the driver's defect") });
        let (signals, deadline) = (Signals::listen().unwrap(), Duration::from_millis(100));
        (
            Parts {
                signals,
                store_done,
                driver_done,
                tasks,
                facts,
                admission,
                ports,
                pair_certificates: None,
                deadline,
            },
            store,
            driver,
        )
    }

    #[tokio::test]
    async fn a_node_that_begins_anew_does_so_whichever_of_its_parts_is_heard_first() {
        let dir = tempfile::tempdir().unwrap();
        let (all, store, driver) = parts(dir.path()).await;
        // The store's queue ends within the driver, before anybody can know how the driver ended.
        store.send(Ok(())).unwrap();
        let told = tokio::spawn(async move {
            tokio::task::yield_now().await;
            driver.send(Stopped::Again(Aside::Nothing)).unwrap();
        });
        assert_eq!(until_stopped(all).await.unwrap(), Ended::Again(Aside::Nothing));
        told.await.unwrap();

        let (all, store, driver) = parts(dir.path()).await;
        driver.send(Stopped::Again(Aside::Nothing)).unwrap();
        store.send(Ok(())).unwrap();
        assert_eq!(until_stopped(all).await.unwrap(), Ended::Again(Aside::Nothing));

        let (mut all, store, driver) = parts(dir.path()).await;
        all.tasks.spawn(std::future::ready("link"));
        let told = tokio::spawn(async move {
            tokio::task::yield_now().await;
            driver.send(Stopped::Again(Aside::Nothing)).unwrap();
            store.send(Ok(())).unwrap();
        });
        assert_eq!(until_stopped(all).await.unwrap(), Ended::Again(Aside::Nothing));
        told.await.unwrap();
    }

    #[tokio::test]
    async fn a_part_that_fails_ends_the_whole_and_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (all, store, driver) = parts(dir.path()).await;
        drop(driver);
        assert!(matches!(until_stopped(all).await, Err(ServeError::Defect("the driver"))));
        drop(store);

        let (all, store, _driver) = parts(dir.path()).await;
        store.send(Err(StoreError::Poisoned { cause: "the disk".to_owned() })).unwrap();
        assert!(until_stopped(all).await.unwrap_err().to_string().contains("the disk"));

        let (all, store, _driver) = parts(dir.path()).await;
        drop(store);
        assert!(matches!(until_stopped(all).await, Err(ServeError::Defect("the store thread"))));

        let (mut all, _store, _driver) = parts(dir.path()).await;
        all.tasks.spawn(std::future::ready("the QUIC endpoint"));
        assert!(matches!(until_stopped(all).await, Err(ServeError::Defect("the QUIC endpoint"))));

        let (all, store, driver) = parts(dir.path()).await;
        driver.send(Stopped::StoreGone).unwrap();
        store.send(Err(StoreError::Poisoned { cause: "the disk".to_owned() })).unwrap();
        assert!(
            until_stopped(all).await.unwrap_err().to_string().contains("the disk"),
            "the cause, not the symptom"
        );
    }
}

//! The register as a key of etcd, `/duet/<cluster>/cfg`, with the bytes of a register's file as its value.
//!
//! ```text
//! Swap: get (value, mod_revision) ─► version fits? ─► txn { if mod_revision unchanged: put, else get } ─► Swapped | Value
//!        │ fails: nothing was sent      │ no: Value      │ fails: Unknown, unless etcd says that it refused
//! ```
//!
//! Reads are etcd's linearizable ones, and a transaction is acknowledged when a majority has it on disk. A client on which
//! anything failed is thrown away and made anew with the next question, which also gets a new token. etcd's own retries are
//! off; a transaction that arrives late finds another `mod_revision`.

use super::{ArbiterError, file, register::version};
use crate::{
    config,
    core::{Answer, Cfg, ClusterId, Question},
    peer::hex,
};
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, Error, GetResponse, Identity, KvClient,
    TlsOptions, Txn, TxnOp, TxnOpResponse,
};
use std::{
    fmt, fs,
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// An idle connection is tried this often, and given up when nothing comes back for as long.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Asks etcd.
pub struct EtcdCaller {
    endpoints: Vec<String>,
    options: ConnectOptions,
    key: String,
    cluster: ClusterId,
    client: tokio::sync::Mutex<Option<Client>>,
    /// The last trouble that was logged; it is logged again when it changes.
    said: Mutex<Option<String>>,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Etcd(#[from] Error),
    #[error("the value in etcd cannot be used: {0}; restore it as docs/arbiters.md tells")]
    Value(&'static str),
    #[error("etcd took too long")]
    Slow,
}

/// The value and its revision; an absent key has 0.
type Found = (Option<Cfg>, i64);

impl EtcdCaller {
    /// A caller; reads the files of the configuration.
    ///
    /// # Errors
    /// [`ArbiterError::File`].
    pub fn new(config: &config::Etcd, cluster: ClusterId) -> Result<Self, ArbiterError> {
        let mut options = ConnectOptions::new()
            .with_require_leader(true)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true);
        if let Some((user, file)) = &config.user {
            let password = read(file)?;
            options = options.with_user(user, password.trim_end_matches(['\r', '\n']));
        }
        if let Some(ca) = &config.ca_file {
            let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca)?));
            if let Some(client) = &config.client {
                tls = tls.identity(Identity::from_pem(read(&client.certificate)?, read(&client.key)?));
            }
            options = options.with_tls(tls);
        }
        let key = format!("/duet/{}/cfg", hex(&cluster.0));
        let (client, said) = Default::default();
        Ok(Self { endpoints: config.endpoints.clone(), options, key, cluster, client, said })
    }

    /// The answer, before the deadline.
    pub async fn answer(&self, question: Question, deadline: Instant) -> Answer {
        let got = timeout_at(deadline, Box::pin(self.get())).await.unwrap_or(Err(Failed::Slow));
        let (client, (value, revision)) = match got {
            Ok(got) => got,
            Err(error) => {
                self.say(&error);
                self.forget(deadline).await;
                return Answer::NotSent;
            }
        };
        let Question::Swap(next) = question else {
            self.say_well();
            return Answer::Value(value);
        };
        if next.cluster != self.cluster || next.ver.checked_sub(1) != Some(version(value)) {
            return Answer::Value(value);
        }
        let put = self.put(client.kv_client(), &next, revision);
        match timeout_at(deadline, Box::pin(put)).await.unwrap_or(Err(Failed::Slow)) {
            Ok(answer) => {
                self.say_well();
                answer
            }
            Err(error) => {
                self.say(&error);
                self.forget(deadline).await;
                if refused(&error) { Answer::Value(value) } else { Answer::Unknown }
            }
        }
    }

    /// The value. A kept client may be stale, so it is tried once more with a new one.
    async fn get(&self) -> Result<(Client, Found), Failed> {
        let kept = self.client.lock().await.clone();
        if let Some(client) = kept
            && let Ok(response) = client.kv_client().get(self.key.as_str(), None).await
        {
            return Ok((client, self.found(&response)?));
        }
        let client = Client::connect(&self.endpoints, Some(self.options.clone())).await?;
        let response = client.kv_client().get(self.key.as_str(), None).await?;
        let found = self.found(&response)?;
        *self.client.lock().await = Some(client.clone());
        Ok((client, found))
    }

    async fn put(&self, mut kv: KvClient, next: &Cfg, revision: i64) -> Result<Answer, Failed> {
        let key = self.key.as_str();
        let txn = Txn::new()
            .when([Compare::mod_revision(key, CompareOp::Equal, revision)])
            .and_then([TxnOp::put(key, file::encode(next), None)])
            .or_else([TxnOp::get(key, None)]);
        let response = kv.txn(txn).await?;
        if response.succeeded() {
            return Ok(Answer::Swapped);
        }
        match response.op_responses().first() {
            Some(TxnOpResponse::Get(response)) => Ok(Answer::Value(self.found(response)?.0)),
            _ => Err(Failed::Value("its answer holds none")),
        }
    }

    fn found(&self, response: &GetResponse) -> Result<Found, Failed> {
        let Some(pair) = response.kvs().first() else { return Ok((None, 0)) };
        let cfg = file::decode(pair.value()).map_err(Failed::Value)?;
        if cfg.cluster != self.cluster {
            return Err(Failed::Value("it belongs to another pair"));
        }
        Ok((Some(cfg), pair.mod_revision()))
    }

    async fn forget(&self, deadline: Instant) {
        // Nobody holds it for longer than it takes to copy it.
        if let Ok(mut client) = timeout_at(deadline + KEEP_ALIVE, self.client.lock()).await {
            *client = None;
        }
    }

    fn say(&self, error: &Failed) {
        let text = error.to_string();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.as_ref() != Some(&text) {
            tracing::warn!(endpoints = self.endpoints.join(","), error = text, "etcd does not answer");
            *said = Some(text);
        }
    }

    fn say_well(&self) {
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!(endpoints = self.endpoints.join(","), "etcd answers again");
        }
    }
}

impl fmt::Debug for EtcdCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdCaller").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Whether etcd said that it certainly did not do it: these come from checks that go before every change.
fn refused(error: &Failed) -> bool {
    const REFUSALS: [i32; 3] = [3, 7, 16];
    let Failed::Etcd(Error::GRpcStatus(status)) = error else { return false };
    // InvalidArgument, PermissionDenied, Unauthenticated (grpc.io, "Status codes").
    REFUSALS.contains(&i32::from(status.code()))
}

fn read(path: &Path) -> Result<String, ArbiterError> {
    fs::read_to_string(path).map_err(|source| ArbiterError::File { path: path.to_owned(), source })
}

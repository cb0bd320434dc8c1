//! Issuers whose keys change: read from a file or fetched, kept, and looked at again.
//!
//! ```text
//!             in time, or a token with an unknown kid (at most once in ASK_EVERY)
//!  waiting ─────────────────────────────────────────────────────────────────────────► looking
//!     ▲   keys: those of the document                                                   │ good
//!     ├───────────────────────────────────────────────────────────────────────────────────┤
//!     └── keys: as before; the next look after a time that doubles up to LOOK_EVERY ──────┘ failed
//! ```
//! An issuer that cannot be reached takes nobody's key away. One task per issuer writes; whoever verifies reads the latest.

use super::{
    fetch,
    jwks::{self, KeySet},
};
use crate::config::{IssuerSource, TenantIssuer};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// One issuer of a tenant, as those see it who verify tokens.
pub struct Issuer {
    keys: watch::Receiver<Seen>,
    /// Wakes the task that looks.
    wanted: Arc<Notify>,
}

/// The task's end of an issuer.
pub struct Looker {
    config: TenantIssuer,
    keys: watch::Sender<Seen>,
    wanted: Arc<Notify>,
}

/// What was seen last.
#[derive(Clone, Default)]
struct Seen {
    keys: Arc<KeySet>,
    /// When the last look ended.
    looked: Option<Instant>,
}

impl Seen {
    fn is_fresh(&self) -> bool {
        self.looked.is_some_and(|looked| looked.elapsed() < ASK_EVERY)
    }
}

impl Issuer {
    /// An issuer and the task that looks after its keys. Until the first look it has none.
    #[must_use]
    pub fn new(config: TenantIssuer) -> (Self, Looker) {
        let (sender, keys) = watch::channel(Seen::default());
        let wanted = Arc::new(Notify::new());
        let issuer = Self { keys, wanted: Arc::clone(&wanted) };
        (issuer, Looker { config, keys: sender, wanted })
    }

    /// The keys that count now.
    #[must_use]
    pub fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.borrow().keys)
    }

    /// Has the issuer's keys looked at anew, unless that was done just now; `true` when it is worth to try a token again.
    pub async fn look_again(&self) -> bool {
        let mut keys = self.keys.clone();
        if keys.borrow_and_update().is_fresh() {
            return false;
        }
        self.wanted.notify_one();
        matches!(tokio::time::timeout(LOOK_WITHIN, keys.changed()).await, Ok(Ok(())))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().keys()).finish()
    }
}

impl Looker {
    /// Looks once, before anybody is served. A file must be good; what is fetched may come later.
    ///
    /// # Errors
    /// What is wrong with the file, for the operator.
    pub async fn begin(&mut self) -> Result<(), String> {
        let IssuerSource::File(path) = &self.config.source else { return Ok(()) };
        let place = format!("{}: {}", self.config.place, path.display());
        let keys = self.look().await.map_err(|error| format!("{place}: {error}"))?;
        self.keys.send_replace(Seen { keys: Arc::new(keys), looked: Some(Instant::now()) });
        Ok(())
    }

    /// Looks for as long as anybody verifies.
    pub async fn run(self) -> &'static str {
        let begun = self.keys.borrow().looked.is_some();
        let mut wait = if begun { self.every() } else { Duration::ZERO };
        let mut failures = 0;
        loop {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.wanted.notified() => {
                    if self.keys.borrow().is_fresh() {
                        continue;
                    }
                }
                () = self.keys.closed() => return "issuer",
            }
            let issuer = self.config.issuer.as_str();
            let looked = self.look().await;
            match &looked {
                Ok(keys) if failures > 0 => {
                    tracing::info!(issuer, keys = keys.len(), "the issuer's keys can be had again");
                }
                Ok(keys) => tracing::debug!(issuer, keys = keys.len(), "the issuer's keys"),
                Err(error) => tracing::warn!(issuer, %error, "the issuer's keys stay as they were"),
            }
            failures = if looked.is_ok() { 0 } else { failures + 1 };
            self.keys.send_modify(|seen| {
                seen.looked = Some(Instant::now());
                if let Ok(keys) = looked {
                    seen.keys = Arc::new(keys);
                }
            });
            wait = match failures {
                0 => self.every(),
                failures => (RETRY_AFTER * 2u32.saturating_pow(failures.min(16) - 1)).min(LOOK_EVERY),
            };
        }
    }

    async fn look(&self) -> Result<KeySet, String> {
        let document = match &self.config.source {
            IssuerSource::File(path) => {
                let document = tokio::fs::read(path).await.map_err(|error| error.to_string())?;
                if document.len() > fetch::DOCUMENT_BYTES_MAX {
                    return Err("it is too large".to_owned());
                }
                document
            }
            IssuerSource::Url(url) => fetch::get(url).await.map_err(|error| error.to_string())?,
        };
        jwks::parse(&document).map_err(|error| error.to_string())
    }

    fn every(&self) -> Duration {
        match self.config.source {
            IssuerSource::File(_) => FILE_EVERY,
            IssuerSource::Url(_) => LOOK_EVERY,
        }
    }
}

/// A published set is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// A file is: it costs next to nothing.
const FILE_EVERY: Duration = Duration::from_secs(5);

/// After a failure; doubles with each.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Tokens with an unknown `kid` make it look no more often than this, so that nobody can use this server to flood an issuer.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// A token with an unknown `kid` waits this long at most for the keys to be looked at.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Place;

    const KEY: &str = r#"{"keys":[{"kid":"KID","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn at(path: &std::path::Path) -> (Issuer, Looker) {
        let (issuer, source) = ("https://id.example".to_owned(), IssuerSource::File(path.to_owned()));
        Issuer::new(TenantIssuer { issuer, source, place: Place::Default })
    }

    #[tokio::test]
    async fn keys_are_had_before_anybody_is_served_and_a_bad_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        let (_, mut looker) = at(&path);
        assert!(looker.begin().await.is_err(), "no file");
        std::fs::write(&path, "{}").unwrap();
        assert!(looker.begin().await.unwrap_err().contains("JWK Set"));
        std::fs::write(&path, KEY).unwrap();
        let (issuer, mut looker) = at(&path);
        looker.begin().await.unwrap();
        assert_eq!(issuer.keys().keys().collect::<Vec<_>>(), ["KID"]);
    }

    #[tokio::test]
    async fn a_rotated_key_is_found_when_it_is_asked_for_and_a_failure_takes_no_key_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.json");
        std::fs::write(&path, KEY.replace("KID", "old")).unwrap();
        let (issuer, looker) = at(&path);
        let task = tokio::spawn(looker.run());
        assert!(issuer.look_again().await, "the first look");
        assert_eq!(issuer.keys().keys().collect::<Vec<_>>(), ["old"]);
        std::fs::write(&path, KEY.replace("KID", "new")).unwrap();
        assert!(!issuer.look_again().await, "not again at once, however often it is asked for");
        let rotated = async {
            while !issuer.keys().contains_key("new") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), rotated).await.expect("the file is looked at");
        std::fs::write(&path, "no longer a set").unwrap();
        let mut keys = issuer.keys.clone();
        keys.borrow_and_update();
        tokio::time::timeout(Duration::from_secs(20), keys.changed()).await.expect("a look").unwrap();
        assert_eq!(issuer.keys().keys().collect::<Vec<_>>(), ["new"], "kept");
        drop(keys);
        drop(issuer);
        assert_eq!(tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap(), "issuer");
    }
}

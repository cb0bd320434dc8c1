//! The arbiter under test: a file, the real `duet witness`, or Debian's etcd, each on ports that the system chose and in a
//! directory of its own; killed when it is dropped.

use super::proxy::Proxy;
use crate::node::{PATIENCE, duet};
use duet::{
    arbiter::{Arbiter, Place, RunBlocking},
    config,
    core::{ClusterId, Side},
    peer::{IdentityFiles, PairPlan},
};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// What is tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Manual,
    Witness,
    #[cfg(feature = "etcd")]
    Etcd,
}

impl Kind {
    /// What a request holds that can change the register, where it can be seen.
    fn word(self) -> Option<&'static [u8]> {
        match self {
            #[cfg(feature = "etcd")]
            Self::Etcd => Some(b"DUETCFG1"),
            _ => None,
        }
    }
}

/// An arbiter that runs, and what is needed to ask it.
pub(crate) struct Subject {
    kind: Kind,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) cluster: ClusterId,
    process: Option<Process>,
    proxy: Option<Proxy>,
    manual: Option<Arc<Arbiter>>,
    callers: usize,
}

impl Subject {
    /// A fresh one, whose register is empty.
    pub(crate) async fn start(kind: Kind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses = || ["localhost:4434".to_owned(), "localhost:4434".to_owned()];
        let plan = PairPlan { peers: addresses(), clients: addresses(), witness: None };
        let cluster = duet::peer::init(&dir.path().join("pair"), &plan).unwrap().cluster;
        let (process, proxy, manual) = (None, None, None);
        let mut subject = Self { kind, dir, cluster, process, proxy, manual, callers: 0 };
        subject.launch("127.0.0.1:0".parse().unwrap());
        if let Some(process) = &subject.process {
            subject.proxy = Some(Proxy::start(process.address, kind.word()).await);
        }
        subject
    }

    fn launch(&mut self, listen: SocketAddr) {
        match self.kind {
            Kind::Manual => {
                self.manual = Some(Arc::new(self.open("manual", Side::A, &config::Arbiter::Manual)));
            }
            Kind::Witness => self.process = Some(witness(self.dir.path(), listen, &["--allow-same-machine"])),
            #[cfg(feature = "etcd")]
            Kind::Etcd => self.process = Some(super::etcd::start(self.dir.path(), listen, &[])),
        }
    }

    /// Kills it where it can be killed, and starts it again on what it left behind.
    pub(crate) fn kill_and_restart(&mut self) {
        self.manual = None;
        let address = self.process.take().map(|process| {
            let address = process.address;
            process.kill();
            address
        });
        self.launch(address.unwrap_or_else(|| "127.0.0.1:0".parse().unwrap()));
    }

    /// Kills it for good.
    pub(crate) fn kill(&mut self) {
        self.take().kill();
    }

    /// Its process, for whoever wants to end it otherwise.
    pub(crate) fn take(&mut self) -> Process {
        self.process.take().unwrap()
    }

    /// What loses and delays on the way to it, where there is a way.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Where it listens itself.
    pub(crate) fn address(&self) -> SocketAddr {
        self.process.as_ref().unwrap().address
    }

    /// A node that asks it, through the proxy if there is one. Without an arbiter there is only one.
    pub(crate) fn caller(&mut self) -> Arc<Arbiter> {
        if let Some(manual) = &self.manual {
            return Arc::clone(manual);
        }
        self.callers += 1;
        let address = self.proxy.as_ref().unwrap().address;
        let config = match self.kind {
            Kind::Manual => config::Arbiter::Manual,
            Kind::Witness => config::Arbiter::Witness(address.to_string()),
            #[cfg(feature = "etcd")]
            Kind::Etcd => config::Arbiter::Etcd(super::etcd::config(&format!("http://{address}"))),
        };
        let side = if self.callers.is_multiple_of(2) { Side::B } else { Side::A };
        Arc::new(self.open(&format!("node-{}", self.callers), side, &config))
    }

    pub(crate) fn open(&self, name: &str, side: Side, config: &config::Arbiter) -> Arbiter {
        let pair = self.dir.path().join("pair");
        let identity = IdentityFiles {
            ca: pair.join("pair-ca.pem"),
            certificate: pair.join(format!("{side}.pem")),
            key: pair.join(format!("{side}.key")),
        };
        let place = Place { directory: self.dir.path().join(name), cluster: self.cluster, side, identity };
        Arbiter::open(config, &place, run_blocking()).unwrap()
    }
}

/// A process that listens; killed when it is dropped.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to stop, and waits for its end.
    pub(crate) fn stop(mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "the process does not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `duet witness` with the certificates of `dir/pair`, its data in `dir/witness`, ready.
pub(crate) fn witness(dir: &Path, listen: SocketAddr, flags: &[&str]) -> Process {
    let ready_file = dir.join("ready.json");
    let _ = fs::remove_file(&ready_file);
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = witness_command(dir);
    command.args(["--listen", &listen.to_string(), "--log-format", "json"]);
    command.arg("--ready-file").arg(&ready_file).args(flags).stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(&ready_file) {
            let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
            let address = ready["listen"].as_str().unwrap().parse().unwrap();
            return Process { child, address };
        }
        let log = || fs::read_to_string(dir.join("log")).unwrap_or_default();
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "the witness ended before it was ready: {ended:?}\n{}", log());
        assert!(begun.elapsed() < PATIENCE, "the witness is not ready\n{}", log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `duet witness` with the configuration that `duet pair init` wrote.
pub(crate) fn witness_command(dir: &Path) -> Command {
    let mut command = duet();
    command.arg("witness").arg("--config").arg(dir.join("pair/witness.toml"));
    command.arg("--data-dir").arg(dir.join("witness"));
    command
}

/// Where the witness keeps its register.
pub(crate) fn witness_register(subject: &Subject) -> PathBuf {
    duet::arbiter::file::register_path(&subject.dir.path().join("witness"), subject.cluster)
}

fn run_blocking() -> RunBlocking {
    Arc::new(|job| drop(tokio::task::spawn_blocking(job)))
}

//! Debian's etcd as an arbiter: how it is started here, and what holds of it alone.

use super::{
    laws::{cfg, value},
    subject::{Kind, Process, Subject},
};
use crate::node::PATIENCE;
use duet::{
    arbiter::{Arbiter, ArbiterError, file},
    config,
    core::{Answer, Cfg, ClusterId, Question, Side},
    peer::hex,
};
use etcd_client::{Certificate, Client, ConnectOptions, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// etcd with its data in `dir/etcd`, accepting connections. With port 0 on a free one.
pub(crate) fn start(dir: &Path, listen: SocketAddr, flags: &[&str]) -> Process {
    // etcd cannot be told to choose a port, and a port that was free a moment ago may be taken now.
    for _ in 0..5 {
        let address = if listen.port() == 0 { free() } else { listen };
        if let Some(child) = launch(dir, address, flags) {
            return Process { child, address };
        }
    }
    panic!("etcd does not start\n{}", fs::read_to_string(dir.join("log")).unwrap_or_default());
}

/// How a node asks it without TLS and password.
pub(crate) fn config(endpoint: &str) -> config::Etcd {
    config::Etcd { endpoints: vec![endpoint.to_owned()], user: None, ca_file: None, client: None }
}

#[tokio::test]
async fn with_tls_and_a_password_it_serves_whoever_has_them_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let ca = certificates(dir.path());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let flags = ["--cert-file".to_owned(), at("etcd.pem"), "--key-file".to_owned(), at("etcd.key")];
    let process = start(dir.path(), "127.0.0.1:0".parse().unwrap(), &flags.each_ref().map(String::as_str));
    let endpoint = format!("https://localhost:{}", process.address.port());
    require_password(&endpoint, &ca).await;

    fs::write(dir.path().join("password"), "correct horse\n").unwrap();
    fs::write(dir.path().join("wrong"), "battery staple\n").unwrap();
    let with = |password: &str| config::Etcd {
        user: Some(("duet".to_owned(), dir.path().join(password))),
        ca_file: Some(dir.path().join("ca.pem")),
        ..config(&endpoint)
    };
    let subject = Subject::start(Kind::Manual).await;
    let open = |name: &str, etcd| subject.open(name, Side::A, &config::Arbiter::Etcd(etcd));
    let known = open("known", with("password"));
    let next = Cfg { cluster: subject.cluster, ..cfg(1, 1) };
    assert_eq!(value(&known).await, None);
    assert_eq!(known.answer(Question::Swap(next)).await, Answer::Swapped);
    let guest = open("guest", with("wrong"));
    assert_eq!(guest.answer(Question::Swap(Cfg { ver: 2, ..next })).await, Answer::NotSent);
    // Who may log in but not write is told that nothing happened.
    let reader = open(
        "reader",
        config::Etcd { user: Some(("reader".into(), at("password").into())), ..with("password") },
    );
    assert_eq!(reader.answer(Question::Swap(Cfg { ver: 2, ..next })).await, Answer::Value(Some(next)));
    let unknown_authority = Subject::start(Kind::Manual).await;
    let trusting = config::Etcd {
        ca_file: Some(unknown_authority.dir.path().join("pair/pair-ca.pem")),
        ..with("password")
    };
    let careful = open("careful", trusting);
    assert_eq!(careful.answer(Question::Read).await, Answer::NotSent);
    assert_eq!(value(&known).await, Some(next));
}

#[tokio::test]
async fn what_is_no_value_is_never_taken_for_one_and_a_node_s_copy_restores_it() {
    let mut subject = Subject::start(Kind::Etcd).await;
    let caller = subject.caller();
    let next = Cfg { cluster: subject.cluster, ..cfg(1, 1) };
    assert_eq!(value(&caller).await, None);
    assert_eq!(caller.answer(Question::Swap(next)).await, Answer::Swapped);
    let key = format!("/duet/{}/cfg", hex(&subject.cluster.0));
    let mut client = Client::connect([subject.address().to_string()], None).await.unwrap();
    let stranger = file::encode(&Cfg { cluster: ClusterId([9; 16]), ..next });
    for rubbish in [b"rubbish".to_vec(), stranger] {
        client.put(key.as_str(), rubbish, None).await.unwrap();
        for question in [Question::Read, Question::Swap(Cfg { ver: 2, ..next }), Question::Swap(next)] {
            let answer = caller.answer(question).await;
            assert!([Answer::NotSent, Answer::Unknown].contains(&answer), "{answer:?}");
        }
    }
    let copy = file::register_path(&subject.dir.path().join("node-1"), subject.cluster);
    client.put(key.as_str(), fs::read(copy).unwrap(), None).await.unwrap();
    assert_eq!(value(&caller).await, Some(next));
}

#[tokio::test]
async fn a_file_that_is_missing_is_named_at_the_start() {
    let subject = Subject::start(Kind::Manual).await;
    let missing = config::Etcd { ca_file: Some("/nowhere/ca.pem".into()), ..config("https://localhost:1") };
    let place = duet::arbiter::Place {
        directory: subject.dir.path().join("node"),
        cluster: subject.cluster,
        side: Side::A,
        identity: duet::peer::IdentityFiles {
            ca: "none".into(),
            certificate: "none".into(),
            key: "none".into(),
        },
    };
    let run: duet::arbiter::RunBlocking = std::sync::Arc::new(|job| job());
    let refused = Arbiter::open(&config::Arbiter::Etcd(missing), &place, run).unwrap_err();
    assert!(matches!(&refused, ArbiterError::File { .. }), "{refused:?}");
    assert!(refused.to_string().starts_with("/nowhere/ca.pem: "), "{refused}");
}

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn launch(dir: &Path, address: SocketAddr, flags: &[&str]) -> Option<Child> {
    let scheme = if flags.is_empty() { "http" } else { "https" };
    let (clients, peers) = (format!("{scheme}://{address}"), format!("http://{}", free()));
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).unwrap();
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(dir.join("etcd")).args(["--listen-client-urls", &clients]);
    command.args(["--advertise-client-urls", &clients, "--listen-peer-urls", &peers]);
    command.args(["--heartbeat-interval", "50", "--election-timeout", "500"]);
    let started = command.args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
    let mut child = started.expect("etcd is installed: `make prerequisites` does it");
    let begun = Instant::now();
    while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
        if child.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(begun.elapsed() < PATIENCE, "etcd is not ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(child)
}

/// An authority, and a certificate of `localhost` for etcd; the authority's PEM.
fn certificates(dir: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(dir.join("ca.pem"), &ca).unwrap();
    fs::write(dir.join("etcd.pem"), leaf.pem()).unwrap();
    fs::write(dir.join("etcd.key"), key.serialize_pem()).unwrap();
    ca
}

/// From now on etcd asks for a password: `duet` may do everything, `reader` may read.
async fn require_password(endpoint: &str, ca: &str) {
    let tls = TlsOptions::new().ca_certificate(Certificate::from_pem(ca));
    let mut client =
        Client::connect([endpoint], Some(ConnectOptions::new().with_tls(tls))).await.expect("etcd answers");
    let begun = Instant::now();
    while client.user_add("root", "root", None).await.is_err() {
        assert!(begun.elapsed() < PATIENCE, "etcd has a leader");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("duet", "correct horse", None).await.unwrap();
    client.user_grant_role("duet", "root").await.unwrap();
    client.role_add("readers").await.unwrap();
    let everything = etcd_client::Permission::read("/duet/").with_prefix();
    client.role_grant_permission("readers", everything).await.unwrap();
    client.user_add("reader", "correct horse", None).await.unwrap();
    client.user_grant_role("reader", "readers").await.unwrap();
    client.auth_enable().await.unwrap();
}

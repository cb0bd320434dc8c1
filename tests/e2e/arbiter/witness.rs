//! What the witness promises beyond the laws of every arbiter: whom it serves, who cannot harm it, how it starts and stops.

use super::{
    laws::{cfg, value},
    subject::{Kind, Subject, witness, witness_command, witness_register},
};
use crate::node::PATIENCE;
use duet::{
    arbiter::{Arbiter, Place},
    config,
    core::{Answer, Cfg, Question, Side},
    peer::{Identity, IdentityFiles, Member, PairPlan},
};
use std::{fs, net::SocketAddr, path::Path, process::Output, sync::Arc};
use tokio::{io::AsyncReadExt as _, io::AsyncWriteExt as _, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn a_node_on_the_witness_s_own_machine_is_refused() {
    let mut subject = Subject::start(Kind::Witness).await;
    let address = subject.address();
    subject.kill();
    let strict = witness(subject.dir.path(), address, &[]);
    assert_eq!(ask(&subject.caller(), Question::Read).await, Answer::NotSent);
    let log = fs::read_to_string(subject.dir.path().join("log")).unwrap();
    assert!(log.contains("on the same machine"), "{log}");
    assert!(strict.stop().success());
}

#[tokio::test]
async fn nobody_without_a_certificate_of_this_pair_s_nodes_is_served() {
    let subject = Subject::start(Kind::Witness).await;
    // Another pair's node, with a certificate that another authority signed.
    let other = tempfile::tempdir().unwrap();
    let addresses = || ["localhost:1".to_owned(), "localhost:1".to_owned()];
    let plan = PairPlan { peers: addresses(), clients: addresses(), witness: None };
    let cluster = duet::peer::init(other.path(), &plan).unwrap().cluster;
    let directory = other.path().join("node");
    let place = Place { directory, cluster, side: Side::A, identity: files(other.path(), "a") };
    let config = config::Arbiter::Witness(subject.address().to_string());
    let run: duet::arbiter::RunBlocking = Arc::new(|job| drop(tokio::task::spawn_blocking(job)));
    let stranger = Arbiter::open(&config, &place, run).unwrap();
    assert_eq!(ask(&stranger, Question::Read).await, Answer::NotSent);

    // The witness's own certificate is of this pair, and no node's.
    let pair = subject.dir.path().join("pair");
    let own = Identity::load(&files(&pair, "witness"), subject.cluster, Member::Witness).unwrap();
    let mut stream = tls(&subject, &own).await.unwrap();
    let _ = stream.write_all(&hello(&subject, 1)).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is hung up on");
    assert_eq!(answer, [] as [u8; 0], "nothing is said to it");
    // No certificate at all.
    let mut plain = TcpStream::connect(subject.address()).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, plain.read_to_end(&mut rest)).await.expect("it is hung up on");
}

#[tokio::test]
async fn a_version_that_is_not_spoken_and_bytes_that_are_no_message_end_the_connection() {
    let mut subject = Subject::start(Kind::Witness).await;
    let pair = subject.dir.path().join("pair");
    let node = Identity::load(&files(&pair, "a"), subject.cluster, Member::Node(Side::A)).unwrap();
    let mut newer = tls(&subject, &node).await.unwrap();
    newer.write_all(&hello(&subject, 9)).await.unwrap();
    assert_eq!(answer_and_end(&mut newer).await, [1, 0], "refused: version");
    for bytes in [&[0xff_u8; 600][..], &[0, 3, 0xff, 0xff, 0xff], &[0, 0]] {
        let mut broken = tls(&subject, &node).await.unwrap();
        broken.write_all(bytes).await.unwrap();
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, broken.read_to_end(&mut rest)).await.expect("it is hung up on");
        assert_eq!(rest, [] as [u8; 0]);
    }
    let caller = subject.caller();
    assert_eq!(ask(&caller, Question::Read).await, Answer::Value(None), "everybody else is served");
}

#[tokio::test]
async fn callers_that_hang_hold_nobody_up() {
    let mut subject = Subject::start(Kind::Witness).await;
    let pair = subject.dir.path().join("pair");
    let node = Identity::load(&files(&pair, "b"), subject.cluster, Member::Node(Side::B)).unwrap();
    // Some say nothing at all, some stop after TLS, some half-way through their hello.
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(subject.address()).await.unwrap());
    }
    let mut stuck = Vec::new();
    for bytes in [&[][..], &[0], &[0, 40, 1]] {
        let mut stream = tls(&subject, &node).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stuck.push(stream);
    }
    let caller = subject.caller();
    for ver in 1..=10 {
        let next = Cfg { cluster: subject.cluster, ..cfg(ver, ver.into()) };
        assert_eq!(ask(&caller, Question::Swap(next)).await, Answer::Swapped);
    }
    // And they are not kept for ever.
    for stream in &mut silent {
        let mut rest = Vec::new();
        let _ =
            timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("a silent caller is hung up on");
    }
}

#[tokio::test]
async fn a_witness_that_is_asked_to_stop_stops_well_and_keeps_its_value() {
    let mut subject = Subject::start(Kind::Witness).await;
    let caller = subject.caller();
    let next = Cfg { cluster: subject.cluster, ..cfg(1, 1) };
    assert_eq!(ask(&caller, Question::Swap(next)).await, Answer::Swapped);
    let address = subject.address();
    assert!(subject.take().stop().success());
    let again = witness(subject.dir.path(), address, &["--allow-same-machine"]);
    assert_eq!(value(&caller).await, Some(next), "the caller calls anew by itself");
    assert!(again.stop().success());
}

#[tokio::test]
async fn a_damaged_register_is_refused_and_left_alone_and_restored_from_what_the_nodes_kept() {
    let mut subject = Subject::start(Kind::Witness).await;
    let (one, other) = (subject.caller(), subject.caller());
    let newest = Cfg { cluster: subject.cluster, ..cfg(2, 2) };
    assert_eq!(ask(&one, Question::Swap(Cfg { ver: 1, ..newest })).await, Answer::Swapped);
    assert_eq!(ask(&other, Question::Swap(newest)).await, Answer::Swapped);
    let address = subject.address();
    assert!(subject.take().stop().success());
    let register = witness_register(&subject);
    let torn = fs::read(&register).unwrap()[..40].to_vec();
    fs::write(&register, &torn).unwrap();
    let refused = run(&subject, &["--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cut off"), "{refused:?}");
    assert_eq!(fs::read(&register).unwrap(), torn);

    // The operator puts it aside, and gives the copies of both nodes.
    fs::rename(&register, register.with_extension("damaged")).unwrap();
    let copies = ["node-1", "node-2"].map(|node| {
        let directory = subject.dir.path().join(node);
        duet::arbiter::file::register_path(&directory, subject.cluster).display().to_string()
    });
    let restored = run(&subject, &["--restore", &copies[0], "--restore", &copies[1]]);
    assert!(restored.status.success(), "{restored:?}");
    let again = run(&subject, &["--restore", &copies[0]]);
    assert_eq!(again.status.code(), Some(1), "a value that is not older is never replaced");
    let process = witness(subject.dir.path(), address, &["--allow-same-machine"]);
    assert_eq!(value(&one).await, Some(newest));
    assert!(process.stop().success());
}

#[tokio::test]
async fn two_witnesses_never_share_a_register() {
    let subject = Subject::start(Kind::Witness).await;
    let second = run(&subject, &["--listen", "127.0.0.1:0"]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("in use by another process"), "{second:?}");
}

#[test]
fn a_witness_without_a_pair_is_a_mistake_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let output = crate::node::duet().current_dir(dir.path()).arg("witness").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("witness.cluster"), "{output:?}");
}

async fn ask(arbiter: &Arbiter, question: Question) -> Answer {
    timeout(PATIENCE, arbiter.answer(question)).await.expect("every question is answered")
}

/// `duet witness` to its end.
fn run(subject: &Subject, flags: &[&str]) -> Output {
    witness_command(subject.dir.path()).args(flags).output().unwrap()
}

fn files(pair: &Path, name: &str) -> IdentityFiles {
    IdentityFiles {
        ca: pair.join("pair-ca.pem"),
        certificate: pair.join(format!("{name}.pem")),
        key: pair.join(format!("{name}.key")),
    }
}

async fn tls(
    subject: &Subject,
    identity: &Identity,
) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let address: SocketAddr = subject.address();
    let config = identity.client_config(b"duet-witness/1").unwrap();
    let name = Member::Witness.name(subject.cluster).try_into().unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, TcpStream::connect(address).await?).await
}

/// The bytes of a hello as `docs/arbiters.md` has them: length, version, cluster, no machine.
fn hello(subject: &Subject, version: u8) -> Vec<u8> {
    [&[0, 18, version][..], &subject.cluster.0, &[0]].concat()
}

/// The body of the one reply that comes before the end.
async fn answer_and_end(stream: &mut tokio_rustls::client::TlsStream<TcpStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.expect("the witness ends it").unwrap();
    assert_eq!(usize::from(u16::from_be_bytes([bytes[0], bytes[1]])), bytes.len() - 2);
    bytes.split_off(2)
}

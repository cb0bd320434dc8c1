//! New certificates in a pair that goes on, and another authority in its place.

use super::node::{Pair, Running};
use duet::{
    core::Side,
    peer::{Member, PairPlan, PeerEndpoint, init_as, renew},
};
use std::fs;

/// A link with the files as they lie there now.
async fn linked(pair: &Pair) {
    let (mut a, mut b, ..) = pair.linked().await;
    assert!(a.another().is_none() && b.another().is_none());
}

#[tokio::test]
async fn a_renewed_certificate_and_an_old_one_make_a_link() {
    let pair = Pair::mint();
    let old = fs::read(pair.file("a.pem")).unwrap();
    renew(pair.folder.path(), &[Member::Node(Side::A)]).unwrap();
    assert_ne!(fs::read(pair.file("a.pem")).unwrap(), old);
    linked(&pair).await;
}

#[tokio::test]
async fn an_authority_is_replaced_machine_by_machine() {
    let (pair, other) = (Pair::mint(), tempfile::tempdir().unwrap());
    let addresses = || ["localhost:1".to_owned(), "localhost:1".to_owned()];
    let plan = PairPlan { peers: addresses(), clients: addresses(), witness: None };
    init_as(other.path(), &plan, Some(pair.cluster)).unwrap();
    let (old, new) =
        (fs::read(pair.file("pair-ca.pem")).unwrap(), fs::read(other.path().join("pair-ca.pem")).unwrap());
    fs::write(pair.file("pair-ca.pem"), [old, new.clone()].concat()).unwrap();
    linked(&pair).await;
    for member in ["a", "b"] {
        for kind in ["pem", "key"] {
            let name = format!("{member}.{kind}");
            fs::copy(other.path().join(&name), pair.file(&name)).unwrap();
        }
        linked(&pair).await;
    }
    fs::write(pair.file("pair-ca.pem"), new).unwrap();
    linked(&pair).await;
}

#[tokio::test]
async fn an_endpoint_uses_new_files_from_its_next_link_on() {
    let pair = Pair::mint();
    let (a, b) = pair.nodes();
    // Both get files of an authority of which neither knew when it was bound.
    let other = tempfile::tempdir().unwrap();
    let addresses = || ["localhost:1".to_owned(), "localhost:1".to_owned()];
    let plan = PairPlan { peers: addresses(), clients: addresses(), witness: None };
    init_as(other.path(), &plan, Some(pair.cluster)).unwrap();
    let copy = |names: &[&str]| {
        for name in names {
            fs::copy(other.path().join(name), pair.file(name)).unwrap();
        }
    };
    copy(&["pair-ca.pem", "a.pem", "b.pem"]);
    assert!(a.reload().is_err(), "the keys are still the old ones");
    copy(&["a.key", "b.key"]);
    let reload = |endpoint: PeerEndpoint| {
        endpoint.reload().unwrap();
        Running::start(endpoint)
    };
    let (mut a, mut b) = (reload(a), reload(b));
    let (_on_a, _on_b) = (a.link().await, b.link().await);
}

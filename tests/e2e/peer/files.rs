//! A file arrives whole or not at all, and its sender knows which.

use super::{
    node::{Pair, Running, soon},
    stranger::call_as_a,
};
use duet::{
    core::Side,
    peer::{FileFailed, LinkFiles, Pace, PeerEndpoint},
};
use sha2::{Digest as _, Sha256};
use std::{fs, path::Path};

const FAST: u64 = 1 << 30;

fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

/// Nothing lies in the folder but these.
fn only(folder: &Path, names: &[&str]) {
    let mut found: Vec<String> =
        fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    found.sort();
    assert_eq!(found, names);
}

/// A good part of the file is on the disk.
async fn begun(target: &Path) {
    let part = target.with_extension("part");
    let written = || fs::metadata(&part).is_ok_and(|part| part.len() > 100_000);
    soon("the first bytes", async {
        while !written() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    })
    .await;
}

async fn take(files: &LinkFiles, target: &Path, bytes_max: u64) -> Result<Vec<u8>, FileFailed> {
    let arriving = soon("a file", files.next()).await.unwrap();
    let received = soon("its end", arriving.receive(target, bytes_max)).await?;
    let meta = received.meta.clone();
    received.taken().await?;
    Ok(meta)
}

#[tokio::test]
async fn a_file_arrives_whole_and_its_sender_knows() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let (from, to) = (on_a.split(), on_b.split());
    for bytes in [0, 1, 65_536, 9_000_001] {
        let (source, folder) = (pair.file("source"), tempfile::tempdir().unwrap());
        fs::write(&source, content(bytes)).unwrap();
        let target = folder.path().join("snapshot");
        let pace = Pace::bytes_per_s(FAST);
        let sending = from.files.send(&source, b"as of 7", &pace, super::node::SOON);
        let (sent, taken) = tokio::join!(sending, take(&to.files, &target, FAST));
        assert_eq!(sent.unwrap(), bytes as u64);
        assert_eq!(taken.unwrap(), b"as of 7");
        assert!(fs::read(&target).unwrap() == content(bytes), "the file is not what was sent");
        only(folder.path(), &["snapshot"]);
    }
}

#[tokio::test]
async fn a_file_that_is_not_taken_is_known_to_its_sender_with_the_reason() {
    let pair = Pair::mint();
    let (_a, _b, on_a, on_b) = pair.linked().await;
    let (from, to) = (on_a.split(), on_b.split());
    let (source, folder) = (pair.file("source"), tempfile::tempdir().unwrap());
    fs::write(&source, content(5_000_000)).unwrap();
    let target = folder.path().join("snapshot");
    let pace = Pace::bytes_per_s(FAST);

    let sending = from.files.send(&source, b"", &pace, super::node::SOON);
    let (sent, taken) = tokio::join!(sending, take(&to.files, &target, 1_000));
    assert!(matches!(taken, Err(FileFailed::TooLarge { bytes: 5_000_000, max: 1_000 })), "{taken:?}");
    assert!(matches!(&sent, Err(FileFailed::Refused(reason)) if reason.contains("5000000")), "{sent:?}");
    only(folder.path(), &[]);

    let sending = from.files.send(&source, b"", &pace, super::node::SOON);
    let refusing = async {
        let arriving = soon("a file", to.files.next()).await.unwrap();
        arriving.receive(&target, FAST).await.unwrap().refuse("it is of another reign").await.unwrap();
    };
    let (sent, ()) = tokio::join!(sending, refusing);
    assert!(
        matches!(&sent, Err(FileFailed::Refused(reason)) if reason == "it is of another reign"),
        "{sent:?}"
    );
}

/// What b says of a file made of these parts, whose stream ends or is reset after them.
async fn received(pair: &Pair, parts: &[&[u8]], reset: bool, target: &Path) -> FileFailed {
    let mut b = Running::start(PeerEndpoint::bind(pair.config(Side::B, 2)).unwrap());
    let called = call_as_a(pair, b.address).await;
    let files = b.link().await.split();
    let (mut there, _back) = called.connection.open_bi().await.unwrap();
    let sending = async {
        there.write_all(&parts.concat()).await.unwrap();
        if reset {
            begun(target).await;
            there.reset(quinn::VarInt::from_u32(9)).unwrap();
        } else {
            there.finish().unwrap();
        }
    };
    let (result, ()) = tokio::join!(take(&files.files, target, FAST), sending);
    result.expect_err("a broken file was taken")
}

#[tokio::test]
async fn a_file_with_one_wrong_byte_or_cut_short_leaves_no_trace_and_harms_no_older_one() {
    let pair = Pair::mint();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("snapshot");
    fs::write(&target, b"the one before").unwrap();
    let right = content(300_000);
    let hash: [u8; 32] = Sha256::digest(&right).into();
    let head = [&[3, 0, 0][..], &300_000_u64.to_be_bytes()].concat();
    let mut wrong = right.clone();
    wrong[123_456] ^= 1;

    let failed = received(&pair, &[&head, &wrong, &hash], false, &target).await;
    assert!(matches!(failed, FileFailed::Damaged(_)), "{failed}");
    let failed = received(&pair, &[&head, &right[..200_000]], false, &target).await;
    assert!(matches!(failed, FileFailed::Damaged(_)), "{failed}");
    let failed = received(&pair, &[&head, &right, &hash[..31]], false, &target).await;
    assert!(matches!(failed, FileFailed::Damaged(_)), "{failed}");
    let failed = received(&pair, &[&head, &right[..200_000]], true, &target).await;
    assert!(matches!(failed, FileFailed::BrokenOff), "{failed}");
    assert_eq!(fs::read(&target).unwrap(), b"the one before");
    only(folder.path(), &["snapshot"]);
}

#[tokio::test]
async fn a_link_that_ends_under_a_file_leaves_no_trace_of_it() {
    let pair = Pair::mint();
    let (a, _b, on_a, on_b) = pair.linked().await;
    let (from, to) = (on_a.split(), on_b.split());
    let (source, folder) = (pair.file("source"), tempfile::tempdir().unwrap());
    fs::write(&source, content(5_000_000)).unwrap();
    let target = folder.path().join("snapshot");
    let pace = Pace::bytes_per_s(1 << 20);
    let sending = from.files.send(&source, b"", &pace, super::node::SOON);
    let cutting = async {
        let arriving = soon("a file", to.files.next()).await.unwrap();
        let receiving = arriving.receive(&target, FAST);
        let cut = async {
            begun(&target).await;
            drop((a, from.writer));
        };
        tokio::join!(receiving, cut).0.expect_err("half a file was taken")
    };
    let (sent, failed) = soon("both ends", async { tokio::join!(sending, cutting) }).await;
    assert!(sent.is_err(), "{sent:?}");
    assert!(
        matches!(failed, FileFailed::Ended(_) | FileFailed::BrokenOff | FileFailed::Damaged(_)),
        "{failed}"
    );
    only(folder.path(), &[]);
}

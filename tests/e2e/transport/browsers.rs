//! Chromium and Firefox, as they are installed, against the echo server. One page does everything and
//! posts what it found; the laws are asserted here.

use super::echo::{EchoServer, PATIENCE};
use crate::browser::{Browser, PageServer};
use duet::transport::{Closed, Limits, Origins};
use serde_json::Value;
use std::time::Duration;

const PAGE: &str = include_str!("page.html");

/// A browser's start on a busy machine included.
const PAGE_DEADLINE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn chromium_keeps_every_law_of_webtransport() {
    keeps_every_law(Browser::Chromium).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_keeps_every_law_of_webtransport() {
    keeps_every_law(Browser::Firefox).await;
}

async fn keeps_every_law(browser: Browser) {
    let pages = PageServer::bind();
    let mut server = EchoServer::start(Origins::only([pages.origin()]), Limits::default());
    let foreign = EchoServer::start(Origins::only(["https://elsewhere.example"]), Limits::default());
    let page = PAGE
        .replace("%PORT%", &server.address.port().to_string())
        .replace("%HASH%", &format!("{:?}", server.certificates.hash()))
        .replace("%FOREIGN_PORT%", &foreign.address.port().to_string())
        .replace("%FOREIGN_HASH%", &format!("{:?}", foreign.certificates.hash()));
    let posted = tokio::task::spawn_blocking(move || pages.run(browser, &page, PAGE_DEADLINE)).await.unwrap();
    let found: Value = serde_json::from_str(&posted).unwrap();
    let expected = [
        "session",
        "lanes",
        "datagram",
        "fifty",
        "big",
        "reset_by_server",
        "reset_by_page",
        "close_by_server",
        "close_by_page",
        "foreign_origin",
        "unknown_path",
    ];
    for law in expected {
        assert_eq!(found[law], "ok", "{browser:?} {law}: {found:#}");
    }
    // Firefox 153 offers no subprotocols, and seldom shows a page the code of a reset.
    if browser == Browser::Chromium {
        assert_eq!(found["reset_code"], 77, "{found:#}");
        assert_eq!(found["protocol"], "duet.v1", "{found:#}");
    }
    let by_page = Closed::ByPeer { code: 7, reason: "bye".into() };
    let mut seen = Vec::new();
    let closed = tokio::time::timeout(PATIENCE / 2, async {
        while seen.last() != Some(&by_page) {
            seen.push(server.closed().await);
        }
    });
    let closed = closed.await.is_ok();
    assert!(closed, "the page's close was not among {seen:?}");
}

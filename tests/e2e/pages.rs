//! Pages of history on the wire: compressed for clients that inflate them, as they are for others.

use crate::{
    node::{Node, PATIENCE},
    raw::{Raw, RawStream, hello},
};
use duet_client::{Client, FixedToken, Options, link::Trust, machine::From};
use duet_protocol::{
    Command, Delivery, Frame,
    command::{HistoryRequest, Page},
    deflate::DEFLATED,
    delivery::{ConversationKind, HistoryPage},
    hello::capability,
};
use std::sync::Arc;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_page_travels_compressed_to_who_inflates_it_and_as_it_is_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::dev(dir.path());
    let token = node.token("reader", "visitor", &[]);
    let mut options =
        Options::new(vec![node.ready.clients[0].to_string()], Arc::new(FixedToken(token.clone())));
    options.trust = Trust::pinned_hex(&node.ready.certificate_sha256).unwrap();
    let client = Client::connect(options).unwrap();
    timeout(PATIENCE, client.ready()).await.unwrap().unwrap();
    let chat = client.create_conversation(ConversationKind::Support, None, vec![]).await.unwrap();
    chat.subscribe(From::Default).await.unwrap();
    let said: Vec<String> = (0..80).map(|number| format!("{number}: {}", TEXT.repeat(2))).collect();
    for text in &said {
        chat.send_text(text.clone()).await.unwrap();
    }
    let all_stored = async {
        while !client.outbox().await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, all_stored).await.expect("stored in time");
    let texts: Vec<String> =
        crate::writers::read_log(&chat).await.into_values().map(|(_, text)| text).collect();
    assert_eq!(texts, said, "the SDK inflates");

    let (plain_bytes, plain) = page(&node, &token, chat.id(), 0).await;
    let (small_bytes, small) = page(&node, &token, chat.id(), capability::DEFLATE).await;
    assert_eq!((small.events, small.more), (plain.events, plain.more));
    assert!(small_bytes * 100 < plain_bytes * 63, "saves 37 % at least: {small_bytes} of {plain_bytes}");
}

/// A page as a client with these capabilities gets it, and the bytes that it took.
async fn page(
    node: &Node,
    token: &str,
    conversation: duet_protocol::ConversationId,
    capabilities: u64,
) -> (usize, HistoryPage) {
    let mut raw = Raw::connect(node).await;
    let greeting = hello(Some(token.to_owned()), &format!("device-{capabilities}"));
    raw.control.send(&Command::Hello(duet_protocol::Hello { capabilities, ..greeting })).await;
    let Some(Delivery::Welcome(welcome)) = raw.control.next().await else { panic!("no welcome") };
    assert_eq!(welcome.capabilities, capabilities);
    let mut lane = RawStream::open(&raw.connection).await;
    let request = HistoryRequest { request: 1, conversation, page: Page::Before(u64::MAX), limit: 80 };
    lane.send(&Command::HistoryRequest(request)).await;
    let frame = lane.frame().await.unwrap();
    assert_eq!(frame.kind == DEFLATED, capabilities == capability::DEFLATE);
    let bytes = frame.body.len();
    let inflated: Vec<Frame> = frame.inflate().map_or_else(|| vec![frame.clone()], |frames| frames.unwrap());
    let [frame] = &inflated[..] else { panic!("one page is one frame") };
    let Ok(Some(Delivery::HistoryPage(page))) = Delivery::decode(frame) else { panic!("no page: {frame:?}") };
    (bytes, page)
}

const TEXT: &str =
    "Thank you for waiting. I have looked at your order, and it left our warehouse this morning. ";

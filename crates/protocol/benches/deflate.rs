//! What compressing a page of history saves and costs: `cargo bench -p duet-protocol --bench deflate`.
//!
//! The pages are those of chats whose messages are sentences of this project's documents, the size of real ones: every
//! word new, ids and times random as they are. A first run prints bytes before and after at several levels; then divan
//! measures the time of the level in use.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    missing_docs,
    reason = "a benchmark stops at what it did not expect"
)]

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use duet_protocol::delivery::HistoryPage;
use duet_protocol::event::{Content, Message};
use duet_protocol::{
    ClientMessageId, ConversationId, Delivery, Event, EventBody, FrameDecoder, UserId, deflate::deflate,
};
use miniz_oxide::deflate::compress_to_vec;
use std::time::Instant;

const TEXTS: [&str; 3] = [
    include_str!("../../../docs/operations.md"),
    include_str!("../../../docs/storage.md"),
    include_str!("../../../docs/replication.md"),
];

fn main() {
    for count in [10, 50, 150] {
        let page = page(count);
        let saved = |small: usize| 100.0 - 100.0 * small as f64 / page.len() as f64;
        let levels = [1, 3, 6, 9].map(|level| {
            let (begun, rounds) = (Instant::now(), 50);
            let mut small = 0;
            for _ in 0..rounds {
                small = std::hint::black_box(compress_to_vec(&page, level)).len();
            }
            let took_us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
            format!("level {level} saves {:.1} % in {took_us:.0} µs", saved(small))
        });
        let framed = deflate(&page).unwrap().len();
        println!(
            "{count} messages, {} B: {}; as sent {framed} B, {:.1} % less",
            page.len(),
            levels.join(", "),
            saved(framed)
        );
    }
    divan::main();
}

#[divan::bench(args = [10, 50, 150])]
fn deflate_page(bencher: Bencher<'_, '_>, messages: usize) {
    let page = page(messages);
    bencher.counter(BytesCount::new(page.len())).bench_local(|| deflate(&page));
}

#[divan::bench(args = [10, 50, 150])]
fn inflate_page(bencher: Bencher<'_, '_>, messages: usize) {
    let mut decoder = FrameDecoder::default();
    let page = page(messages);
    decoder.push(&deflate(&page).unwrap());
    let frame = decoder.next().unwrap().unwrap();
    bencher.counter(BytesCount::new(page.len())).bench_local(|| frame.inflate().unwrap().unwrap());
}

/// A page of a chat between two people, encoded.
fn page(messages: usize) -> Bytes {
    let sentences = TEXTS.iter().flat_map(|text| text.split(['\n', '.', '|', ';'])).map(str::trim);
    let sentences = sentences.filter(|sentence| (12..=240).contains(&sentence.len()));
    let users = ["visitor-8f2c61", "agent-anna"].map(|user| UserId::parse(user).unwrap());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut at_ms = 1_763_000_000_000;
    let events = sentences.take(messages).zip(1..).map(|(sentence, seq)| {
        at_ms += next() % 60_000;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(at_ms << 16 | 0x7000 | next() & 0xfff).to_be_bytes());
        id[8..].copy_from_slice(&(next() | 1 << 63).to_be_bytes());
        let content = Content::text(sentence);
        let message = Message { id: ClientMessageId(id), content, reply_to: None };
        let (kind, body) = EventBody::Message(message).encode();
        Event { seq, at_ms, author: Some(users[(seq % 2) as usize].clone()), kind, body }
    });
    let conversation = ConversationId([0x42; 16]);
    let page = HistoryPage { request: 7, conversation, events: events.collect(), more: true };
    assert_eq!(page.events.len(), messages, "too few sentences");
    Delivery::HistoryPage(page).encode()
}

//! The native Duet SDK: conversations that survive lifts, tunnels and restarts of the server.
//!
//! Three layers, each usable without the one above it: [`machine`] is the whole behaviour without I/O, [`link`] carries
//! it over QUIC, and [`Client`] is what an application holds.
//!
//! ```no_run
//! use duet_client::{
//!     Client, FixedToken, Options,
//!     machine::{Event, From},
//!     protocol::delivery::ConversationKind,
//! };
//! use std::sync::Arc;
//!
//! # async fn chat(jwt: String) -> Result<(), duet_client::machine::ClientError> {
//! let tokens = Arc::new(FixedToken(jwt));
//! let client = Client::connect(Options::new(vec!["chat.example.org:4433".into()], tokens))?;
//! let mut events = client.events();
//!
//! let conversation = client.create_conversation(ConversationKind::Support, None, vec![]).await?;
//! conversation.subscribe(From::Default).await?;
//! conversation.send_text("Where is my parcel?".into()).await?;
//!
//! while let Some(event) = events.next().await {
//!     match event {
//!         Event::MessageCreated { message, .. } => {
//!             println!("{:?}: {}", message.author, message.content.as_text().unwrap_or("(no text)"));
//!         }
//!         Event::MessageStatus(change) => println!("{} is {:?}", change.id, change.status),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Promises: a message keeps its id through every retry and is stored once, in the order in which it was sent in its
//! conversation · every event of a subscribed conversation is told once, in order, without a hole, or a
//! `discontinuity` says that there is one · nothing blocks: what cannot be done at once is told by an event · every
//! queue has a bound and every wait a deadline.

#[cfg(feature = "quic")]
mod handle;
#[cfg(feature = "quic")]
pub mod link;
pub mod machine;

pub use duet_protocol as protocol;
#[cfg(feature = "quic")]
pub use handle::{
    Client, ConnectionInfo, Conversation, Events, FixedToken, Listener, Options, Storage, TokenFuture,
    TokenSource,
};

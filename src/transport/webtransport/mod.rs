//! WebTransport over HTTP/3, as a layer of our own below an unpatched h3.
//!
//! h3 sees SETTINGS, control, QPACK and requests; streams and datagrams of sessions never reach it.
//! Why not h3-webtransport: `docs/decisions/0001-webtransport-below-h3.md`.
//!
//! ```text
//! quinn ─► router ─┬─ 0x41/0x54 head ─► sessions ─► Session (a Wire for lanes)
//!                  ├─ datagrams ──────► sessions
//!                  └─ anything else ──► handover ─► adapter ─► h3 ─► requests
//! ```

mod adapter;
pub mod capsule;
pub mod codes;
mod handover;
pub mod header;
mod http3;
mod request;
mod router;
mod session;
mod sessions;
pub mod settings;

pub(in crate::transport) use http3::Policy;
pub use http3::{Answer, Http3};
pub use request::SessionRequest;
pub(in crate::transport) use session::Session;

//! Load: thousands of sessions from one thread, and what they saw.
//!
//! ```text
//! Plan ──► Fleet (sessions, connected and in their rooms) ──► shape (rooms, idle, storm) ──► Report
//!              │ carriers: raw QUIC, WebTransport, WebSocket            │
//!              └── everything heard ──► Tally (counts, histograms) ◄────┘   /proc of the server ──► Meter
//! ```
//!
//! It speaks the protocol itself, without an SDK: no outbox, no timers, no tasks beyond one that reads each stream, because
//! what the generator costs is taken from what it can measure. It is `!Send` throughout and lives on one thread.

pub mod duet;
mod error;
mod flow;
mod meter;
mod pace;
mod plan;
mod report;
pub mod shape;
mod speaker;
mod tally;
pub mod tls;

pub use error::LoadError;
pub use flow::{Flow, Flown, flow};
pub use meter::{Meter, Usage};
pub use plan::{Carrier, Durability, Plan, Pressure, Progress, Shape, Tokens};
pub use report::{Latency, Report};
pub use speaker::{Speaker, offer};
pub use tally::Tally;

/// Runs a plan to its end.
///
/// # Errors
/// [`LoadError`] when the server cannot be reached, refuses what the plan needs, or is not there any more.
pub fn run(plan: &Plan, tokens: &dyn Tokens, progress: &mut Progress<'_>) -> Result<Report, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(LoadError::Runtime)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, shape::run(plan, tokens, progress))
}

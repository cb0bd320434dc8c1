//! Logs: one line an event on standard error, JSON for machines or text for people. Each line within a connection carries
//! its number, transport and, once there is one, session, from the surrounding span. No secret, no token and no content
//! of a message is ever given to a log.

use crate::config::{Log, LogFormat};
use std::io::IsTerminal;
use tracing_subscriber::{filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging, once for the process.
///
/// # Errors
/// A sentence when logging was started before or the filter is none.
pub fn start(log: &Log) -> Result<(), String> {
    let filter: Targets = log.level.parse().map_err(|error| format!("log.level: {error}"))?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let lines = tracing_subscriber::registry().with(filter);
    let started = if json {
        let layer =
            fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr);
        lines.with(layer).try_init()
    } else {
        lines.with(fmt::layer().with_target(false).with_ansi(false).with_writer(std::io::stderr)).try_init()
    };
    started.map_err(|error| error.to_string())?;
    // A panic is a defect of ours; its place belongs where operators look. Its text holds no content of messages.
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current().name().unwrap_or("?").to_owned();
        tracing::error!(%panic, thread, "a defect stopped this thread or task");
    }));
    Ok(())
}

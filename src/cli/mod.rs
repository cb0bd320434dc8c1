//! What the commands of the binary share: answers on standard output, complaints on standard error, exit statuses.

pub(crate) mod load;
pub(crate) mod pair;
pub(crate) mod revoke;
pub(crate) mod settings;
pub(crate) mod witness;

use std::{io::Write as _, process::ExitCode};

/// Prints an answer; one that nobody can read is a failure.
pub(crate) fn line(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says that the configuration is wrong: exit status 2.
pub(crate) fn misconfigured(error: &str) -> ExitCode {
    complain(error);
    ExitCode::from(2)
}

/// Says that something failed: exit status 1.
pub(crate) fn failed(error: &str) -> ExitCode {
    complain(error);
    ExitCode::FAILURE
}

fn complain(error: &str) {
    // A closed standard error leaves the exit status to tell.
    let _ = writeln!(std::io::stderr(), "duet: {error}");
}

//! Where a command finds the node that runs: its admin listener.

use crate::cli::{failed, misconfigured};
use clap::Args;
use duet::{
    admin::client::CallFailed,
    config::{Arguments, Config},
};
use std::{future::Future, net::SocketAddr, path::PathBuf, process::ExitCode};

/// The configuration of the node on this machine, which says where its admin listener is.
#[derive(Debug, Args)]
pub(in crate::cli) struct Place {
    /// The node's configuration file, for its listen.admin. Otherwise DUET_CONFIG, otherwise duet.toml in the working
    /// directory if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Place {
    /// The address of the admin listener: `named`, or what the configuration says.
    pub(in crate::cli) fn admin(&self, named: Option<SocketAddr>) -> Result<SocketAddr, String> {
        if let Some(address) = named {
            return Ok(address);
        }
        let arguments = Arguments { file: self.config.clone(), ..Arguments::default() };
        let config = Config::load(&arguments, std::env::vars()).map_err(|error| error.to_string())?;
        Ok(config.listen.admin)
    }
}

/// Runs a call to its end on this thread.
pub(in crate::cli) fn block_on<T>(call: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map(|runtime| runtime.block_on(call)).map_err(|error| format!("the runtime: {error}"))
}

/// The exit status of a call that failed: 1 when the node said no, 2 when there is none to say anything.
pub(in crate::cli) fn call_failed(error: &CallFailed) -> ExitCode {
    match error {
        CallFailed::Refused(_) | CallFailed::Answer(_) => failed(&error.to_string()),
        CallFailed::Unreachable { .. } | CallFailed::NoPair(_) => misconfigured(&error.to_string()),
    }
}

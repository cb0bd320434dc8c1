//! `duet witness`: its flags, and what they lead to.

use super::{failed, line, misconfigured};
use clap::Args;
use duet::{
    config::{Arguments, Config},
    server::{self, ServeOptions, WitnessOptions},
};
use std::{path::PathBuf, process::ExitCode};

/// Flags win over the environment (`DUET_…`), which wins over the file.
#[derive(Debug, Args)]
pub(crate) struct Witness {
    /// The configuration file, as `duet pair init` writes it: witness.toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// witness.listen: address for the nodes.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// witness.data_dir: where the register lies.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// log.level: error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// log.format: json, text or auto.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Serve nodes that run on this very machine too. For development: such a witness dies together with a node.
    #[arg(long)]
    allow_same_machine: bool,
    /// Give the register the newest value of these files, copies that the nodes kept, and end. Both nodes must be stopped.
    #[arg(long, value_name = "FILE")]
    restore: Vec<PathBuf>,
    /// Once ready, print one JSON line with the address in use on standard output.
    #[arg(long)]
    json: bool,
    /// Once ready, write the same JSON into this file.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Witness {
    fn load(&self) -> Result<Config, String> {
        let named = [
            ("--listen", "witness.listen", &self.listen),
            ("--data-dir", "witness.data_dir", &self.data_dir),
            ("--log-level", "log.level", &self.log_level),
            ("--log-format", "log.format", &self.log_format),
        ];
        let flags = named
            .into_iter()
            .filter_map(|(flag, key, value)| Some((flag.into(), key.into(), value.clone()?)));
        let arguments =
            Arguments { file: self.config.clone(), flags: flags.collect(), ..Arguments::default() };
        Config::load(&arguments, std::env::vars()).map_err(|error| error.to_string())
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> ExitCode {
        let config = match self.load() {
            Ok(config) => config,
            Err(error) => return misconfigured(&error),
        };
        if !self.restore.is_empty() {
            return match server::restore_witness(&config, &self.restore) {
                Ok(cfg) => line(&format!(
                    "restored version {}: {} is primary of epoch {}",
                    cfg.ver, cfg.primary, cfg.epoch
                )),
                Err(error) => failed(&error),
            };
        }
        let Witness { allow_same_machine: same_machine, json: print_ready, ready_file, .. } = self;
        let ready = ServeOptions { print_ready, ready_file };
        match server::witness(&config, &WitnessOptions { ready, same_machine }) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_configuration() => misconfigured(&error.to_string()),
            Err(error) => failed(&error.to_string()),
        }
    }
}

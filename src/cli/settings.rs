//! The settings of a node on the command line: flags win over the environment (`DUET_…`), which wins over the file.

use clap::Args;
use duet::config::{Arguments, Config};
use std::path::PathBuf;

/// Flags win over the environment (`DUET_…`), which wins over the file.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// The configuration file. Otherwise DUET_CONFIG, otherwise duet.toml in the working directory if there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For development, on loopback only: certificate and demo tenant are minted, and a page at http://localhost:8080 shows
    /// a visitor and an agent.
    #[arg(long)]
    dev: bool,
    /// data_dir: where everything durable lies.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// node: the node's name.
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// listen.clients: addresses for clients, with commas; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESSES")]
    listen: Option<String>,
    /// listen.admin: address of health and metrics.
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<String>,
    /// listen.dev: addresses of the demo page, with commas.
    #[arg(long, value_name = "ADDRESSES")]
    dev_listen: Option<String>,
    /// log.level: error, warn, info, debug, trace, or a filter.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// log.format: json, text or auto.
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Any key of the configuration, as in --set limits.lanes_max=64. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

impl Settings {
    /// The configuration that they come to; `serving` when a server is to be started with it.
    ///
    /// # Errors
    /// A sentence that names key, value, place and rule.
    pub(crate) fn load(self, serving: bool) -> Result<Config, String> {
        let named = [
            ("--data-dir", "data_dir", self.data_dir),
            ("--node", "node", self.node),
            ("--listen", "listen.clients", self.listen),
            ("--admin-listen", "listen.admin", self.admin_listen),
            ("--dev-listen", "listen.dev", self.dev_listen),
            ("--log-level", "log.level", self.log_level),
            ("--log-format", "log.format", self.log_format),
        ];
        let set = self.set.into_iter().map(|(key, value)| (format!("--set {key}"), key, value));
        let named =
            named.into_iter().filter_map(|(flag, key, value)| Some((flag.into(), key.into(), value?)));
        let arguments =
            Arguments { file: self.config, flags: set.chain(named).collect(), dev: self.dev, serving };
        Config::load(&arguments, std::env::vars()).map_err(|error| error.to_string())
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

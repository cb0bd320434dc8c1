//! The `duet` binary: parses the command line and hands over to the server.

mod cli;

use clap::{Args, Parser, Subcommand};
use cli::{failed, line, misconfigured, pair::PairCommand, witness::Witness};
use duet::{
    config::{Arguments, Config},
    server::{self, ServeOptions, Served, TokenRequest},
};
use std::{os::unix::process::CommandExt as _, path::PathBuf, process::ExitCode};

/// Real-time messaging over QUIC and WebTransport, with an acknowledgement that means stored.
#[derive(Debug, Parser)]
#[command(name = "duet", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until SIGTERM or SIGINT.
    ///
    /// Exit status: 0 after a graceful stop, 2 for a configuration that cannot be used, 1 for any other failure.
    Serve(Serve),
    /// Run the witness of a pair: a third machine that keeps who is primary. Until SIGTERM or SIGINT.
    ///
    /// Exit status as that of `serve`.
    Witness(Witness),
    /// Sign a token for a user with a tenant's key, and print it.
    Token(Token),
    /// Check the configuration and print what it comes to, without secrets.
    CheckConfig {
        #[command(flatten)]
        settings: Settings,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Set up and look after a pair of nodes.
    Pair {
        #[command(subcommand)]
        command: PairCommand,
    },
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    settings: Settings,
    /// Check the configuration, print what it comes to, and do not serve.
    #[arg(long)]
    check: bool,
    /// Once ready, print one JSON line with the addresses in use on standard output.
    #[arg(long)]
    json: bool,
    /// Once ready, write the same JSON into this file.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Token {
    #[command(flatten)]
    settings: Settings,
    /// The tenant. `demo` is that of `duet serve --dev` with the same data directory.
    #[arg(long)]
    tenant: String,
    /// The user's id: the token's `sub`.
    #[arg(long)]
    user: String,
    /// visitor, agent, supervisor or service.
    #[arg(long)]
    role: String,
    /// What others see as the user's name.
    #[arg(long)]
    name: Option<String>,
    /// How long it is good, in seconds.
    #[arg(long, default_value_t = 3_600, value_name = "SECONDS")]
    ttl: u64,
    /// Which of the tenant's keys signs; the first one unless named.
    #[arg(long)]
    kid: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Flags win over the environment (`DUET_…`), which wins over the file.
#[derive(Debug, Args)]
struct Settings {
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
    fn load(self, serving: bool) -> Result<Config, String> {
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

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => match serve.settings.load(true) {
            Err(error) => misconfigured(&error),
            Ok(config) if serve.check => check(&config, serve.json),
            Ok(config) => {
                let options = ServeOptions { print_ready: serve.json, ready_file: serve.ready_file };
                match server::serve(config, options) {
                    Ok(Served::Stopped) => ExitCode::SUCCESS,
                    Ok(Served::Again) => begin_anew(),
                    Err(error) if error.is_configuration() => misconfigured(&error.to_string()),
                    Err(error) => failed(&error.to_string()),
                }
            }
        },
        Command::Witness(witness) => witness.run(),
        Command::Token(token) => mint(token),
        Command::CheckConfig { settings, json } => match settings.load(true) {
            Err(error) => misconfigured(&error),
            Ok(config) => check(&config, json),
        },
        Command::Pair { command } => command.run(),
    }
}

/// Runs this program in this process's place: nothing of its memory stays, its number does.
fn begin_anew() -> ExitCode {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(&format!("cannot find this program: {error}")),
    };
    let error = std::process::Command::new(program).args(std::env::args_os().skip(1)).exec();
    failed(&format!("cannot begin anew: {error}"))
}

fn mint(token: Token) -> ExitCode {
    let Token { settings, tenant, user, role, name, ttl, kid, json } = token;
    let config = match settings.load(false) {
        Ok(config) => config,
        Err(error) => return misconfigured(&error),
    };
    match server::token(&config, &TokenRequest { tenant, user, role, name, ttl_s: ttl, kid }) {
        Ok(minted) if json => line(&serde_json::json!(minted).to_string()),
        Ok(minted) => line(&minted.token),
        Err(error) => failed(&error),
    }
}

/// What `check-config` and `serve --check` say.
fn check(config: &Config, json: bool) -> ExitCode {
    if let Err(error) = server::check(config) {
        return misconfigured(&error.to_string());
    }
    let settings = config.describe();
    if json {
        let object = |(key, value, place)| serde_json::json!({ "key": key, "value": value, "place": place });
        let list: Vec<_> = settings.into_iter().map(object).collect();
        return line(&serde_json::json!({ "valid": true, "settings": list }).to_string());
    }
    let width = settings.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
    let rows = settings.iter().map(|(key, value, place)| format!("{key:width$}  {value}  ({place})"));
    line(&rows.collect::<Vec<_>>().join("\n"))
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

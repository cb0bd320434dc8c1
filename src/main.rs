//! The `duet` binary: parses the command line and hands over to the server.

mod cli;

use clap::{Args, Parser, Subcommand};
use cli::{
    failed, line, load::Load, misconfigured, pair::Pair, revoke::Revoke, settings::Settings, witness::Witness,
};
use duet::{
    config::Config,
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
    /// Sign a token for a user with a tenant's key, and print it; or take tokens back.
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
        command: Pair,
    },
    /// Put load on a server and measure: messages in rooms, idle sessions, everyone coming back at once.
    Load {
        #[command(subcommand)]
        shape: Load,
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

#[derive(Debug, Subcommand)]
enum Tokens {
    /// Take back a token, all tokens of a user, or a session: at once, and for as long as they would be good.
    Revoke(Revoke),
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Token {
    #[command(subcommand)]
    command: Option<Tokens>,
    #[command(flatten)]
    settings: Settings,
    /// The tenant. `demo` is that of `duet serve --dev` with the same data directory.
    #[arg(long, required = true)]
    tenant: Option<String>,
    /// The user's id: the token's `sub`.
    #[arg(long, required = true)]
    user: Option<String>,
    /// visitor, agent, supervisor or service.
    #[arg(long, required = true)]
    role: Option<String>,
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
        Command::Load { shape } => shape.run(),
    }
}

/// Runs this program in this process's place: nothing of its memory stays, its number does.
fn begin_anew() -> ExitCode {
    // Linux finds the program there even when its file was replaced meanwhile; then a restart brings the new one.
    let own = PathBuf::from("/proc/self/exe");
    let program = match std::env::current_exe() {
        _ if own.exists() => own,
        Ok(program) => program,
        Err(error) => return failed(&format!("cannot find this program: {error}")),
    };
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| program.clone().into_os_string());
    let error = std::process::Command::new(program).arg0(name).args(arguments).exec();
    failed(&format!("cannot begin anew: {error}"))
}

fn mint(token: Token) -> ExitCode {
    let Token { command, settings, tenant, user, role, name, ttl, kid, json } = token;
    if let Some(Tokens::Revoke(revoke)) = command {
        return revoke.run();
    }
    // They are there: only the other command can do without.
    let (tenant, user, role) =
        (tenant.unwrap_or_default(), user.unwrap_or_default(), role.unwrap_or_default());
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

//! The `wharf` binary: configuration, wiring and commands. No behaviour of the product lives here.

mod admin_key;
mod commands;
mod config;
mod providers;
mod stored;
mod system;
mod telemetry;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Config;

/// Keeps an organization's external storage connected and its files in sync.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// A TOML file of settings; every setting can also be an environment variable, such as `WHARF_EGRESS__ALLOW`.
    #[arg(long, global = true, env = "WHARF_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(commands::serve::Options),
    /// Bring the database to this version's schema.
    Migrate,
    /// Print the document that describes the API.
    Openapi,
    /// Check the settings without starting anything.
    CheckConfig,
    /// Ask the server on this machine whether it lives; exits non-zero if not.
    Healthcheck,
    /// Organizations, users and API keys, straight on the database.
    #[command(subcommand)]
    Admin(commands::admin::Command),
}

/// Exit code for a configuration that cannot work.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let Arguments { config, command } = Arguments::parse();
    if matches!(command, Command::Openapi) {
        return ended(commands::openapi::run());
    }
    let config = match Config::load(config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            complain(&format!("the configuration cannot be used: {error}"));
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    telemetry::log_to_stderr(&config.log);
    telemetry::keep_panics_quiet();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return ended(Err(error.into())),
    };
    ended(runtime.block_on(async {
        match command {
            Command::Serve(options) => commands::serve::run(config, options).await,
            Command::Migrate => commands::migrate::run(&config).await,
            Command::Openapi => commands::openapi::run(),
            Command::CheckConfig => commands::check_config::run(&config),
            Command::Healthcheck => commands::healthcheck::run(&config),
            Command::Admin(command) => commands::admin::run(&config, command).await,
        }
    }))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            if error.is::<config::ConfigError>() {
                ExitCode::from(BAD_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "a command tells the person at the terminal why it failed"
)]
fn complain(message: &str) {
    eprintln!("wharf: {message}");
}

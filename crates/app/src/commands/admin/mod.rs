//! Bootstrap and rescue at the terminal: the engine's use cases on the database itself, for an operator.

mod audit;
mod keys;
mod organizations;
mod users;

use anyhow::{Result, anyhow, bail};
use clap::Subcommand;
use serde_json::Value;
use wharf_domain::access::Email;

use super::say;
use crate::config::Config;
use crate::stored::{Schema, Unchained, open_engine};

/// Bootstrap and rescue: these work on the database itself, whether or not a server runs. They answer in JSON.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Organizations of this server.
    #[command(subcommand)]
    Organizations(organizations::Command),
    /// Users of an organization.
    #[command(subcommand)]
    Users(users::Command),
    /// API keys of a user.
    #[command(subcommand)]
    Keys(keys::Command),
    /// The audit trail of an organization.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// What a command says, and what is wrong with what it looked at.
struct Answer {
    value: Value,
    wrong: Option<String>,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self { value, wrong: None }
    }
}

/// Carries out one command.
pub(crate) async fn run(config: &Config, command: Command) -> Result<()> {
    let (engine, database) = open_engine(config, Schema::Check, Unchained::Refuse).await?;
    let answer = match command {
        Command::Organizations(command) => command.run(&engine).await.map(Answer::from),
        Command::Users(command) => command.run(&engine).await.map(Answer::from),
        Command::Keys(command) => command.run(&engine).await.map(Answer::from),
        Command::Audit(command) => command.run(&engine).await,
    };
    database.close().await;
    let answer = answer?;
    say(&serde_json::to_string_pretty(&answer.value)?);
    match answer.wrong {
        Some(wrong) => bail!(wrong),
        None => Ok(()),
    }
}

fn email(text: &str) -> Result<Email> {
    Email::parse(text).map_err(|error| anyhow!(error.message))
}

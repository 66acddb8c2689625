use anyhow::Result;

use super::say;
use crate::config::Config;
use crate::stored::{Schema, open_database};

/// Brings the database to this version's schema.
pub(crate) async fn run(config: &Config) -> Result<()> {
    open_database(config, Schema::Migrate).await?.close().await;
    say("the database has this version's schema");
    Ok(())
}

use anyhow::Result;

use super::say;
use crate::config::{BlobsAt, Config, Database};

/// Tells what the settings mean, without starting anything and without any secret.
pub(crate) fn run(config: &Config) -> Result<()> {
    let database = match config.database()? {
        Database::Sqlite(path) => format!("sqlite://{}", path.display()),
        Database::Postgres(_) => "postgres".to_owned(),
    };
    let blobs = match config.blobs()? {
        BlobsAt::Folder(root) => root.display().to_string(),
        BlobsAt::S3(place, _) => place.to_string(),
    };
    say("the configuration is valid");
    say(&format!("listen      {}", config.listen));
    if let Some(address) = config.public_url()? {
        say(&format!("public URL  {address}"));
    }
    say(&format!("database    {database}"));
    say(&format!("blob store  {blobs}"));
    say(&format!(
        "key ring    {}",
        config.key_ring_place()?.path.display()
    ));
    Ok(())
}

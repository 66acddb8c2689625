//! The first admin key: from the settings, or generated and left in a file that only its owner can read.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use wharf_domain::secret::SecretString;
use wharf_engine::{Engine, EngineError, new_api_key};

use crate::config::Config;
use crate::system::SystemIds;

/// On an empty database: creates the first organization with its admin key. Otherwise nothing.
///
/// A generated key is on disk before the database knows it, under a name that says it may not be in force yet; so no
/// moment of a crash leaves a database whose only key nobody has.
pub(crate) async fn bootstrap(engine: &Engine, config: &Config) -> anyhow::Result<()> {
    if let Some(key) = &config.bootstrap.admin_key {
        let created = engine.bootstrap(key).await?;
        if !created
            && matches!(
                engine.authenticate(key.expose()).await,
                Err(EngineError::Unauthenticated)
            )
        {
            tracing::warn!("bootstrap.admin_key is ignored: the database has its keys already");
        }
        return Ok(());
    }
    let (pending, place) = (
        config.data_dir.join("admin.key.pending"),
        config.data_dir.join("admin.key"),
    );
    let key = match fs::read_to_string(&pending) {
        Ok(text) => SecretString::new(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if !engine.list_organizations().await?.is_empty() {
                return Ok(());
            }
            let key = new_api_key(&SystemIds);
            write_private(&pending, &key).with_context(|| {
                format!("the admin key cannot be written to {}", pending.display())
            })?;
            key
        }
        Err(error) => {
            return Err(error).with_context(|| format!("{} cannot be read", pending.display()));
        }
    };
    let created = engine.bootstrap(&key).await?;
    if created || engine.authenticate(key.expose()).await.is_ok() {
        write_private(&place, &key)
            .with_context(|| format!("the admin key cannot be written to {}", place.display()))?;
        tracing::info!(path = %place.display(), "the admin API key is in this file");
    }
    // Not in force if another replica was first; otherwise in its place by now.
    match fs::remove_file(&pending) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    Ok(())
}

/// Writes the file whole or not at all: what a crash leaves half written has another name.
fn write_private(path: &Path, key: &SecretString) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{}", key.expose())?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

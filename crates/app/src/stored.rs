//! What the server keeps: database, key ring and blobs, opened as the settings say.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use wharf_blobs::{FolderBlobs, S3Blobs, S3Fault};
use wharf_domain::health::Rhythm;
use wharf_domain::run::deletes::DeleteThreshold;
use wharf_egress::Guard;
use wharf_engine::{Engine, Parts, Settings};
use wharf_google_drive::GoogleDrive;
use wharf_keys::FileKeyRing;
use wharf_ports::{
    AuditSeal, BlobError, BlobStore, Clock, IdSource, Repositories, RepositoryError,
};
use wharf_postgres::PostgresDatabase;
use wharf_s3::S3;
use wharf_sqlite::SqliteDatabase;

use crate::config::{BlobsAt, Config, ConfigError, Database};
use crate::providers::Providers;
use crate::system::{SystemClock, SystemIds};

/// Whether opening the database may change its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// It must be this version's; `SQLite` files are brought there.
    Check,
    /// It is brought to this version's.
    Migrate,
}

/// An open database.
pub(crate) enum OpenDatabase {
    Sqlite(SqliteDatabase),
    Postgres(PostgresDatabase),
}

impl OpenDatabase {
    fn repositories(&self, seal: Arc<dyn AuditSeal>) -> Repositories {
        match self {
            Self::Sqlite(database) => database.repositories(seal),
            Self::Postgres(database) => database.repositories(seal),
        }
    }

    /// Whether there are audit rows from before there were chains.
    async fn has_unchained(&self, seal: Arc<dyn AuditSeal>) -> Result<bool, RepositoryError> {
        match self {
            Self::Sqlite(database) => database.has_unchained(seal).await,
            Self::Postgres(database) => database.has_unchained(seal).await,
        }
    }

    /// Links them.
    async fn adopt_unchained(&self, seal: Arc<dyn AuditSeal>) -> Result<(), RepositoryError> {
        match self {
            Self::Sqlite(database) => database.adopt_unchained(seal).await,
            Self::Postgres(database) => database.adopt_unchained(seal).await,
        }
    }

    /// Ends all connections in good order.
    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }
}

/// What is done with audit rows from before there were chains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unchained {
    /// They are linked: from now on they are held as they are.
    Adopt,
    /// They are refused: a look at the trail must not sign it first.
    Refuse,
}

/// Opens everything that the settings name and puts an engine on it.
pub(crate) async fn open_engine(
    config: &Config,
    schema: Schema,
    unchained: Unchained,
) -> anyhow::Result<(Engine, OpenDatabase)> {
    create_private_folder(&config.data_dir)?;
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds);
    // Before the database, which the first start creates: a ring that is missing beside an old database was lost.
    let key_ring = open_key_ring(config, &*ids)?;
    let database = open_database(config, schema).await?;
    match unchained {
        Unchained::Adopt => database.adopt_unchained(key_ring.clone()).await,
        Unchained::Refuse => {
            anyhow::ensure!(
                !database.has_unchained(key_ring.clone()).await?,
                "there are audit rows without links: if no server has run on this database since the upgrade from a version \
                 without an audit chain, start `wharf serve` once, which links them; otherwise somebody has changed the trail"
            );
            Ok(())
        }
    }
    .context("the audit rows of earlier versions could not be linked")?;
    let blobs = open_blobs(config).await?;
    let providers = open_providers(config, &ids)?;
    let engine = Engine::new(Parts {
        repositories: database.repositories(key_ring.clone()),
        audit_seal: key_ring.clone(),
        key_ring,
        providers: Arc::new(providers),
        blobs,
        clock: Arc::new(SystemClock),
        ids,
        settings: Settings {
            check_timeout: config.health.timeout,
            rhythm: Rhythm {
                interval: config.health.interval,
                probe_backoff: config.health.probe_backoff,
            },
            lease_ttl: config.sync.lease_ttl,
            delete_threshold: DeleteThreshold {
                percent: config.sync.delete_threshold_percent,
                count: config.sync.delete_threshold_count,
            },
            full_pass_interval: config.sync.full_pass_interval,
            public_url: config.public_url()?,
            undo_window: config.sync.undo_window,
            event_retention: config.events.retention,
        },
    });
    Ok((engine, database))
}

/// The adapters, all behind one guard.
fn open_providers(config: &Config, ids: &Arc<dyn IdSource>) -> anyhow::Result<Providers> {
    let guard = Arc::new(Guard::new(config.egress_policy()?));
    let google_drive = GoogleDrive::new(
        &guard,
        config.google()?,
        Arc::new(SystemClock),
        Arc::clone(ids),
    );
    let s3 = S3::with_aws(guard, config.aws()?, Arc::new(SystemClock), Arc::clone(ids));
    Ok(Providers { google_drive, s3 })
}

/// Opens the blob store. A bucket that cannot be used is a mistake and refused; one that cannot be reached may be back
/// soon, and what needs no bytes works without it.
async fn open_blobs(config: &Config) -> anyhow::Result<Arc<dyn BlobStore>> {
    match config.blobs()? {
        BlobsAt::Folder(root) => {
            let blobs = FolderBlobs::open(root.clone())
                .with_context(|| format!("the blob folder {} cannot be used", root.display()))?;
            Ok(Arc::new(blobs))
        }
        BlobsAt::S3(place, key) => {
            let blobs = S3Blobs::new(place.clone(), &key, Arc::new(SystemClock));
            match blobs.check().await {
                Err(error) if !may_pass(&error) => {
                    Err(error).with_context(|| format!("the blob store {place} cannot be used"))
                }
                // The store itself tells the log what is wrong.
                _ => Ok(Arc::new(blobs)),
            }
        }
    }
}

fn may_pass(error: &BlobError) -> bool {
    match error {
        BlobError::Unavailable(source) => source
            .downcast_ref::<S3Fault>()
            .is_some_and(S3Fault::may_pass),
        _ => false,
    }
}

/// Opens the database.
pub(crate) async fn open_database(config: &Config, schema: Schema) -> anyhow::Result<OpenDatabase> {
    match config.database()? {
        Database::Sqlite(path) => {
            if let Some(folder) = path.parent() {
                create_private_folder(folder)?;
            }
            let location = path
                .to_str()
                .context("the path of the database is not UTF-8")?;
            let database = SqliteDatabase::open(location)
                .await
                .with_context(|| format!("the database {} cannot be opened", path.display()))?;
            Ok(OpenDatabase::Sqlite(database))
        }
        Database::Postgres(url) => {
            let database = PostgresDatabase::connect(url.expose())
                .await
                .context("the Postgres database cannot be reached")?;
            if schema == Schema::Migrate {
                database
                    .migrate()
                    .await
                    .context("the database could not be migrated")?;
            }
            database.check_schema().await?;
            Ok(OpenDatabase::Postgres(database))
        }
    }
}

fn open_key_ring(config: &Config, ids: &dyn IdSource) -> anyhow::Result<Arc<FileKeyRing>> {
    let place = config.key_ring_place()?;
    if !place.path.exists() {
        let fresh = match config.database()? {
            Database::Sqlite(path) => !path.exists(),
            Database::Postgres(_) => false,
        };
        if !(place.embedded && fresh) {
            let message = format!(
                "there is no key ring at {}; without it the stored credentials cannot be opened. Restore it from its \
                 backup, or name the right one in key_ring",
                place.path.display()
            );
            return Err(ConfigError(message).into());
        }
        FileKeyRing::create(&place.path, ids, SystemClock.now())?;
        tracing::info!(path = %place.path.display(), "created a key ring; back it up apart from the database");
    }
    Ok(Arc::new(FileKeyRing::open(&place.path)?))
}

fn create_private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("the folder {} cannot be created", path.display()))
}

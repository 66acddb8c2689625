//! Opening and closing a database file.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use thiserror::Error;
use wharf_ports::{AuditSeal, Repositories, RepositoryError};

use crate::clock::Clock;
use crate::store::{Store, in_transaction, truncate_log};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections that read at the same time.
const READERS: u32 = 4;

/// Rows that a reader may have read ahead: about a page of a listing.
const READ_AHEAD: usize = 1000;

/// Memory for pages of the file, for each connection, in KiB as `SQLite` wants it: negative.
const CACHE: &str = "-2048";

/// How long a statement waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a database could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The file cannot be created or opened.
    #[error("the database file {} cannot be opened: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A later version of Wharf has migrated it.
    #[error(
        "the database was migrated by a newer version of wharf (migration {migration}); run that version or a later one"
    )]
    Newer {
        /// The first migration that this version does not know.
        migration: i64,
    },
    /// The migrations that were applied to it are not this program's.
    #[error(
        "the database's migration {migration} is not the one this version of wharf has; it is not a database of wharf, or was changed by hand"
    )]
    Foreign {
        /// The migration that differs.
        migration: i64,
    },
    /// It could not be brought up to date.
    #[error("the database could not be migrated")]
    Migration(#[source] MigrateError),
    /// It is not a `SQLite` database, is damaged or locked.
    #[error("the database could not be opened")]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<MigrateError> for OpenError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::VersionMissing(migration) => Self::Newer { migration },
            MigrateError::VersionMismatch(migration) => Self::Foreign { migration },
            other => Self::Migration(other),
        }
    }
}

/// A database file, opened and brought up to date.
#[derive(Clone)]
pub struct SqliteDatabase {
    pub(crate) reads: SqlitePool,
    writes: SqlitePool,
    clock: Arc<Clock>,
}

impl fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SqliteDatabase")
    }
}

impl SqliteDatabase {
    /// Opens the database at a path or a `sqlite:` URL, whose rest is the path as it stands. A file that is not there is
    /// created, readable by its owner only; pending migrations are applied, and the write-ahead log is emptied.
    pub async fn open(location: &str) -> Result<Self, OpenError> {
        let path = location
            .strip_prefix("sqlite://")
            .or_else(|| location.strip_prefix("sqlite:"))
            .unwrap_or(location);
        Self::open_path(Path::new(path)).await
    }

    async fn open_path(path: &Path) -> Result<Self, OpenError> {
        create(path).map_err(|source| OpenError::File {
            path: path.to_owned(),
            source,
        })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .row_buffer_size(READ_AHEAD)
            .pragma("cache_size", CACHE)
            // What is deleted is overwritten, and nothing is ever spilled to a file outside the database.
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY");
        let writes = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        MIGRATIONS.run(&writes).await?;
        let reads = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "ON"))
            .await?;
        // A process that died between overwriting credentials and truncating the log left them in it.
        truncate_log(&writes).await;
        Ok(Self {
            reads,
            writes,
            clock: Arc::new(Clock::default()),
        })
    }

    /// All repositories of this database, which link audit rows by this seal.
    pub fn repositories(&self, seal: Arc<dyn AuditSeal>) -> Repositories {
        let store = Arc::new(self.store(seal));
        Repositories {
            access: store.clone(),
            across: store.clone(),
            audit: store.clone(),
            buckets: store.clone(),
            catalogue: store.clone(),
            checks: store.clone(),
            connections: store.clone(),
            consents: store.clone(),
            sessions: store.clone(),
            dead_letters: store.clone(),
            events: store.clone(),
            external_ids: store.clone(),
            idempotency: store.clone(),
            jobs: store.clone(),
            keys: store.clone(),
            namespaces: store.clone(),
            objects: store.clone(),
            runs: store.clone(),
            syncs: store.clone(),
            webhooks: store,
        }
    }

    /// Whether [`adopt_unchained`](Self::adopt_unchained) has something to do.
    pub async fn has_unchained(&self, seal: Arc<dyn AuditSeal>) -> Result<bool, RepositoryError> {
        Ok(self.store(seal).has_unchained().await?)
    }

    /// Links the audit rows that an older version stored without links. To be done before anything else is; it is nothing to
    /// do but after the migration from such a version.
    pub async fn adopt_unchained(&self, seal: Arc<dyn AuditSeal>) -> Result<(), RepositoryError> {
        let store = self.store(seal);
        while in_transaction!(store, tx => store.adopt_next(&mut tx))? {}
        Ok(())
    }

    fn store(&self, seal: Arc<dyn AuditSeal>) -> Store {
        Store {
            reads: self.reads.clone(),
            writes: self.writes.clone(),
            clock: self.clock.clone(),
            seal,
        }
    }

    /// Waits for statements at work and closes the file. Later calls fail.
    pub async fn close(&self) {
        self.reads.close().await;
        self.writes.close().await;
    }
}

/// Creates the file before `SQLite` does, because `SQLite` would let others read it. The log beside it inherits its mode.
fn create(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

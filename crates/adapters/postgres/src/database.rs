//! Connecting to a database, and its schema.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError as DriverError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};
use thiserror::Error;
use wharf_ports::{AuditSeal, Repositories, RepositoryError};

use crate::store::{ACROSS, Store, in_transaction};

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Most connections that one process holds.
const CONNECTIONS: u32 = 16;

/// How long a call waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a database could not be connected to.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The URL does not read. It may hold a password and is not repeated.
    #[error("the database URL is not of the form postgres://user:password@host:port/database")]
    Url,
    /// The server cannot be reached or refuses.
    #[error("the database could not be connected to")]
    Connect(#[source] sqlx::Error),
    /// Row-level security, which keeps organizations apart beneath the program, does not hold for the role.
    #[error(
        "the database role {role} is a superuser or bypasses row-level security, which keeps organizations apart: connect as a \
         plain role that owns the database, such as after `CREATE ROLE wharf LOGIN NOSUPERUSER NOBYPASSRLS` and `ALTER DATABASE \
         {database} OWNER TO wharf`; what such a role has created so far has to be given to the new one (docs/operations.md)"
    )]
    Unbounded {
        /// The role.
        role: String,
        /// The database.
        database: String,
    },
    /// Every connection would see the rows of all organizations.
    #[error(
        "wharf.across is on in every new session, which takes down row-level security, which keeps organizations apart: take it \
         out of the database URL, the server's settings, `ALTER ROLE {role} RESET wharf.across` and `ALTER DATABASE {database} \
         RESET wharf.across`"
    )]
    Across {
        /// The role.
        role: String,
        /// The database.
        database: String,
    },
}

/// Why a database could not be brought up to date.
#[derive(Debug, Error)]
pub enum MigrateError {
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
    /// A migration failed; those before it are applied.
    #[error("the database could not be migrated")]
    Failed(#[source] DriverError),
}

impl From<DriverError> for MigrateError {
    fn from(error: DriverError) -> Self {
        match error {
            DriverError::VersionMissing(migration) => Self::Newer { migration },
            DriverError::VersionMismatch(migration) => Self::Foreign { migration },
            other => Self::Failed(other),
        }
    }
}

/// Why a database must not be used as it is.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// Migrations are missing.
    #[error("the database lacks migration {migration}: run `wharf migrate` once, then start again")]
    Pending {
        /// The first missing one.
        migration: i64,
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
    /// A table with rows of organizations is not kept as the migrations left it.
    #[error(
        "row-level security, which keeps organizations apart, is not in force on the table {table} as the migrations left it: \
         give it back ENABLE and FORCE ROW LEVEL SECURITY and its one policy, of_organization (docs/operations.md), or restore \
         the database from a backup"
    )]
    Open {
        /// The first of them, by name.
        table: String,
    },
    /// The database does not answer.
    #[error("the database's migrations could not be read")]
    Database(#[from] sqlx::Error),
}

/// A database that is connected to.
#[derive(Clone)]
pub struct PostgresDatabase {
    pool: PgPool,
}

impl fmt::Debug for PostgresDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresDatabase")
    }
}

impl PostgresDatabase {
    /// Connects to the database of a `postgres:` URL; its `sslmode` decides about TLS. Migrates nothing. A role that row-level
    /// security does not bind is refused.
    pub async fn connect(url: &str) -> Result<Self, OpenError> {
        let options: PgConnectOptions = url.parse().map_err(|_| OpenError::Url)?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options.application_name("wharf"))
            .await
            .map_err(OpenError::Connect)?;
        let (role, database, unbounded, across): (String, String, bool, bool) = sqlx::query_as(
            "SELECT current_user::text, current_database()::text, rolsuper OR rolbypassrls, \
             COALESCE(current_setting('wharf.across', true), '') = 'on' FROM pg_roles WHERE rolname = current_user",
        )
        .fetch_one(&pool)
        .await
        .map_err(OpenError::Connect)?;
        if unbounded {
            return Err(OpenError::Unbounded { role, database });
        }
        if across {
            return Err(OpenError::Across { role, database });
        }
        Ok(Self { pool })
    }

    /// Brings the database up to date. Of several processes at once, one migrates and the others wait.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        // Later migrations change rows of all organizations. What this connection may, no other is to get.
        let pooled = self.pool.acquire().await.map_err(DriverError::from)?;
        let mut connection = pooled.detach();
        sqlx::query("SET wharf.across = 'on'")
            .execute(&mut connection)
            .await
            .map_err(DriverError::from)?;
        let outcome = MIGRATIONS.run(&mut connection).await;
        let _ = connection.close().await;
        Ok(outcome?)
    }

    /// Whether the database has exactly the migrations that this program needs, and their row-level security.
    pub async fn check_schema(&self) -> Result<(), SchemaError> {
        let applied = self.applied_migrations().await?;
        for migration in MIGRATIONS.iter() {
            match applied.get(&migration.version) {
                None => {
                    return Err(SchemaError::Pending {
                        migration: migration.version,
                    });
                }
                Some(checksum) if *checksum != migration.checksum.as_ref() => {
                    return Err(SchemaError::Foreign {
                        migration: migration.version,
                    });
                }
                Some(_) => {}
            }
        }
        match applied
            .into_keys()
            .find(|version| !MIGRATIONS.version_exists(*version))
        {
            Some(migration) => Err(SchemaError::Newer { migration }),
            None => self.check_walls().await,
        }
    }

    /// Every table with rows of organizations is bound by its one policy; of policies, one that allows more would do.
    async fn check_walls(&self) -> Result<(), SchemaError> {
        let open: Option<String> = sqlx::query_scalar(
            "SELECT t.relname::text FROM pg_class t \
             WHERE t.relkind = 'r' AND t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('organizations')) \
             AND (t.oid = to_regclass('organizations') OR EXISTS (SELECT 1 FROM pg_attribute a \
                 WHERE a.attrelid = t.oid AND a.attname = 'organization' AND NOT a.attisdropped)) \
             AND NOT (t.relrowsecurity AND t.relforcerowsecurity AND COALESCE((SELECT array_agg(p.polname::text) \
                 FROM pg_policy p WHERE p.polrelid = t.oid) = ARRAY['of_organization'], FALSE)) \
             ORDER BY 1 LIMIT 1",
        )
        .fetch_optional(&self.pool)
        .await?;
        match open {
            Some(table) => Err(SchemaError::Open { table }),
            None => Ok(()),
        }
    }

    async fn applied_migrations(&self) -> Result<BTreeMap<i64, Vec<u8>>, sqlx::Error> {
        let pool = &self.pool;
        let ever: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
            .fetch_one(pool)
            .await?;
        if !ever {
            return Ok(BTreeMap::new());
        }
        let rows: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
                .fetch_all(pool)
                .await?;
        Ok(rows.into_iter().collect())
    }

    /// All repositories of this database; audit rows are linked under the seal's key.
    pub fn repositories(&self, seal: Arc<dyn AuditSeal>) -> Repositories {
        let store = Arc::new(Store::new(self.pool.clone(), seal));
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
        Ok(Store::new(self.pool.clone(), seal).has_unchained().await?)
    }

    /// Links the audit rows that an older version stored without links. To be done before anything else is; it is nothing to
    /// do but after the migration from such a version. Of several processes at once, one does it and the others wait.
    pub async fn adopt_unchained(&self, seal: Arc<dyn AuditSeal>) -> Result<(), RepositoryError> {
        let store = Store::new(self.pool.clone(), seal);
        while in_transaction!(store, ACROSS, tx => store.adopt_next(&mut tx))? {}
        Ok(())
    }

    /// Waits for statements at work and closes all connections. Later calls fail.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

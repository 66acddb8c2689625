//! Looking at an installation's database directly, where a promise speaks of what is stored.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use crate::variable;

/// The tables whose writes are counted.
const WATCHED: [&str; 3] = ["catalogue", "objects", "dead_letters"];

/// A second pair of eyes on a database that a server may have open.
#[derive(Debug)]
pub enum Database {
    /// A `SQLite` file.
    Sqlite(SqlitePool),
    /// A Postgres database.
    Postgres(PgPool),
}

/// A row of `organization_keys`.
#[derive(Debug)]
pub struct OrganizationKeyRow {
    /// Whose key it is.
    pub organization: String,
    /// Which of them.
    pub version: u32,
    /// Which key of the ring wrapped it.
    pub ring_key: String,
    /// The key, wrapped.
    pub wrapped: Vec<u8>,
}

impl Database {
    pub(crate) async fn sqlite(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(Self::Sqlite(pool))
    }

    /// The same, but for changing things behind the server's back.
    pub(crate) async fn sqlite_to_change(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .busy_timeout(Duration::from_secs(10));
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        Ok(Self::Sqlite(pool))
    }

    pub(crate) async fn postgres(url: &str) -> Result<Self> {
        // Row-level security shows a connection that says nothing no row.
        let options: PgConnectOptions = url.parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .connect_with(options.options([("wharf.across", "on")]))
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// The sealed credentials of a connection.
    pub async fn sealed(&self, connection: &str) -> Result<Option<Vec<u8>>> {
        let sql = "SELECT sealed FROM connections WHERE id = $1";
        Ok(match self {
            Self::Sqlite(pool) => {
                sqlx::query_scalar(sql)
                    .bind(connection)
                    .fetch_one(pool)
                    .await?
            }
            Self::Postgres(pool) => {
                sqlx::query_scalar(sql)
                    .bind(connection)
                    .fetch_one(pool)
                    .await?
            }
        })
    }

    /// A connection's settings, as they are stored.
    pub async fn config(&self, connection: &str) -> Result<String> {
        let sql = "SELECT config FROM connections WHERE id = $1";
        Ok(match self {
            Self::Sqlite(pool) => {
                sqlx::query_scalar(sql)
                    .bind(connection)
                    .fetch_one(pool)
                    .await?
            }
            Self::Postgres(pool) => {
                sqlx::query_scalar(sql)
                    .bind(connection)
                    .fetch_one(pool)
                    .await?
            }
        })
    }

    /// The organizations' keys, wrapped.
    pub async fn organization_keys(&self) -> Result<Vec<OrganizationKeyRow>> {
        let sql = "SELECT organization, CAST(version AS BIGINT), ring_key, wrapped FROM organization_keys";
        let rows: Vec<(String, i64, String, Vec<u8>)> = match self {
            Self::Sqlite(pool) => sqlx::query_as(sql).fetch_all(pool).await?,
            Self::Postgres(pool) => sqlx::query_as(sql).fetch_all(pool).await?,
        };
        let read = |(organization, version, ring_key, wrapped)| {
            Ok(OrganizationKeyRow {
                organization,
                version: u32::try_from(version)?,
                ring_key,
                wrapped,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// Runs a statement of the test's own, with bytes as its one parameter if it has one.
    pub async fn change(&self, sql: &str, bytes: Option<&[u8]>) -> Result<u64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(pool) => {
                let query = sqlx::query(sql);
                let query = bytes.iter().fold(query, |query, bytes| query.bind(*bytes));
                query.execute(pool).await?.rows_affected()
            }
            Self::Postgres(pool) => {
                let query = sqlx::query(sql);
                let query = bytes.iter().fold(query, |query, bytes| query.bind(*bytes));
                query.execute(pool).await?.rows_affected()
            }
        })
    }

    /// A number.
    pub async fn number(&self, sql: &str) -> Result<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        Ok(match self {
            Self::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
            Self::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await?,
        })
    }

    /// Makes of the one object `…/000000.bin` as many alike, `…/000001.bin` and so on, as if the sync that copied it had
    /// copied them, too.
    pub async fn multiply_first_object(&self, count: u64) -> Result<()> {
        let (numbers, hex, digits) = match self {
            Self::Sqlite(_) => (
                format!(
                    "(WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count} - 1) SELECT n FROM c)"
                ),
                "printf('%016x', s.n)",
                "printf('%06d', s.n)",
            ),
            Self::Postgres(_) => (
                format!("(SELECT generate_series(1, {count} - 1) AS n)"),
                "lpad(to_hex(s.n), 16, '0')",
                "lpad(s.n::text, 6, '0')",
            ),
        };
        self.change(
            &format!(
                "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
                 modified_at, source_metadata, blob, size_bytes, content_type, sha256, version_id, tags, mapped, copied_by_sync, \
                 copied_by_job, created_at, updated_at) \
                 SELECT o.organization, 'obj_' || {hex}, o.bucket, o.namespace, o.provider, o.authority, \
                 replace(o.source_object, '000000', {digits}), replace(o.path, '000000', {digits}), o.version, o.modified_at, \
                 o.source_metadata, o.blob, o.size_bytes, o.content_type, o.sha256, o.version_id, o.tags, o.mapped, \
                 o.copied_by_sync, o.copied_by_job, o.created_at, o.updated_at FROM objects o, {numbers} s"
            ),
            None,
        )
        .await?;
        self.change(
            "INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass) \
             SELECT o.organization, o.copied_by_sync, o.authority, o.source_object, o.id, 1 FROM objects o \
             WHERE NOT EXISTS (SELECT 1 FROM catalogue c WHERE c.organization = o.organization AND c.object = o.id)",
            None,
        )
        .await?;
        if let Self::Postgres(_) = self {
            self.change("ANALYZE", None).await?;
        }
        Ok(())
    }

    /// From now on, rows written to the catalogue, the objects and the dead letters are counted.
    pub async fn count_writes(&self) -> Result<()> {
        match self {
            Self::Sqlite(_) => {
                self.change("CREATE TABLE test_writes (n INTEGER NOT NULL)", None)
                    .await?;
                self.change("INSERT INTO test_writes VALUES (0)", None)
                    .await?;
                for table in WATCHED {
                    for event in ["INSERT", "UPDATE", "DELETE"] {
                        let sql = format!(
                            "CREATE TRIGGER test_{table}_{event} AFTER {event} ON {table} \
                             BEGIN UPDATE test_writes SET n = n + 1; END"
                        );
                        self.change(&sql, None).await?;
                    }
                }
            }
            Self::Postgres(_) => {
                self.change("CREATE SEQUENCE test_writes", None).await?;
                self.change(
                    "CREATE FUNCTION test_count() RETURNS trigger LANGUAGE plpgsql AS \
                     'BEGIN PERFORM nextval(''test_writes''); RETURN NULL; END'",
                    None,
                )
                .await?;
                for table in WATCHED {
                    let sql = format!(
                        "CREATE TRIGGER test_writes AFTER INSERT OR UPDATE OR DELETE ON {table} \
                         FOR EACH ROW EXECUTE FUNCTION test_count()"
                    );
                    self.change(&sql, None).await?;
                }
            }
        }
        Ok(())
    }

    /// How many rows were written since [`count_writes`](Self::count_writes).
    pub async fn writes(&self) -> Result<i64> {
        match self {
            Self::Sqlite(_) => self.number("SELECT n FROM test_writes").await,
            Self::Postgres(_) => {
                self.number(
                    "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM test_writes",
                )
                .await
            }
        }
    }

    /// What the audit says was done to something, in order.
    pub async fn audited(&self, resource: &str) -> Result<Vec<String>> {
        let sql = "SELECT action FROM audit_rows WHERE resource_id = $1 ORDER BY at, id";
        Ok(match self {
            Self::Sqlite(pool) => {
                sqlx::query_scalar(sql)
                    .bind(resource)
                    .fetch_all(pool)
                    .await?
            }
            Self::Postgres(pool) => {
                sqlx::query_scalar(sql)
                    .bind(resource)
                    .fetch_all(pool)
                    .await?
            }
        })
    }

    /// Everything in every table: the rows of a table as one text, and each value of bytes by itself, as it is.
    pub async fn contents(&self) -> Result<Vec<(String, Vec<u8>)>> {
        match self {
            Self::Sqlite(pool) => contents_of_sqlite(pool).await,
            Self::Postgres(pool) => contents_of_postgres(pool).await,
        }
    }
}

async fn contents_of_sqlite(pool: &SqlitePool) -> Result<Vec<(String, Vec<u8>)>> {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
         WHERE t.type = 'table' ORDER BY t.name, c.cid",
    )
    .fetch_all(pool)
    .await?;
    let mut contents = Vec::new();
    for (table, column) in columns {
        let sql = format!(
            "SELECT CAST(\"{column}\" AS BLOB) FROM \"{table}\" WHERE \"{column}\" IS NOT NULL"
        );
        let values: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await?;
        contents.push((format!("{table}.{column}"), values.join(&b'\n')));
        let sql =
            format!("SELECT \"{column}\" FROM \"{table}\" WHERE typeof(\"{column}\") = 'blob'");
        let values: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await?;
        contents.extend(
            values
                .into_iter()
                .map(|value| (format!("{table}.{column}"), value)),
        );
    }
    Ok(contents)
}

async fn contents_of_postgres(pool: &PgPool) -> Result<Vec<(String, Vec<u8>)>> {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
    )
    .fetch_all(pool)
    .await?;
    let mut contents = Vec::new();
    for table in tables {
        let sql = format!("SELECT row::text FROM \"{table}\" AS row");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await?;
        contents.push((table, rows.join("\n").into_bytes()));
    }
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns \
         WHERE table_schema = 'public' AND data_type = 'bytea'",
    )
    .fetch_all(pool)
    .await?;
    for (table, column) in columns {
        let sql = format!("SELECT \"{column}\" FROM \"{table}\" WHERE \"{column}\" IS NOT NULL");
        let values: Vec<Vec<u8>> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(pool)
            .await?;
        contents.extend(
            values
                .into_iter()
                .map(|value| (format!("{table}.{column}"), value)),
        );
    }
    Ok(contents)
}

/// A new empty database on the run's Postgres, by URL; `None` when this run has left Postgres out. The server is thrown
/// away after the run, and the database with it.
pub async fn fresh_database() -> Result<Option<String>> {
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    let Some(server) = variable("WHARF_TEST_POSTGRES_URL")? else {
        return Ok(None);
    };
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("wharf_suite_{}_{number}", std::process::id());
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect(&server)
        .await?;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
        .execute(&pool)
        .await?;
    pool.close().await;
    let (address, _) = server
        .rsplit_once('/')
        .context("the Postgres URL names no database")?;
    Ok(Some(format!("{address}/{name}")))
}

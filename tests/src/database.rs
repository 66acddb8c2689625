//! Looking at an installation's database directly, where a promise speaks of what is stored.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, PgPool, SqlitePool};

use crate::variable;

/// A second pair of eyes on a database that a server may have open.
#[derive(Debug)]
pub enum Database {
    /// A `SQLite` file.
    Sqlite(SqlitePool),
    /// A Postgres database.
    Postgres(PgPool),
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

    pub(crate) async fn postgres(url: &str) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(1).connect(url).await?;
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

    /// Every row of every table as text, bytes in hex. On Postgres only: a `SQLite` file can be read as it is.
    pub async fn text(&self) -> Result<String> {
        let Self::Postgres(pool) = self else {
            return Ok(String::new());
        };
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
        )
        .fetch_all(pool)
        .await?;
        let mut parts = Vec::new();
        for table in tables {
            let sql = format!("SELECT row::text FROM \"{table}\" AS row");
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_all(pool)
                .await?;
            parts.push(table);
            parts.extend(rows);
        }
        Ok(parts.join("\n"))
    }
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

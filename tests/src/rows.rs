//! All rows of one organization, to see that nothing of it changed.

use anyhow::{Result, bail};
use sqlx::AssertSqlSafe;

use crate::Database;

impl Database {
    /// The policies of a Postgres database's row-level security: table and name.
    pub async fn policies(&self) -> Result<Vec<(String, String)>> {
        let Self::Postgres(pool) = self else {
            bail!("only Postgres has row-level security");
        };
        let sql =
            "SELECT tablename::text, policyname::text FROM pg_policies WHERE schemaname = 'public'";
        Ok(sqlx::query_as(sql).fetch_all(pool).await?)
    }

    /// Every row that belongs to the organization, as text after its table's name, in a fixed order.
    pub async fn rows_of(&self, organization: &str) -> Result<Vec<String>> {
        let mut rows = Vec::new();
        match self {
            Self::Sqlite(pool) => {
                let columns: Vec<(String, String)> = sqlx::query_as(
                    "SELECT t.name, c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c \
                     WHERE t.type = 'table' ORDER BY t.name, c.cid",
                )
                .fetch_all(pool)
                .await?;
                for table in owned_tables(&columns) {
                    let quoted: Vec<String> = columns
                        .iter()
                        .filter(|(of, _)| of == table)
                        .map(|(_, column)| format!("quote(\"{column}\")"))
                        .collect();
                    let sql = format!(
                        "SELECT {} FROM \"{table}\" WHERE {} = $1",
                        quoted.join(" || ',' || "),
                        owner(table)
                    );
                    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                        .bind(organization)
                        .fetch_all(pool)
                        .await?;
                    rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
                }
            }
            Self::Postgres(pool) => {
                let columns: Vec<(String, String)> = sqlx::query_as(
                    "SELECT table_name::text, column_name::text FROM information_schema.columns \
                     WHERE table_schema = 'public' ORDER BY 1, ordinal_position",
                )
                .fetch_all(pool)
                .await?;
                for table in owned_tables(&columns) {
                    let sql = format!(
                        "SELECT row::text FROM \"{table}\" AS row WHERE row.{} = $1",
                        owner(table)
                    );
                    let found: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
                        .bind(organization)
                        .fetch_all(pool)
                        .await?;
                    rows.extend(found.into_iter().map(|row| format!("{table}: {row}")));
                }
            }
        }
        rows.sort();
        Ok(rows)
    }
}

/// Which tables have rows that belong to somebody.
fn owned_tables(columns: &[(String, String)]) -> impl Iterator<Item = &str> {
    columns
        .iter()
        .filter(|(table, column)| column == owner(table))
        .map(|(table, _)| table.as_str())
}

fn owner(table: &str) -> &'static str {
    if table == "organizations" {
        "id"
    } else {
        "organization"
    }
}

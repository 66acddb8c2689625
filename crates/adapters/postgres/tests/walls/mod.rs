//! What row-level security keeps apart, whatever a statement asks for.

use std::borrow::Cow;

use sqlx::error::DatabaseError;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use wharf_postgres::{OpenError, PostgresDatabase, SchemaError};

use crate::common::{self, TestDatabase};
use crate::superuser;

const ONE: &str = "int_aaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "int_bbbbbbbbbbbbbbbbbbbbbbbb";

/// The tables with row-level security, and the column that says whose a row is.
async fn tables(bare: &mut PgConnection) -> Vec<(String, &'static str)> {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace \
         AND relname <> '_sqlx_migrations' ORDER BY relname",
    )
    .fetch_all(bare)
    .await
    .expect("the tables");
    let owner = |name: String| match name.as_str() {
        "organizations" => (name, "id"),
        _ => (name, "organization"),
    };
    names.into_iter().map(owner).collect()
}

/// A row of the organization: every column that must hold something holds something of its own.
async fn row(bare: &mut PgConnection, table: &str, owner: &str, organization: &str) -> String {
    let columns: Vec<(String, String)> = sqlx::query_as(
        "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name = $1 AND is_nullable = 'NO' AND is_generated = 'NEVER'",
    )
    .bind(table)
    .fetch_all(bare)
    .await
    .expect("its columns");
    let value = |column: &str, data_type: &str| match data_type {
        _ if column == owner => format!("'{organization}'"),
        "text" => format!("'{organization} {column}'"),
        "bytea" => format!("'{organization} {column}'::bytea"),
        "bigint" => "7".to_owned(),
        "boolean" => "FALSE".to_owned(),
        "timestamp with time zone" => "now()".to_owned(),
        other => panic!("{table}.{column} is of the type {other}"),
    };
    let (names, values): (Vec<_>, Vec<_>) = columns
        .iter()
        .map(|(column, data_type)| (format!("\"{column}\""), value(column, data_type)))
        .unzip();
    format!(
        "INSERT INTO {table} ({}) VALUES ({})",
        names.join(", "),
        values.join(", ")
    )
}

/// A database with a row of two organizations in every table, and a session of a plain role that has named none.
async fn two_organizations() -> (PgConnection, PgConnection, TestDatabase) {
    let (_, guard) = common::migrated_database().await;
    let mut superuser = superuser::session(&guard.url).await;
    // What a row refers to does not matter here.
    execute(&mut superuser, "SET session_replication_role = replica").await;
    for (table, owner) in tables(&mut superuser).await {
        for organization in [ONE, OTHER] {
            let row = row(&mut superuser, &table, owner, organization).await;
            execute(&mut superuser, &row).await;
        }
    }
    let plain = PgConnection::connect(&guard.url)
        .await
        .expect("the server answers");
    (superuser, plain, guard)
}

async fn execute(session: &mut PgConnection, statement: &str) -> u64 {
    try_execute(session, statement)
        .await
        .unwrap_or_else(|code| panic!("{statement}: {code}"))
}

/// The rows affected, or the code of the refusal.
async fn try_execute(session: &mut PgConnection, statement: &str) -> Result<u64, String> {
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(session)
        .await
        .map(|done| done.rows_affected())
        .map_err(|error| {
            let refusal = error.as_database_error().and_then(DatabaseError::code);
            refusal.map_or_else(|| error.to_string(), Cow::into_owned)
        })
}

/// `insufficient_privilege`, which a violated policy is.
const REFUSED: &str = "42501";

#[tokio::test]
async fn every_table_has_forced_row_level_security_and_a_policy() {
    let (_, guard) = common::migrated_database().await;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text FROM pg_class c WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace \
         AND relname <> '_sqlx_migrations' AND NOT (relrowsecurity AND relforcerowsecurity \
         AND (SELECT COUNT(*) = 1 FROM pg_policy p WHERE p.polrelid = c.oid \
              AND p.polqual IS NOT NULL AND p.polwithcheck IS NOT NULL AND p.polcmd = '*' AND p.polroles = '{0}'))",
    )
    .fetch_all(&mut common::bare(&guard.url).await)
    .await
    .expect("an answer");
    assert_eq!(open, [] as [&str; 0]);
}

#[tokio::test]
async fn a_session_that_has_named_no_organization_sees_no_row_and_can_insert_none() {
    let (mut superuser, mut plain, _guard) = two_organizations().await;
    for (table, owner) in tables(&mut superuser).await {
        assert_eq!(
            execute(&mut plain, &format!("SELECT * FROM {table}")).await,
            0,
            "{table}"
        );
        assert_eq!(
            execute(&mut superuser, &format!("SELECT * FROM {table}")).await,
            2,
            "{table}"
        );
        for change in [
            format!("UPDATE {table} SET {owner} = {owner}"),
            format!("DELETE FROM {table}"),
        ] {
            assert_eq!(execute(&mut plain, &change).await, 0, "{change}");
        }
        let row = row(&mut superuser, &table, owner, ONE).await;
        let refused = try_execute(&mut plain, &row).await;
        assert_eq!(refused.expect_err(&row), REFUSED, "{row}");
    }
}

#[tokio::test]
async fn an_organizations_session_neither_sees_nor_changes_what_is_another_ones() {
    let (mut superuser, mut plain, _guard) = two_organizations().await;
    execute(&mut plain, &format!("SET wharf.organization = '{ONE}'")).await;
    for (table, owner) in tables(&mut superuser).await {
        let seen: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(format!("SELECT {owner} FROM {table}")))
                .fetch_all(&mut plain)
                .await
                .expect("an answer");
        assert_eq!(seen, [ONE], "{table}");
        for change in [
            format!("UPDATE {table} SET {owner} = {owner} WHERE {owner} = '{OTHER}'"),
            format!("UPDATE {table} SET {owner} = '{ONE}' WHERE {owner} = '{OTHER}'"),
            format!("DELETE FROM {table} WHERE {owner} = '{OTHER}'"),
            format!("SELECT * FROM {table} WHERE {owner} = '{OTHER}' FOR UPDATE"),
        ] {
            assert_eq!(execute(&mut plain, &change).await, 0, "{change}");
        }
        for change in [
            row(&mut superuser, &table, owner, OTHER).await,
            format!("UPDATE {table} SET {owner} = '{OTHER}' WHERE {owner} = '{ONE}'"),
        ] {
            let refused = try_execute(&mut plain, &change).await;
            assert_eq!(refused.expect_err(&change), REFUSED, "{change}");
        }
        let own = format!("UPDATE {table} SET {owner} = {owner}");
        assert_eq!(execute(&mut plain, &own).await, 1, "{own}");
    }
    for (table, _) in tables(&mut superuser).await {
        assert_eq!(
            execute(&mut superuser, &format!("SELECT * FROM {table}")).await,
            2,
            "{table}"
        );
    }
}

#[tokio::test]
async fn what_a_transaction_has_named_is_forgotten_when_it_ends() {
    let (_, mut plain, _guard) = two_organizations().await;
    for setting in [
        format!("SET LOCAL wharf.organization = '{ONE}'"),
        "SET LOCAL wharf.across = 'on'".to_owned(),
    ] {
        for end in ["COMMIT", "ROLLBACK"] {
            execute(&mut plain, "BEGIN").await;
            execute(&mut plain, &setting).await;
            assert!(
                execute(&mut plain, "SELECT * FROM users").await > 0,
                "{setting}"
            );
            execute(&mut plain, end).await;
            assert_eq!(
                execute(&mut plain, "SELECT * FROM users").await,
                0,
                "{setting}"
            );
        }
    }
}

#[tokio::test]
async fn a_role_that_row_level_security_does_not_bind_is_refused_with_the_remedy() {
    let guard = TestDatabase::create().await;
    let bypassing = format!("wharf_bypassing_{}", std::process::id());
    let mut bare = superuser::session(&guard.url).await;
    execute(
        &mut bare,
        &format!("CREATE ROLE {bypassing} LOGIN NOSUPERUSER BYPASSRLS"),
    )
    .await;
    let (place, rest) = guard.url.split_once("wharf@").expect("the plain role");
    for url in [
        superuser::url_of(&guard.url),
        format!("{place}{bypassing}@{rest}"),
    ] {
        let refused = PostgresDatabase::connect(&url).await;
        let refused = refused.expect_err("it is not bound");
        assert!(
            matches!(refused, OpenError::Unbounded { .. }),
            "{refused:?}"
        );
        for remedy in ["NOSUPERUSER NOBYPASSRLS", "OWNER TO wharf"] {
            assert!(refused.to_string().contains(remedy), "{refused}");
        }
    }
    execute(&mut bare, &format!("DROP ROLE {bypassing}")).await;
}

#[tokio::test]
async fn a_database_whose_sessions_look_across_organizations_is_refused_with_the_remedy() {
    let guard = TestDatabase::create().await;
    let mark = if guard.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{mark}options=-c%20wharf.across%3Don", guard.url);
    let refused = PostgresDatabase::connect(&url).await;
    let refused = refused.expect_err("it sees everything");
    assert!(matches!(refused, OpenError::Across { .. }), "{refused:?}");
    assert!(
        refused.to_string().contains("RESET wharf.across"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_table_without_its_wall_is_refused_by_name() {
    for (table, hole) in [
        ("users", "ALTER TABLE users NO FORCE ROW LEVEL SECURITY"),
        ("objects", "ALTER TABLE objects DISABLE ROW LEVEL SECURITY"),
        (
            "organizations",
            "DROP POLICY of_organization ON organizations",
        ),
        (
            "audit_rows",
            "CREATE POLICY wider ON audit_rows USING (TRUE)",
        ),
    ] {
        let (database, guard) = common::migrated_database().await;
        database.check_schema().await.expect("it is sound");
        let mut bare = common::bare(&guard.url).await;
        execute(&mut bare, hole).await;
        let refused = database.check_schema().await.expect_err(table);
        let SchemaError::Open { table: named } = refused else {
            panic!("{hole}: {refused:?}")
        };
        assert_eq!(named, table);
    }
}

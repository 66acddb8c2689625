//! What holds of the database, beyond the promises of the ports.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::TestDatabase;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use wharf_domain::audit::Action;
use wharf_domain::connection::{
    ConnectionFilter, ConnectionIdentifier, Event, Health, Intent, PublicStatus, public_status,
};
use wharf_domain::object::ObjectFilter;
use wharf_domain::page::{PageCursor, PageRequest, PageStart};
use wharf_ports::{InsertError, RepositoryError, RunError};
use wharf_postgres::{MigrateError, OpenError, PostgresDatabase, SchemaError};
use wharf_testkit::{Harness, LONG, build};

/// The database as somebody with Postgres alone sees it.
async fn bare(database: &TestDatabase) -> PgConnection {
    let options: PgConnectOptions = database.url.parse().expect("a URL");
    options.connect().await.expect("a connection")
}

async fn harness() -> (Harness, TestDatabase) {
    let (database, guard) = common::migrated_database().await;
    (Harness::in_real_time(database.repositories()), guard)
}

#[tokio::test]
async fn connecting_migrates_nothing_and_the_check_says_what_to_run() {
    let guard = TestDatabase::create().await;
    let database = guard.connect().await;
    let pending = database
        .check_schema()
        .await
        .expect_err("nothing was migrated");
    assert!(
        matches!(pending, SchemaError::Pending { migration: 1 }),
        "{pending:?}"
    );
    assert!(pending.to_string().contains("`wharf migrate`"), "{pending}");
    let tables: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_one(&mut bare(&guard).await)
            .await
            .expect("a count");
    assert_eq!(tables, 0);
}

#[tokio::test]
async fn migrating_again_and_at_the_same_time_changes_nothing() {
    let guard = TestDatabase::create().await;
    let (one, two) = (guard.connect().await, guard.connect().await);
    let (first, second) = tokio::join!(one.migrate(), two.migrate());
    first.expect("one migrates");
    second.expect("the other waits");
    let h = Harness::in_real_time(one.repositories());
    h.tenant("acme").await;
    two.migrate().await.expect("nothing to do");
    two.check_schema().await.expect("up to date");
    assert_eq!(
        two.repositories()
            .across
            .list_organizations()
            .await
            .expect("a list")
            .len(),
        1
    );
    one.close().await;
    assert!(matches!(
        one.repositories().across.now().await,
        Err(RepositoryError::Unavailable(_))
    ));
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let (database, guard) = common::migrated_database().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'from the future', true, '\\x00', 0)",
    )
    .execute(&mut bare(&guard).await)
    .await
    .expect("a row");
    let refused = database.check_schema().await.expect_err("it is newer");
    assert!(
        matches!(refused, SchemaError::Newer { migration: 9999 }),
        "{refused:?}"
    );
    let refused = database.migrate().await.expect_err("it is newer");
    assert!(
        matches!(refused, MigrateError::Newer { migration: 9999 }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let (database, guard) = common::migrated_database().await;
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00'")
        .execute(&mut bare(&guard).await)
        .await
        .expect("an update");
    assert!(matches!(
        database.check_schema().await,
        Err(SchemaError::Foreign { migration: 1 })
    ));
    assert!(matches!(
        database.migrate().await,
        Err(MigrateError::Foreign { migration: 1 })
    ));
}

#[tokio::test]
async fn an_error_about_the_url_does_not_repeat_it() {
    let refused = PostgresDatabase::connect("postgres://user:hunter2@host:port/x")
        .await
        .expect_err("no port");
    assert!(matches!(refused, OpenError::Url));
    assert!(!format!("{refused} {refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn the_status_that_filters_see_is_the_models() {
    let (h, guard) = harness().await;
    let acme = h.tenant("acme").await;
    acme.connection("store").await;
    let mut bare = bare(&guard).await;
    for intent in [Intent::Enabled, Intent::Suspended, Intent::Archived] {
        for (failures, definite) in
            (0..=6_u32).flat_map(|failures| [(failures, false), (failures, true)])
        {
            sqlx::query(
                "UPDATE connections SET intent = $1, consecutive_failures = $2, definite_failure = $3, \
                 sealed = CASE WHEN $1 = 'archived' THEN NULL ELSE '\\x00'::bytea END",
            )
            .bind(intent.as_str())
            .bind(i64::from(failures))
            .bind(definite && failures > 0)
            .execute(&mut bare)
            .await
            .expect("an update");
            let status = public_status(intent, Health::from_stored(failures, definite));
            for wanted in PublicStatus::ALL {
                let filter = ConnectionFilter {
                    status: Some(wanted),
                    ..ConnectionFilter::default()
                };
                let list = h
                    .repositories
                    .connections
                    .list(&acme.organization, &filter, &PageRequest::first(10))
                    .await;
                let found = !list.expect("a list").items.is_empty();
                assert_eq!(
                    found,
                    wanted == status,
                    "{intent:?} {failures} {definite} as {wanted}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_row_that_does_not_make_sense_is_named_without_its_value() {
    let (h, guard) = harness().await;
    let acme = h.tenant("acme").await;
    let connection = acme.connection("store").await;
    let mut bare = bare(&guard).await;
    for (column, value) in [
        ("intent", "'gibberish'"),
        ("config", "'gibberish'"),
        ("created_at", "'infinity'"),
    ] {
        sqlx::query(AssertSqlSafe(format!(
            "UPDATE connections SET {column} = {value}"
        )))
        .execute(&mut bare)
        .await
        .expect("an update");
        let identifier = ConnectionIdentifier::Id(connection.id.clone());
        let found = h
            .repositories
            .connections
            .find(&acme.organization, &identifier)
            .await;
        let Err(RepositoryError::Corrupt(place)) = found else {
            panic!("{column}: {found:?}")
        };
        assert!(
            place.starts_with(&format!("connections.{column}:")),
            "{place}"
        );
        assert!(!place.contains("gibberish"), "{place}");
        sqlx::query("UPDATE connections SET intent = 'enabled'")
            .execute(&mut bare)
            .await
            .expect("an update");
        sqlx::query("UPDATE connections SET config = $1")
            .bind(serde_json::to_string(&connection.config.to_json()).expect("JSON"))
            .execute(&mut bare)
            .await
            .expect("an update");
    }
}

#[tokio::test]
async fn text_and_times_that_the_server_cannot_take_are_errors_or_nothing_but_no_panics() {
    let (h, _guard) = harness().await;
    let acme = h.tenant("acme").await;
    let bucket = acme.bucket("media").await;
    let filter = ObjectFilter {
        search: Some("a\0b".to_owned()),
        include_deleted: true,
    };
    let list = h
        .repositories
        .objects
        .list(
            &acme.organization,
            &bucket.id,
            &filter,
            &PageRequest::first(10),
        )
        .await;
    let Err(RepositoryError::Corrupt(place)) = list else {
        panic!("another try would not help: {list:?}")
    };
    assert!(
        place.starts_with("objects, line ") && place.contains("SQLSTATE 22021"),
        "{place}"
    );

    let before_everything = PageCursor {
        created_at: wharf_domain::Timestamp::MIN_UTC,
        id: "aud_1".to_owned(),
    };
    let page = PageRequest {
        start: PageStart::After(before_everything),
        ..PageRequest::first(10)
    };
    let list = h
        .repositories
        .audit
        .list(&acme.organization, &page)
        .await
        .expect("an answer");
    assert_eq!((list.items.len(), list.total), (0, 2));
}

#[tokio::test]
async fn only_what_may_pass_is_told_as_unavailable_even_at_the_very_end_of_a_transaction() {
    let (h, guard) = harness().await;
    let acme = h.tenant("acme").await;
    let mut bare = bare(&guard).await;
    let raise = |code: &str| format!("RAISE EXCEPTION 'a value' USING ERRCODE = '{code}';");
    let ends = [
        (raise("40001"), None),
        (raise("53100"), None),
        (raise("57P03"), None),
        (
            "PERFORM pg_terminate_backend(pg_backend_pid());".to_owned(),
            None,
        ),
        (raise("23514"), Some("SQLSTATE 23514")),
        (raise("42501"), Some("SQLSTATE 42501")),
        (raise("P0001"), Some("SQLSTATE P0001")),
    ];
    for (end, corrupt) in ends {
        for statement in [
            format!(
                "CREATE OR REPLACE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {end} RETURN NULL; END $$"
            ),
            "DROP TRIGGER IF EXISTS fails ON buckets".to_owned(),
            // Deferred: it fires when the transaction is committed.
            "CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON buckets DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION fail()"
                .to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut bare)
                .await
                .expect("a failing commit");
        }
        let new = build::bucket(&h.ids, &acme.namespace, "media");
        let audit = h.audit(Action::BucketCreated);
        let failed = h
            .repositories
            .buckets
            .insert(&acme.organization, new, audit)
            .await;
        match (&failed, corrupt) {
            (Err(InsertError::Repository(RepositoryError::Unavailable(_))), None) => {}
            (Err(InsertError::Repository(RepositoryError::Corrupt(place))), Some(code)) => {
                assert!(
                    place.starts_with("buckets, line ") && place.contains(code),
                    "{place}"
                );
                assert!(!place.contains("a value"), "{place}");
            }
            _ => panic!("{end}: {failed:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_and_people_at_the_same_time_wait_for_each_other_and_never_fail() {
    let (h, _guard) = harness().await;
    let h = Arc::new(h);
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let mut leases = Vec::new();
    for _ in 0..6 {
        acme.sync(&bucket, &connection).await;
        leases.push(h.lease(LONG).await);
    }
    let names: Vec<String> = (0..40).map(|n| format!("media/{n}")).collect();
    let workers: Vec<_> = leases
        .into_iter()
        .enumerate()
        .map(|(n, lease)| {
            let (h, organization, mut names) =
                (h.clone(), acme.organization.clone(), names.clone());
            let (bucket, connection) = (bucket.id.clone(), connection.clone());
            if n % 2 == 0 {
                names.reverse();
            }
            tokio::spawn(async move {
                let runs = &h.repositories.runs;
                for pass in 1..=15 {
                    let seen: Vec<_> = names.iter().map(|name| build::source(name)).collect();
                    let mut known: HashMap<_, _> =
                        match runs.known(&organization, &lease, &seen).await {
                            Ok(known) => known
                                .into_iter()
                                .map(|known| (known.object.clone(), known))
                                .collect(),
                            Err(RunError::LeaseLost) => return,
                            Err(error) => panic!("{error:?}"),
                        };
                    let puts = names
                        .iter()
                        .map(|name| wharf_ports::Put {
                            replaces: known.remove(name),
                            ..build::put(&h.ids, &organization, &bucket, name, "1")
                        })
                        .collect();
                    let commit = wharf_ports::Commit {
                        puts,
                        seen,
                        ..build::commit(&connection, pass)
                    };
                    match runs.commit(&organization, &lease, commit).await {
                        Ok(()) => {}
                        Err(RunError::LeaseLost | RunError::ConnectionChanged) => return,
                        Err(RunError::Repository(error)) => panic!("{error:?}"),
                    }
                    let step = wharf_ports::LetGo {
                        epoch: connection.epoch,
                        credential_version: connection.credential_version,
                        pass: pass + 1,
                        limit: 7,
                        audit: h.audit(Action::ObjectsCommitted),
                    };
                    match runs.let_go(&organization, &lease, step).await {
                        Ok(_) | Err(RunError::LeaseLost | RunError::ConnectionChanged) => {}
                        Err(RunError::Repository(error)) => panic!("{error:?}"),
                    }
                }
            })
        })
        .collect();
    for n in 0..10 {
        let name = build::connection_name(&format!("store {n}"));
        let edit = wharf_domain::connection::Edit {
            name: Some(name),
            ..Default::default()
        };
        acme.apply(&connection, vec![Event::Edit(Box::new(edit))])
            .await;
        acme.sync(&bucket, &connection).await;
    }
    acme.apply(&connection, vec![Event::Archive]).await;
    let audit = h.audit(Action::BucketDeleted);
    assert!(
        h.repositories
            .buckets
            .remove(&acme.organization, &bucket.id, audit)
            .await
            .expect("the bucket goes")
    );
    for worker in workers {
        worker
            .await
            .expect("a worker that met no error of the database");
    }
}

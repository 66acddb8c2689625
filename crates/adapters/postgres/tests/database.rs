//! What holds of the database, beyond the promises of the ports.

mod common;
mod superuser;
mod upgrade;
mod walls;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use common::TestDatabase;
use sqlx::{AssertSqlSafe, PgConnection};
use wharf_domain::audit::{Action, AuditFilter};
use wharf_domain::connection::{
    Connection, ConnectionFilter, ConnectionIdentifier, Event, Health, Intent, PublicStatus,
    public_status,
};
use wharf_domain::ids::{BucketId, OrganizationId};
use wharf_domain::object::ObjectFilter;
use wharf_domain::page::{PageCursor, PageRequest, PageStart};
use wharf_domain::run::catalogue::Recall;
use wharf_domain::run::commit::{Commit, Put, Standing, Vanished};
use wharf_domain::run::deletes::Hold;
use wharf_domain::sync::{Lease, Sync};
use wharf_ports::{InsertError, RepositoryError, RunError, SyncChange, UpdateSyncError};
use wharf_postgres::{MigrateError, OpenError, PostgresDatabase, SchemaError};
use wharf_testkit::{Harness, LONG, build};

async fn bare(database: &TestDatabase) -> PgConnection {
    common::bare(&database.url).await
}

async fn harness() -> (Harness, TestDatabase) {
    let (database, guard) = common::migrated_database().await;
    (
        Harness::in_real_time(common::repositories(&database)),
        guard,
    )
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
    let h = Harness::in_real_time(common::repositories(&one));
    h.tenant("acme").await;
    two.migrate().await.expect("nothing to do");
    two.check_schema().await.expect("up to date");
    assert_eq!(
        common::repositories(&two)
            .across
            .list_organizations()
            .await
            .expect("a list")
            .len(),
        1
    );
    one.close().await;
    assert!(matches!(
        common::repositories(&one).across.now().await,
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
        id: "obj_1".to_owned(),
    };
    let page = PageRequest {
        start: PageStart::After(before_everything),
        ..PageRequest::first(10)
    };
    let filter = ObjectFilter::default();
    let list = h
        .repositories
        .objects
        .list(&acme.organization, &bucket.id, &filter, &page)
        .await
        .expect("an answer");
    assert_eq!((list.items.len(), list.total), (0, 0));

    let since = |start| AuditFilter {
        start: Some(start),
        end: Some(wharf_domain::Timestamp::MAX_UTC),
        ..AuditFilter::default()
    };
    for (start, count) in [
        (wharf_domain::Timestamp::MIN_UTC, 2),
        (wharf_domain::Timestamp::MAX_UTC, 0),
    ] {
        let list = h
            .repositories
            .audit
            .list(&acme.organization, &since(start), 0, 10)
            .await
            .expect("an answer");
        assert_eq!((list.rows.len(), list.total), (count, count as u64));
    }
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

/// A run that publishes, sees, passes over, holds and lets go, until its lease or its connection is taken away.
async fn work(
    h: &Harness,
    organization: &OrganizationId,
    bucket: &BucketId,
    connection: &Connection,
    lease: &Lease,
    names: &[String],
) -> Result<(), RunError> {
    let runs = &h.repositories.runs;
    let standing = Standing {
        epoch: connection.epoch,
        credential_version: connection.credential_version,
    };
    for pass in 1..=15 {
        let recall = Recall {
            provider: connection.provider(),
            authority: build::AUTHORITY.to_owned(),
            listed: names.to_vec(),
            span: Some(build::span(None, None)),
            facts: false,
        };
        let recalled = h
            .repositories
            .catalogue
            .recall(organization, &lease.sync, pass, &recall)
            .await?;
        let mut known: HashMap<_, _> = recalled
            .known
            .into_iter()
            .map(|known| (known.object, known.copy))
            .collect();
        let (puts, failed) = names.split_at(names.len() / 2);
        let puts = puts.iter().map(|name| Put {
            replaces: known.remove(name).flatten(),
            ..build::put(&h.ids, organization, bucket, name, "1")
        });
        let step = Commit {
            puts: puts.collect(),
            adopted: failed.to_vec(),
            failed: failed
                .iter()
                .map(|name| build::failed(&h.ids, name, "1", "object.unreadable"))
                .collect(),
            ..build::commit(pass)
        };
        let audit = Some(h.audit(Action::ObjectsCommitted));
        runs.commit(organization, lease, standing, &step, audit)
            .await?;
        let vanished = Some(Vanished {
            span: build::span(None, None),
            listed: names.iter().take(7).cloned().collect(),
        });
        let step = Commit {
            vanished,
            ..build::commit(pass)
        };
        runs.commit(organization, lease, standing, &step, None)
            .await?;
        let hold = Hold {
            pass,
            denied: Vec::new(),
            reason: "too many".to_owned(),
            limit: 20,
        };
        let audit = h.audit(Action::DeletesHeld);
        runs.hold(organization, lease, standing, &hold, audit)
            .await?;
        let step = build::let_go(pass, 7);
        let audit = h.audit(Action::ObjectsCommitted);
        runs.let_go(organization, lease, standing, &step, audit)
            .await?;
    }
    Ok(())
}

/// What people do about a sync and its bucket meanwhile.
async fn meddle(h: &Harness, organization: &OrganizationId, sync: &Sync) {
    let repositories = &h.repositories;
    let audit = || h.audit(Action::SyncUpdated);
    let (bucket, id) = (&sync.bucket, &sync.id);
    for limit in 1..=10 {
        let syncs = &repositories.syncs;
        let change = SyncChange {
            settings: sync.settings.clone(),
            rules_changed: true,
        };
        let stored = syncs
            .find(organization, bucket, id)
            .await
            .expect("an answer");
        let Some(stored) = stored else { return };
        match syncs
            .update(organization, bucket, id, stored.revision, &change, audit())
            .await
        {
            Ok(_) | Err(UpdateSyncError::NotFound) => {}
            Err(error) => panic!("{error:?}"),
        }
        let approved = syncs.approve_deletes(organization, bucket, id, limit, audit());
        approved.await.expect("an answer");
        let discarded = syncs.discard_deletes(organization, bucket, id, limit, audit());
        discarded.await.expect("an answer");
        let letters = &repositories.dead_letters;
        let requeued = letters.requeue(organization, id, None, audit());
        requeued.await.expect("an answer");
        let everything = ObjectFilter {
            search: None,
            include_deleted: true,
        };
        let objects = &repositories.objects;
        let page = objects
            .list(organization, bucket, &everything, &PageRequest::first(5))
            .await;
        for object in page.expect("an answer").items {
            let removed = objects.remove(organization, bucket, &object.id, audit());
            removed.await.expect("an answer");
            let restored = objects.restore(organization, bucket, &object.id, audit());
            restored.await.expect("an answer");
        }
        let purged = repositories.across.purge_tombstones(Duration::ZERO, 10);
        purged.await.expect("an answer");
        let by = &sync.created_by;
        let paused = syncs.pause(organization, bucket, id, by, None, audit());
        paused.await.expect("an answer");
        let disposed = repositories.across.dispose_dead_letters(10);
        disposed.await.expect("an answer");
        let resumed = syncs.resume(organization, bucket, id, audit());
        resumed.await.expect("an answer");
    }
    let syncs = &repositories.syncs;
    let unlocked = syncs.unlock(organization, bucket, id, audit());
    unlocked.await.expect("an answer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_and_people_at_the_same_time_wait_for_each_other_and_never_fail() {
    let (h, guard) = harness().await;
    let h = Arc::new(h);
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    let names: Vec<String> = (0..40).map(|n| format!("media/{n}")).collect();
    let mut at_work = Vec::new();
    for n in 0..6 {
        let sync = acme.sync(&bucket, &connection).await;
        let lease = h.lease(LONG).await;
        let (h, organization, mut names) = (h.clone(), acme.organization.clone(), names.clone());
        let (bucket, connection) = (bucket.id.clone(), connection.clone());
        if n % 2 == 0 {
            names.reverse();
        }
        if n % 3 == 0 {
            let (h, organization) = (h.clone(), organization.clone());
            at_work.push(tokio::spawn(async move {
                meddle(&h, &organization, &sync).await;
            }));
        }
        at_work.push(tokio::spawn(async move {
            match work(&h, &organization, &bucket, &connection, &lease, &names).await {
                Ok(()) | Err(RunError::LeaseLost | RunError::ConnectionChanged) => {}
                Err(RunError::Repository(error)) => panic!("{error:?}"),
            }
        }));
    }
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
    for at_work in at_work {
        at_work.await.expect("met no error of the database");
    }
    let deadlocks: i64 = sqlx::query_scalar(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()",
    )
    .fetch_one(&mut bare(&guard).await)
    .await
    .expect("a count");
    assert_eq!(deadlocks, 0, "nothing waited in a circle");
    let audit = h.audit(Action::BucketDeleted);
    assert!(
        h.repositories
            .buckets
            .remove(&acme.organization, &bucket.id, audit)
            .await
            .expect("the bucket goes")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_workers_at_once_each_leases_another_sync_and_none_goes_without() {
    let (h, _guard) = harness().await;
    let h = Arc::new(h);
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    for _ in 0..12 {
        acme.sync(&bucket, &connection).await;
    }
    let workers: Vec<_> = (0..12)
        .map(|_| {
            let h = h.clone();
            tokio::spawn(async move { h.lease(LONG).await.sync })
        })
        .collect();
    let mut leased = HashSet::new();
    for worker in workers {
        assert!(leased.insert(worker.await.expect("a lease")));
    }
    assert_eq!(h.try_lease(LONG).await, None);
}

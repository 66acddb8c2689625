//! A database of an earlier version goes on after it is migrated.

use sqlx::PgConnection;
use sqlx::migrate::Migrator;
use wharf_domain::connection::Connection;
use wharf_domain::mapping::Mapped;
use wharf_domain::object::{BlobKey, DeletedBy};
use wharf_domain::run::catalogue::{Known, KnownCopy};
use wharf_domain::run::deletes::Survey;
use wharf_domain::sync::{Checkpoint, Cursor, Order, RunStats, SyncState};
use wharf_testkit::{Harness, LONG, Run, Tenant, build};

use crate::common::{self, TestDatabase};

const SYNC: &str = "sync_00000000000000aa";
const JOB: &str = "job_00000000000000aa";
const KEPT: &str = "obj_00000000000000aa";
const BURIED: &str = "obj_00000000000000bb";

/// Brings the database to a version.
async fn migrate_to(bare: &mut PgConnection, version: i64) {
    let known = sqlx::migrate!();
    let wanted = known.iter().filter(|it| it.version <= version);
    Migrator::with_migrations(wanted.cloned().collect())
        .run(bare)
        .await
        .expect("the first migrations apply");
}

fn blob(acme: &Tenant<'_>, bucket: &str, digit: char) -> String {
    format!(
        "{}/{bucket}/{}",
        acme.organization,
        digit.to_string().repeat(32)
    )
}

/// Stores a sync as the version before stored it: in the middle of a pass, and with two objects.
async fn store_sync(
    bare: &mut PgConnection,
    acme: &Tenant<'_>,
    bucket: &str,
    connection: &Connection,
) {
    let organization = acme.organization.as_str();
    let settings = r#"{"source_path":"media/","polling_interval_seconds":300,"max_objects_per_run":100000,
        "sync_concurrency":8,"reconcile":{"on_delete":true,"on_update":true,"on_filter_drift":true,
        "re_extract_on_update":true,"re_extract_fields":null},"description":null,"metadata":{"team":"a"},
        "pipeline":{"batch_size":50,"skip_batch_submission":false,"batch_collection_ids":null,"ingest_filter":null,
        "skip_duplicates":true}}"#;
    let checkpoint = r#"{"pass":3,"cursor":"page 2","objects_processed":5,"unsettled":2,"extra_passes":1,
        "credential_version":1}"#;
    let counters = r#"{"discovered":5,"synced":3,"verified":2,"filtered":0,"skipped":0,"failed":0,"not_reached":0,
        "deleted":0,"held":0,"bytes":15,"filtered_by":{},"skipped_by":{}}"#;
    sqlx::query(
        "INSERT INTO syncs (organization, id, bucket, namespace, connection, mode, settings, state, next_run_at, fence, \
         last_pass, checkpoint, counters, runs_completed, runs_failed, consecutive_failures, revision, created_by, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, 'continuous', $6, 'active', now(), 4, 3, $7, $8, 2, 0, 0, 1, \
         $9, now(), now())",
    )
    .bind(organization)
    .bind(SYNC)
    .bind(bucket)
    .bind(acme.namespace.as_str())
    .bind(connection.id.as_str())
    .bind(settings)
    .bind(checkpoint)
    .bind(counters)
    .bind(acme.admin.as_str())
    .execute(&mut *bare)
    .await
    .expect("a sync");
    sqlx::query(
        "INSERT INTO jobs (organization, id, sync, bucket, namespace, status, \"trigger\", phase, counters, complete, \
         created_at, started_at, completed_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 'completed', 'scheduled', 'idle', $6, true, now(), now(), now(), now())",
    )
    .bind(organization)
    .bind(JOB)
    .bind(SYNC)
    .bind(bucket)
    .bind(acme.namespace.as_str())
    .bind(counters)
    .execute(&mut *bare)
    .await
    .expect("a job");
    for (id, name, digit, deleted_by, seen_pass) in [
        (KEPT, "media/kept", 'a', None, 3_i64),
        (BURIED, "media/buried", 'b', Some("person"), 2),
    ] {
        sqlx::query(
            "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
             source_metadata, blob, size_bytes, sha256, deleted_at, deleted_by, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, 's3', $5, $6, $6, '1', '{}', $7, 5, $8, \
             CASE WHEN $9::text IS NULL THEN NULL ELSE now() END, $9, now(), now())",
        )
        .bind(organization)
        .bind(id)
        .bind(bucket)
        .bind(acme.namespace.as_str())
        .bind(build::AUTHORITY)
        .bind(name)
        .bind(blob(acme, bucket, digit))
        .bind("0".repeat(64))
        .bind(deleted_by)
        .execute(&mut *bare)
        .await
        .expect("an object");
        sqlx::query(
            "INSERT INTO sync_entries (organization, sync, object, seen_pass) VALUES ($1, $2, $3, $4)",
        )
        .bind(organization)
        .bind(SYNC)
        .bind(id)
        .bind(seen_pass)
        .execute(&mut *bare)
        .await
        .expect("an entry");
    }
}

#[tokio::test]
async fn a_database_of_the_version_before_is_migrated_with_all_that_syncs_knew() {
    let guard = TestDatabase::create().await;
    let mut bare = common::bare(&guard.url).await;
    migrate_to(&mut bare, 2).await;
    let database = guard.connect().await;
    let h = Harness::in_real_time(database.repositories());
    let acme = h.tenant("acme").await;
    let (bucket, connection) = (acme.bucket("media").await, acme.connection("store").await);
    store_sync(&mut bare, &acme, bucket.id.as_str(), &connection).await;

    database.migrate().await.expect("the rest applies");
    database.check_schema().await.expect("up to date");

    let id = SYNC.parse().expect("an identifier");
    let syncs = &h.repositories.syncs;
    let found = syncs.find(&acme.organization, &bucket.id, &id).await;
    let sync = found.expect("it reads").expect("it is there");
    assert_eq!(sync.state, SyncState::Active);
    assert!(sync.settings.skip_duplicates, "as it always did");
    assert_eq!(sync.settings.file_filters, None);
    assert_eq!((&sync.paused, sync.pending_full), (&None, false));
    assert_eq!(sync.held_deletes, None);
    assert_eq!(sync.totals.stats, RunStats::default());
    assert_eq!(sync.totals.counters.synced, 3);
    let checkpoint = Checkpoint {
        pass: 3,
        scope: String::new(),
        order: Order::Marked { beyond: None },
        denied: Vec::new(),
        cursor: Some(Cursor("page 2".to_owned())),
        objects_processed: 5,
        unsettled: 2,
        extra_passes: 1,
        credential_version: 1,
    };
    assert_eq!(sync.checkpoint, Some(checkpoint));
    let jobs = acme.jobs(&id).await;
    assert_eq!(jobs.len(), 1);

    let objects = acme.objects(&bucket.id).await;
    let kept = objects
        .iter()
        .find(|it| it.id.as_str() == KEPT)
        .expect("it is there");
    assert_eq!(kept.copied_by, None);
    assert_eq!(kept.mapped, Mapped::default());
    assert_eq!((kept.purged, &kept.facts.version_id), (false, &None));

    let lease = h.lease(LONG).await;
    let run = Run {
        tenant: &acme,
        bucket: bucket.clone(),
        connection,
        sync,
        lease,
    };
    let copy = |object: &str, digit, deleted| KnownCopy {
        id: object.parse().expect("an identifier"),
        version: "1".to_owned(),
        blob: BlobKey::parse(&blob(&acme, bucket.id.as_str(), digit)).expect("a key"),
        deleted,
        copied_by: None,
        facts: None,
    };
    let known = |object: &str, copy| Known {
        object: object.to_owned(),
        copy: Some(copy),
        held: true,
        left_out: None,
        dead_letter: None,
        missing: false,
    };
    assert_eq!(
        run.known(&["media/buried", "media/kept", "media/new"])
            .await,
        [
            known("media/buried", copy(BURIED, 'b', Some(DeletedBy::Person))),
            known("media/kept", copy(KEPT, 'a', None)),
        ]
    );
    assert_eq!(run.mark_unseen(3, None, 10).await, 1);
    let survey = Survey {
        held: 2,
        missing: 1,
        agreed: 0,
    };
    assert_eq!(run.survey(3, &[]).await, survey, "what pass 3 saw it saw");
}

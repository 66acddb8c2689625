//! A database that an older version of Wharf has written.

mod common;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;
use wharf_domain::ids::{
    BucketId, ConnectionId, JobId, NamespaceId, ObjectId, OrganizationId, SyncId, UserId,
};
use wharf_domain::object::ObjectFilter;
use wharf_domain::page::PageRequest;
use wharf_domain::provider::Provider;
use wharf_domain::run::catalogue::Recall;
use wharf_domain::sync::{Cursor, Order, RunStats};
use wharf_testkit::{Harness, LONG, build};

/// All that the old database holds.
struct Old {
    organization: OrganizationId,
    bucket: BucketId,
    sync: SyncId,
    objects: Vec<ObjectId>,
}

impl Old {
    /// Writes it as the version before catalogues did: a continuous sync amidst its third pass, that holds on to three
    /// objects, two of which differ by their provider alone.
    async fn write(h: &Harness, folder: &TempDir) -> Self {
        let mut bare = common::bare(folder).await;
        sqlx::migrate!("./migrations")
            .run_to(2, &mut bare)
            .await
            .expect("the old migrations");
        let ids = &h.ids;
        let this = Self {
            organization: ids.id(),
            bucket: ids.id(),
            sync: ids.id(),
            objects: (0..3).map(|_| ids.id()).collect(),
        };
        let Self {
            organization,
            bucket,
            sync,
            objects,
        } = &this;
        let (user, namespace): (UserId, NamespaceId) = (ids.id(), ids.id());
        let (connection, job): (ConnectionId, JobId) = (ids.id(), ids.id());
        let config = json!(build::provider_config().to_json());
        let settings = json!({
            "source_path": "media/", "polling_interval_seconds": 300, "max_objects_per_run": 1000,
            "sync_concurrency": 8,
            "reconcile": {
                "on_delete": true, "on_update": true, "on_filter_drift": true,
                "re_extract_on_update": true, "re_extract_fields": null,
            },
            "description": null, "metadata": {},
            "pipeline": {
                "batch_size": 50, "skip_batch_submission": false, "batch_collection_ids": null,
                "ingest_filter": null, "skip_duplicates": true,
            },
        });
        let checkpoint = json!({
            "pass": 3, "cursor": "after m", "objects_processed": 2, "unsettled": 0, "extra_passes": 0,
            "credential_version": 1,
        });
        let counters = json!({
            "discovered": 5, "synced": 3, "verified": 2, "filtered": 0, "skipped": 0, "failed": 0, "not_reached": 0,
            "deleted": 0, "held": 0, "bytes": 15, "filtered_by": {}, "skipped_by": {},
        });
        let mut rows = vec![
            format!("INSERT INTO organizations VALUES ('{organization}', 'acme', 1)"),
            format!(
                "INSERT INTO namespaces VALUES ('{organization}', '{namespace}', 'default', NULL, 1)"
            ),
            format!(
                "INSERT INTO buckets VALUES ('{organization}', '{bucket}', '{namespace}', 'media', 'media', NULL, '{{}}', \
                 '{{}}', NULL, 1, 1)"
            ),
            format!(
                "INSERT INTO connections (organization, id, name, provider, config, credential_type, sealed, \
                 credential_version, write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, \
                 status_changed_at, created_by, created_at, updated_at) VALUES ('{organization}', '{connection}', 'store', \
                 's3', '{config}', 'access_key', x'00', 1, 0, '{{}}', 'enabled', 0, 0, 1, 1, 1, '{user}', 1, 1)"
            ),
            format!(
                "INSERT INTO syncs (organization, id, bucket, namespace, connection, mode, settings, state, next_run_at, fence, \
                 last_pass, checkpoint, counters, runs_completed, runs_failed, consecutive_failures, revision, created_by, \
                 created_at, updated_at) VALUES ('{organization}', '{sync}', '{bucket}', '{namespace}', '{connection}', \
                 'continuous', '{settings}', 'active', 1, 4, 3, '{checkpoint}', '{counters}', 2, 1, 0, 1, '{user}', 1, 1)"
            ),
            format!(
                "INSERT INTO jobs VALUES ('{organization}', '{job}', '{sync}', '{bucket}', '{namespace}', 'completed', \
                 'scheduled', 'idle', '{counters}', 0, 'shutdown', NULL, NULL, 1, 1, 2, 2)"
            ),
        ];
        let sources = [("s3", "a"), ("s3", "b"), ("tigris", "b")];
        for (id, (provider, source)) in objects.iter().zip(sources) {
            let blob = build::blob_key(ids, organization, bucket);
            rows.push(format!(
                "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
                 source_metadata, blob, size_bytes, sha256, created_at, updated_at) VALUES ('{organization}', '{id}', \
                 '{bucket}', '{namespace}', '{provider}', '{}', '{source}', '{source}', 'v1', '{{}}', '{}', 5, 'ab', 1, 1)",
                build::AUTHORITY,
                blob.as_str(),
            ));
            rows.push(format!(
                "INSERT INTO sync_entries VALUES ('{organization}', '{sync}', '{id}', 2)"
            ));
        }
        for row in rows {
            bare.execute(AssertSqlSafe(row)).await.expect("a row");
        }
        this
    }
}

/// The old database, opened by this version.
async fn migrated() -> (Harness, Old) {
    let folder = tempfile::tempdir().expect("a folder");
    let (other, other_folder) = common::empty_database().await;
    let ids = Harness::in_real_time(other.repositories()).keeping(other_folder);
    let old = Old::write(&ids, &folder).await;
    let database = common::open(&folder).await;
    let harness = Harness::in_real_time(database.repositories()).keeping(folder);
    (harness, old)
}

#[tokio::test]
async fn syncs_of_an_older_version_are_read_with_what_they_did_not_know_yet() {
    let (h, old) = migrated().await;
    let found = h
        .repositories
        .syncs
        .find(&old.organization, &old.bucket, &old.sync)
        .await
        .expect("an answer");
    let sync = found.expect("the sync");
    assert!(sync.settings.skip_duplicates);
    assert_eq!(sync.settings.file_filters, None);
    assert_eq!(
        (sync.paused, sync.pending_full, sync.held_deletes),
        (None, false, None)
    );
    assert_eq!(sync.totals.stats, RunStats::default());
    assert_eq!(sync.totals.counters.verified, 2);
    let checkpoint = sync.checkpoint.expect("its progress");
    assert_eq!(
        (checkpoint.pass, checkpoint.cursor, checkpoint.order),
        (
            3,
            Some(Cursor("after m".to_owned())),
            Order::Marked { beyond: None }
        )
    );
    let lease = h.lease(LONG).await;
    assert_eq!((lease.sync, lease.fence), (old.sync, 5));
}

#[tokio::test]
async fn objects_of_an_older_version_are_read_and_known_to_their_sync() {
    let (h, old) = migrated().await;
    let filter = ObjectFilter::default();
    let listed = h
        .repositories
        .objects
        .list(
            &old.organization,
            &old.bucket,
            &filter,
            &PageRequest::first(10),
        )
        .await
        .expect("a list");
    assert_eq!(listed.items.len(), old.objects.len());
    for object in listed.items {
        assert_eq!((object.copied_by, object.purged), (None, false));
        assert_eq!(object.facts.version_id, None);
        assert!(object.facts.tags.is_empty() && object.mapped.fields.is_empty());
    }
    let recall = Recall {
        provider: Provider::S3,
        authority: build::AUTHORITY.to_owned(),
        listed: vec!["a".to_owned(), "b".to_owned(), "c".to_owned()],
        span: None,
        facts: false,
    };
    let recalled = h
        .repositories
        .catalogue
        .recall(&old.organization, &old.sync, 3, &recall)
        .await
        .expect("an answer");
    let known: Vec<_> = recalled
        .known
        .iter()
        .map(|known| (&*known.object, known.held, known.missing))
        .collect();
    assert_eq!(known, [("a", true, false), ("b", true, false)]);
}

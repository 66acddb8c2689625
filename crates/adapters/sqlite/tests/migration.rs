//! A database that an older version of Wharf has written.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;
use wharf_domain::access::{ApiKeyHash, Grant, Permission, Role, UserStatus};
use wharf_domain::audit::{Action, AuditFilter, ChainHead, NewAuditRow, link_bytes};
use wharf_domain::connection::ConnectionFilter;
use wharf_domain::ids::{
    ApiKeyId, BucketId, ConnectionId, JobId, NamespaceId, ObjectId, OrganizationId, SyncId, UserId,
};
use wharf_domain::object::ObjectFilter;
use wharf_domain::page::PageRequest;
use wharf_domain::provider::Provider;
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::run::catalogue::Recall;
use wharf_domain::run::deletes::Survey;
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Cursor, Order, RunStats};
use wharf_ports::AuditSeal;
use wharf_testkit::{Harness, LONG, TestSeal, build};

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
    let ids = Harness::in_real_time(common::repositories(&other)).keeping(other_folder);
    let old = Old::write(&ids, &folder).await;
    let database = common::open(&folder).await;
    let harness = Harness::in_real_time(common::repositories(&database)).keeping(folder);
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
    assert_eq!((sync.feed, sync.push), (None, None));
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

#[tokio::test]
async fn what_a_sync_found_missing_before_there_were_feeds_is_missing_and_not_hidden() {
    let folder = tempfile::tempdir().expect("a folder");
    let (other, _other_folder) = common::empty_database().await;
    let ids = Harness::in_real_time(common::repositories(&other));
    let old = Old::write(&ids, &folder).await;
    let mut bare = common::bare(&folder).await;
    sqlx::migrate!("./migrations")
        .run_to(4, &mut bare)
        .await
        .expect("the old migrations");
    bare.execute(
        "UPDATE catalogue SET seen_pass = 2, missing_pass = 3, missing_since = 2 WHERE source_object = 'a'",
    )
    .await
    .expect("a row");
    drop(bare);
    let database = common::open(&folder).await;
    let h = Harness::in_real_time(common::repositories(&database));
    let lease = h.lease(LONG).await;
    let runs = &h.repositories.runs;
    let found = runs.survey(&old.organization, &lease, 3, &[]).await;
    let survey = Survey {
        held: 2,
        missing: 1,
        agreed: 1,
        hidden: 0,
    };
    assert_eq!(found.expect("an answer"), survey);
    let rows = runs.missing_rows(&old.organization, &lease, 3, build::AUTHORITY, None, 10);
    let row = MissingRow {
        object: "a".to_owned(),
        lineage: String::new(),
    };
    assert_eq!(rows.await.expect("an answer"), [row]);
}

/// A database of the version before chains: an organization with a user, a key, connections in every state, and more
/// audit rows than are adopted at once, the last two of one time.
async fn write_unchained(h: &Harness, folder: &TempDir) -> (OrganizationId, UserId) {
    let mut bare = common::bare(folder).await;
    sqlx::migrate!("./migrations")
        .run_to(3, &mut bare)
        .await
        .expect("the old migrations");
    let organization: OrganizationId = h.ids.id();
    let (user, key): (UserId, ApiKeyId) = (h.ids.id(), h.ids.id());
    let mut rows = vec![
        format!("INSERT INTO organizations VALUES ('{organization}', 'acme', 7)"),
        format!(
            "INSERT INTO users VALUES ('{organization}', '{user}', 'ann@example.test', 'admin', 8)"
        ),
        format!(
            "INSERT INTO api_keys (organization, id, user_id, name, prefix, hash, permission, created_at) \
             VALUES ('{organization}', '{key}', '{user}', 'first', 'whk_abcdef', x'{}', 'delete', 9)",
            "ab".repeat(32)
        ),
    ];
    let config = json!(build::provider_config().to_json());
    let connections = [
        ("works", "enabled", "access_key", 0),
        ("rests", "suspended", "access_key", 0),
        ("failed", "enabled", "access_key", 1),
        ("refused", "enabled", "username_password", 1),
    ];
    for (name, intent, credentials, failed) in connections {
        let connection: ConnectionId = h.ids.id();
        rows.push(format!(
            "INSERT INTO connections (organization, id, name, provider, config, credential_type, sealed, \
             credential_version, write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, \
             status_changed_at, created_by, created_at, updated_at) VALUES ('{organization}', '{connection}', '{name}', \
             's3', '{config}', '{credentials}', x'00', 1, 0, '{{}}', '{intent}', {failed}, {failed}, 1, 1, 1, '{user}', 1, 1)"
        ));
    }
    for row in rows {
        bare.execute(AssertSqlSafe(row)).await.expect("a row");
    }
    // The newest first, so that the order of the rows in the file is not that of their times.
    sqlx::query(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, reason, \
         changes) WITH RECURSIVE n (i) AS (SELECT 2500 UNION ALL SELECT i - 1 FROM n WHERE i > 1) \
         SELECT $1, format('aud_%016x', i), 10 + MIN(i, 2499), 'bucket_created', 'bucket', 'bkt_1', \
         iif(i % 2, 'user', 'system'), iif(i % 2, 'usr_1', NULL), iif(i % 2, 'key_1', NULL), iif(i % 3, NULL, ''), \
         '{\"n\":0.30000000000000004}' FROM n",
    )
    .bind(organization.as_str())
    .execute(&mut bare)
    .await
    .expect("audit rows");
    (organization, user)
}

/// Follows a chain from its start, and returns its rows and its head.
async fn follow(h: &Harness, organization: &OrganizationId) -> (Vec<NewAuditRow>, ChainHead) {
    let audit = &h.repositories.audit;
    let (mut head, mut rows) = (ChainHead::EMPTY, Vec::new());
    loop {
        let stretch = audit.chain(organization, head.position, 700).await;
        let stretch = stretch.expect("the chain");
        if stretch.is_empty() {
            break;
        }
        for chained in stretch {
            let stored = chained.row.expect("a row that reads");
            let bytes = link_bytes(organization, &head, stored.at, &stored.row);
            head = ChainHead {
                position: head.position + 1,
                hash: TestSeal.link(&bytes),
            };
            assert_eq!((chained.link, stored.link), (head, head));
            rows.push(stored.row);
        }
    }
    assert_eq!(audit.head(organization).await.expect("the head"), head);
    (rows, head)
}

#[tokio::test]
async fn audit_rows_of_an_older_version_are_linked_in_the_order_of_their_times_and_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids = Harness::in_real_time(common::repositories(&common::empty_database().await.0));
    let (organization, _) = write_unchained(&ids, &folder).await;
    let database = common::open(&folder).await;
    let adopt = || database.adopt_unchained(Arc::new(TestSeal));
    adopt().await.expect("the rows are adopted");
    let mut bare = common::bare(&folder).await;
    let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
    let (rows, head) = follow(&h, &organization).await;
    assert_eq!(head.position, 2500);
    let numbers: Vec<_> = rows.iter().map(|row| row.id.to_string()).collect();
    let expected: Vec<_> = (1..=2500).map(|n| format!("aud_{n:016x}")).collect();
    assert_eq!(numbers, expected);
    assert_eq!(
        (&rows[0].origin.reason, &rows[2].origin.reason),
        (&None, &Some(String::new()))
    );

    // New rows go on from there, and a row without a place that comes later is none of the chain's.
    let audit = h.audit(Action::BucketCreated);
    let recorded = h.repositories.audit.record(&organization, audit.clone());
    recorded.await.expect("a row");
    sqlx::query(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, changes) \
         VALUES ($1, 'aud_ffffffffffffffff', 5, 'bucket_created', 'bucket', 'bkt_1', 'system', '{}')",
    )
    .bind(organization.as_str())
    .execute(&mut bare)
    .await
    .expect("a row slipped in");
    adopt().await.expect("there is nothing to adopt");
    let all = AuditFilter::default();
    let trail = h.repositories.audit.list(&organization, &all, 0, 1);
    let trail = trail.await.expect("the trail");
    assert_eq!((trail.total, &trail.rows[0].row), (2501, &audit));
    let slipped_in = "aud_ffffffffffffffff".parse().expect("an identifier");
    let found = h.repositories.audit.find(&organization, &slipped_in).await;
    assert_eq!(found.expect("an answer"), None);
    let chain = h.repositories.audit.chain(&organization, 0, 10).await;
    let seen = chain.expect("the chain");
    assert_eq!((seen.len(), seen[0].link.position), (1, 0));
    assert_eq!(seen[0].id, slipped_in.to_string());
    for statement in [
        "DELETE FROM audit_rows WHERE position IS NULL",
        // As if the version before chains had written all of it, but the migration has found no such organization.
        "UPDATE audit_rows SET position = NULL, link = NULL",
        "DELETE FROM audit_heads",
    ] {
        if statement.starts_with("UPDATE") {
            let (rows, head) = follow(&h, &organization).await;
            assert_eq!((head.position, rows.last()), (2501, Some(&audit)));
        }
        bare.execute(statement).await.expect("a change");
    }
    assert!(!database.has_unchained(Arc::new(TestSeal)).await.unwrap());
    adopt().await.expect("there is nothing to adopt");
    let all = h.repositories.audit.chain(&organization, 0, 10).await;
    let all = all.expect("the chain");
    assert!(all.iter().all(|row| row.link.position == 0), "{all:?}");
}

#[tokio::test]
async fn people_keys_and_connections_of_an_older_version_have_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let ids = Harness::in_real_time(common::repositories(&common::empty_database().await.0));
    let (organization, user) = write_unchained(&ids, &folder).await;
    let database = common::open(&folder).await;
    let h = Harness::in_real_time(common::repositories(&database)).keeping(folder);
    let access = &h.repositories.access;
    let stored = access.organization(&organization).await.expect("an answer");
    let stored = stored.expect("the organization");
    assert_eq!(
        (stored.profile.name.as_str(), stored.updated_at),
        ("acme", stored.created_at)
    );
    assert_eq!(stored.profile.rate_limits, RateLimits::default());

    let people = access.list_users(&organization).await.expect("a list");
    let profile = &people[0].profile;
    assert_eq!(
        (profile.name.as_str(), profile.role, profile.status),
        ("ann@example.test", Role::Admin, UserStatus::Active)
    );
    let keys = access
        .list_api_keys(&organization, &user)
        .await
        .expect("a list");
    assert_eq!(keys[0].grant, Grant::of(Permission::Delete));
    let known = h
        .repositories
        .across
        .find_api_key(&ApiKeyHash([0xab; 32]))
        .await;
    assert!(known.expect("an answer").expect("the key").valid);

    let (all, page) = (ConnectionFilter::default(), PageRequest::first(10));
    let connections = h.repositories.connections.list(&organization, &all, &page);
    let planned = connections.await.expect("a list").items;
    let planned: BTreeMap<_, _> = planned
        .iter()
        .map(|it| (it.name.as_str(), it.next_check_at.is_some()))
        .collect();
    let expected = [
        ("works", true),
        ("rests", false),
        ("failed", true),
        ("refused", false),
    ];
    assert_eq!(planned, BTreeMap::from(expected));
}

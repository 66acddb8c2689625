//! A database of an earlier version goes on after it is migrated.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection};
use wharf_domain::access::{ApiKeyHash, Grant, Permission, Role, UserStatus};
use wharf_domain::audit::{Action, AuditFilter, ChainHead, NewAuditRow, link_bytes};
use wharf_domain::connection::ConnectionFilter;
use wharf_domain::ids::{BucketId, OrganizationId, SyncId};
use wharf_domain::mapping::Mapped;
use wharf_domain::object::{BlobKey, DeletedBy, ObjectFilter};
use wharf_domain::page::PageRequest;
use wharf_domain::provider::Provider;
use wharf_domain::rate_limit::RateLimits;
use wharf_domain::run::catalogue::{Known, KnownCopy, Recall};
use wharf_domain::run::commit::Standing;
use wharf_domain::run::deletes::{MarkMissing, Survey};
use wharf_domain::run::feed::MissingRow;
use wharf_domain::sync::{Checkpoint, Cursor, Order, PassKind, RunStats, SyncState};
use wharf_ports::AuditSeal;
use wharf_testkit::{Harness, LONG, TestSeal, build};

use crate::common::{self, TestDatabase};

const ORGANIZATION: &str = "int_aaaaaaaaaaaaaaaaaaaaaaaa";
const USER: &str = "usr_aaaaaaaaaaaaaaa";
const NAMESPACE: &str = "ns_aaaaaaaaaaaaaaaa";
const BUCKET: &str = "bkt_aaaaaaaaaaaaaaaa";
const CONNECTION: &str = "conn_aaaaaaaaaaaaaaa";
const SYNC: &str = "sync_00000000000000aa";
const JOB: &str = "job_00000000000000aa";
const KEPT: &str = "obj_00000000000000aa";
const BURIED: &str = "obj_00000000000000bb";

/// Brings the database to a version.
async fn migrate_to(bare: &mut PgConnection, version: i64) {
    sqlx::migrate!()
        .run_to(version, bare)
        .await
        .expect("the first migrations apply");
}

async fn execute(bare: &mut PgConnection, statements: &[String]) {
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.clone()))
            .execute(&mut *bare)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

fn organization() -> OrganizationId {
    ORGANIZATION.parse().expect("an identifier")
}

fn blob(digit: char) -> String {
    format!("{ORGANIZATION}/{BUCKET}/{}", digit.to_string().repeat(32))
}

/// A connection as versions 2 and 3 stored it.
fn connection(id: &str, name: &str, intent: &str) -> String {
    let config = serde_json::Value::Object(build::provider_config().to_json());
    format!(
        "INSERT INTO connections (organization, id, name, provider, config, credential_type, sealed, \
         credential_version, write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, \
         status_changed_at, created_by, created_at, updated_at) VALUES ('{ORGANIZATION}', '{id}', '{name}', \
         's3', '{config}', 'access_key', '\\x00', 1, FALSE, '{{}}', '{intent}', 0, FALSE, 1, 1, now(), '{USER}', now(), \
         now())"
    )
}

/// Stores a sync as version 2 stored it: in the middle of a pass, and with two objects.
async fn store_sync(bare: &mut PgConnection) {
    let settings = r#"{"source_path":"media/","polling_interval_seconds":300,"max_objects_per_run":100000,
        "sync_concurrency":8,"reconcile":{"on_delete":true,"on_update":true,"on_filter_drift":true,
        "re_extract_on_update":true,"re_extract_fields":null},"description":null,"metadata":{"team":"a"},
        "pipeline":{"batch_size":50,"skip_batch_submission":false,"batch_collection_ids":null,"ingest_filter":null,
        "skip_duplicates":true}}"#;
    let checkpoint = r#"{"pass":3,"cursor":"page 2","objects_processed":5,"unsettled":2,"extra_passes":1,
        "credential_version":1}"#;
    let counters = r#"{"discovered":5,"synced":3,"verified":2,"filtered":0,"skipped":0,"failed":0,"not_reached":0,
        "deleted":0,"held":0,"bytes":15,"filtered_by":{},"skipped_by":{}}"#;
    let mut rows = vec![
        format!("INSERT INTO organizations VALUES ('{ORGANIZATION}', 'acme', now())"),
        format!(
            "INSERT INTO namespaces VALUES ('{ORGANIZATION}', '{NAMESPACE}', 'default', NULL, now())"
        ),
        format!(
            "INSERT INTO buckets VALUES ('{ORGANIZATION}', '{BUCKET}', '{NAMESPACE}', 'media', 'media', NULL, '{{}}', '{{}}', \
             NULL, now(), now())"
        ),
        connection(CONNECTION, "store", "enabled"),
        format!(
            "INSERT INTO syncs (organization, id, bucket, namespace, connection, mode, settings, state, next_run_at, fence, \
             last_pass, checkpoint, counters, runs_completed, runs_failed, consecutive_failures, revision, created_by, \
             created_at, updated_at) VALUES ('{ORGANIZATION}', '{SYNC}', '{BUCKET}', '{NAMESPACE}', '{CONNECTION}', \
             'continuous', '{settings}', 'active', now(), 4, 3, '{checkpoint}', '{counters}', 2, 0, 0, 1, '{USER}', now(), \
             now())"
        ),
        format!(
            "INSERT INTO jobs (organization, id, sync, bucket, namespace, status, \"trigger\", phase, counters, complete, \
             created_at, started_at, completed_at, updated_at) VALUES ('{ORGANIZATION}', '{JOB}', '{SYNC}', '{BUCKET}', \
             '{NAMESPACE}', 'completed', 'scheduled', 'idle', '{counters}', true, now(), now(), now(), now())"
        ),
    ];
    for (id, name, digit, deleted, seen_pass) in [
        (KEPT, "media/kept", 'a', "NULL, NULL", 3),
        (BURIED, "media/buried", 'b', "now(), 'person'", 2),
    ] {
        rows.push(format!(
            "INSERT INTO objects (organization, id, bucket, namespace, provider, authority, source_object, path, version, \
             source_metadata, blob, size_bytes, sha256, deleted_at, deleted_by, created_at, updated_at) \
             VALUES ('{ORGANIZATION}', '{id}', '{BUCKET}', '{NAMESPACE}', 's3', '{}', '{name}', '{name}', '1', '{{}}', '{}', \
             5, '{}', {deleted}, now(), now())",
            build::AUTHORITY,
            blob(digit),
            "0".repeat(64),
        ));
        rows.push(format!(
            "INSERT INTO sync_entries (organization, sync, object, seen_pass) \
             VALUES ('{ORGANIZATION}', '{SYNC}', '{id}', {seen_pass})"
        ));
    }
    execute(bare, &rows).await;
}

#[tokio::test]
async fn a_database_of_the_second_version_is_migrated_with_all_that_syncs_knew() {
    let guard = TestDatabase::create().await;
    let mut bare = common::bare(&guard.url).await;
    migrate_to(&mut bare, 2).await;
    store_sync(&mut bare).await;

    let database = guard.connect().await;
    database.migrate().await.expect("the rest applies");
    database.check_schema().await.expect("up to date");
    let h = Harness::in_real_time(common::repositories(&database));

    let organization = organization();
    let bucket: BucketId = BUCKET.parse().expect("an identifier");
    let id: SyncId = SYNC.parse().expect("an identifier");
    let found = h.repositories.syncs.find(&organization, &bucket, &id).await;
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
        kind: PassKind::Listing,
        feed: None,
    };
    assert_eq!(sync.checkpoint, Some(checkpoint));
    let (first, no_status) = (PageRequest::first(10), None);
    let jobs = h
        .repositories
        .jobs
        .list(&organization, &id, no_status, &first);
    assert_eq!(jobs.await.expect("a list").items.len(), 1);

    let everything = ObjectFilter {
        search: None,
        include_deleted: true,
    };
    let objects = h
        .repositories
        .objects
        .list(&organization, &bucket, &everything, &first);
    let objects = objects.await.expect("a list").items;
    let kept = objects
        .iter()
        .find(|it| it.id.as_str() == KEPT)
        .expect("it is there");
    assert_eq!(kept.copied_by, None);
    assert_eq!(kept.mapped, Mapped::default());
    assert_eq!((kept.purged, &kept.facts.version_id), (false, &None));

    let copy = |object: &str, path: &str, digit, deleted| KnownCopy {
        id: object.parse().expect("an identifier"),
        version: "1".to_owned(),
        path: path.to_owned(),
        blob: BlobKey::parse(&blob(digit)).expect("a key"),
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
        lineage: String::new(),
    };
    let recall = Recall {
        provider: Provider::S3,
        authority: build::AUTHORITY.to_owned(),
        listed: ["media/buried", "media/kept", "media/new"]
            .map(str::to_owned)
            .into(),
        span: None,
        facts: false,
    };
    let recalled = h
        .repositories
        .catalogue
        .recall(&organization, &id, 3, &recall);
    let mut recalled = recalled.await.expect("an answer").known;
    recalled.sort_by(|one, other| one.object.cmp(&other.object));
    assert_eq!(
        recalled,
        [
            known(
                "media/buried",
                copy(BURIED, "media/buried", 'b', Some(DeletedBy::Person))
            ),
            known("media/kept", copy(KEPT, "media/kept", 'a', None)),
        ]
    );

    goes_on_with_the_pass(&h, &id).await;
}

/// The run after the migration finds missing what pass 3 had not seen.
async fn goes_on_with_the_pass(h: &Harness, sync: &SyncId) {
    let organization = organization();
    let lease = h.lease(LONG).await;
    assert_eq!(lease.sync, *sync);
    let standing = Standing {
        epoch: 1,
        credential_version: 1,
    };
    let step = MarkMissing {
        pass: 3,
        authority: build::AUTHORITY.to_owned(),
        unseen_beyond: Some(None),
        after: None,
        limit: 10,
    };
    let runs = &h.repositories.runs;
    let more = runs
        .mark_missing(&organization, &lease, standing, &step)
        .await;
    assert_eq!(more.expect("an answer"), None);
    let survey = Survey {
        held: 2,
        missing: 1,
        agreed: 0,
        hidden: 0,
    };
    let found = runs.survey(&organization, &lease, 3, &[]).await;
    assert_eq!(found.expect("an answer"), survey, "what pass 3 saw it saw");
}

#[tokio::test]
async fn what_a_sync_found_missing_before_there_were_feeds_is_missing_and_not_hidden() {
    let guard = TestDatabase::create().await;
    let mut bare = common::bare(&guard.url).await;
    migrate_to(&mut bare, 2).await;
    store_sync(&mut bare).await;
    migrate_to(&mut bare, 4).await;
    let missing = [
        "UPDATE catalogue SET seen_pass = 2, missing_pass = 3, missing_since = 2 WHERE source_object = 'media/kept'"
            .to_owned(),
    ];
    execute(&mut bare, &missing).await;
    let database = guard.connect().await;
    database.migrate().await.expect("the rest applies");
    let h = Harness::in_real_time(common::repositories(&database));
    let (organization, lease) = (organization(), h.lease(LONG).await);
    let runs = &h.repositories.runs;
    let sync = runs.load(&organization, &lease).await.expect("the sync");
    assert_eq!((sync.feed, sync.push), (None, None));
    let found = runs.survey(&organization, &lease, 3, &[]).await;
    let survey = Survey {
        held: 2,
        missing: 1,
        agreed: 1,
        hidden: 0,
    };
    assert_eq!(found.expect("an answer"), survey);
    let rows = runs.missing_rows(&organization, &lease, 3, build::AUTHORITY, None, 10);
    let row = MissingRow {
        object: "media/kept".to_owned(),
        lineage: String::new(),
    };
    assert_eq!(rows.await.expect("an answer"), [row]);
}

/// A database of the version before chains: an organization with a user, a key, connections in every state, and more
/// audit rows than are read at once while they are adopted, the last two of one time.
async fn before_chains() -> (TestDatabase, Harness) {
    let guard = TestDatabase::create().await;
    let mut bare = common::bare(&guard.url).await;
    migrate_to(&mut bare, 3).await;
    let rows = [
        format!("INSERT INTO organizations VALUES ('{ORGANIZATION}', 'acme', now())"),
        format!(
            "INSERT INTO users VALUES ('{ORGANIZATION}', '{USER}', 'ann@example.test', 'admin', now())"
        ),
        format!(
            "INSERT INTO api_keys (organization, id, user_id, name, prefix, hash, permission, created_at) \
             VALUES ('{ORGANIZATION}', 'key_aaaaaaaaaaaaaaaa', '{USER}', 'first', 'whk_abcdef', '\\x{}', 'delete', now())",
            "ab".repeat(32)
        ),
        connection(CONNECTION, "works", "enabled"),
        connection("conn_bbbbbbbbbbbbbbb", "rests", "suspended"),
        connection("conn_ccccccccccccccc", "failed", "enabled"),
        connection("conn_ddddddddddddddd", "refused", "enabled"),
        "UPDATE connections SET consecutive_failures = 1, definite_failure = TRUE WHERE name IN ('failed', 'refused')"
            .to_owned(),
        "UPDATE connections SET credential_type = 'username_password' WHERE name = 'refused'".to_owned(),
        // The newest first, so that the order of the rows in the table is not that of their times.
        format!(
            "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, user_id, key_id, \
             reason, changes) SELECT '{ORGANIZATION}', 'aud_' || lpad(to_hex(i), 16, '0'), \
             TIMESTAMPTZ '2020-01-01' + LEAST(i, 2499) * INTERVAL '1 microsecond', 'bucket_created', 'bucket', 'bkt_1', \
             CASE i % 2 WHEN 1 THEN 'user' ELSE 'system' END, CASE i % 2 WHEN 1 THEN 'usr_1' END, \
             CASE i % 2 WHEN 1 THEN 'key_1' END, CASE i % 3 WHEN 0 THEN '' END, '{{\"n\":0.30000000000000004}}' \
             FROM generate_series(2500, 1, -1) AS i"
        ),
    ];
    execute(&mut bare, &rows).await;
    let database = guard.connect().await;
    database.migrate().await.expect("the rest applies");
    (
        guard,
        Harness::in_real_time(common::repositories(&database)),
    )
}

/// Follows the chain from its start, and returns its rows and its head.
async fn follow(h: &Harness) -> (Vec<NewAuditRow>, ChainHead) {
    let (audit, organization) = (&h.repositories.audit, organization());
    let (mut head, mut rows) = (ChainHead::EMPTY, Vec::new());
    loop {
        let stretch = audit.chain(&organization, head.position, 700).await;
        let stretch = stretch.expect("the chain");
        if stretch.is_empty() {
            break;
        }
        for chained in stretch {
            let stored = chained.row.expect("a row that reads");
            let bytes = link_bytes(&organization, &head, stored.at, &stored.row);
            head = ChainHead {
                position: head.position + 1,
                hash: TestSeal.link(&bytes),
            };
            assert_eq!((chained.link, stored.link), (head, head));
            rows.push(stored.row);
        }
    }
    assert_eq!(audit.head(&organization).await.expect("the head"), head);
    (rows, head)
}

#[tokio::test]
async fn audit_rows_of_an_older_version_are_linked_in_the_order_of_their_times_and_once() {
    let (guard, h) = before_chains().await;
    let (one, two) = (guard.connect().await, guard.connect().await);
    let (first, second) = tokio::join!(
        one.adopt_unchained(Arc::new(TestSeal)),
        two.adopt_unchained(Arc::new(TestSeal))
    );
    first.expect("one adopts the rows");
    second.expect("the other waits");
    let (rows, head) = follow(&h).await;
    assert_eq!(head.position, 2500);
    let numbers: Vec<_> = rows.iter().map(|row| row.id.to_string()).collect();
    let expected: Vec<_> = (1..=2500).map(|n| format!("aud_{n:016x}")).collect();
    assert_eq!(numbers, expected);
    assert_eq!(
        (&rows[0].origin.reason, &rows[2].origin.reason),
        (&None, &Some(String::new()))
    );

    // New rows go on from there, and a row without a place that comes later is none of the chain's.
    let organization = organization();
    let new = h.audit(Action::BucketCreated);
    let audit = &h.repositories.audit;
    let recorded = audit.record(&organization, new.clone()).await;
    recorded.expect("a row");
    let slipped_in = format!(
        "INSERT INTO audit_rows (organization, id, at, action, resource_type, resource_id, actor, changes) \
         VALUES ('{ORGANIZATION}', 'aud_ffffffffffffffff', now(), 'bucket_created', 'bucket', 'bkt_1', 'system', '{{}}')"
    );
    execute(&mut common::bare(&guard.url).await, &[slipped_in]).await;
    let nothing = one.adopt_unchained(Arc::new(TestSeal)).await;
    nothing.expect("there is nothing to adopt");
    let trail = audit
        .list(&organization, &AuditFilter::default(), 0, 1)
        .await;
    let trail = trail.expect("the trail");
    assert_eq!((trail.total, &trail.rows[0].row), (2501, &new));
    let slipped_in = "aud_ffffffffffffffff".parse().expect("an identifier");
    let found = audit.find(&organization, &slipped_in).await;
    assert_eq!(found.expect("an answer"), None);
    let seen = audit.chain(&organization, 0, 10).await.expect("the chain");
    assert_eq!((seen.len(), seen[0].link.position), (1, 0));
    assert_eq!(seen[0].id, slipped_in.to_string());
    let mut bare = common::bare(&guard.url).await;
    let without = "DELETE FROM audit_rows WHERE position IS NULL".to_owned();
    execute(&mut bare, &[without]).await;
    let (rows, head) = follow(&h).await;
    assert_eq!((head.position, rows.last()), (2501, Some(&new)));

    // As if the version before chains had written all of it, but the migration has found no such organization.
    let unsigned = [
        "UPDATE audit_rows SET position = NULL, link = NULL".to_owned(),
        "DELETE FROM audit_heads".to_owned(),
    ];
    execute(&mut bare, &unsigned).await;
    let pending = one.has_unchained(Arc::new(TestSeal)).await;
    assert!(!pending.expect("an answer"));
    let nothing = one.adopt_unchained(Arc::new(TestSeal)).await;
    nothing.expect("there is nothing to adopt");
    let all = audit.chain(&organization, 0, 10).await.expect("the chain");
    assert!(all.iter().all(|row| row.link.position == 0), "{all:?}");
}

#[tokio::test]
async fn people_keys_and_connections_of_an_older_version_have_what_is_new() {
    let (_guard, h) = before_chains().await;
    let organization = organization();
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
    let user = USER.parse().expect("an identifier");
    let keys = access.list_api_keys(&organization, &user).await;
    assert_eq!(
        keys.expect("a list")[0].grant,
        Grant::of(Permission::Delete)
    );
    let across = &h.repositories.across;
    let known = across.find_api_key(&ApiKeyHash([0xab; 32])).await;
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

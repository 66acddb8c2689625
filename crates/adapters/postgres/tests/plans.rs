//! How the server carries out what happens often: by index, whatever else the tables hold.

mod common;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::TestDatabase;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use wharf_domain::audit::Action;
use wharf_domain::dead_letter::DeadLetterFilter;
use wharf_domain::page::PageRequest;
use wharf_domain::run::commit::{Commit, LeftOut, Vanished};
use wharf_domain::run::deletes::LetGo;
use wharf_testkit::{Harness, LONG, Run, build};

/// The server's notices: the plans of the statements that were carried out.
#[derive(Clone, Default)]
struct Plans(Arc<Mutex<Vec<String>>>);

impl Plans {
    /// Those since the last time.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.push_str(value);
        }
    }
}

impl<S: Subscriber> Layer<S> for Plans {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::postgres::notice" {
            let mut message = Message(String::new());
            event.record(&mut message);
            let mut plans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            plans.push(message.0);
        }
    }
}

/// Rows of the bucket's, and the sync's share of them.
const OBJECTS: usize = 3_000;
/// Most rows that a step may look at in vain.
const IN_VAIN: u64 = 300;

/// Surrounds a run with a full house: many objects and rows of the sync and of others like it, and many organizations
/// with syncs.
async fn fill(database: &TestDatabase, run: &Run<'_>) {
    let organization = &run.tenant.organization;
    let (bucket, sync) = (&run.bucket.id, &run.sync.id);
    let options: PgConnectOptions = database.url.parse().expect("a URL");
    let mut bare = options.connect().await.expect("a connection");
    let statements = [
        format!(
            "INSERT INTO syncs SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object( \
             'id', 'sync_' || lpad(g::text, 16, '0'), 'lease_job', NULL, 'lease_worker', NULL, 'lease_acquired_at', NULL, \
             'lease_expires_at', NULL, 'lease_ttl', NULL, 'next_run_at', now() + g * INTERVAL '1 hour')) AS s \
             FROM syncs s, generate_series(1, 39) AS g WHERE s.id = '{sync}') AS copies"
        ),
        format!(
            "INSERT INTO organizations SELECT 'int_' || lpad(g::text, 24, '0'), 'other ' || g, now() \
             FROM generate_series(1, 200) AS g"
        ),
        "INSERT INTO namespaces SELECT o.id, n.id, n.name, n.description, n.created_at FROM organizations o, namespaces n \
         WHERE o.name LIKE 'other %'"
            .to_owned(),
        format!(
            "INSERT INTO buckets SELECT (b).* FROM (SELECT jsonb_populate_record(b, jsonb_build_object('organization', o.id)) AS b \
             FROM organizations o, buckets b WHERE o.name LIKE 'other %' AND b.id = '{bucket}') AS copies"
        ),
        format!(
            "INSERT INTO connections (organization, id, name, provider, config, credential_type, sealed, credential_version, \
             write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, status_changed_at, \
             created_by, created_at, updated_at) SELECT o.id, c.id, c.name, c.provider, c.config, c.credential_type, c.sealed, \
             c.credential_version, c.write_enabled, c.metadata, c.intent, c.consecutive_failures, c.definite_failure, c.epoch, \
             c.revision, c.status_changed_at, c.created_by, c.created_at, c.updated_at FROM organizations o, connections c \
             WHERE o.name LIKE 'other %' AND c.organization = '{organization}'"
        ),
        format!(
            "INSERT INTO syncs SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object( \
             'organization', o.id, 'id', 'sync_' || lpad(g::text, 16, '0'), 'lease_job', NULL, 'lease_worker', NULL, \
             'lease_acquired_at', NULL, 'lease_expires_at', NULL, 'lease_ttl', NULL, \
             'next_run_at', now() + g * INTERVAL '1 hour')) AS s FROM organizations o, syncs s, generate_series(1, 10) AS g \
             WHERE o.name LIKE 'other %' AND s.id = '{sync}') AS copies"
        ),
        format!(
            "INSERT INTO objects SELECT (o).* FROM (SELECT jsonb_populate_record(o, jsonb_build_object( \
             'id', 'obj_' || lpad(g::text, 16, '0'), 'source_object', 'media/' || lpad(g::text, 6, '0'), \
             'path', 'media/' || lpad(g::text, 6, '0'))) AS o \
             FROM objects o, generate_series(1, {OBJECTS}) AS g WHERE o.source_object = 'media/') AS copies"
        ),
        "INSERT INTO objects SELECT (o).* FROM (SELECT jsonb_populate_record(o, jsonb_build_object( \
         'organization', b.organization, 'id', 'obj_' || lpad(g::text, 16, '0'), \
         'source_object', 'media/' || lpad(g::text, 6, '0'))) AS o FROM buckets b, objects o, generate_series(1, 100) AS g \
         WHERE b.organization <> o.organization AND o.source_object = 'media/') AS copies"
            .to_owned(),
        format!(
            "INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass) \
             SELECT o.organization, s.id, o.authority, o.source_object, o.id, 1 FROM objects o, syncs s \
             WHERE o.source_object <> 'media/' AND o.organization = s.organization AND s.organization = '{organization}'"
        ),
        format!(
            "INSERT INTO dead_letters (organization, id, sync, bucket, namespace, job, source_object, path, version, \
             error_type, error_message, tries, exhausted, first_seen_at, last_seen_at) \
             SELECT '{organization}', 'dlq_' || lpad((g + n * 200)::text, 16, '0'), s.id, s.bucket, s.namespace, 'job_0000000000000001', \
             'media/' || lpad((g * 10)::text, 6, '0'), 'p', '0', 'object.unreadable', 'm', 3, TRUE, now() - g * INTERVAL '1 s', \
             now() FROM generate_series(1, 200) AS g, \
             (SELECT *, row_number() OVER () AS n FROM syncs WHERE organization = '{organization}') AS s"
        ),
        format!(
            "INSERT INTO jobs SELECT (j).* FROM (SELECT jsonb_populate_record(j, jsonb_build_object( \
             'id', 'job_' || lpad(g::text, 16, '0'))) AS j FROM jobs j, generate_series(1, 5000) AS g \
             WHERE j.sync = '{sync}') AS copies"
        ),
        "ANALYZE".to_owned(),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.clone()))
            .execute(&mut bare)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    let name = database.url.rsplit('/').next().expect("a name");
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_level", "notice"),
        ("client_min_messages", "notice"),
        // What happens on any machine is meant: not how its memory would make light of a scan.
        ("jit", "off"),
    ] {
        let statement = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut bare)
            .await
            .expect("the setting is set");
    }
}

/// Fails if one of the plans goes over a table, or looks at many rows in vain.
fn check(what: &str, plans: &Plans) {
    const TABLES: [&str; 5] = ["catalogue", "objects", "syncs", "dead_letters", "jobs"];
    let plans = plans.take();
    assert!(!plans.is_empty(), "{what}: the server tells its plans");
    for plan in plans {
        for table in TABLES {
            let scanned = plan
                .lines()
                .any(|line| line.contains(&format!("Seq Scan on {table} ")));
            assert!(!scanned, "{what} goes over {table}:\n{plan}");
        }
        for line in plan.lines() {
            let Some((removal, count)) = line.trim().rsplit_once(": ") else {
                continue;
            };
            let in_vain = removal.starts_with("Rows Removed by")
                && count.parse::<u64>().is_ok_and(|count| count > IN_VAIN);
            assert!(!in_vain, "{what} looks at many rows in vain:\n{plan}");
        }
    }
}

fn names(from: usize, count: usize) -> Vec<String> {
    (from..from + count)
        .map(|n| format!("media/{n:06}"))
        .collect()
}

#[tokio::test]
async fn what_happens_often_goes_by_index_however_full_the_tables_are() {
    let (plain, guard) = common::migrated_database().await;
    let h = Harness::in_real_time(plain.repositories());
    let acme = h.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/"], "1").await;
    fill(&guard, &run).await;

    let plans = Plans::default();
    let subscriber = tracing_subscriber::registry().with(plans.clone());
    let _listening = tracing::subscriber::set_default(subscriber);
    let database = guard.connect().await;
    let repositories = database.repositories();
    let h = Harness::in_real_time(repositories.clone());
    plans.take();

    // More often than a statement is planned anew, so that its plan for all values is looked at as well.
    for _ in 0..7 {
        assert_eq!(h.try_lease(LONG).await, None);
        check("asking what is due", &plans);
    }
    let (organization, sync) = (&acme.organization, &run.sync.id);
    let standing = run.standing();
    let audit = || h.audit(Action::ObjectsCommitted);
    let runs = &repositories.runs;

    for pass in 2..9 {
        let page = names(1000 + usize::try_from(pass).expect("small") * 100, 100);
        let recall = |listed: &[String], span| wharf_domain::run::catalogue::Recall {
            provider: run.connection.provider(),
            authority: build::AUTHORITY.to_owned(),
            listed: listed.to_vec(),
            span,
        };
        let span = build::span(Some("media/001000"), page.last().map(String::as_str));
        let asked = recall(&page, Some(span.clone()));
        let recalled = repositories
            .catalogue
            .recall(organization, sync, pass, &asked)
            .await
            .expect("an answer");
        assert_eq!(recalled.known.len(), 100);
        check("recalling a stretch", &plans);
        let asked = recall(&page, None);
        let recalled = repositories
            .catalogue
            .recall(organization, sync, pass, &asked)
            .await
            .expect("an answer");
        assert_eq!(recalled.known.len(), 100);
        check("recalling what is listed", &plans);

        let (some, rest) = page.split_at(20);
        let (more, others) = rest.split_at(20);
        let step = Commit {
            puts: vec![run.put(&format!("media/new {pass}"), "1")],
            adopted: some.to_vec(),
            left_out: more
                .iter()
                .map(|object| LeftOut {
                    object: object.clone(),
                    version: "2".to_owned(),
                    rule: "mime_types".to_owned(),
                })
                .collect(),
            failed: vec![build::failed(&h.ids, &page[99], "1", "object.unreadable")],
            returned: some.to_vec(),
            seen: more.to_vec(),
            drifted: others.to_vec(),
            ..build::commit(pass)
        };
        runs.commit(organization, &run.lease, standing, &step, Some(audit()))
            .await
            .expect("the step is published");
        check("publishing", &plans);
        let step = Commit {
            vanished: Some(Vanished {
                span: build::span(
                    page.first().map(String::as_str),
                    page.last().map(String::as_str),
                ),
                listed: some.to_vec(),
            }),
            ..build::commit(pass)
        };
        runs.commit(organization, &run.lease, standing, &step, None)
            .await
            .expect("the step is published");
        check("passing over", &plans);

        let step = wharf_domain::run::deletes::MarkMissing {
            pass,
            authority: build::AUTHORITY.to_owned(),
            unseen_beyond: Some(Some("media/002900".to_owned())),
            after: None,
            limit: 50,
        };
        let more = runs
            .mark_missing(organization, &run.lease, standing, &step)
            .await
            .expect("an answer");
        assert!(more.is_some());
        check("marking", &plans);
        let survey = runs
            .survey(organization, &run.lease, pass, &[])
            .await
            .expect("an answer");
        assert!(survey.missing > 0);
        check("counting", &plans);
        let denied = vec!["media/00299".to_owned()];
        let step = wharf_domain::run::deletes::Hold {
            pass,
            denied: denied.clone(),
            reason: "too many".to_owned(),
            limit: 20,
        };
        let held = runs
            .hold(organization, &run.lease, standing, &step, audit())
            .await
            .expect("an answer");
        assert_eq!(held, 20);
        check("holding", &plans);
        let step = LetGo {
            denied,
            ..build::let_go(pass, 10)
        };
        let went = runs
            .let_go(organization, &run.lease, standing, &step, audit())
            .await
            .expect("an answer");
        assert_eq!(went, 10);
        check("letting go", &plans);

        let letters = &repositories.dead_letters;
        let filter = DeadLetterFilter::default();
        let page = letters
            .list(organization, sync, &filter, &PageRequest::first(10))
            .await
            .expect("an answer");
        assert_eq!(page.items.len(), 10);
        check("listing dead letters", &plans);
        let disposed = repositories.across.dispose_dead_letters(10).await;
        assert_eq!(disposed.expect("an answer"), 0);
        check("disposing", &plans);
        let purged = repositories
            .across
            .purge_tombstones(Duration::from_hours(1), 10);
        assert_eq!(purged.await.expect("an answer"), 0);
        check("purging", &plans);
        let approved =
            repositories
                .syncs
                .approve_deletes(organization, &run.bucket.id, sync, 3, audit());
        assert_eq!(approved.await.expect("an answer"), Some(3));
        check("approving", &plans);
    }
}

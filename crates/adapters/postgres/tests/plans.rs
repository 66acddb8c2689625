//! How the server carries out what happens often: by index, whatever else the tables hold.

mod common;
mod superuser;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::TestDatabase;
use sqlx::AssertSqlSafe;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};
use wharf_domain::audit::{Action, NewAuditRow};
use wharf_domain::connection::{Connection, SealedCredentials};
use wharf_domain::dead_letter::DeadLetterFilter;
use wharf_domain::event::EventCursor;
use wharf_domain::ids::OrganizationId;
use wharf_domain::page::PageRequest;
use wharf_domain::run::catalogue::{Recall, Span};
use wharf_domain::run::commit::{Commit, LeftOut, Moved, Vanished};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing};
use wharf_domain::run::feed::Absent;
use wharf_domain::webhook::Settlement;
use wharf_ports::{StoredConsent, StoredSession, StoredToken, TokenWish, WebhookFilter};
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

/// Objects of the bucket, all of which each of its syncs holds on to.
const OBJECTS: usize = 3_000;
/// Most rows that a step may look at in vain.
const IN_VAIN: u64 = 300;

/// Many organizations.
const OTHERS: &str = "INSERT INTO organizations (id, name, created_at, updated_at) \
     SELECT 'int_' || lpad(g::text, 24, '0'), 'other ' || g, now(), now() FROM generate_series(1, 200) AS g";
/// With a connection each, like the one that is there.
const CONNECTIONS_OF_OTHERS: &str = "INSERT INTO connections (organization, id, name, provider, config, credential_type, sealed, \
     credential_version, write_enabled, metadata, intent, consecutive_failures, definite_failure, epoch, revision, \
     status_changed_at, created_by, created_at, updated_at) SELECT o.id, c.id, c.name, c.provider, c.config, c.credential_type, \
     c.sealed, c.credential_version, c.write_enabled, c.metadata, c.intent, c.consecutive_failures, c.definite_failure, c.epoch, \
     c.revision, c.status_changed_at, c.created_by, c.created_at, c.updated_at FROM organizations o, connections c \
     WHERE o.name LIKE 'other %'";

/// Surrounds a run with a full house: many objects and rows of the sync and of others like it, and many organizations
/// with syncs.
async fn fill(database: &TestDatabase, run: &Run<'_>) {
    let organization = &run.tenant.organization;
    let (bucket, sync) = (&run.bucket.id, &run.sync.id);
    let statements = [
        format!(
            "INSERT INTO syncs SELECT (s).* FROM (SELECT jsonb_populate_record(s, jsonb_build_object( \
             'id', 'sync_' || lpad(g::text, 16, '0'), 'lease_job', NULL, 'lease_worker', NULL, 'lease_acquired_at', NULL, \
             'lease_expires_at', NULL, 'lease_ttl', NULL, 'next_run_at', now() + g * INTERVAL '1 hour')) AS s \
             FROM syncs s, generate_series(1, 39) AS g WHERE s.id = '{sync}') AS copies"
        ),
        OTHERS.to_owned(),
        "INSERT INTO namespaces SELECT o.id, n.id, n.name, n.description, n.created_at FROM organizations o, namespaces n \
         WHERE o.name LIKE 'other %'"
            .to_owned(),
        format!(
            "INSERT INTO buckets SELECT (b).* FROM (SELECT jsonb_populate_record(b, jsonb_build_object('organization', o.id)) AS b \
             FROM organizations o, buckets b WHERE o.name LIKE 'other %' AND b.id = '{bucket}') AS copies"
        ),
        CONNECTIONS_OF_OTHERS.to_owned(),
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
            "INSERT INTO catalogue (organization, sync, authority, source_object, object, seen_pass, lineage) \
             SELECT o.organization, s.id, o.authority, o.source_object, o.id, 1, '/root/f' || right(o.source_object, 2) || '/' \
             FROM objects o, syncs s \
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
    execute(database, &statements).await;
}

/// Carries statements out, one after the other.
async fn execute(database: &TestDatabase, statements: &[String]) {
    let mut bare = common::bare(&database.url).await;
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement.clone()))
            .execute(&mut bare)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// Has the server tell the plans of what it carries out on connections that are made from now on.
async fn tell_plans(database: &TestDatabase) {
    // Only a superuser may have a server tell its plans.
    let mut superuser = superuser::session(&database.url).await;
    let name = database.url.rsplit('/').next().expect("a name");
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_level", "notice"),
        ("client_min_messages", "notice"),
        ("jit", "off"),
    ] {
        let statement = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut superuser)
            .await
            .expect("the setting is set");
    }
}

/// Fails if one of the plans goes over a table, or looks at many rows in vain.
fn check(what: &str, plans: &Plans) {
    const TABLES: [&str; 11] = [
        "catalogue",
        "objects",
        "syncs",
        "dead_letters",
        "jobs",
        "connection_checks",
        "events",
        "webhook_deliveries",
        "idempotency_claims",
        "sessions",
        "consents",
    ];
    let plans = plans.take();
    assert!(!plans.is_empty(), "{what}: the server tells its plans");
    for plan in plans {
        for table in TABLES {
            let scanned = plan
                .lines()
                .any(|line| line.contains(&format!("Seq Scan on {table} ")));
            assert!(!scanned, "{what} goes over {table}:\n{plan}");
        }
        // How often a step is repeated, where it looks at one of these tables.
        let mut loops = 1;
        for line in plan.lines() {
            if let Some((step, times)) = line.rsplit_once(" loops=") {
                let looks_at = |table: &&str| step.contains(&format!(" on {table} "));
                let repeated = TABLES.iter().any(looks_at);
                let times = times.trim_end_matches(')').parse().unwrap_or(1);
                loops = if repeated { times } else { 1 };
                assert!(loops <= IN_VAIN, "{what} looks many times:\n{plan}");
            }
            let Some((removal, count)) = line.trim().rsplit_once(": ") else {
                continue;
            };
            let in_vain = removal.starts_with("Rows Removed by")
                && count
                    .parse::<u64>()
                    .is_ok_and(|count| count * loops > IN_VAIN);
            assert!(!in_vain, "{what} looks at many rows in vain:\n{plan}");
        }
    }
}

/// A page of names that the catalogue has.
fn names(pass: u64) -> Vec<String> {
    let from = 1000 + pass * 100;
    (from..from + 100)
        .map(|n| format!("media/{n:06}"))
        .collect()
}

/// A file that lies elsewhere.
fn moved(object: &str, pass: u64) -> Moved {
    Moved {
        object: object.to_owned(),
        path: Some(format!("elsewhere/{pass}")),
        lineage: format!("/root/f{pass:02}/"),
    }
}

/// A run in the full house, and the plans of what it does.
struct House<'a> {
    h: &'a Harness,
    run: &'a Run<'a>,
    plans: &'a Plans,
}

impl House<'_> {
    fn audit(&self) -> NewAuditRow {
        self.h.audit(Action::ObjectsCommitted)
    }

    async fn recall(&self, pass: u64, page: &[String], span: Option<Span>) {
        let recall = Recall {
            provider: self.run.connection.provider(),
            authority: build::AUTHORITY.to_owned(),
            listed: page.to_vec(),
            span,
            facts: false,
        };
        let catalogue = &self.h.repositories.catalogue;
        let (organization, sync) = (&self.run.tenant.organization, &self.run.sync.id);
        let recalled = catalogue.recall(organization, sync, pass, &recall).await;
        assert_eq!(recalled.expect("an answer").known.len(), page.len());
    }

    async fn commit(&self, step: Commit) {
        let (organization, lease) = (&self.run.tenant.organization, &self.run.lease);
        let runs = &self.h.repositories.runs;
        runs.commit(
            organization,
            lease,
            self.run.standing(),
            &step,
            Some(self.audit()),
        )
        .await
        .expect("the step is published");
    }

    /// What a run does about a page.
    async fn deal_with_a_page(&self, pass: u64) {
        let page = names(pass);
        let last = page.last().map(String::as_str);
        self.recall(pass, &page, Some(build::span(Some("media/001000"), last)))
            .await;
        check("recalling a stretch", self.plans);
        self.recall(pass, &page, None).await;
        check("recalling what is listed", self.plans);

        let (some, rest) = page.split_at(20);
        let (more, others) = rest.split_at(20);
        let left_out = more.iter().map(|object| LeftOut {
            object: object.clone(),
            version: "2".to_owned(),
            rule: "mime_types".to_owned(),
        });
        let ids = &self.h.ids;
        self.commit(Commit {
            puts: vec![self.run.put(&format!("media/new {pass}"), "1")],
            adopted: some.to_vec(),
            left_out: left_out.collect(),
            failed: vec![build::failed(ids, &page[99], "1", "object.unreadable")],
            returned: some.to_vec(),
            seen: more.to_vec(),
            moved: some.iter().map(|object| moved(object, pass)).collect(),
            drifted: others.to_vec(),
            hidden: more.to_vec(),
            ..build::commit(pass)
        })
        .await;
        check("publishing", self.plans);
        let vanished = Vanished {
            span: build::span(page.first().map(String::as_str), last),
            listed: some.to_vec(),
        };
        self.commit(Commit {
            vanished: Some(vanished),
            ..build::commit(pass)
        })
        .await;
        check("passing over", self.plans);
    }

    /// What a run does about a page of a feed.
    async fn deal_with_what_is_absent(&self, pass: u64) {
        let (organization, lease) = (&self.run.tenant.organization, &self.run.lease);
        let (runs, standing) = (&self.h.repositories.runs, self.run.standing());
        let absent = [
            (format!("media/{:06}", 500 + pass), false),
            (format!("f{:02}", 10 + pass), true),
            (format!("f{:02}", 20 + pass), false),
        ];
        let absent = absent.map(|(id, certain)| Absent { id, certain });
        let step = MarkAbsent {
            pass,
            authority: build::AUTHORITY.to_owned(),
            absent: absent.into(),
            limit: 40,
        };
        let marked = runs.mark_absent(organization, lease, standing, &step).await;
        assert_eq!(marked.expect("an answer"), 40);
        check("marking what is absent", self.plans);
        let rows = runs.missing_rows(organization, lease, pass, build::AUTHORITY, None, 10);
        assert_eq!(rows.await.expect("an answer").len(), 10);
        check("reading what is to be traced", self.plans);
    }

    /// What a run does at its end.
    async fn deal_with_what_is_missing(&self, pass: u64) {
        let (organization, lease) = (&self.run.tenant.organization, &self.run.lease);
        let (runs, standing) = (&self.h.repositories.runs, self.run.standing());
        let step = MarkMissing {
            pass,
            authority: build::AUTHORITY.to_owned(),
            unseen_beyond: Some(Some("media/002900".to_owned())),
            after: None,
            limit: 50,
        };
        let more = runs
            .mark_missing(organization, lease, standing, &step)
            .await;
        assert!(more.expect("an answer").is_some());
        check("marking", self.plans);
        assert!(self.missing(pass).await > 0);
        check("counting", self.plans);
        let denied = vec!["media/00299".to_owned()];
        let step = Hold {
            pass,
            denied: denied.clone(),
            reason: "too many".to_owned(),
            limit: 20,
        };
        let held = runs.hold(organization, lease, standing, &step, self.audit());
        assert_eq!(held.await.expect("an answer"), 20);
        check("holding", self.plans);
        let step = LetGo {
            denied,
            ..build::let_go(pass, 10)
        };
        let went = runs.let_go(organization, lease, standing, &step, self.audit());
        assert_eq!(went.await.expect("an answer"), 10);
        check("letting go", self.plans);
    }

    async fn missing(&self, pass: u64) -> u64 {
        let (organization, lease) = (&self.run.tenant.organization, &self.run.lease);
        let survey = self
            .h
            .repositories
            .runs
            .survey(organization, lease, pass, &[]);
        survey.await.expect("an answer").missing
    }

    /// What people and sweeps do.
    async fn tidy_up(&self) {
        let (organization, sync) = (&self.run.tenant.organization, &self.run.sync.id);
        let (filter, first) = (DeadLetterFilter::default(), PageRequest::first(10));
        let repositories = &self.h.repositories;
        let letters = &repositories.dead_letters;
        let listed = letters.list(organization, sync, &filter, &first).await;
        assert_eq!(listed.expect("an answer").items.len(), 10);
        check("listing dead letters", self.plans);
        let job = self.h.ids.id();
        let due = letters.due(organization, sync, &job, 10).await;
        assert!(due.expect("an answer").len() <= 10);
        check("asking which dead letters are due", self.plans);
        let across = &repositories.across;
        let disposed = across.dispose_dead_letters(10).await;
        assert_eq!(disposed.expect("an answer"), 0);
        check("disposing", self.plans);
        let purged = across.purge_tombstones(Duration::from_hours(1), 10).await;
        assert_eq!(purged.expect("an answer"), 0);
        check("purging", self.plans);
        let bucket = &self.run.bucket.id;
        let syncs = &repositories.syncs;
        let approved = syncs.approve_deletes(organization, bucket, sync, 3, self.audit());
        assert_eq!(approved.await.expect("an answer"), Some(3));
        check("approving", self.plans);
    }
}

#[tokio::test]
async fn what_happens_often_goes_by_index_however_full_the_tables_are() {
    let (plain, guard) = common::migrated_database().await;
    let before = Harness::in_real_time(common::repositories(&plain));
    let acme = before.tenant("acme").await;
    let run = acme.run().await;
    run.publish(1, &["media/"], "1").await;
    fill(&guard, &run).await;
    tell_plans(&guard).await;

    let plans = Plans::default();
    let subscriber = tracing_subscriber::registry().with(plans.clone());
    let _listening = tracing::subscriber::set_default(subscriber);
    let mut h = Harness::in_real_time(common::repositories(&guard.connect().await));
    h.ids = before.ids.clone();
    plans.take();
    let house = House {
        h: &h,
        run: &run,
        plans: &plans,
    };
    // More often than a statement is planned anew, so that its plan for all values is looked at as well.
    for pass in 2..9 {
        assert_eq!(h.try_lease(LONG).await, None);
        check("asking what is due", &plans);
        house.deal_with_a_page(pass).await;
        house.deal_with_what_is_absent(pass).await;
        house.deal_with_what_is_missing(pass).await;
        house.tidy_up().await;
    }
}

/// Surrounds a connection and a webhook with the histories of many organizations.
async fn fill_histories(database: &TestDatabase) {
    const STATEMENTS: [&str; 11] = [
        OTHERS,
        CONNECTIONS_OF_OTHERS,
        "INSERT INTO audit_heads (organization, position, link) \
         SELECT id, 100, decode(repeat('00', 32), 'hex') FROM organizations WHERE name LIKE 'other %'",
        "INSERT INTO connection_checks (organization, id, connection, cause, started_at, ms, outcome, report, status, at) \
         SELECT c.organization, 'chk_' || lpad(g::text, 16, '0'), c.id, 'watch', now(), 1, 'passed', '{\"checks\":[]}', \
         'ACTIVE', now() - g * INTERVAL '1 hour' FROM connections c, generate_series(1, 100) AS g",
        "INSERT INTO webhooks (organization, id, name, event_types, all_types, resource_types, channels, sealed, secret_version, \
         is_active, health, position, item, attempts, next_attempt_at, fence, created_at, updated_at) \
         SELECT o.id, w.id, w.name, w.event_types, w.all_types, w.resource_types, w.channels, w.sealed, w.secret_version, \
         w.is_active, w.health, 100, w.item, 0, now(), 0, w.created_at, w.updated_at FROM organizations o, webhooks w \
         WHERE o.name LIKE 'other %'",
        "INSERT INTO webhook_deliveries (organization, id, webhook, event, event_type, attempt, redelivery, ms, at) \
         SELECT w.organization, 'dlv_' || lpad(g::text, 16, '0'), w.id, 'evt_' || lpad(g::text, 16, '0'), 'sync.created', 1, \
         FALSE, 1, now() - g * INTERVAL '1 hour' FROM webhooks w, generate_series(1, 100) AS g",
        "INSERT INTO events (organization, position, link, audit, at, resource_type, resource_id, announcement) \
         SELECT o.id, g, decode(repeat('00', 32), 'hex'), 'aud_' || lpad(g::text, 16, '0'), now() - g * INTERVAL '1 hour', \
         'sync', 'sync_1', '{\"form\":\"one\",\"event_type\":\"sync.created\",\"facts\":{}}' \
         FROM organizations o, generate_series(1, 100) AS g WHERE o.name LIKE 'other %'",
        "INSERT INTO idempotency_claims (organization, id, fingerprint, attempt, claimed_at) \
         SELECT o.id, lpad(g::text, 64, '0'), repeat('0', 64), 1, now() - g * INTERVAL '1 hour' \
         FROM organizations o, generate_series(1, 100) AS g",
        "INSERT INTO sessions (organization, connection, sealed, renew_at, serial, fence) \
         SELECT organization, id, decode(repeat(md5(organization), 60), 'hex'), now(), 0, 0 FROM connections",
        "INSERT INTO consents (state_sha256, organization, user_id, api_key, sealed, expires_at) \
         SELECT o.id || g, o.id, 'usr_1', 'key_1', '\\x00', now() + g * INTERVAL '1 hour' \
         FROM organizations o, generate_series(1, 20) AS g",
        "ANALYZE",
    ];
    execute(database, &STATEMENTS.map(str::to_owned)).await;
}

/// An organization among many, and the plans of what is watched and told of it.
struct Watched<'a> {
    h: &'a Harness,
    organization: &'a OrganizationId,
    connection: &'a Connection,
    plans: &'a Plans,
}

impl Watched<'_> {
    async fn watch(&self) {
        let (organization, connection) = (self.organization, &self.connection.id);
        let checks = &self.h.repositories.checks;
        assert_eq!(self.h.lease_check(LONG).await, None);
        check("asking for checks", self.plans);
        let recorded = checks.record(
            organization,
            connection,
            None,
            build::check(&self.h.ids, None),
            build::checked(self.connection, None),
            self.h.audit(Action::ConnectionTested),
            self.h.audit(Action::ConnectionExpiring),
        );
        recorded.await.expect("the check is stored");
        check("recording", self.plans);
        let first = PageRequest::first(10);
        let listed = checks.list(organization, connection, &first).await;
        assert_eq!(listed.expect("an answer").items.len(), 10);
        check("listing checks", self.plans);
        let summary = checks.availability(organization, connection).await;
        assert!(summary.expect("an answer").month.passed > 100);
        check("summing up", self.plans);
    }

    async fn tell(&self) {
        let organization = self.organization;
        let repositories = &self.h.repositories;
        let row = self.h.audit(Action::SyncCreated);
        let recorded = repositories.audit.record(organization, row.clone()).await;
        recorded.expect("the row is stored");
        check("announcing", self.plans);
        let due = self.h.lease_webhook(LONG).await.expect("it is due");
        check("asking for webhooks", self.plans);
        let last = due.entries.last().expect("an entry");
        let event = last.events().remove(0);
        let settlement = Settlement {
            deliveries: vec![build::delivery(&self.h.ids, &event)],
            ..build::settlement(EventCursor::past(last.head.position))
        };
        let webhooks = &repositories.webhooks;
        let settled = webhooks.settle(organization, &due.lease, settlement, None);
        assert!(settled.await.expect("an answer"));
        check("settling", self.plans);
        assert_eq!(self.h.lease_webhook(LONG).await, None);
        check("asking for webhooks in vain", self.plans);
        let (first, id) = (PageRequest::first(10), &due.lease.webhook);
        let listed = webhooks.deliveries(organization, id, &first).await;
        assert_eq!(listed.expect("an answer").items.len(), 10);
        check("listing attempts", self.plans);
        let filter = WebhookFilter::default();
        let listed = webhooks.list(organization, &filter, &first).await;
        assert_eq!(listed.expect("an answer").items.len(), 1);
        check("listing webhooks", self.plans);
        let events = &repositories.events;
        let before = events.before(organization, None, 1).await;
        assert_eq!(before.expect("an answer").len(), 1);
        check("listing events", self.plans);
        let found = events.find(organization, &row.id).await;
        assert!(found.expect("an answer").is_some());
        check("finding an event", self.plans);
    }

    async fn sign_in(&self, serial: u64) {
        let (organization, connection) = (self.organization, &self.connection.id);
        let sessions = &self.h.repositories.sessions;
        let wish = TokenWish::After(serial - 1);
        let answer = sessions.take(organization, connection, 1, wish).await;
        let Ok(StoredSession::Refresh(right)) = answer else {
            panic!("{answer:?}");
        };
        check("taking a token", self.plans);
        let token = StoredToken {
            sealed: vec![1],
            renew_at: build::instant(4_000_000_000_000_000),
            serial: right.serial,
        };
        let rotated = Some(SealedCredentials(vec![2]));
        let kept = sessions.keep(organization, connection, 1, right, token, rotated);
        assert!(kept.await.expect("an answer"));
        check("keeping a token", self.plans);
        let new = StoredConsent {
            state_sha256: format!("state {serial}"),
            organization: organization.clone(),
            user: self.h.ids.id(),
            api_key: self.h.ids.id(),
            sealed: vec![3],
            expires_at: build::instant(0),
        };
        let begun = self.h.repositories.consents.begin(new, LONG).await;
        let begun = begun.expect("it begins");
        check("beginning a consent", self.plans);
        let across = &self.h.repositories.across;
        let out = across.take_consent(&begun.state_sha256).await;
        assert_eq!(out.expect("an answer"), Some(begun));
        check("taking a consent", self.plans);
    }

    async fn publish_and_prune(&self) {
        let across = &self.h.repositories.across;
        let due = across.lease_due_stream(LONG, 10).await.expect("an answer");
        let due = due.expect("some organization's stream is due");
        check("asking for streams", self.plans);
        let last = due.entries.last().expect("an entry").head.position;
        let settled = across.settle_stream(&due, EventCursor::past(last), LONG);
        assert!(settled.await.expect("an answer"));
        check("settling a stream", self.plans);
        let pruned = across.prune_history(Duration::from_hours(90), 10).await;
        assert_eq!(
            pruned.expect("an answer"),
            30,
            "events, attempts and claims"
        );
        check("pruning", self.plans);
    }
}

#[tokio::test]
async fn what_is_watched_and_told_goes_by_index_however_long_the_histories_are() {
    let (plain, guard) = common::migrated_database().await;
    let before = Harness::in_real_time(common::repositories(&plain));
    let acme = before.tenant("acme").await;
    let connection = acme.connection("store").await;
    acme.webhook("hook").await;
    fill_histories(&guard).await;
    tell_plans(&guard).await;

    let plans = Plans::default();
    let subscriber = tracing_subscriber::registry().with(plans.clone());
    let _listening = tracing::subscriber::set_default(subscriber);
    let mut h = Harness::in_real_time(common::repositories(&guard.connect().await));
    h.ids = before.ids.clone();
    plans.take();
    let watched = Watched {
        h: &h,
        organization: &acme.organization,
        connection: &connection,
        plans: &plans,
    };
    // More often than a statement is planned anew, so that its plan for all values is looked at as well.
    for round in 1..8 {
        watched.watch().await;
        watched.sign_in(round).await;
        watched.tell().await;
        watched.publish_and_prune().await;
    }
}

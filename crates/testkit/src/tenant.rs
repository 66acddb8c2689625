use std::collections::HashMap;
use std::time::Duration;

use wharf_domain::audit::{Action, AuditFilter, NewAuditRow};
use wharf_domain::bucket::{Bucket, BucketIdentifier};
use wharf_domain::connection::{Connection, ConnectionIdentifier, Event, Transition};
use wharf_domain::dead_letter::DeadLetter;
use wharf_domain::ids::{BucketId, JobId, NamespaceId, OrganizationId, SyncId, UserId};
use wharf_domain::job::{Job, JobEnd};
use wharf_domain::object::{Object, ObjectFilter, SourceId};
use wharf_domain::page::PageRequest;
use wharf_domain::run::catalogue::{Known, KnownCopy, Recall, Recalled, Span};
use wharf_domain::run::commit::{Commit, Put, Standing, Vanished};
use wharf_domain::run::deletes::{Hold, LetGo, MarkAbsent, MarkMissing, RowKey, Survey};
use wharf_domain::run::feed::Absent;
use wharf_domain::sync::{Checkpoint, Cursor, Lease, NewSync, PassKind, Sync, SyncMode};

use crate::{Harness, build};

/// How long a lease lasts that must not expire within a test.
pub const LONG: Duration = Duration::from_mins(10);
/// How long a lease lasts that a test lets expire.
pub const SHORT: Duration = Duration::from_millis(200);
/// How long it takes until what a test waits for has come; long enough to be looked at before.
pub const SOON: Duration = Duration::from_secs(1);

/// A stored organization and the steps that promises take with it.
#[derive(Debug)]
pub struct Tenant<'a> {
    pub(crate) harness: &'a Harness,
    /// The organization.
    pub organization: OrganizationId,
    /// Its admin.
    pub admin: UserId,
    /// Its namespace `default`.
    pub namespace: NamespaceId,
}

impl Harness {
    /// Stores an organization of that name.
    pub async fn tenant(&self, name: &str) -> Tenant<'_> {
        let new = build::organization(&self.ids, name);
        let tenant = Tenant {
            harness: self,
            organization: new.id.clone(),
            admin: new.admin.id.clone(),
            namespace: new.default_namespace.clone(),
        };
        let audit = self.audit(Action::OrganizationCreated);
        self.repositories
            .across
            .insert_organization(new, audit)
            .await
            .expect("the organization is stored");
        tenant
    }

    /// An audit row.
    pub fn audit(&self, action: Action) -> NewAuditRow {
        build::audit(&self.ids, action)
    }

    /// Leases what is due, if anything is.
    pub async fn try_lease(&self, ttl: Duration) -> Option<Lease> {
        let due = self
            .repositories
            .across
            .lease_due_sync("a worker", ttl, &self.ids.id(), &self.ids.id())
            .await;
        due.expect("the database answers").map(|due| due.lease)
    }

    /// Leases what is due; something must be.
    pub async fn lease(&self, ttl: Duration) -> Lease {
        self.try_lease(ttl).await.expect("a sync is due")
    }

    /// Lets so much time pass that what was to last for `ttl` is over.
    pub async fn outlive(&self, ttl: Duration) {
        self.pass(ttl + Duration::from_millis(100)).await;
    }

    /// Lets a moment pass, so that what comes next is newer.
    pub async fn moment(&self) {
        self.pass(Duration::from_millis(5)).await;
    }
}

impl Tenant<'_> {
    /// Stores a bucket in the namespace `default`.
    pub async fn bucket(&self, name: &str) -> Bucket {
        let new = build::bucket(&self.harness.ids, &self.namespace, name);
        let audit = self.harness.audit(Action::BucketCreated);
        let stored = self
            .harness
            .repositories
            .buckets
            .insert(&self.organization, new, audit)
            .await;
        stored.expect("the bucket is stored")
    }

    /// Stores a connection.
    pub async fn connection(&self, name: &str) -> Connection {
        let new = build::connection(&self.harness.ids, &self.organization, &self.admin, name);
        let audit = self.harness.audit(Action::ConnectionCreated);
        self.harness
            .repositories
            .connections
            .insert(new, audit)
            .await
            .expect("the connection is stored")
    }

    /// A sync that is not stored yet.
    pub fn new_sync(&self, bucket: &Bucket, connection: &Connection) -> NewSync {
        build::sync(
            &self.harness.ids,
            &self.namespace,
            &bucket.id,
            connection,
            &self.admin,
        )
    }

    /// Stores a continuous sync.
    pub async fn sync(&self, bucket: &Bucket, connection: &Connection) -> Sync {
        self.sync_in_mode(bucket, connection, SyncMode::Continuous)
            .await
    }

    /// Stores a sync.
    pub async fn sync_in_mode(
        &self,
        bucket: &Bucket,
        connection: &Connection,
        mode: SyncMode,
    ) -> Sync {
        let audit = self.harness.audit(Action::SyncCreated);
        let new = self.new_sync(bucket, connection);
        let stored = self
            .harness
            .repositories
            .syncs
            .insert(&self.organization, new, mode, audit)
            .await;
        stored.expect("the sync is stored")
    }

    /// A bucket, a connection and a continuous sync between them, leased for [`LONG`].
    pub async fn run(&self) -> Run<'_> {
        self.run_in_mode(SyncMode::Continuous).await
    }

    /// The same in the given mode.
    pub async fn run_in_mode(&self, mode: SyncMode) -> Run<'_> {
        let bucket = self.bucket("media").await;
        let connection = self.connection("store").await;
        let sync = self.sync_in_mode(&bucket, &connection, mode).await;
        self.lease_of(bucket, connection, sync, LONG).await
    }

    /// A bucket, a connection and a continuous sync between them, leased for `ttl`.
    pub async fn run_for(&self, ttl: Duration) -> Run<'_> {
        let bucket = self.bucket("media").await;
        let connection = self.connection("store").await;
        let sync = self.sync(&bucket, &connection).await;
        self.lease_of(bucket, connection, sync, ttl).await
    }

    /// Another sync between the bucket and connection of a run, leased for [`LONG`].
    pub async fn second_run(&self, first: &Run<'_>) -> Run<'_> {
        self.run_into(&first.bucket, &first.connection).await
    }

    /// A continuous sync between them, leased for [`LONG`].
    pub async fn run_into(&self, bucket: &Bucket, connection: &Connection) -> Run<'_> {
        let sync = self.sync(bucket, connection).await;
        self.lease_of(bucket.clone(), connection.clone(), sync, LONG)
            .await
    }

    async fn lease_of(
        &self,
        bucket: Bucket,
        connection: Connection,
        sync: Sync,
        ttl: Duration,
    ) -> Run<'_> {
        let lease = self.harness.lease(ttl).await;
        assert_eq!(
            lease.sync, sync.id,
            "the only sync that nobody holds is the one that is due"
        );
        Run {
            tenant: self,
            bucket,
            connection,
            sync,
            lease,
        }
    }

    /// Applies events to a connection.
    pub async fn apply(&self, connection: &Connection, events: Vec<Event>) -> Transition {
        let audit = vec![self.harness.audit(Action::ConnectionUpdated)];
        let connections = &self.harness.repositories.connections;
        let applied = connections
            .apply(&self.organization, &connection.id, None, events, audit)
            .await;
        applied.expect("the events apply")
    }

    /// The connection as it is stored.
    pub async fn stored_connection(&self, connection: &Connection) -> Connection {
        let identifier = ConnectionIdentifier::Id(connection.id.clone());
        let found = self
            .harness
            .repositories
            .connections
            .find(&self.organization, &identifier)
            .await;
        found
            .expect("the database answers")
            .expect("the connection is there")
    }

    /// The sync as it is stored.
    pub async fn stored_sync(&self, sync: &Sync) -> Sync {
        let found = self
            .harness
            .repositories
            .syncs
            .find(&self.organization, &sync.bucket, &sync.id)
            .await;
        found
            .expect("the database answers")
            .expect("the sync is there")
    }

    /// The sync's jobs, newest first.
    pub async fn jobs(&self, sync: &SyncId) -> Vec<Job> {
        let page = PageRequest::first(1000);
        let listed = self
            .harness
            .repositories
            .jobs
            .list(&self.organization, sync, None, &page)
            .await;
        listed.expect("the database answers").items
    }

    /// The bucket's objects by source object, tombstones included.
    pub async fn objects(&self, bucket: &BucketId) -> Vec<Object> {
        let filter = ObjectFilter {
            search: None,
            include_deleted: true,
        };
        let page = PageRequest::first(1000);
        let listed = self
            .harness
            .repositories
            .objects
            .list(&self.organization, bucket, &filter, &page)
            .await;
        let mut objects = listed.expect("the database answers").items;
        objects.sort_by(|a, b| a.source.cmp(&b.source));
        objects
    }

    /// What is in the audit trail, newest first.
    pub async fn trail(&self) -> Vec<NewAuditRow> {
        let listed = self
            .harness
            .repositories
            .audit
            .list(&self.organization, &AuditFilter::default(), 0, 1000)
            .await;
        listed
            .expect("the database answers")
            .rows
            .into_iter()
            .map(|stored| stored.row)
            .collect()
    }

    /// What the audit trail tells of a job's end: status and reason, once per row.
    pub async fn audited_ends(&self, job: &JobId) -> Vec<(String, String)> {
        let told =
            |row: &NewAuditRow, key: &str| row.changes[key].as_str().unwrap_or_default().to_owned();
        let trail = self.trail().await;
        let ends = trail
            .iter()
            .filter(|row| row.action == Action::JobFinished && row.resource_id == job.as_str());
        ends.map(|row| (told(row, "status"), told(row, "incomplete_reason")))
            .collect()
    }

    /// How many rows of an action the audit trail holds.
    pub async fn audited(&self, action: Action) -> usize {
        self.trail()
            .await
            .iter()
            .filter(|row| row.action == action)
            .count()
    }
}

/// A leased sync with all that belongs to it.
#[derive(Debug)]
pub struct Run<'a> {
    /// Whose it is.
    pub tenant: &'a Tenant<'a>,
    /// Where the objects go.
    pub bucket: Bucket,
    /// Where they come from.
    pub connection: Connection,
    /// The sync as it was when it was stored.
    pub sync: Sync,
    /// The right to run it.
    pub lease: Lease,
}

impl Run<'_> {
    /// What is published when a file was copied in that version that the bucket does not have.
    pub fn put(&self, object: &str, version: &str) -> Put {
        build::put(
            &self.tenant.harness.ids,
            &self.tenant.organization,
            &self.bucket.id,
            object,
            version,
        )
    }

    /// What the bucket has now.
    async fn copies(&self) -> HashMap<SourceId, KnownCopy> {
        let told = |object: Object| {
            let copy = KnownCopy {
                id: object.id,
                version: object.facts.version,
                path: object.facts.path,
                blob: object.content.blob,
                deleted: object.deleted.map(|(_, by)| by),
                copied_by: object.copied_by.map(|(sync, _)| sync),
                facts: None,
            };
            (object.source, copy)
        };
        self.objects().await.into_iter().map(told).collect()
    }

    /// What is published when a file was copied in that version, planned on what the bucket has now.
    pub async fn put_over(&self, object: &str, version: &str) -> Put {
        let put = self.put(object, version);
        Put {
            replaces: self.copies().await.remove(&put.source),
            ..put
        }
    }

    /// A step that publishes those files, each in that version, planned on what the bucket has now.
    pub async fn step(&self, pass: u64, objects: &[&str], version: &str) -> Commit {
        let mut copies = self.copies().await;
        let puts = objects.iter().map(|object| {
            let put = self.put(object, version);
            Put {
                replaces: copies.remove(&put.source),
                ..put
            }
        });
        let puts = puts.collect();
        Commit {
            puts,
            ..build::commit(pass)
        }
    }

    /// Publishes those files, each in that version.
    pub async fn publish(&self, pass: u64, objects: &[&str], version: &str) {
        self.commit(self.step(pass, objects, version).await).await;
    }

    /// What the connection was when the run started.
    pub fn standing(&self) -> Standing {
        Standing {
            epoch: self.connection.epoch,
            credential_version: self.connection.credential_version,
        }
    }

    /// Publishes a step.
    pub async fn commit(&self, commit: Commit) {
        self.commit_with(commit, None).await;
    }

    /// Publishes a step, with its row of the audit trail.
    pub async fn commit_with(&self, commit: Commit, audit: Option<NewAuditRow>) {
        let runs = &self.tenant.harness.repositories.runs;
        let organization = &self.tenant.organization;
        let standing = self.standing();
        runs.commit(organization, &self.lease, standing, &commit, audit)
            .await
            .expect("the step is published");
    }

    /// What is known of those files under [`AUTHORITY`](build::AUTHORITY), sorted by them, and how many of the span are gone.
    pub async fn recall(&self, pass: u64, listed: &[&str], span: Option<Span>) -> Recalled {
        let recall = Recall {
            provider: self.connection.provider(),
            authority: build::AUTHORITY.to_owned(),
            listed: listed.iter().map(|&object| object.to_owned()).collect(),
            span,
            facts: false,
        };
        let catalogue = &self.tenant.harness.repositories.catalogue;
        let recalled = catalogue
            .recall(&self.tenant.organization, &self.sync.id, pass, &recall)
            .await;
        let mut recalled = recalled.expect("the database answers");
        recalled.known.sort_by(|a, b| a.object.cmp(&b.object));
        recalled
    }

    /// What is known of those files under [`AUTHORITY`](build::AUTHORITY), sorted by them.
    pub async fn known(&self, objects: &[&str]) -> Vec<Known> {
        self.recall(0, objects, None).await.known
    }

    /// What is known of one file; something must be.
    pub async fn known_one(&self, object: &str) -> Known {
        self.known(&[object])
            .await
            .pop()
            .expect("something is known of the file")
    }

    /// How many rows of [`AUTHORITY`](build::AUTHORITY) the catalogue has that this pass has not marked as missing.
    pub async fn rows(&self, pass: u64) -> u64 {
        let everything = build::span(None, None);
        self.recall(pass, &[], Some(everything)).await.vanished
    }

    /// Notes that a file could not be copied in that version.
    pub async fn fail(&self, object: &str, version: &str, error_type: &str) {
        let ids = &self.tenant.harness.ids;
        self.commit(Commit {
            failed: vec![build::failed(ids, object, version, error_type)],
            ..build::commit(1)
        })
        .await;
    }

    /// The open dead letter of a file.
    pub async fn dead_letter(&self, object: &str) -> Option<DeadLetter> {
        let dead_letters = &self.tenant.harness.repositories.dead_letters;
        dead_letters
            .find_by_source(&self.tenant.organization, &self.sync.id, object)
            .await
            .expect("the database answers")
    }

    /// Marks what the stretch of the catalogue has and the page does not name as missing.
    pub async fn pass_over(&self, pass: u64, span: Span, listed: &[&str]) {
        let listed = listed.iter().map(|&object| object.to_owned()).collect();
        let vanished = Some(Vanished { span, listed });
        self.commit(Commit {
            vanished,
            ..build::commit(pass)
        })
        .await;
    }

    /// Marks all rows as missing that the pass did not see, a few at a time; in how many steps.
    pub async fn mark_unseen(&self, pass: u64, beyond: Option<&str>, limit: u32) -> u64 {
        let unseen_beyond = Some(beyond.map(str::to_owned));
        self.mark_missing(pass, unseen_beyond, limit).await
    }

    /// Marks rows as missing, a few at a time; in how many steps.
    pub async fn mark_missing(
        &self,
        pass: u64,
        unseen_beyond: Option<Option<String>>,
        limit: u32,
    ) -> u64 {
        let mut step = MarkMissing {
            pass,
            authority: build::AUTHORITY.to_owned(),
            unseen_beyond,
            after: None,
            limit,
        };
        for steps in 1..1000 {
            let Some(next) = self.mark_step(&step).await else {
                return steps;
            };
            assert!(
                step.after.as_ref().is_none_or(|after| *after < next),
                "every step goes on"
            );
            step.after = Some(next);
        }
        panic!("marking comes to no end");
    }

    async fn mark_step(&self, step: &MarkMissing) -> Option<RowKey> {
        let runs = &self.tenant.harness.repositories.runs;
        let organization = &self.tenant.organization;
        runs.mark_missing(organization, &self.lease, self.standing(), step)
            .await
            .expect("the rows are marked")
    }

    /// Ends the run as a complete listing, after which the feed goes on from that place, and the sync is due a day later.
    pub async fn list_all(&self, pass: u64, place: &str) {
        self.commit(Commit {
            checkpoint: Some(Checkpoint {
                kind: PassKind::Listing,
                feed: Some(Cursor(place.to_owned())),
                ..build::checkpoint(pass)
            }),
            ..build::commit(pass)
        })
        .await;
        let audit = self.tenant.harness.audit(Action::JobFinished);
        let runs = &self.tenant.harness.repositories.runs;
        let (organization, end) = (&self.tenant.organization, JobEnd::complete());
        let a_day = Duration::from_hours(24);
        runs.finish(organization, &self.lease, end, a_day, audit)
            .await
            .expect("the run ends");
    }

    /// Marks what a feed tells is absent, certain or not, in one step of at most `limit` rows; how many.
    pub async fn mark_absent(&self, pass: u64, absent: &[(&str, bool)], limit: u32) -> u64 {
        let absent = absent.iter().map(|&(id, certain)| Absent {
            id: id.to_owned(),
            certain,
        });
        let step = MarkAbsent {
            pass,
            authority: build::AUTHORITY.to_owned(),
            absent: absent.collect(),
            limit,
        };
        let runs = &self.tenant.harness.repositories.runs;
        let organization = &self.tenant.organization;
        runs.mark_absent(organization, &self.lease, self.standing(), &step)
            .await
            .expect("the rows are marked")
    }

    /// Counts what the pass found missing.
    pub async fn survey(&self, pass: u64, denied: &[&str]) -> Survey {
        let denied: Vec<_> = denied.iter().map(|&path| path.to_owned()).collect();
        let runs = &self.tenant.harness.repositories.runs;
        runs.survey(&self.tenant.organization, &self.lease, pass, &denied)
            .await
            .expect("the database answers")
    }

    /// Holds the deletes of the pass back, in one step of at most `limit` rows; how many were marked.
    pub async fn hold(&self, pass: u64, denied: &[&str], limit: u32) -> u64 {
        let step = Hold {
            pass,
            denied: denied.iter().map(|&path| path.to_owned()).collect(),
            reason: format!("too many in pass {pass}"),
            limit,
        };
        self.tenant.harness.moment().await;
        let audit = self.tenant.harness.audit(Action::DeletesHeld);
        let runs = &self.tenant.harness.repositories.runs;
        let organization = &self.tenant.organization;
        runs.hold(organization, &self.lease, self.standing(), &step, audit)
            .await
            .expect("the rows are held")
    }

    /// Lets go of missing rows, in one step; how many.
    pub async fn let_go_step(&self, step: LetGo) -> u64 {
        let audit = self.tenant.harness.audit(Action::ObjectsCommitted);
        let runs = &self.tenant.harness.repositories.runs;
        let organization = &self.tenant.organization;
        runs.let_go(organization, &self.lease, self.standing(), &step, audit)
            .await
            .expect("the rows are let go")
    }

    /// Lets go of up to `limit` rows that the pass found missing; how many.
    pub async fn let_go(&self, pass: u64, limit: u32) -> u64 {
        self.let_go_step(build::let_go(pass, limit)).await
    }

    /// Marks what the pass has not seen as missing, and lets go of up to `limit` rows; how many.
    pub async fn let_unseen_go(&self, pass: u64, limit: u32) -> u64 {
        self.mark_unseen(pass, None, 1000).await;
        self.let_go(pass, limit).await
    }

    /// Makes a tombstone of the bucket's object of a file by a person's wish.
    pub async fn delete(&self, object: &str) {
        let audit = self.tenant.harness.audit(Action::ObjectDeleted);
        let stored = self.object(object).await;
        let objects = &self.tenant.harness.repositories.objects;
        let deleted = objects
            .remove(
                &self.tenant.organization,
                &self.bucket.id,
                &stored.id,
                audit,
            )
            .await;
        assert!(deleted.expect("the database answers"), "it was live");
    }

    /// The bucket's object of a file.
    pub async fn object(&self, object: &str) -> Object {
        let objects = self.objects().await;
        let mut found = objects
            .into_iter()
            .filter(|stored| stored.source.object == object);
        found.next().expect("the bucket has it")
    }

    /// Which of the bucket's objects are tombstones, by source object.
    pub async fn tombstones(&self) -> Vec<String> {
        let objects = self.objects().await.into_iter();
        objects
            .filter(|object| object.deleted.is_some())
            .map(|object| object.source.object)
            .collect()
    }

    /// The bucket as it is stored.
    pub async fn bucket(&self) -> Bucket {
        let identifier = BucketIdentifier::Id(self.bucket.id.clone());
        let buckets = &self.tenant.harness.repositories.buckets;
        let found = buckets
            .find(
                &self.tenant.organization,
                &self.tenant.namespace,
                &identifier,
            )
            .await;
        found
            .expect("the database answers")
            .expect("the bucket is there")
    }

    /// The objects of the bucket, tombstones included, by source object.
    pub async fn objects(&self) -> Vec<Object> {
        self.tenant.objects(&self.bucket.id).await
    }

    /// The job of this run as it is stored.
    pub async fn job(&self) -> Job {
        let jobs = &self.tenant.harness.repositories.jobs;
        let found = jobs
            .find(&self.tenant.organization, &self.sync.id, &self.lease.job)
            .await;
        found
            .expect("the database answers")
            .expect("the job is there")
    }

    /// The sync as it is stored.
    pub async fn stored(&self) -> Sync {
        self.tenant.stored_sync(&self.sync).await
    }
}

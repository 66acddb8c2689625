//! The tables and what more than one port does with them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use wharf_domain::Timestamp;
use wharf_domain::access::{ApiKey, Organization, User};
use wharf_domain::audit::NewAuditRow;
use wharf_domain::bucket::Bucket;
use wharf_domain::connection::Connection;
use wharf_domain::dead_letter::DeadLetter;
use wharf_domain::health::CheckRecord;
use wharf_domain::ids::{
    ApiKeyId, BucketId, CheckId, ConnectionId, DeadLetterId, ExternalId, JobId, NamespaceId,
    ObjectId, OrganizationId, SyncId, UserId, WebhookId,
};
use wharf_domain::job::{Job, JobEnd, JobPhase};
use wharf_domain::namespace::Namespace;
use wharf_domain::object::{Object, SourceId};
use wharf_domain::sync::{LeaseHolder, Sync};
use wharf_ports::{OrganizationKey, StoredConsent};

use crate::catalogue::Catalogue;
use crate::checks::Watch;
use crate::dispatch::StoredStream;
use crate::sessions::Session;
use crate::trail::Trail;
use crate::webhooks::StoredWebhook;

/// A row and whose it is.
#[derive(Debug)]
pub(crate) struct Owned<T> {
    pub(crate) organization: OrganizationId,
    pub(crate) row: T,
}

/// A table with an identifier as its key.
pub(crate) type Table<K, T> = BTreeMap<K, Owned<T>>;

/// A sync with what only its runs know. `sync.lease` is not kept here; [`StoredSync::seen_at`] fills it in.
#[derive(Debug)]
pub(crate) struct StoredSync {
    pub(crate) sync: Sync,
    pub(crate) fence: u64,
    pub(crate) lease: Option<StoredLease>,
    /// The interrupted job that the next one goes on from.
    pub(crate) resume_of: Option<JobId>,
    /// Whether its channel rang while a worker held it.
    pub(crate) rung: bool,
    /// From when on its channel may make it due.
    pub(crate) rings_from: Option<Timestamp>,
    pub(crate) catalogue: Catalogue,
}

#[derive(Debug, Clone)]
pub(crate) struct StoredLease {
    pub(crate) holder: LeaseHolder,
    pub(crate) ttl: Duration,
}

impl StoredSync {
    /// Plans a run for now, unless it has been due for longer.
    pub(crate) fn due_at_once(&mut self, now: Timestamp) {
        self.due_at(now);
    }

    /// Plans a run for then, unless it is due earlier.
    pub(crate) fn due_at(&mut self, then: Timestamp) {
        let planned = self.sync.next_run_at;
        self.sync.next_run_at = Some(planned.map_or(then, |planned| planned.min(then)));
    }

    /// The sync as a reader sees it: an expired lease is nobody's.
    pub(crate) fn seen_at(&self, now: Timestamp) -> Sync {
        let lease = self
            .lease
            .as_ref()
            .map(|lease| lease.holder.clone())
            .filter(|holder| holder.expires_at > now);
        Sync {
            lease,
            ..self.sync.clone()
        }
    }
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) organizations: BTreeMap<OrganizationId, Organization>,
    pub(crate) users: Table<UserId, User>,
    pub(crate) api_keys: Table<ApiKeyId, ApiKey>,
    pub(crate) keys: BTreeMap<OrganizationId, BTreeMap<u32, OrganizationKey>>,
    pub(crate) external_ids: BTreeMap<OrganizationId, Vec<ExternalId>>,
    pub(crate) namespaces: Table<NamespaceId, Namespace>,
    pub(crate) buckets: Table<BucketId, Bucket>,
    pub(crate) connections: BTreeMap<ConnectionId, Connection>,
    pub(crate) syncs: Table<SyncId, StoredSync>,
    pub(crate) jobs: Table<JobId, Job>,
    pub(crate) objects: Table<ObjectId, Object>,
    pub(crate) sources: HashMap<(BucketId, SourceId), ObjectId>,
    pub(crate) dead_letters: Table<DeadLetterId, DeadLetter>,
    pub(crate) checks: Table<CheckId, CheckRecord>,
    pub(crate) sessions: BTreeMap<ConnectionId, Session>,
    pub(crate) consents: BTreeMap<String, StoredConsent>,
    pub(crate) watches: BTreeMap<ConnectionId, Watch>,
    pub(crate) webhooks: Table<WebhookId, StoredWebhook>,
    pub(crate) streams: BTreeMap<OrganizationId, StoredStream>,
    pub(crate) trail: Trail,
}

impl State {
    /// Stores an audit row.
    pub(crate) fn record(
        &mut self,
        organization: &OrganizationId,
        at: Timestamp,
        row: NewAuditRow,
    ) {
        self.trail.record(organization, at, row);
    }

    /// The bucket's object of a source, tombstones included.
    pub(crate) fn source_object(&self, bucket: &BucketId, source: &SourceId) -> Option<&Object> {
        let id = self.sources.get(&(bucket.clone(), source.clone()))?;
        self.objects.get(id).map(|owned| &owned.row)
    }

    /// Removes a sync with its jobs, catalogue and dead letters.
    pub(crate) fn drop_sync(&mut self, id: &SyncId) {
        self.syncs.remove(id);
        self.jobs.retain(|_, job| job.row.sync != *id);
        self.dead_letters.retain(|_, letter| letter.row.sync != *id);
    }
}

/// How many rows one step takes on.
pub(crate) fn at_most(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// A row by its identifier, if it is that organization's.
pub(crate) fn owned<'a, K: Ord, T>(
    table: &'a Table<K, T>,
    organization: &OrganizationId,
    id: &K,
) -> Option<&'a T> {
    table
        .get(id)
        .filter(|owned| owned.organization == *organization)
        .map(|owned| &owned.row)
}

/// The same, to change it.
pub(crate) fn owned_mut<'a, K: Ord, T>(
    table: &'a mut Table<K, T>,
    organization: &OrganizationId,
    id: &K,
) -> Option<&'a mut T> {
    table
        .get_mut(id)
        .filter(|owned| owned.organization == *organization)
        .map(|owned| &mut owned.row)
}

/// All rows of an organization.
pub(crate) fn all_owned<'a, K, T>(
    table: &'a Table<K, T>,
    organization: &'a OrganizationId,
) -> impl Iterator<Item = &'a T> {
    table
        .values()
        .filter(move |owned| owned.organization == *organization)
        .map(|owned| &owned.row)
}

/// Ends a job without its worker, and leaves an audit row of that.
pub(crate) fn end_alone(
    jobs: &mut Table<JobId, Job>,
    trail: &mut Trail,
    job: &JobId,
    sync: &SyncId,
    end: JobEnd,
    now: Timestamp,
) {
    if let Some(owned) = jobs.get_mut(job) {
        let row = NewAuditRow::job_ended_alone(job, sync, &end);
        trail.record(&owned.organization, now, row);
        end_job(&mut owned.row, end, now);
    }
}

/// Ends a job.
pub(crate) fn end_job(job: &mut Job, end: JobEnd, now: Timestamp) {
    job.status = end.status;
    job.phase = JobPhase::Idle;
    job.complete = Some(
        end.status == wharf_domain::job::JobStatus::Completed && end.incomplete_reason.is_none(),
    );
    job.incomplete_reason = end.incomplete_reason;
    job.error = end.error;
    job.completed_at = Some(now);
    job.updated_at = now;
}

use async_trait::async_trait;
use thiserror::Error;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{NewSync, Sync, SyncFilter, SyncMode, SyncSettings};

use crate::{InsertError, RepositoryError};

/// New settings of a sync.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncChange {
    /// What it is to be from now on.
    pub settings: SyncSettings,
    /// Whether what is listed, let through or let go of differs: then progress of an incomplete pass and the feed's place are dropped, what was remembered as
    /// left out is forgotten, deletes that were held wait no more (what was found missing under other rules agrees with
    /// nothing), and an active sync is due at once. A run at work loses its lease, as by
    /// [`unlock`](SyncRepository::unlock), and its job ends as interrupted (`rules_changed`): what it decided by the old
    /// rules is not to be remembered.
    pub rules_changed: bool,
}

/// Why a sync could not be changed. Nothing was stored.
#[derive(Debug, Error)]
pub enum UpdateSyncError {
    /// There is no such sync.
    #[error("there is no such sync")]
    NotFound,
    /// Somebody else changed it meanwhile.
    #[error("the sync has been changed meanwhile")]
    Conflict,
    /// The repository could not answer.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
}

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerOutcome {
    /// A job was queued; it starts as soon as a worker is free.
    Queued(JobId),
    /// A job is at work or queued already.
    AlreadyRunning(JobId),
    /// A job is queued or at work. A queued one goes over the whole source; behind one at work, such a run follows.
    PendingFull(JobId),
    /// The sync is paused.
    Paused,
}

/// Syncs of a bucket.
#[async_trait]
pub trait SyncRepository: Send + std::marker::Sync {
    /// Adds a sync with its first job queued and due at once. `ParentMissing` when the bucket is not the organization's,
    /// or the connection is not or is archived. Names are not unique; `NameTaken` never happens.
    async fn insert(
        &self,
        organization: &OrganizationId,
        sync: NewSync,
        mode: SyncMode,
        audit: NewAuditRow,
    ) -> Result<Sync, InsertError>;

    /// A sync of the bucket.
    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Result<Option<Sync>, RepositoryError>;

    /// The bucket's syncs that match, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &SyncFilter,
        page: &PageRequest,
    ) -> Result<Page<Sync>, RepositoryError>;

    /// Removes a sync with its jobs, catalogue and dead letters; the bucket's objects stay. A run at work loses its lease. Whether
    /// there was one.
    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Changes its settings, if its revision still is `revision`; the revision grows. Nothing else lets it grow.
    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        revision: u64,
        change: &SyncChange,
        audit: NewAuditRow,
    ) -> Result<Sync, UpdateSyncError>;

    /// Pauses an active sync: no run starts any more; a run at work ends in its own time; a job that is queued and has not
    /// started ends as skipped (`sync_paused`), which leaves its own audit row
    /// ([`NewAuditRow::job_ended_alone`]). A sync that is paused already stays as it is, without an audit row; so does one
    /// that is completed or whose connection is archived. `None` when there is no such sync.
    async fn pause(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        by: &UserId,
        reason: Option<&str>,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError>;

    /// Lets a paused sync run again, at once. One that is not paused stays as it is, without an audit row. `None` when there
    /// is no such sync.
    async fn resume(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError>;

    /// Takes the lease away from whoever holds it, expired or not: the fence grows, the job ends as interrupted (`unlocked`),
    /// and the sync is due at once, as a resume of it. The job's end leaves its own audit row
    /// ([`NewAuditRow::job_ended_alone`]). `Some(false)`, without an audit row, when nobody holds one; `None`
    /// when there is no such sync.
    async fn unlock(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<bool>, RepositoryError>;

    /// One step of carrying out held deletes: at most `limit` missing rows that a complete pass has found so go, and their
    /// objects become tombstones unless another sync holds on to them. Returns how many rows went; zero means that none is
    /// left, and then `held_deletes` is cleared. The audit row (with the number of tombstones as `deleted` in its changes) is
    /// stored if rows went. `None` when there is no such sync.
    async fn approve_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError>;

    /// One step of giving held deletes up: the same rows go, but their objects stay as they are, held by this sync no longer. The
    /// audit row tells the number of rows as `discarded` in its changes.
    async fn discard_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError>;

    /// Asks for a run now: queues `job` (trigger `manual`) and makes the sync due, unless a job is queued or holds a
    /// lease that has not expired. With `full`, progress of an incomplete pass and the feed's place are dropped, so that the run starts a pass
    /// of its own; while a job holds a lease, the wish is kept as `pending_full` instead, and the next lease does so (the audit row
    /// is stored with the first such wish). A paused
    /// sync is not triggered. `None` when there is no such sync. A sync in state `connection_archived` must not be triggered; the
    /// caller checks.
    async fn trigger(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        job: &JobId,
        full: bool,
        audit: NewAuditRow,
    ) -> Result<Option<TriggerOutcome>, RepositoryError>;
}

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{NewSync, Sync, SyncFilter, SyncMode};

use crate::{InsertError, RepositoryError};

/// What became of the wish for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerOutcome {
    /// A job was queued; it starts as soon as a worker is free.
    Queued(JobId),
    /// A job is at work or queued already.
    AlreadyRunning(JobId),
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

    /// Removes a sync with its jobs and catalogue; the bucket's objects stay. A run at work loses its lease. Whether
    /// there was one.
    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError>;

    /// Asks for a run now: queues `job` (trigger `manual`) and makes the sync due, unless a job is queued or holds a
    /// lease that has not expired. With `full`, progress of an incomplete pass is dropped, so that the run starts a pass
    /// of its own. `None` when there is no such sync. A sync in state `connection_archived` must not be triggered; the
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

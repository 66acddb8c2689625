//! Syncs that somebody else changes at the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use wharf_domain::audit::NewAuditRow;
use wharf_domain::ids::{BucketId, JobId, OrganizationId, SyncId, UserId};
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::{NewSync, Sync, SyncFilter, SyncMode};
use wharf_ports::{
    InsertError, Repositories, RepositoryError, SyncChange, SyncRepository, TriggerOutcome,
    UpdateSyncError,
};

/// The same repositories, but so many changes of a sync come too late.
pub(crate) fn contended(repositories: Repositories, times: usize) -> Repositories {
    let syncs = Arc::new(Contended {
        inner: repositories.syncs.clone(),
        left: AtomicUsize::new(times),
    });
    Repositories {
        syncs,
        ..repositories
    }
}

struct Contended {
    inner: Arc<dyn SyncRepository>,
    left: AtomicUsize,
}

#[async_trait]
impl SyncRepository for Contended {
    async fn insert(
        &self,
        organization: &OrganizationId,
        sync: NewSync,
        mode: SyncMode,
        audit: NewAuditRow,
    ) -> Result<Sync, InsertError> {
        self.inner.insert(organization, sync, mode, audit).await
    }

    async fn find(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
    ) -> Result<Option<Sync>, RepositoryError> {
        self.inner.find(organization, bucket, sync).await
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        filter: &SyncFilter,
        page: &PageRequest,
    ) -> Result<Page<Sync>, RepositoryError> {
        self.inner.list(organization, bucket, filter, page).await
    }

    async fn remove(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<bool, RepositoryError> {
        self.inner.remove(organization, bucket, sync, audit).await
    }

    async fn update(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        revision: u64,
        change: &SyncChange,
        audit: NewAuditRow,
    ) -> Result<Sync, UpdateSyncError> {
        let too_late = |left: usize| left.checked_sub(1);
        let order = Ordering::SeqCst;
        if self.left.fetch_update(order, order, too_late).is_ok() {
            return Err(UpdateSyncError::Conflict);
        }
        self.inner
            .update(organization, bucket, sync, revision, change, audit)
            .await
    }

    async fn pause(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        by: &UserId,
        reason: Option<&str>,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError> {
        self.inner
            .pause(organization, bucket, sync, by, reason, audit)
            .await
    }

    async fn resume(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<Sync>, RepositoryError> {
        self.inner.resume(organization, bucket, sync, audit).await
    }

    async fn unlock(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        audit: NewAuditRow,
    ) -> Result<Option<bool>, RepositoryError> {
        self.inner.unlock(organization, bucket, sync, audit).await
    }

    async fn approve_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        self.inner
            .approve_deletes(organization, bucket, sync, limit, audit)
            .await
    }

    async fn discard_deletes(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        limit: u32,
        audit: NewAuditRow,
    ) -> Result<Option<u64>, RepositoryError> {
        self.inner
            .discard_deletes(organization, bucket, sync, limit, audit)
            .await
    }

    async fn trigger(
        &self,
        organization: &OrganizationId,
        bucket: &BucketId,
        sync: &SyncId,
        job: &JobId,
        full: bool,
        audit: NewAuditRow,
    ) -> Result<Option<TriggerOutcome>, RepositoryError> {
        self.inner
            .trigger(organization, bucket, sync, job, full, audit)
            .await
    }
}

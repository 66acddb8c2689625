use async_trait::async_trait;
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::page::{Page, PageRequest};

use crate::RepositoryError;

/// Jobs of a sync, for reading.
#[async_trait]
pub trait JobRepository: Send + Sync {
    /// A job of the sync.
    async fn find(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
    ) -> Result<Option<Job>, RepositoryError>;

    /// The sync's jobs with that status, newest first.
    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        status: Option<JobStatus>,
        page: &PageRequest,
    ) -> Result<Page<Job>, RepositoryError>;
}

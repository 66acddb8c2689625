//! Jobs, for reading.

use async_trait::async_trait;
use wharf_domain::ids::{JobId, OrganizationId, SyncId};
use wharf_domain::job::{Job, JobStatus};
use wharf_domain::page::{Page, PageRequest};
use wharf_ports::{JobRepository, RepositoryError};

use crate::MemoryStore;
use crate::page::page;
use crate::state::{all_owned, owned};

#[async_trait]
impl JobRepository for MemoryStore {
    async fn find(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        job: &JobId,
    ) -> Result<Option<Job>, RepositoryError> {
        let (state, _) = self.open();
        Ok(owned(&state.jobs, organization, job)
            .filter(|job| job.sync == *sync)
            .cloned())
    }

    async fn list(
        &self,
        organization: &OrganizationId,
        sync: &SyncId,
        status: Option<JobStatus>,
        request: &PageRequest,
    ) -> Result<Page<Job>, RepositoryError> {
        let (state, _) = self.open();
        let rows = all_owned(&state.jobs, organization)
            .filter(|job| job.sync == *sync && status.is_none_or(|status| job.status == status));
        Ok(page(rows, |job| (job.created_at, job.id.as_str()), request))
    }
}

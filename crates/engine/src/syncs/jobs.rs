use wharf_domain::job::{Job, JobStatus};
use wharf_domain::job_progress::JobProgress;
use wharf_domain::page::{Page, PageRequest};
use wharf_domain::sync::Sync;

use crate::{Caller, Engine, EngineError};

impl Engine {
    /// A job of a sync.
    pub async fn job(&self, caller: &Caller, sync: &Sync, id: &str) -> Result<Job, EngineError> {
        let missing = || EngineError::not_found("sync job", id);
        let parsed = id.parse().map_err(|_| missing())?;
        let found = self
            .repositories()
            .jobs
            .find(caller.organization(), &sync.id, &parsed)
            .await?;
        found.ok_or_else(missing)
    }

    /// The sync's jobs, newest first.
    pub async fn list_jobs(
        &self,
        caller: &Caller,
        sync: &Sync,
        status: Option<JobStatus>,
        page: &PageRequest,
    ) -> Result<Page<Job>, EngineError> {
        Ok(self
            .repositories()
            .jobs
            .list(caller.organization(), &sync.id, status, page)
            .await?)
    }

    /// How far these jobs of a sync are, in their order.
    pub async fn job_progress(
        &self,
        caller: &Caller,
        sync: &Sync,
        jobs: &[Job],
    ) -> Result<Vec<JobProgress>, EngineError> {
        let now = self.now().await?;
        let expected = if jobs.iter().any(|job| job.status == JobStatus::Running) {
            self.last_complete_run(caller, sync).await?
        } else {
            None
        };
        let progress = |job| JobProgress::new(job, sync, expected, now);
        Ok(jobs.iter().map(progress).collect())
    }

    /// Files that the last run that ended in good order found, if it saw the whole source.
    async fn last_complete_run(
        &self,
        caller: &Caller,
        sync: &Sync,
    ) -> Result<Option<u64>, EngineError> {
        let completed = Some(JobStatus::Completed);
        let page = self
            .list_jobs(caller, sync, completed, &PageRequest::first(1))
            .await?;
        let complete = page.items.first().filter(|job| job.complete == Some(true));
        Ok(complete.map(|job| job.counters.discovered))
    }
}

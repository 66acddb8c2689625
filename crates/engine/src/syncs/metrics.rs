use wharf_domain::bucket::Bucket;
use wharf_domain::job::Job;
use wharf_domain::job_progress::JobProgress;
use wharf_domain::page::PageRequest;
use wharf_domain::sync::Sync;
use wharf_domain::sync_metrics::SyncMetrics;

use crate::{Caller, Engine, EngineError};

/// A sync and how it is doing.
#[derive(Debug)]
pub struct MeasuredSync {
    /// The sync.
    pub sync: Sync,
    /// How it is doing.
    pub metrics: SyncMetrics,
    /// Its newest job, if it has any, and how far that is.
    pub newest: Option<(Job, JobProgress)>,
}

impl Engine {
    /// How a sync is doing, by the database's clock.
    pub async fn sync_metrics(
        &self,
        caller: &Caller,
        bucket: &Bucket,
        id: &str,
    ) -> Result<MeasuredSync, EngineError> {
        let sync = self.sync(caller, bucket, id).await?;
        let organization = caller.organization();
        let page = PageRequest::first(1);
        let newest = self
            .list_jobs(caller, &sync, None, &page)
            .await?
            .items
            .pop();
        let dead_letters = self
            .repositories()
            .dead_letters
            .count_exhausted(organization, &sync.id)
            .await?;
        let now = self.now().await?;
        let metrics = SyncMetrics::new(&sync, newest.as_ref(), dead_letters, now);
        let newest = newest.map(|job| {
            let progress = JobProgress::new(&job, &sync, None, now);
            (job, progress)
        });
        Ok(MeasuredSync {
            sync,
            metrics,
            newest,
        })
    }
}

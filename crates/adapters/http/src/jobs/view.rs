use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::ids::OrganizationId;
use wharf_domain::job::{Counters, Job};
use wharf_domain::job_progress::JobProgress;
use wharf_domain::sync::Sync;
use wharf_engine::{Caller, EngineError};

use crate::ApiState;

/// One run of a sync.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncJobModel)]
pub(crate) struct JobView {
    /// `job_` and 16 hex digits.
    sync_job_id: String,
    sync_config_id: String,
    bucket_id: String,
    internal_id: String,
    namespace_id: String,
    /// `running`, `completed`, `failed`, `interrupted` or `skipped`.
    #[schema(value_type = String)]
    status: &'static str,
    /// `scheduled`, `manual` or `resume`.
    #[schema(value_type = String)]
    trigger: &'static str,
    /// `queued`, `discovering`, `downloading`, `verifying`, `re-verifying` or `idle`.
    #[schema(value_type = String)]
    phase: &'static str,
    /// Files that it deals with; while it runs, those of the last complete run unless it has found more, and null where
    /// nobody knows.
    total_files: Option<u64>,
    files_synced: u64,
    files_failed: u64,
    files_verified: u64,
    bytes_synced: u64,
    progress: JobCounts,
    /// Files with an outcome of all, 0 to 100; null where the total is not known. 100 is kept for jobs that have ended.
    progress_percent: Option<f64>,
    throughput_files_per_min: Option<f64>,
    /// Seconds since it last told of progress; null once it has ended.
    lag_seconds: Option<u64>,
    /// Always null: cursors are the provider's and may hold tokens.
    current_cursor: Option<String>,
    metadata: JobMetadata,
    /// What ended it.
    error: Option<String>,
    /// The interrupted job that this one goes on from.
    resumed_via: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    started_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    completed_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

/// `discovered` is the sum of `synced` to `not_reached`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobCounts {
    discovered: u64,
    synced: u64,
    verified: u64,
    filtered: u64,
    skipped: u64,
    failed: u64,
    not_reached: u64,
    deleted: u64,
    held: u64,
}

/// Why files were left out, and whether the whole source was seen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobMetadata {
    /// Rule → files.
    filtered_by: BTreeMap<String, u64>,
    /// Reason → files.
    skipped_by: BTreeMap<String, u64>,
    /// Error code → files that could not be copied because of it.
    failed_by: BTreeMap<String, u64>,
    /// Null while it runs.
    complete: Option<bool>,
    incomplete_reason: Option<String>,
}

impl From<&Counters> for JobCounts {
    fn from(counters: &Counters) -> Self {
        Self {
            discovered: counters.discovered,
            synced: counters.synced,
            verified: counters.verified,
            filtered: counters.filtered,
            skipped: counters.skipped,
            failed: counters.failed,
            not_reached: counters.not_reached,
            deleted: counters.deleted,
            held: counters.held,
        }
    }
}

/// With two digits after the point.
fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The views of jobs of one sync.
pub(super) async fn views(
    state: &ApiState,
    caller: &Caller,
    sync: &Sync,
    jobs: Vec<Job>,
) -> Result<Vec<JobView>, EngineError> {
    let progress = state.engine().job_progress(caller, sync, &jobs).await?;
    let told = jobs.into_iter().zip(progress);
    Ok(told
        .map(|(job, progress)| JobView::new(job, progress, caller.organization()))
        .collect())
}

impl JobView {
    fn new(job: Job, progress: JobProgress, organization: &OrganizationId) -> Self {
        Self {
            internal_id: organization.to_string(),
            status: job.status.as_str(),
            trigger: job.trigger.as_str(),
            phase: job.phase.as_str(),
            total_files: progress.total_files,
            files_synced: job.counters.synced,
            files_failed: job.counters.failed,
            files_verified: job.counters.verified,
            bytes_synced: job.counters.bytes,
            progress: JobCounts::from(&job.counters),
            progress_percent: progress.percent.map(rounded),
            throughput_files_per_min: progress.files_per_minute.map(rounded),
            lag_seconds: progress.lag_seconds,
            current_cursor: None,
            sync_job_id: job.id.to_string(),
            sync_config_id: job.sync.to_string(),
            bucket_id: job.bucket.to_string(),
            namespace_id: job.namespace.to_string(),
            metadata: JobMetadata {
                filtered_by: job.counters.filtered_by,
                skipped_by: job.counters.skipped_by,
                failed_by: job.counters.failed_by,
                complete: job.complete,
                incomplete_reason: job.incomplete_reason,
            },
            error: job.error.map(|error| error.chars().take(1000).collect()),
            resumed_via: job.resumed_from.map(|job| job.to_string()),
            created_at: job.created_at,
            started_at: job.started_at,
            completed_at: job.completed_at,
            updated_at: job.updated_at,
        }
    }
}

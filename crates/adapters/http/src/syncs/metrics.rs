use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::job::Job;
use wharf_domain::job_progress::JobProgress;
use wharf_domain::sync::SyncStatus;
use wharf_engine::MeasuredSync;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// How a sync is doing. Ages are by the database's clock.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncMetricsResponse)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the contract's fields are flags"
)]
pub(crate) struct MetricsView {
    sync_config_id: String,
    /// `ACTIVE`, `SUSPENDED`, `COMPLETED` or `ARCHIVED`.
    #[schema(value_type = String)]
    status: &'static str,
    is_active: bool,
    paused: bool,
    total_files_discovered: u64,
    total_files_synced: u64,
    total_files_failed: u64,
    /// Always 0: Wharf makes no batches.
    batches_created: u64,
    sync_run_counter: u64,
    consecutive_failures: u32,
    last_error: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_sync_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    next_sync_at: Option<DateTime<Utc>>,
    /// Age of the last success; null when there was none.
    seconds_since_last_sync: Option<u64>,
    /// Whether a continuous sync's last success is older than `stale_after_seconds`.
    is_stale: bool,
    /// The age of the last success in polling intervals.
    intervals_since_last_sync: Option<f64>,
    /// Two polling intervals, but at least 120.
    stale_after_seconds: u64,
    /// Failed files of all discovered ones, 0 to 1.
    failure_rate: f64,
    /// Active, not paused, no failed run since the last success, neither stale nor stalled.
    healthy: bool,
    /// Files that are left alone after their last try.
    dlq_total: u64,
    /// The same by error code.
    dlq_by_error: BTreeMap<String, u64>,
    /// Whether a run is at work or waits for a worker.
    running_job: bool,
    /// Whether that run has made no progress for `stale_after_seconds`, but at least 300.
    stalled: bool,
    stalled_reason: Option<String>,
    /// The newest job.
    last_job: Option<LastJobView>,
}

/// The newest job of a sync, in short.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LastJob)]
pub(crate) struct LastJobView {
    sync_job_id: String,
    /// `running`, `completed`, `failed`, `interrupted` or `skipped`.
    #[schema(value_type = String)]
    status: &'static str,
    files_synced: u64,
    files_failed: u64,
    files_verified: u64,
    throughput_files_per_min: Option<f64>,
    /// From its start to its end, or to its latest progress; null before it starts.
    duration_seconds: Option<f64>,
}

impl LastJobView {
    fn new(job: &Job, progress: &JobProgress) -> Self {
        let until = job.completed_at.unwrap_or(job.updated_at);
        Self {
            sync_job_id: job.id.to_string(),
            status: job.status.as_str(),
            files_synced: job.counters.synced,
            files_failed: job.counters.failed,
            files_verified: job.counters.verified,
            throughput_files_per_min: progress.files_per_minute,
            duration_seconds: job
                .started_at
                .map(|start| (until - start).as_seconds_f64().max(0.0)),
        }
    }
}

impl From<MeasuredSync> for MetricsView {
    fn from(measured: MeasuredSync) -> Self {
        let MeasuredSync {
            sync,
            metrics,
            newest,
        } = measured;
        let status = sync.status();
        let totals = &sync.totals;
        Self {
            sync_config_id: sync.id.to_string(),
            status: status.as_str(),
            is_active: status == SyncStatus::Active,
            paused: sync.paused.is_some(),
            total_files_discovered: totals.counters.discovered,
            total_files_synced: totals.counters.synced,
            total_files_failed: totals.counters.failed,
            batches_created: 0,
            sync_run_counter: totals.runs_completed + totals.runs_failed,
            consecutive_failures: sync.consecutive_failures,
            last_sync_at: sync.last_sync_at,
            next_sync_at: sync.runs_next_at(),
            last_error: sync.last_error,
            seconds_since_last_sync: metrics.seconds_since_last_sync,
            is_stale: metrics.stale,
            intervals_since_last_sync: metrics.intervals_since_last_sync,
            stale_after_seconds: metrics.stale_after_seconds,
            failure_rate: metrics.failure_rate,
            healthy: metrics.healthy,
            dlq_total: metrics.dead_letters.values().sum(),
            dlq_by_error: metrics.dead_letters,
            running_job: metrics.running,
            stalled: metrics.stalled_reason.is_some(),
            stalled_reason: metrics.stalled_reason,
            last_job: newest
                .as_ref()
                .map(|(job, progress)| LastJobView::new(job, progress)),
        }
    }
}

/// Get the metrics of a sync
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/metrics",
    operation_id = "get_sync_metrics_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "How it is doing.", body = MetricsView)),
)]
pub(super) async fn metrics(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Json<MetricsView>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let measured = state.engine().sync_metrics(&caller, &bucket, &sync).await?;
    Ok(Json(measured.into()))
}

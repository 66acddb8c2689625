use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// What became of the wish for a run.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriggeredSync {
    /// The job that runs or will run.
    sync_job_id: String,
    sync_config_id: String,
    /// `triggered`, or `skipped_already_running` when the job was there before.
    #[schema(value_type = String)]
    status: &'static str,
    /// Whether a run over the whole source was asked for while one was queued or at work.
    pending_full_sync: bool,
    message: String,
}

/// Run a sync now
///
/// Unless a run is at work or queued already. With `full_sync`, a queued run goes over the whole source, and behind one at work such a run follows. A paused
/// sync is not run: 409 `sync_paused`. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/trigger",
    operation_id = "trigger_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
        ("full_sync" = Option<bool>, Query, description = "Whether the run goes over the whole source from its start."),
    ),
    responses((status = 200, description = "The job.", body = TriggeredSync)),
)]
pub(super) async fn trigger(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Json<TriggeredSync>, ApiError> {
    let full = query.boolean("full_sync").unwrap_or(false);
    query.finish()?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let triggered = state
        .engine()
        .trigger_sync(&caller, &bucket, &sync, full)
        .await?;
    let (status, message) = match (triggered.already_running, triggered.pending_full) {
        (false, _) => ("triggered", "The run starts as soon as a worker is free."),
        (true, false) => (
            "skipped_already_running",
            "A run of this sync is at work or queued already.",
        ),
        (true, true) => (
            "skipped_already_running",
            "A run of this sync is queued or at work. If it has not begun, it goes over the whole source; else such a run follows.",
        ),
    };
    Ok(Json(TriggeredSync {
        sync_job_id: triggered.job.to_string(),
        sync_config_id: sync,
        status,
        pending_full_sync: triggered.pending_full,
        message: message.to_owned(),
    }))
}

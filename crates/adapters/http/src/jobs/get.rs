use axum::Json;
use axum::extract::State;

use super::view::{JobView, views};
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Get a job of a sync
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs/{sync_job_id}",
    operation_id = "get_sync_job_buckets_id_config",
    tag = "jobs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        ("sync_job_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "The job.", body = JobView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync, job)): Segments<(String, String, String)>,
) -> Result<Json<JobView>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let job = state.engine().job(&caller, &sync, &job).await?;
    let mut view = views(&state, &caller, &sync, vec![job]).await?;
    Ok(Json(view.remove(0)))
}

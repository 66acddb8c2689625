use axum::extract::State;

use super::view::{SyncView, view};
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::Revised;
use crate::scope::{Authorized, InNamespace};

/// Pause a sync
///
/// A run at work ends in its own time; no other one starts. The header `X-Change-Reason` becomes `pause_reason`. A sync that is
/// paused already stays as it is. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/pause",
    operation_id = "pause_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "The sync, paused.", body = SyncView)),
)]
pub(super) async fn pause(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Revised<SyncView>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().pause_sync(&caller, &bucket, &sync).await?;
    let revision = sync.revision;
    Ok(Revised(revision, view(&state, &caller, sync).await?))
}

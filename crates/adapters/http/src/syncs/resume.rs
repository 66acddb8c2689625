use axum::extract::State;

use super::view::{SyncView, view};
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::Revised;
use crate::scope::{Authorized, InNamespace};

/// Resume a paused sync
///
/// It runs at once, and goes on where it stopped. A sync that is not paused stays as it is. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/resume",
    operation_id = "resume_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "The sync.", body = SyncView)),
)]
pub(super) async fn resume(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Revised<SyncView>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().resume_sync(&caller, &bucket, &sync).await?;
    let revision = sync.revision;
    Ok(Revised(revision, view(&state, &caller, sync).await?))
}

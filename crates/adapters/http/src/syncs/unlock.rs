use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// What became of a sync's lock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnlockedSync {
    message: String,
    sync_config_id: String,
    /// Whether somebody held it.
    unlocked: bool,
}

/// Take a sync's run away from its worker
///
/// For a worker that is gone and whose lease has not expired yet; a worker that is alive stops before it publishes anything
/// more. The job ends as `interrupted`, and another one goes on with it at once. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/unlock",
    operation_id = "force_unlock_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "Nobody holds it any more.", body = UnlockedSync)),
)]
pub(super) async fn unlock(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Json<UnlockedSync>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let unlocked = state.engine().unlock_sync(&caller, &bucket, &sync).await?;
    let message = if unlocked {
        "The run was taken from its worker; another one goes on with it at once."
    } else {
        "No worker held the sync."
    };
    Ok(Json(UnlockedSync {
        message: message.to_owned(),
        sync_config_id: sync,
        unlocked,
    }))
}

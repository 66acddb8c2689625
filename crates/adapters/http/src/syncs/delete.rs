use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::IfMatch;
use crate::scope::{Authorized, InNamespace};

/// What became of a sync that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedSync {
    message: String,
    sync_config_id: String,
}

/// Delete a sync
///
/// With its jobs; the bucket's objects stay.
#[utoipa::path(
    delete,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}",
    operation_id = "delete_sync_configuration_buckets_id_config",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "It is gone.", body = DeletedSync)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    IfMatch(if_revision): IfMatch,
) -> Result<Json<DeletedSync>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    state
        .engine()
        .delete_sync(&caller, &bucket, &sync, if_revision)
        .await?;
    let message = "The sync is deleted; the bucket's objects stay.".to_owned();
    Ok(Json(DeletedSync {
        message,
        sync_config_id: sync,
    }))
}

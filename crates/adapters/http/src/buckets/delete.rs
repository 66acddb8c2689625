use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// What became of a bucket that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedBucket {
    message: String,
    bucket_id: String,
}

/// Delete a bucket
///
/// With its syncs, jobs and objects.
#[utoipa::path(
    delete,
    path = "/v1/buckets/{bucket_identifier}",
    operation_id = "delete_bucket",
    tag = "buckets",
    params(("bucket_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "It is gone.", body = DeletedBucket)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(identifier): Segments<String>,
) -> Result<Json<DeletedBucket>, ApiError> {
    let bucket = state
        .engine()
        .delete_bucket(&caller, &namespace, &identifier)
        .await?;
    let message = "The bucket is deleted with its syncs and objects.".to_owned();
    Ok(Json(DeletedBucket {
        message,
        bucket_id: bucket.id.to_string(),
    }))
}

use axum::extract::State;
use axum::http::StatusCode;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Delete an object
///
/// It becomes a tombstone and stays one until its source changes.
#[utoipa::path(
    delete,
    path = "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
    operation_id = "delete_object_buckets",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("object_identifier" = String, Path, description = "Identifier."),
    ),
    responses((status = 204, description = "It is a tombstone now.")),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, object)): Segments<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    state
        .engine()
        .delete_object(&caller, &bucket, &object)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

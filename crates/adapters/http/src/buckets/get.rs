use axum::Json;
use axum::extract::State;

use super::view::BucketView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Get a bucket
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_identifier}",
    operation_id = "get_bucket",
    tag = "buckets",
    params(("bucket_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "The bucket.", body = BucketView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(identifier): Segments<String>,
) -> Result<Json<BucketView>, ApiError> {
    let bucket = state
        .engine()
        .read_bucket(&caller, &namespace, &identifier)
        .await?;
    Ok(Json(bucket.into()))
}

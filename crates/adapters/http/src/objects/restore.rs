use axum::Json;
use axum::extract::State;

use super::view::ObjectView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Restore an object
///
/// Makes a tombstone a live object again, while its undo window lasts; after that: 409 `object_purged`. One that is live stays
/// as it is. An object whose file is gone from the source belongs to no sync afterwards. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_identifier}/objects/{object_identifier}/restore",
    operation_id = "restore_object",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("object_identifier" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "The object, live.", body = ObjectView)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn restore(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, object)): Segments<(String, String)>,
) -> Result<Json<ObjectView>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let object = state
        .engine()
        .restore_object(&caller, &bucket, &object)
        .await?;
    Ok(Json(object.into()))
}

use axum::Json;
use axum::extract::State;

use super::view::ObjectView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Get an object
///
/// With `include_deleted=true` tombstones too; they carry `deleted_at`.
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_identifier}/objects/{object_identifier}",
    operation_id = "get_object_buckets",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("object_identifier" = String, Path, description = "Identifier."),
        ("include_deleted" = Option<bool>, Query, description = "Tombstones too."),
        ("return_presigned_urls" = Option<bool>, Query, description = "`false` or nothing."),
        ("include_document_count" = Option<bool>, Query, description = "Changes nothing: Wharf makes no documents."),
    ),
    responses((status = 200, description = "The object.", body = ObjectView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, object)): Segments<(String, String)>,
    mut query: Query,
) -> Result<Json<ObjectView>, ApiError> {
    query.boolean("include_document_count");
    let include_deleted = query.boolean("include_deleted").unwrap_or(false);
    if query.boolean("return_presigned_urls") == Some(true) {
        let message =
            "is not supported: bytes are served at …/objects/{object}/content; leave it out";
        query.reject("return_presigned_urls", "not_supported", message);
    }
    query.finish()?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let object = state
        .engine()
        .object(&caller, &bucket, &object, include_deleted)
        .await?;
    Ok(Json(object.into()))
}

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// What became of held deletes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscardedDeletes {
    message: String,
    sync_config_id: String,
    /// How many files the sync forgot about.
    discarded: u64,
}

/// Discard held deletes
///
/// The objects of the files that the sync's `held_deletes` count stay in the bucket, and this sync knows nothing of them any
/// more. When nothing is held, nothing happens. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/discard",
    operation_id = "discard_deletes",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "Nothing is held any more.", body = DiscardedDeletes)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn discard(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Json<DiscardedDeletes>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let discarded = state
        .engine()
        .discard_deletes(&caller, &bucket, &sync)
        .await?;
    let message = match discarded {
        0 => "No deletes were held.".to_owned(),
        _ => format!(
            "The sync forgot about {discarded} files; their objects stay in the bucket until somebody deletes them."
        ),
    };
    Ok(Json(DiscardedDeletes {
        message,
        sync_config_id: sync,
        discarded,
    }))
}

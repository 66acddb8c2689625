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
pub(crate) struct ApprovedDeletes {
    message: String,
    sync_config_id: String,
    /// How many files the sync let go of.
    approved: u64,
}

/// Approve held deletes
///
/// The objects of the files that the sync's `held_deletes` count become tombstones, unless another sync holds on to them. When
/// nothing is held, nothing happens. Takes no body.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/deletes/approve",
    operation_id = "approve_deletes",
    tag = "syncs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "Identifier."),
    ),
    responses((status = 200, description = "Nothing is held any more.", body = ApprovedDeletes)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn approve(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
) -> Result<Json<ApprovedDeletes>, ApiError> {
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let approved = state
        .engine()
        .approve_deletes(&caller, &bucket, &sync)
        .await?;
    let message = match approved {
        0 => "No deletes were held.".to_owned(),
        _ => format!(
            "The sync let go of {approved} files. Their objects are tombstones now, unless another sync holds on to them, and \
             can be restored while their undo window lasts."
        ),
    };
    Ok(Json(ApprovedDeletes {
        message,
        sync_config_id: sync,
        approved,
    }))
}

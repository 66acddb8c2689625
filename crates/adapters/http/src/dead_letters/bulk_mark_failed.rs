use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::input::Reader;

use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::{Authorized, InNamespace};

/// Which dead letters to give up.
#[derive(ToSchema)]
#[schema(as = BulkMarkDLQRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct BulkMarkRequest {
    /// With one of these error codes.
    #[schema(min_items = 1, max_items = 100)]
    error_types: Vec<String>,
}

impl BulkMarkRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<Vec<String>> {
        reader.require("error_types");
        let codes = super::error_types(reader);
        if codes.as_ref().is_some_and(Vec::is_empty) {
            reader.reject("error_types", "too_short", "must have at least 1 item");
        }
        codes
    }
}

/// How many were given up.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkMarkDLQResponse)]
pub(crate) struct Marked {
    updated: u64,
}

/// Give up dead letters
///
/// They are left alone from now on, as after their third try.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/bulk-mark-failed",
    operation_id = "bulk_mark_dlq_permanently_failed_buckets_id_syncs_config",
    tag = "dead letters",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
    ),
    request_body = BulkMarkRequest,
    responses((status = 200, description = "They are left alone.", body = Marked)),
)]
pub(super) async fn bulk_mark_failed(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    body: Body,
) -> Result<Json<Marked>, ApiError> {
    let error_types = body.read_whole(BulkMarkRequest::parse)?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let updated = state
        .engine()
        .mark_dead_letters_failed(&caller, &sync, &error_types)
        .await?;
    Ok(Json(Marked { updated }))
}

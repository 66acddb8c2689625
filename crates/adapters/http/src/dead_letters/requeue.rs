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

/// Which dead letters to queue again.
#[derive(ToSchema)]
#[schema(as = BulkRequeueDLQRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct RequeueRequest {
    /// With one of these error codes; any unless given.
    #[schema(max_items = 100)]
    error_types: Option<Vec<String>>,
}

impl RequeueRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<Vec<String>> {
        super::narrowing_error_types(reader)
    }
}

/// How many were queued again.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BulkRequeueDLQResponse)]
pub(crate) struct Requeued {
    requeued: u64,
}

/// Queue dead letters again
///
/// Those that are left alone get their three tries back; the sync's next run tries them. It is not started by this: trigger it
/// if it is not to be waited for. Those that are still being tried stay as they are.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq/requeue",
    operation_id = "requeue_dlq_entries_buckets_id_syncs_config",
    tag = "dead letters",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
    ),
    request_body = Option<RequeueRequest>,
    responses((status = 200, description = "They are tried again.", body = Requeued)),
)]
pub(super) async fn requeue(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    body: Body,
) -> Result<Json<Requeued>, ApiError> {
    let error_types = body.read(RequeueRequest::parse)?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let requeued = state
        .engine()
        .requeue_dead_letters(&caller, &sync, error_types.as_deref())
        .await?;
    Ok(Json(Requeued { requeued }))
}

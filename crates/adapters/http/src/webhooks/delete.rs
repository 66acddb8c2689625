use axum::extract::State;
use axum::http::StatusCode;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Delete a webhook
///
/// With the log of its deliveries. One that is not there counts as deleted.
#[utoipa::path(
    delete,
    path = "/v1/organizations/webhooks/{identifier}",
    operation_id = "delete_webhook_organizations",
    tag = "webhooks",
    params(("identifier" = String, Path, description = "The webhook's identifier.")),
    responses((status = 204, description = "It is gone.")),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<StatusCode, ApiError> {
    state.engine().delete_webhook(&caller, &identifier).await?;
    Ok(StatusCode::NO_CONTENT)
}

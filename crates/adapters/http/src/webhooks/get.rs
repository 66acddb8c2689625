use axum::Json;
use axum::extract::State;

use super::view::WebhookView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Get a webhook
#[utoipa::path(
    get,
    path = "/v1/organizations/webhooks/{identifier}",
    operation_id = "get_webhook_organizations",
    tag = "webhooks",
    params(("identifier" = String, Path, description = "The webhook's identifier.")),
    responses((status = 200, description = "The webhook.", body = WebhookView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
) -> Result<Json<WebhookView>, ApiError> {
    let webhook = state.engine().webhook(&caller, &identifier).await?;
    Ok(Json(webhook.into()))
}

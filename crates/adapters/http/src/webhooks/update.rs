use axum::Json;
use axum::extract::State;

use super::view::WebhookView;
use super::wish::WebhookRequest;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Replace a webhook
///
/// Secrets that are left out, or sent as `redacted`, stay while they go to the same host; else: 422 `credentials_reentry_required`. One
/// that becomes active again is told of what happened meanwhile, as long as events are kept.
#[utoipa::path(
    put,
    path = "/v1/organizations/webhooks/{identifier}",
    operation_id = "update_webhook_organizations",
    tag = "webhooks",
    params(("identifier" = String, Path, description = "The webhook's identifier.")),
    request_body = WebhookRequest,
    responses((status = 200, description = "The changed webhook.", body = WebhookView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    body: Body,
) -> Result<Json<WebhookView>, ApiError> {
    let wish = body.read_whole(WebhookRequest::parse)?;
    let webhook = state
        .engine()
        .replace_webhook(&caller, &identifier, wish)
        .await?;
    Ok(Json(webhook.into()))
}

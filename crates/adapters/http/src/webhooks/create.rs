use axum::Json;
use axum::extract::State;

use super::view::WebhookView;
use super::wish::WebhookRequest;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::scope::Authorized;

/// Create a webhook
///
/// It is told of what happens from now on, at least once and in order for each thing.
#[utoipa::path(
    post,
    path = "/v1/organizations/webhooks",
    operation_id = "create_webhook_organizations",
    tag = "webhooks",
    request_body = WebhookRequest,
    responses((status = 200, description = "The stored webhook.", body = WebhookView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    body: Body,
) -> Result<Json<WebhookView>, ApiError> {
    let wish = body.read_whole(WebhookRequest::parse)?;
    let webhook = state.engine().create_webhook(&caller, wish).await?;
    Ok(Json(webhook.into()))
}

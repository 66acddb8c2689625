use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::input::{Length, Reader};
use wharf_ports::WebhookFilter;

use super::view::{WebhookView, is_readable_by_sdk};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::query::Query;
use crate::scope::Authorized;

/// Which webhooks to list; all conditions must hold.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListWebhooksRequest {
    /// Told of this type.
    event_type: Option<String>,
    /// Active or not.
    is_active: Option<bool>,
}

impl ListWebhooksRequest {
    pub(crate) fn parse(reader: &mut Reader) -> WebhookFilter {
        WebhookFilter {
            event_type: reader.string("event_type", Length::new(0, 100)),
            is_active: reader.boolean("is_active"),
        }
    }
}

/// A page of webhooks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListWebhooksResponse)]
pub(crate) struct WebhookList {
    /// Newest first, those that the published SDK can read.
    results: Vec<WebhookView>,
    pagination: Pagination,
    /// How many webhooks match, on all pages, those that are left out included.
    total: u64,
    /// How many of this page are left out because they are told of nothing that the published SDK knows.
    /// `GET /v1/organizations/events/subscriptions` lists all.
    extension_only: u64,
}

/// List webhooks
///
/// Webhooks that are told of nothing that the published SDK knows are left out and counted: it could not read them.
#[utoipa::path(
    post,
    path = "/v1/organizations/webhooks/list",
    operation_id = "list_webhooks_organizations",
    tag = "webhooks",
    params(PageParams),
    request_body = Option<ListWebhooksRequest>,
    responses((status = 200, description = "A page of webhooks.", body = WebhookList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    query: Query,
    body: Body,
) -> Result<Json<WebhookList>, ApiError> {
    let filter = body.read(ListWebhooksRequest::parse)?;
    let paging = Paging::read(query, Wish::default())?;
    let page = state
        .engine()
        .list_webhooks(&caller, &filter, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let (shown, left_out): (Vec<_>, Vec<_>) = page.items.into_iter().partition(is_readable_by_sdk);
    Ok(Json(WebhookList {
        results: shown.into_iter().map(Into::into).collect(),
        pagination,
        total: page.total,
        extension_only: left_out.len() as u64,
    }))
}

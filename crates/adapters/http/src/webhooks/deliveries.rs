use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::DeliveryView;
use crate::ApiState;
use crate::error::ApiError;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// A page of a webhook's attempts.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WebhookDeliveriesResponse)]
pub(crate) struct DeliveryList {
    /// Newest first.
    results: Vec<DeliveryView>,
    pagination: Pagination,
    /// How many attempts there are, on all pages.
    total: u64,
}

/// List the deliveries of a webhook
///
/// Every attempt, as long as events are kept.
#[utoipa::path(
    get,
    path = "/v1/organizations/webhooks/{identifier}/deliveries",
    operation_id = "list_webhook_deliveries",
    tag = "webhooks",
    params(
        ("identifier" = String, Path, description = "The webhook's identifier."),
        PageParams,
    ),
    responses((status = 200, description = "A page of attempts.", body = DeliveryList)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn deliveries(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    query: Query,
) -> Result<Json<DeliveryList>, ApiError> {
    let paging = Paging::read(query, Wish::default())?;
    let webhook = state.engine().webhook(&caller, &identifier).await?;
    let page = state
        .engine()
        .webhook_deliveries(&caller, &webhook, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    Ok(Json(DeliveryList {
        results: page.items.into_iter().map(Into::into).collect(),
        pagination,
        total: page.total,
    }))
}

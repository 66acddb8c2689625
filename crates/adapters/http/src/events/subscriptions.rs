use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::event::EventType;
use wharf_domain::webhook::Webhook;
use wharf_engine::Mandate;
use wharf_ports::WebhookFilter;

use crate::ApiState;
use crate::error::ApiError;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::query::Query;
use crate::scope::Authorized;
use crate::webhooks::told_of;

/// What a webhook is told of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventSubscription)]
pub(crate) struct Subscription {
    webhook_id: String,
    webhook_name: String,
    /// Every type that it is told of, whether the published SDK knows it or not.
    event_types: Vec<&'static str>,
    all_event_types: bool,
    /// Only of these kinds of things; empty means any.
    resource_types: Vec<String>,
    is_active: bool,
}

impl From<Webhook> for Subscription {
    fn from(webhook: Webhook) -> Self {
        Self {
            event_types: told_of(&webhook)
                .into_iter()
                .map(EventType::as_str)
                .collect(),
            webhook_id: webhook.id.to_string(),
            webhook_name: webhook.settings.name,
            all_event_types: webhook.settings.all,
            resource_types: webhook.settings.resource_types,
            is_active: webhook.settings.is_active,
        }
    }
}

/// A page of webhooks with what they are told of.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventSubscriptionsResponse)]
pub(crate) struct SubscriptionList {
    /// Newest first.
    results: Vec<Subscription>,
    pagination: Pagination,
    /// How many webhooks there are, on all pages.
    total: u64,
}

/// List who is told of what
///
/// Every webhook, those included that the published SDK cannot read.
#[utoipa::path(
    get,
    path = "/v1/organizations/events/subscriptions",
    operation_id = "list_event_subscriptions",
    tag = "events",
    params(PageParams),
    responses((status = 200, description = "A page of webhooks.", body = SubscriptionList)),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn subscriptions(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    query: Query,
) -> Result<Json<SubscriptionList>, ApiError> {
    caller.may_touch_organization()?;
    let paging = Paging::read(query, Wish::default())?;
    let page = state
        .engine()
        .list_webhooks(&caller, &WebhookFilter::default(), &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    Ok(Json(SubscriptionList {
        results: page.items.into_iter().map(Into::into).collect(),
        pagination,
        total: page.total,
    }))
}

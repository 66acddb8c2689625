//! Webhooks.

mod create;
mod delete;
mod deliveries;
mod get;
mod list;
mod redeliver;
mod update;
mod view;
mod wish;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(deliveries::deliveries))
        .routes(routes!(redeliver::redeliver))
}

pub(crate) use view::told_of;

#[cfg(test)]
pub(crate) use {list::ListWebhooksRequest, redeliver::RedeliverRequest, wish::WebhookRequest};

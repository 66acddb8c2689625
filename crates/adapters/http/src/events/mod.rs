//! Events, for who asks for them.

mod get;
mod list;
mod subscriptions;
mod types;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(types::types))
        .routes(routes!(subscriptions::subscriptions))
        .routes(routes!(get::get))
}

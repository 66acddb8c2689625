//! Jobs of a sync.

mod events;
mod get;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(get::get))
        .routes(routes!(events::events))
}

pub(crate) use events::EventStreams;
#[cfg(test)]
pub(crate) use list::ListJobsRequest;

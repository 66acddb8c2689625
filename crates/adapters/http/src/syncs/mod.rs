//! Syncs.

mod create;
mod delete;
mod get;
mod list;
mod trigger;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(trigger::trigger))
}

#[cfg(test)]
pub(crate) use {create::CreateSyncRequest, list::ListSyncsRequest};

//! Syncs.

mod create;
mod delete;
mod deletes_approve;
mod deletes_discard;
mod explain;
mod get;
mod list;
mod metrics;
mod pause;
mod pipeline;
mod place;
mod plan;
mod resume;
mod settings;
mod stats;
mod trigger;
mod unlock;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create))
        .routes(routes!(list::list))
        .routes(routes!(get::get, update::update, delete::delete))
        .routes(routes!(pause::pause))
        .routes(routes!(resume::resume))
        .routes(routes!(trigger::trigger))
        .routes(routes!(unlock::unlock))
        .routes(routes!(metrics::metrics))
        .routes(routes!(deletes_approve::approve))
        .routes(routes!(deletes_discard::discard))
        .routes(routes!(explain::explain))
        .routes(routes!(plan::plan))
        .routes(routes!(plan::plan_new))
}

#[cfg(test)]
pub(crate) use {create::CreateSyncRequest, list::ListSyncsRequest, update::UpdateSyncRequest};

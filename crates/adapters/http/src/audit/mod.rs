//! The audit trail.

mod export;
mod filter;
mod get;
mod list;
mod settings;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(export::export))
        .routes(routes!(get::get))
        .routes(routes!(settings::get, settings::update))
}

#[cfg(test)]
pub(crate) use settings::UpdateSettingsRequest;

//! The caller's organization.

mod get;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(get::get, update::update))
}

#[cfg(test)]
pub(crate) use update::UpdateOrganizationRequest;

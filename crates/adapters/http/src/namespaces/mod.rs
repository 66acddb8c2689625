//! Namespaces.

mod create;
mod delete;
mod fields;
mod get;
mod list;
mod patch;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list_get))
        .routes(routes!(list::list))
        .routes(routes!(
            get::get,
            patch::patch,
            update::update,
            delete::delete
        ))
}

#[cfg(test)]
pub(crate) use {
    create::CreateNamespaceRequest, list::ListNamespacesRequest, patch::PatchNamespaceRequest,
    update::UpdateNamespaceRequest,
};

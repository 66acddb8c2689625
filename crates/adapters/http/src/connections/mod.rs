//! Connections.

mod checks;
mod create;
mod delete;
mod files;
mod folders;
mod get;
mod list;
mod test;
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
        .routes(routes!(test::test))
        .routes(routes!(checks::checks))
        .routes(routes!(folders::folders))
        .routes(routes!(files::files))
}

#[cfg(test)]
pub(crate) use {
    create::CreateConnectionRequest, list::ListConnectionsRequest, update::UpdateConnectionRequest,
};

//! API keys of the organization's users. No view has a place for a key's stored form.

mod create;
mod list;
mod revoke;
mod rotate;
mod scopes;
mod update;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list))
        .routes(routes!(update::update, revoke::revoke))
        .routes(routes!(rotate::rotate))
}

#[cfg(test)]
pub(crate) use {create::CreateKeyRequest, update::UpdateKeyRequest};

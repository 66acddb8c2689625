//! Objects of a bucket.

mod content;
mod delete;
mod get;
mod list;
mod range;
mod restore;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(list::list_get))
        .routes(routes!(get::get, delete::delete))
        .routes(routes!(content::content))
        .routes(routes!(restore::restore))
}

#[cfg(test)]
pub(crate) use list::ListObjectsRequest;

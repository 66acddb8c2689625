//! Buckets.

mod create;
mod delete;
mod get;
mod list;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(create::create, list::list_get))
        .routes(routes!(list::list))
        .routes(routes!(get::get, delete::delete))
}

#[cfg(test)]
pub(crate) use {create::CreateBucketRequest, list::ListBucketsRequest};

//! Dead letters of a sync.

mod bulk_mark_failed;
mod list;
mod requeue;
mod view;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use wharf_domain::input::{Length, Reader};

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(requeue::requeue))
        .routes(routes!(bulk_mark_failed::bulk_mark_failed))
}

/// `error_types`.
fn error_types(reader: &mut Reader) -> Option<Vec<String>> {
    reader.strings("error_types", Length::new(1, 100), 100)
}

/// The same where they only narrow what is meant: an empty list does not.
fn narrowing_error_types(reader: &mut Reader) -> Option<Vec<String>> {
    error_types(reader).filter(|codes| !codes.is_empty())
}

#[cfg(test)]
pub(crate) use {
    bulk_mark_failed::BulkMarkRequest, list::ListDeadLettersRequest, requeue::RequeueRequest,
};

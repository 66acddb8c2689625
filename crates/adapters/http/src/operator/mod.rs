//! What operators and tools read: the API's document and metrics.

mod document;
mod metrics;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(document::document))
        .routes(routes!(metrics::metrics))
}

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use wharf_engine::Mandate;

use crate::ApiState;
use crate::error::ApiError;
use crate::scope::Authorized;

/// Get metrics
///
/// In the text format of Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "get_metrics",
    tag = "operator",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain")),
    extensions(("x-wharf-extension" = json!(true))),
)]
pub(super) async fn metrics(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
) -> Result<impl IntoResponse, ApiError> {
    caller.may_touch_organization()?;
    let metrics = state.metrics().ok_or_else(|| {
        ApiError::not_found(
            "This server does not collect metrics here.",
            "metrics",
            "/metrics",
        )
    })?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics.render(),
    ))
}

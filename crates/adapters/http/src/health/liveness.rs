use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

/// The process answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Liveness {
    /// Always `OK`.
    #[schema(value_type = String)]
    status: &'static str,
}

/// Ask whether the process answers
///
/// Asks nothing else, so that an outage elsewhere does not restart it.
#[utoipa::path(
    get,
    path = "/v1/health/liveness",
    operation_id = "liveness_health",
    tag = "health",
    responses((status = 200, description = "It does.", body = Liveness)),
)]
pub(super) async fn liveness() -> Json<Liveness> {
    Json(Liveness { status: "OK" })
}

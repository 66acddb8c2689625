use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::word;
use crate::ApiState;

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OverallHealth {
    /// `OK` or `DEGRADED`.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(value_type = String)]
    version: &'static str,
}

/// Ask how the server is
#[utoipa::path(
    get,
    path = "/v1/health",
    operation_id = "healthcheck_health",
    tag = "health",
    responses((status = 200, description = "It answers.", body = OverallHealth)),
)]
pub(super) async fn overall(State(state): State<ApiState>) -> Json<OverallHealth> {
    let health = state.health().look(state.engine()).await;
    Json(OverallHealth {
        status: word(health.all_well()),
        version: env!("CARGO_PKG_VERSION"),
    })
}

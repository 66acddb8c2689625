use axum::Json;
use axum::extract::State;

use super::view::AuditView;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::scope::Authorized;

/// Get a row of the audit trail
#[utoipa::path(
    get,
    path = "/v1/organizations/audit/logs/{audit_id}",
    operation_id = "get_audit_log_organizations",
    tag = "audit",
    params(("audit_id" = String, Path, description = "Identifier.")),
    responses((status = 200, description = "The row.", body = AuditView)),
)]
pub(super) async fn get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(id): Segments<String>,
) -> Result<Json<AuditView>, ApiError> {
    let row = state.engine().audit_row(&caller, &id).await?;
    let actors = state.engine().audit_actors(&caller).await?;
    Ok(Json(AuditView::new(row, &actors)))
}

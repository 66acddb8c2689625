use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::{self, FilterParams};
use super::view::AuditView;
use crate::ApiState;
use crate::error::ApiError;
use crate::query::Query;
use crate::scope::Authorized;

/// Rows that one answer holds unless asked otherwise, and at most.
const LIMIT: u32 = 100;
const MOST: u32 = 1000;

/// Some rows of the audit trail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEventListResponse)]
pub(crate) struct AuditList {
    /// Newest first.
    results: Vec<AuditView>,
    /// How many match, skipped ones included.
    total: u64,
    skip: u32,
    limit: u32,
}

/// List the audit trail
#[utoipa::path(
    get,
    path = "/v1/organizations/audit/logs",
    operation_id = "list_audit_logs_organizations",
    tag = "audit",
    params(
        FilterParams,
        ("skip" = Option<u32>, Query, minimum = 0, description = "How many to skip."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "At most so many; 100 unless given."),
    ),
    responses((status = 200, description = "The rows.", body = AuditList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    mut query: Query,
) -> Result<Json<AuditList>, ApiError> {
    let filter = filter::read(&mut query);
    let skip = query
        .integer("skip", 0, i32::MAX.unsigned_abs())
        .unwrap_or(0);
    let limit = query.integer("limit", 1, MOST).unwrap_or(LIMIT);
    query.finish()?;
    let engine = state.engine();
    let page = engine
        .list_audit(&caller, &filter, skip.into(), limit)
        .await?;
    let actors = engine.audit_actors(&caller).await?;
    let rows = page.rows.into_iter();
    Ok(Json(AuditList {
        results: rows.map(|row| AuditView::new(row, &actors)).collect(),
        total: page.total,
        skip,
        limit,
    }))
}

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};

use super::folders::LONGEST_PATH;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// List files at the source
///
/// For providers that can be browsed; others answer 400. No adapter of this version can.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}/files",
    operation_id = "list_google_drive_files_organizations_connections",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        ("path" = Option<String>, Query, max_length = 4096, description = "The folder; `/` unless given."),
        ("max_results" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Most files; 50 unless given."),
    ),
    responses((status = 200, description = "The files.", body = Object)),
)]
pub(super) async fn files(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<Map<String, Value>>, ApiError> {
    query.string("path", LONGEST_PATH);
    query.integer("max_results", 1, 100);
    query.finish()?;
    Err(state
        .engine()
        .browsing_refused(&caller, &identifier)
        .await
        .into())
}

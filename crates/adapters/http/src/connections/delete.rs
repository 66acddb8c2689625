use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::revision::IfMatch;
use crate::scope::Authorized;

/// What became of a connection that was to be deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArchivedConnection {
    message: String,
    connection_id: String,
}

/// Archive a connection
///
/// For good: its credentials are shredded at once and its syncs stop. Archiving it again is no error.
#[utoipa::path(
    delete,
    path = "/v1/organizations/connections/{connection_identifier}",
    operation_id = "delete_storage_connection_organizations",
    tag = "connections",
    params(("connection_identifier" = String, Path, description = "Identifier or name.")),
    responses((status = 200, description = "It is archived.", body = ArchivedConnection)),
)]
pub(super) async fn delete(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    IfMatch(if_revision): IfMatch,
) -> Result<Json<ArchivedConnection>, ApiError> {
    let connection = state
        .engine()
        .archive_connection(&caller, &identifier, if_revision)
        .await?;
    let message = "The connection is archived and its credentials are shredded.".to_owned();
    Ok(Json(ArchivedConnection {
        message,
        connection_id: connection.id.to_string(),
    }))
}

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// Most characters of a path to browse.
pub(super) const LONGEST_PATH: usize = 4096;

/// Folders at a place of the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListFoldersResponse)]
pub(crate) struct FolderList {
    results: Vec<Folder>,
    /// The path that was asked for.
    parent_path: String,
}

/// A folder at the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FolderItem)]
pub(crate) struct Folder {
    id: String,
    name: String,
    path: String,
    mime_type: String,
}

/// List folders at the source
///
/// For providers that can be browsed; others answer 400. No adapter of this version can.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}/folders",
    operation_id = "list_google_drive_folders_organizations_connections",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        ("path" = Option<String>, Query, max_length = 4096, description = "The parent folder; `/` unless given."),
    ),
    responses((status = 200, description = "The folders.", body = FolderList)),
)]
pub(super) async fn folders(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<FolderList>, ApiError> {
    query.string("path", LONGEST_PATH);
    query.finish()?;
    Err(state
        .engine()
        .browsing_refused(&caller, &identifier)
        .await
        .into())
}

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_ports::{Browse, Browsed};

use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// Most characters of a path to browse.
const LONGEST_PATH: usize = 4096;

/// Most folders that are shown.
const MOST_FOLDERS: u32 = 1000;

/// The path to browse.
pub(super) fn browsed_path(query: &mut Query) -> String {
    let path = query.string("path", LONGEST_PATH);
    path.unwrap_or_else(|| "/".to_owned())
}

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

impl From<Browsed> for Folder {
    fn from(found: Browsed) -> Self {
        Self {
            id: found.id,
            name: found.name,
            path: found.path,
            mime_type: found.mime_type,
        }
    }
}

/// List folders at the source
///
/// For providers that can be browsed, which is `google_drive`; others answer 400. Folders that share a name are all shown. At most
/// 1000; none where there is no such folder.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}/folders",
    operation_id = "list_google_drive_folders_organizations_connections",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        ("path" = Option<String>, Query, max_length = 4096, description = "The parent folder: its path from the root on, or its identifier; `/` unless given."),
    ),
    responses((status = 200, description = "The folders.", body = FolderList)),
)]
pub(super) async fn folders(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<FolderList>, ApiError> {
    let path = browsed_path(&mut query);
    query.finish()?;
    let found = state
        .engine()
        .browse(&caller, &identifier, Browse::Folders, &path, MOST_FOLDERS)
        .await?;
    Ok(Json(FolderList {
        results: found.into_iter().map(Folder::from).collect(),
        parent_path: path,
    }))
}

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use wharf_ports::{Browse, Browsed};

use super::folders::browsed_path;
use crate::ApiState;
use crate::error::ApiError;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::Authorized;

/// Files that are shown unless another number is asked for.
const USUAL: u32 = 50;

/// Files at a place of the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListFilesResponse)]
pub(crate) struct FileList {
    results: Vec<File>,
    /// The path that was asked for.
    path: String,
    /// How many are shown.
    total: usize,
}

/// A file at the source.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FileItem)]
pub(crate) struct File {
    id: String,
    name: String,
    path: String,
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::time::rfc3339_or_null"
    )]
    modified_time: Option<DateTime<Utc>>,
    /// Its address for a browser.
    #[serde(skip_serializing_if = "Option::is_none")]
    web_view_link: Option<String>,
}

impl From<Browsed> for File {
    fn from(found: Browsed) -> Self {
        Self {
            id: found.id,
            name: found.name,
            path: found.path,
            mime_type: found.mime_type,
            size_bytes: found.size_bytes,
            modified_time: found.modified_at,
            web_view_link: found.web_view_link,
        }
    }
}

/// List files at the source
///
/// For providers that can be browsed, which is `google_drive`; others answer 400. Files that share a name are all shown; none where
/// there is no such folder.
#[utoipa::path(
    get,
    path = "/v1/organizations/connections/{connection_identifier}/files",
    operation_id = "list_google_drive_files_organizations_connections",
    tag = "connections",
    params(
        ("connection_identifier" = String, Path, description = "Identifier or name."),
        ("path" = Option<String>, Query, max_length = 4096, description = "The folder: its path from the root on, or its identifier; `/` unless given."),
        ("max_results" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Most files; 50 unless given."),
    ),
    responses((status = 200, description = "The files.", body = FileList)),
)]
pub(super) async fn files(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    Segments(identifier): Segments<String>,
    mut query: Query,
) -> Result<Json<FileList>, ApiError> {
    let path = browsed_path(&mut query);
    let limit = query.integer("max_results", 1, 100).unwrap_or(USUAL);
    query.finish()?;
    let found = state
        .engine()
        .browse(&caller, &identifier, Browse::Files, &path, limit)
        .await?;
    let results: Vec<File> = found.into_iter().map(File::from).collect();
    Ok(Json(FileList {
        total: results.len(),
        results,
        path,
    }))
}

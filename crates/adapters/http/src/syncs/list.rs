use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_domain::page::Page;
use wharf_domain::sync::{SyncFilter, SyncStatus};

use super::view::{SyncView, views};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Which syncs to list; all conditions must hold.
#[derive(ToSchema)]
#[schema(as = ListSyncConfigurationsRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListSyncsRequest {
    /// Through this connection.
    #[schema(pattern = "^conn_[A-Za-z0-9]{15}$")]
    connection_id: Option<String>,
    /// `ACTIVE`, `SUSPENDED` (paused), `COMPLETED`, `ARCHIVED` or `FAILED`, in any letter case. No sync is ever in the last
    /// one: what went wrong is told by `last_error` and `consecutive_failures`.
    #[schema(inline)]
    status: Option<crate::words::SyncStatus>,
    /// Running or not.
    is_active: Option<bool>,
}

impl ListSyncsRequest {
    /// The filter; `None` when no sync can be like that.
    pub(crate) fn parse(reader: &mut Reader) -> Option<SyncFilter> {
        let words = "ACTIVE, SUSPENDED, COMPLETED, ARCHIVED, FAILED";
        let status = fields::word(reader, "status", Status::parse, words);
        let connection = fields::identifier(reader, "connection_id");
        let is_active = reader.boolean("is_active");
        let status = match status {
            None => None,
            Some(Status::Of(status)) => Some(status),
            Some(Status::Nobodys) => return None,
        };
        Some(SyncFilter {
            connection,
            status,
            is_active,
        })
    }
}

/// A status that may be asked for.
#[derive(Clone, Copy)]
enum Status {
    Of(SyncStatus),
    /// One that no sync has.
    Nobodys,
}

impl Status {
    fn parse(text: &str) -> Option<Self> {
        let nobodys = || "FAILED".eq_ignore_ascii_case(text).then_some(Self::Nobodys);
        SyncStatus::parse(text).map(Self::Of).or_else(nobodys)
    }
}

/// A page of syncs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncListResponse)]
pub(crate) struct SyncList {
    /// Newest first.
    results: Vec<SyncView>,
    pagination: Pagination,
    /// How many syncs match, on all pages.
    total: u64,
}

/// List syncs
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/list",
    operation_id = "list_sync_configurations_buckets",
    tag = "syncs",
    params(("bucket_id" = String, Path, description = "The bucket's identifier or name."), PageParams),
    request_body = Option<ListSyncsRequest>,
    responses((status = 200, description = "A page of syncs.", body = SyncList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(bucket): Segments<String>,
    query: Query,
    body: Body,
) -> Result<Json<SyncList>, ApiError> {
    let filter = body.read(ListSyncsRequest::parse)?;
    let paging = Paging::read(query, Wish::default())?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let page = match filter {
        None => Page::empty(),
        Some(filter) => {
            let engine = state.engine();
            engine
                .list_syncs(&caller, &bucket, &filter, &paging.request)
                .await?
        }
    };
    let pagination = paging.describe(&page);
    let Page { items, total, .. } = page;
    Ok(Json(SyncList {
        results: views(&state, &caller, items).await?,
        pagination,
        total,
    }))
}

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::dead_letter::DeadLetterFilter;
use wharf_domain::input::Reader;

use super::view::DeadLetterView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Which dead letters to list; all conditions must hold.
#[derive(ToSchema)]
#[schema(as = ListDLQRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListDeadLettersRequest {
    /// Only those that are left alone.
    #[schema(default = false)]
    only_max_retries: Option<bool>,
    /// With one of these error codes, such as `object.customer_key`.
    #[schema(max_items = 100)]
    error_types: Option<Vec<String>>,
}

impl ListDeadLettersRequest {
    pub(crate) fn parse(reader: &mut Reader) -> DeadLetterFilter {
        DeadLetterFilter {
            only_exhausted: reader.boolean("only_max_retries").unwrap_or(false),
            error_types: super::narrowing_error_types(reader),
        }
    }
}

/// A page of dead letters.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DLQListResponse)]
pub(crate) struct DeadLetterList {
    /// Newest first.
    results: Vec<DeadLetterView>,
    pagination: Pagination,
    /// How many match, on all pages.
    total: u64,
}

/// List the dead letters of a sync
///
/// Files that could not be copied, until they are, or until they are closed because the sync runs no more. As the published
/// API has no pages here, a page has 1000 of them unless `limit` says otherwise.
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/dlq",
    operation_id = "list_dlq_entries_buckets_id_syncs_config",
    tag = "dead letters",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        PageParams,
    ),
    request_body = Option<ListDeadLettersRequest>,
    responses((status = 200, description = "A page of dead letters.", body = DeadLetterList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    query: Query,
    body: Body,
) -> Result<Json<DeadLetterList>, ApiError> {
    let filter = body.read(ListDeadLettersRequest::parse)?;
    let paging = Paging::read(query, Wish::most())?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let page = state
        .engine()
        .list_dead_letters(&caller, &sync, &filter, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let total = page.total;
    let results = page
        .items
        .into_iter()
        .map(|letter| DeadLetterView::new(letter, caller.organization()))
        .collect();
    Ok(Json(DeadLetterList {
        results,
        pagination,
        total,
    }))
}

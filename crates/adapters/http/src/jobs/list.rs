use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_domain::job::JobStatus;

use super::view::{JobView, views};
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Which jobs to list.
#[derive(ToSchema)]
#[schema(as = ListSyncJobsRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListJobsRequest {
    /// `running`, `completed`, `failed`, `interrupted` or `skipped`.
    #[schema(inline)]
    status: Option<crate::words::JobStatus>,
}

impl ListJobsRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<JobStatus> {
        let parse = |word: &str| JobStatus::parse(&word.to_ascii_lowercase());
        fields::word(
            reader,
            "status",
            parse,
            "running, completed, failed, interrupted, skipped",
        )
    }
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SyncJobListResponse)]
pub(crate) struct JobList {
    /// Newest first.
    results: Vec<JobView>,
    pagination: Pagination,
    /// How many jobs match, on all pages.
    total: u64,
}

/// List the jobs of a sync
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_id}/syncs/{sync_config_id}/jobs",
    operation_id = "list_sync_jobs_buckets_id_config",
    tag = "jobs",
    params(
        ("bucket_id" = String, Path, description = "The bucket's identifier or name."),
        ("sync_config_id" = String, Path, description = "The sync's identifier."),
        PageParams,
    ),
    request_body = Option<ListJobsRequest>,
    responses((status = 200, description = "A page of jobs.", body = JobList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments((bucket, sync)): Segments<(String, String)>,
    query: Query,
    body: Body,
) -> Result<Json<JobList>, ApiError> {
    let status = body.read(ListJobsRequest::parse)?;
    let paging = Paging::read(query, Wish::default())?;
    let bucket = state.engine().bucket(&caller, &namespace, &bucket).await?;
    let sync = state.engine().sync(&caller, &bucket, &sync).await?;
    let page = state
        .engine()
        .list_jobs(&caller, &sync, status, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let total = page.total;
    Ok(Json(JobList {
        results: views(&state, &caller, &sync, page.items).await?,
        pagination,
        total,
    }))
}

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::{Length, Reader};
use wharf_domain::namespace::Namespace;
use wharf_engine::Caller;

use super::view::BucketView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Characters that a search may have.
const LONGEST_SEARCH: usize = 200;

/// Which buckets are wanted; a page in the query wins over the one in here.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListBucketsRequest {
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    #[schema(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    #[schema(minimum = 0, maximum = 10000)]
    offset: Option<u32>,
    #[schema(minimum = 1)]
    page: Option<u32>,
    /// Whose name contains this text.
    #[schema(max_length = 200)]
    search: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    filters: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    sort: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<Vec<Object>>, max_items = 0)]
    sorts: Option<Value>,
    /// `false` or nothing.
    case_sensitive: Option<bool>,
}

impl ListBucketsRequest {
    pub(crate) fn parse(reader: &mut Reader) -> (Wish, Option<String>) {
        let wish = Wish::read_body(reader);
        let search = reader
            .string("search", Length::new(0, LONGEST_SEARCH))
            .filter(|text| !text.is_empty());
        fields::not_supported(
            reader,
            "filters",
            &[json!({})],
            "search looks through names",
        );
        fields::not_supported(reader, "sort", &[json!({})], "lists are newest first");
        fields::not_supported(reader, "sorts", &[json!([])], "lists are newest first");
        fields::not_supported(
            reader,
            "case_sensitive",
            &[json!(false)],
            "search looks at no letter case",
        );
        (wish, search)
    }
}

/// A page of buckets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListBucketsResponse)]
pub(crate) struct BucketList {
    /// Newest first.
    results: Vec<BucketView>,
    pagination: Pagination,
    /// How many buckets match, on all pages.
    total_count: u64,
}

async fn page(
    state: &ApiState,
    caller: &Caller,
    namespace: &Namespace,
    search: Option<&str>,
    paging: &Paging,
) -> Result<Json<BucketList>, ApiError> {
    let page = state
        .engine()
        .list_buckets(caller, namespace, search, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let total_count = page.total;
    Ok(Json(BucketList {
        results: page.items.into_iter().map(Into::into).collect(),
        pagination,
        total_count,
    }))
}

/// List buckets
#[utoipa::path(
    post,
    path = "/v1/buckets/list",
    operation_id = "list_buckets",
    tag = "buckets",
    params(PageParams),
    request_body = Option<ListBucketsRequest>,
    responses((status = 200, description = "A page of buckets.", body = BucketList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    query: Query,
    body: Body,
) -> Result<Json<BucketList>, ApiError> {
    let (wish, search) = body.read(ListBucketsRequest::parse)?;
    let paging = Paging::read(query, wish)?;
    page(&state, &caller, &namespace, search.as_deref(), &paging).await
}

/// List buckets without a body
#[utoipa::path(
    get,
    path = "/v1/buckets",
    operation_id = "list_buckets_get",
    tag = "buckets",
    params(
        PageParams,
        ("search" = Option<String>, Query, max_length = 200, description = "Whose name contains this text, in any letter case."),
    ),
    responses((status = 200, description = "A page of buckets.", body = BucketList)),
)]
pub(super) async fn list_get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    mut query: Query,
) -> Result<Json<BucketList>, ApiError> {
    let search = query
        .string("search", LONGEST_SEARCH)
        .filter(|text| !text.is_empty());
    let paging = Paging::read(query, Wish::default())?;
    page(&state, &caller, &namespace, search.as_deref(), &paging).await
}

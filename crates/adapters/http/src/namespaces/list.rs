use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_engine::Caller;

use super::view::NamespaceView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::query::Query;
use crate::scope::Authorized;

/// Which page of the namespaces is wanted; the query's wins.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListNamespacesRequest {
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    #[schema(minimum = 1, maximum = 1000)]
    page_size: Option<u32>,
    #[schema(minimum = 0, maximum = 10000)]
    offset: Option<u32>,
    #[schema(minimum = 1)]
    page: Option<u32>,
    /// Not supported.
    #[schema(max_length = 0)]
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

impl ListNamespacesRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Wish {
        let wish = Wish::read_body(reader);
        fields::not_supported(
            reader,
            "search",
            &[json!("")],
            "namespaces are listed as a whole",
        );
        fields::not_supported(
            reader,
            "filters",
            &[json!({})],
            "namespaces are listed as a whole",
        );
        fields::not_supported(reader, "sort", &[json!({})], "lists are newest first");
        fields::not_supported(reader, "sorts", &[json!([])], "lists are newest first");
        fields::not_supported(
            reader,
            "case_sensitive",
            &[json!(false)],
            "there is no search",
        );
        wish
    }
}

/// A page of namespaces.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListNamespacesResponse)]
pub(crate) struct NamespaceList {
    /// Newest first.
    results: Vec<NamespaceView>,
    pagination: Pagination,
    /// How many namespaces there are, on all pages.
    total_count: u64,
}

async fn page(
    state: &ApiState,
    caller: &Caller,
    paging: &Paging,
) -> Result<Json<NamespaceList>, ApiError> {
    let page = state
        .engine()
        .list_namespaces(caller, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let total_count = page.total;
    Ok(Json(NamespaceList {
        results: page.items.into_iter().map(Into::into).collect(),
        pagination,
        total_count,
    }))
}

/// List namespaces
#[utoipa::path(
    post,
    path = "/v1/namespaces/list",
    operation_id = "list_namespaces",
    tag = "namespaces",
    params(PageParams),
    request_body = Option<ListNamespacesRequest>,
    responses((status = 200, description = "A page of namespaces.", body = NamespaceList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    query: Query,
    body: Body,
) -> Result<Json<NamespaceList>, ApiError> {
    let wish = body.read(ListNamespacesRequest::parse)?;
    page(&state, &caller, &Paging::read(query, wish)?).await
}

/// List namespaces without a body
#[utoipa::path(
    get,
    path = "/v1/namespaces",
    operation_id = "list_namespaces_get",
    tag = "namespaces",
    params(PageParams),
    responses((status = 200, description = "A page of namespaces.", body = NamespaceList)),
)]
pub(super) async fn list_get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    query: Query,
) -> Result<Json<NamespaceList>, ApiError> {
    page(&state, &caller, &Paging::read(query, Wish::default())?).await
}

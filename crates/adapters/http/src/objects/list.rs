use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use wharf_domain::input::{Length, Reader};
use wharf_domain::namespace::Namespace;
use wharf_domain::object::ObjectFilter;
use wharf_engine::Caller;

use super::view::ObjectView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::pagination::{PageParams, Pagination, Paging, Wish};
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// Which objects are wanted.
#[derive(ToSchema)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct ListObjectsRequest {
    /// Whose source path contains this text.
    #[schema(max_length = 1024)]
    search: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    filters: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    sort: Option<Value>,
    /// Not supported.
    #[schema(max_items = 0)]
    select: Option<Vec<String>>,
    /// `false` or nothing.
    return_presigned_urls: Option<bool>,
}

impl ListObjectsRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<String> {
        let search = reader
            .string("search", Length::new(0, 1024))
            .filter(|text| !text.is_empty());
        fields::not_supported(
            reader,
            "filters",
            &[json!({})],
            "search looks through source paths",
        );
        fields::not_supported(reader, "sort", &[json!({})], "lists are newest first");
        fields::not_supported(reader, "select", &[json!([])], "objects are returned whole");
        let why = "bytes are served at …/objects/{object}/content";
        fields::not_supported(reader, "return_presigned_urls", &[json!(false)], why);
        search
    }
}

/// A page of objects.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ListObjectsResponse)]
pub(crate) struct ObjectList {
    /// Newest first.
    results: Vec<ObjectView>,
    pagination: Pagination,
    stats: ObjectListStats,
}

/// How many objects match, and what this page holds.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ObjectListStats {
    /// On all pages.
    total_objects: u64,
    /// On all pages; the bytes of an object count once, whatever names a mapping gives them.
    total_blobs: u64,
    avg_blobs_per_object: f64,
    /// Status → objects on this page.
    #[schema(value_type = Object)]
    objects_by_status: BTreeMap<&'static str, u64>,
}

async fn page(
    state: &ApiState,
    caller: &Caller,
    (namespace, bucket): (&Namespace, &str),
    search: Option<String>,
    mut query: Query,
) -> Result<Json<ObjectList>, ApiError> {
    let include_deleted = query.boolean("include_deleted").unwrap_or(false);
    let paging = Paging::read(query, Wish::default())?;
    let bucket = state.engine().bucket(caller, namespace, bucket).await?;
    let filter = ObjectFilter {
        search,
        include_deleted,
    };
    let page = state
        .engine()
        .list_objects(caller, &bucket, &filter, &paging.request)
        .await?;
    let pagination = paging.describe(&page);
    let total_objects = page.total;
    let results: Vec<ObjectView> = page.items.into_iter().map(Into::into).collect();
    let mut objects_by_status = BTreeMap::new();
    for object in &results {
        *objects_by_status.entry(object.status()).or_default() += 1;
    }
    let on_this_page = ObjectListStats {
        total_objects,
        total_blobs: total_objects,
        avg_blobs_per_object: if results.is_empty() { 0.0 } else { 1.0 },
        objects_by_status,
    };
    Ok(Json(ObjectList {
        results,
        pagination,
        stats: on_this_page,
    }))
}

/// List objects
#[utoipa::path(
    post,
    path = "/v1/buckets/{bucket_identifier}/objects/list",
    operation_id = "list_objects_buckets",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("include_deleted" = Option<bool>, Query, description = "Whether tombstones are listed too."),
        PageParams,
    ),
    request_body = Option<ListObjectsRequest>,
    responses((status = 200, description = "A page of objects.", body = ObjectList)),
)]
pub(super) async fn list(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(bucket): Segments<String>,
    query: Query,
    body: Body,
) -> Result<Json<ObjectList>, ApiError> {
    let search = body.read(ListObjectsRequest::parse)?;
    page(&state, &caller, (&namespace, &bucket), search, query).await
}

/// List objects without a body
#[utoipa::path(
    get,
    path = "/v1/buckets/{bucket_identifier}/objects",
    operation_id = "list_objects_get_buckets",
    tag = "objects",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("include_deleted" = Option<bool>, Query, description = "Whether tombstones are listed too."),
        PageParams,
    ),
    responses((status = 200, description = "A page of objects.", body = ObjectList)),
)]
pub(super) async fn list_get(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(bucket): Segments<String>,
    query: Query,
) -> Result<Json<ObjectList>, ApiError> {
    page(&state, &caller, (&namespace, &bucket), None, query).await
}

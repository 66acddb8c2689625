use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::bucket::BucketName;
use wharf_domain::input::Reader;

use super::fields::{
    self as bucket, refuse_elsewhere, refuse_source_adapter, refuse_storage_class,
};
use super::view::BucketView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::scope::{Authorized, InNamespace};

/// A new bucket.
#[derive(ToSchema)]
#[schema(as = BucketCreateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct CreateBucketRequest {
    /// Unique within the namespace; must not start with `bkt_`.
    #[schema(min_length = 1, max_length = 100)]
    bucket_name: String,
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Must have `properties`, each with a `type`. Kept and returned, not enforced.
    #[schema(value_type = Object)]
    bucket_schema: Map<String, Value>,
    /// At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    unique_key: Option<Value>,
    /// `standard` or nothing.
    storage_class: Option<String>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    destination: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    ingest_filter: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    source_adapter: Option<Value>,
}

/// What a create request asks for.
pub(crate) struct NewBucket {
    name: BucketName,
    description: Option<String>,
    schema: Value,
    metadata: Metadata,
}

impl CreateBucketRequest {
    pub(crate) fn parse(reader: &mut Reader) -> Option<NewBucket> {
        reader.require("bucket_name");
        let name = bucket::name(reader);
        let description = fields::description(reader).filter(|text| !text.is_empty());
        reader.require("bucket_schema");
        let schema = bucket::schema(reader);
        let metadata = fields::metadata(reader).unwrap_or_default();
        refuse_elsewhere(reader);
        refuse_storage_class(reader);
        refuse_source_adapter(reader);
        Some(NewBucket {
            name: name?,
            description,
            schema: schema?,
            metadata,
        })
    }
}

/// Create a bucket
#[utoipa::path(
    post,
    path = "/v1/buckets",
    operation_id = "create_bucket",
    tag = "buckets",
    request_body = CreateBucketRequest,
    responses((status = 200, description = "The stored bucket.", body = BucketView)),
)]
pub(super) async fn create(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    body: Body,
) -> Result<Json<BucketView>, ApiError> {
    let NewBucket {
        name,
        description,
        schema,
        metadata,
    } = body.read_whole(CreateBucketRequest::parse)?;
    let bucket = state
        .engine()
        .create_bucket(&caller, &namespace, name, description, schema, metadata)
        .await?;
    Ok(Json(bucket.into()))
}

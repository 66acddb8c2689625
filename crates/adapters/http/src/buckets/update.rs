use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_ports::BucketChange;

use super::fields::{self as bucket, refuse_elsewhere, refuse_storage_class};
use super::view::BucketView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// A bucket as it is to be.
#[derive(ToSchema)]
#[schema(as = BucketUpdateRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct UpdateBucketRequest {
    /// Stays as it is unless given.
    #[schema(min_length = 1, max_length = 100)]
    bucket_name: Option<String>,
    /// None unless given.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// None unless given. At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Stays as it is unless given. Must have `properties`, each with a `type`. Kept and returned, not enforced.
    #[schema(value_type = Option<Object>)]
    bucket_schema: Option<Value>,
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
    unique_key: Option<Value>,
}

impl UpdateBucketRequest {
    pub(crate) fn parse(reader: &mut Reader) -> BucketChange {
        let change = BucketChange {
            name: bucket::name(reader),
            description: Some(fields::description(reader).filter(|text| !text.is_empty())),
            metadata: Some(fields::metadata(reader).unwrap_or_default()),
            schema: bucket::schema(reader),
        };
        refuse_elsewhere(reader);
        refuse_storage_class(reader);
        change
    }
}

/// Replace a bucket
#[utoipa::path(
    put,
    path = "/v1/buckets/{bucket_identifier}",
    operation_id = "update_bucket",
    tag = "buckets",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("force_schema_break" = Option<bool>, Query, description = "Makes no difference: schemas are not enforced."),
    ),
    request_body = Option<UpdateBucketRequest>,
    responses((status = 200, description = "The bucket as it is now.", body = BucketView)),
)]
pub(super) async fn update(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(identifier): Segments<String>,
    mut query: Query,
    body: Body,
) -> Result<Json<BucketView>, ApiError> {
    query.boolean("force_schema_break");
    query.finish()?;
    let change = body.read(UpdateBucketRequest::parse)?;
    let engine = state.engine();
    let bucket = engine
        .update_bucket(&caller, &namespace, &identifier, change)
        .await?;
    Ok(Json(bucket.into()))
}

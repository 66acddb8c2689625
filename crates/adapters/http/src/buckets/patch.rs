use axum::Json;
use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::input::Reader;
use wharf_ports::BucketChange;

use super::fields::{self as bucket, refuse_elsewhere};
use super::view::BucketView;
use crate::ApiState;
use crate::body::Body;
use crate::error::ApiError;
use crate::fields;
use crate::path::Segments;
use crate::query::Query;
use crate::scope::{Authorized, InNamespace};

/// What is to be different.
#[derive(ToSchema)]
#[schema(as = BucketPatchRequest)]
#[expect(dead_code, reason = "documents the body that `parse` reads")]
pub(crate) struct PatchBucketRequest {
    /// Unique within the namespace; must not start with `bkt_`.
    #[schema(min_length = 1, max_length = 100)]
    bucket_name: Option<String>,
    /// An empty one clears it.
    #[schema(max_length = 500)]
    description: Option<String>,
    /// Replaces all. At most 50 keys, 16 KiB and 8 levels.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// Replaces all. Must have `properties`, each with a `type`. Kept and returned, not enforced.
    #[schema(value_type = Option<Object>)]
    bucket_schema: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    source_adapter: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    unique_key: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    destination: Option<Value>,
    /// Not supported.
    #[schema(value_type = Option<crate::words::Nothing>, inline)]
    ingest_filter: Option<Value>,
}

impl PatchBucketRequest {
    pub(crate) fn parse(reader: &mut Reader) -> BucketChange {
        let change = BucketChange {
            name: bucket::name(reader),
            description: fields::description(reader).map(|text| (!text.is_empty()).then_some(text)),
            metadata: fields::metadata(reader),
            schema: bucket::schema(reader),
        };
        refuse_elsewhere(reader);
        bucket::refuse_source_adapter(reader);
        change
    }
}

/// Change a bucket
#[utoipa::path(
    patch,
    path = "/v1/buckets/{bucket_identifier}",
    operation_id = "patch_bucket",
    tag = "buckets",
    params(
        ("bucket_identifier" = String, Path, description = "Identifier or name."),
        ("force_schema_break" = Option<bool>, Query, description = "Makes no difference: schemas are not enforced."),
    ),
    request_body = Option<PatchBucketRequest>,
    responses((status = 200, description = "The bucket as it is now.", body = BucketView)),
)]
pub(super) async fn patch(
    State(state): State<ApiState>,
    Authorized(caller): Authorized,
    InNamespace(namespace): InNamespace,
    Segments(identifier): Segments<String>,
    mut query: Query,
    body: Body,
) -> Result<Json<BucketView>, ApiError> {
    query.boolean("force_schema_break");
    query.finish()?;
    let change = body.read(PatchBucketRequest::parse)?;
    let engine = state.engine();
    let bucket = engine
        .update_bucket(&caller, &namespace, &identifier, change)
        .await?;
    Ok(Json(bucket.into()))
}

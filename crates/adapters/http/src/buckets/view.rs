use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::bucket::Bucket;

/// A bucket, with what it holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BucketResponse)]
pub(crate) struct BucketView {
    /// `bkt_` and 16 hex digits.
    bucket_id: String,
    namespace_id: String,
    bucket_name: String,
    description: Option<String>,
    /// As it was given; not enforced.
    #[schema(value_type = Object)]
    bucket_schema: Value,
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// Live objects in it.
    object_count: u64,
    /// Bytes of the live objects in it.
    total_size_bytes: u64,
    /// When an object last arrived.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    last_upload_at: Option<DateTime<Utc>>,
    /// Always `ACTIVE`.
    #[schema(value_type = String)]
    status: &'static str,
    /// Always false.
    is_locked: bool,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

impl From<Bucket> for BucketView {
    fn from(bucket: Bucket) -> Self {
        Self {
            bucket_id: bucket.id.to_string(),
            namespace_id: bucket.namespace.to_string(),
            bucket_name: bucket.name.as_str().to_owned(),
            description: bucket.description,
            bucket_schema: bucket.schema,
            metadata: bucket.metadata,
            object_count: bucket.object_count,
            total_size_bytes: bucket.total_size_bytes,
            last_upload_at: bucket.last_upload_at,
            status: "ACTIVE",
            is_locked: false,
            created_at: bucket.created_at,
            updated_at: bucket.updated_at,
        }
    }
}

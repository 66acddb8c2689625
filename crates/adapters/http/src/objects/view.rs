use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
use wharf_domain::mapping::BlobKind;
use wharf_domain::object::Object;

/// An object, live or a tombstone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ObjectResponse)]
pub(crate) struct ObjectView {
    /// `obj_` and 16 hex digits.
    object_id: String,
    bucket_id: String,
    /// Where it lies at the source.
    key_prefix: String,
    /// Its bytes under the names that the sync's schema mapping gives them; `content` without one.
    blobs: Vec<BlobView>,
    /// Always the bucket.
    source_details: Vec<SourceView>,
    /// `COMPLETED`, or `ARCHIVED` for a tombstone.
    #[schema(value_type = String)]
    status: &'static str,
    /// The source's identity of the file.
    source_object_id: String,
    /// Where it lies at the source.
    source_path: String,
    /// The version that was copied: what decides whether the file has changed.
    source_version: String,
    /// The source's own name of that version, where it keeps versions.
    source_version_id: Option<String>,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    source_modified_at: Option<DateTime<Utc>>,
    size_bytes: u64,
    content_type: Option<String>,
    /// In lower-case hex.
    content_sha256: String,
    /// What the sync's schema mapping made of the file: target → value.
    #[schema(value_type = Object)]
    fields: Metadata,
    /// The source's metadata of the file.
    #[schema(value_type = Object)]
    metadata: Metadata,
    /// The source's tags of the file, where the sync asked for them: for its schema mapping or its metadata filters.
    #[schema(value_type = Object)]
    tags: Metadata,
    /// The sync that copied it; it may be gone.
    sync_config_id: Option<String>,
    /// The job that copied it; it may be gone.
    sync_job_id: Option<String>,
    /// When it became a tombstone.
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    deleted_at: Option<DateTime<Utc>>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    created_at: DateTime<Utc>,
    #[serde(serialize_with = "crate::time::rfc3339")]
    updated_at: DateTime<Utc>,
}

/// The bytes of an object.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BlobModel)]
pub(crate) struct BlobView {
    property: String,
    /// What kind of content it is: what the mapping says, else what its content type stands for.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// `url`: where the bytes are, relative to this server.
    #[schema(value_type = Object)]
    properties: Map<String, Value>,
    details: BlobDetails,
}

/// Facts of the bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlobDetails {
    filename: String,
    size_bytes: u64,
    mime_type: Option<String>,
    /// SHA-256 in lower-case hex.
    hash: String,
}

/// What an object belongs to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SourceDetails)]
pub(crate) struct SourceView {
    /// Always `bucket`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    source_id: String,
}

impl ObjectView {
    pub(super) fn status(&self) -> &'static str {
        self.status
    }
}

/// The last part of a source path that is not empty.
pub(super) fn file_name(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or("object")
}

/// What kind of content a content type stands for.
fn kind(content_type: Option<&str>) -> &'static str {
    let text = content_type.unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    word(BlobKind::of(essence))
}

/// The published API's word for a kind of content.
fn word(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Auto => "object",
        kind => kind.as_str(),
    }
}

impl From<Object> for ObjectView {
    fn from(object: Object) -> Self {
        let url = format!(
            "/v1/buckets/{}/objects/{}/content",
            object.bucket, object.id
        );
        let properties = match json!({"url": url}) {
            Value::Object(properties) if object.deleted.is_none() => properties,
            _ => Map::new(),
        };
        let content_type = &object.content.content_type;
        let view = |property: String, kind: &'static str, mime_type: Option<String>| BlobView {
            property,
            kind,
            properties: properties.clone(),
            details: BlobDetails {
                filename: file_name(&object.facts.path).to_owned(),
                size_bytes: object.content.size_bytes,
                mime_type,
                hash: object.content.sha256.clone(),
            },
        };
        let blobs = if object.mapped.blobs.is_empty() {
            let kind = kind(content_type.as_deref());
            vec![view("content".to_owned(), kind, content_type.clone())]
        } else {
            let mapped = object.mapped.blobs.into_iter();
            mapped
                .map(|blob| view(blob.property, word(blob.kind), blob.mime_type))
                .collect()
        };
        let (sync, job) = object.copied_by.unzip();
        Self {
            object_id: object.id.to_string(),
            key_prefix: object.facts.path.clone(),
            blobs,
            source_details: vec![SourceView {
                kind: "bucket",
                source_id: object.bucket.to_string(),
            }],
            bucket_id: object.bucket.to_string(),
            status: if object.deleted.is_some() {
                "ARCHIVED"
            } else {
                "COMPLETED"
            },
            source_object_id: object.source.object,
            source_path: object.facts.path,
            source_version: object.facts.version,
            source_version_id: object.facts.version_id,
            source_modified_at: object.facts.modified_at,
            size_bytes: object.content.size_bytes,
            content_type: object.content.content_type,
            content_sha256: object.content.sha256,
            fields: object.mapped.fields,
            metadata: object.facts.metadata,
            tags: object.facts.tags,
            sync_config_id: sync.map(|sync| sync.to_string()),
            sync_job_id: job.map(|job| job.to_string()),
            deleted_at: object.deleted.map(|(at, _)| at),
            created_at: object.created_at,
            updated_at: object.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_blob_follows_from_its_content_type() {
        for (content_type, expected) in [
            (Some("image/png"), "image"),
            (Some("Text/Plain; charset=utf-8"), "text"),
            (Some("application/pdf"), "pdf"),
            (Some("application/vnd.ms-excel"), "excel"),
            (Some("application/octet-stream"), "object"),
            (Some("nonsense"), "object"),
            (None, "object"),
        ] {
            assert_eq!(kind(content_type), expected, "{content_type:?}");
        }
    }

    #[test]
    fn a_file_name_is_the_last_part_of_the_path() {
        assert_eq!(file_name("media/a/b.txt"), "b.txt");
        assert_eq!(file_name("media/a//"), "a");
        assert_eq!(file_name("///"), "object");
    }
}

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use wharf_domain::Metadata;
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
    /// Always one: its bytes.
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
    /// The version that was copied.
    source_version: String,
    #[serde(serialize_with = "crate::time::rfc3339_or_null")]
    source_modified_at: Option<DateTime<Utc>>,
    size_bytes: u64,
    content_type: Option<String>,
    /// In lower-case hex.
    content_sha256: String,
    /// The source's metadata of the file.
    #[schema(value_type = Object)]
    metadata: Metadata,
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
    /// Always `content`.
    #[schema(value_type = String)]
    property: &'static str,
    /// What kind of content it is, from its content type.
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

fn kind(content_type: Option<&str>) -> &'static str {
    let essence = content_type
        .and_then(|text| text.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match essence.split_once('/') {
        Some(("image", _)) => "image",
        Some(("audio", _)) => "audio",
        Some(("video", _)) => "video",
        Some(("text", _) | ("application", "json" | "xml" | "yaml")) => "text",
        Some(("application", "pdf")) => "pdf",
        Some(("application", subtype))
            if subtype.contains("excel") || subtype.contains("spreadsheetml") =>
        {
            "excel"
        }
        _ => "object",
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
        let blob = BlobView {
            property: "content",
            kind: kind(object.content.content_type.as_deref()),
            properties,
            details: BlobDetails {
                filename: file_name(&object.facts.path).to_owned(),
                size_bytes: object.content.size_bytes,
                mime_type: object.content.content_type.clone(),
                hash: object.content.sha256.clone(),
            },
        };
        Self {
            object_id: object.id.to_string(),
            key_prefix: object.facts.path.clone(),
            blobs: vec![blob],
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
            source_modified_at: object.facts.modified_at,
            size_bytes: object.content.size_bytes,
            content_type: object.content.content_type,
            content_sha256: object.content.sha256,
            metadata: object.facts.metadata,
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

//! Buckets: where synced objects land.

use serde_json::Value;

use crate::ids::{BucketId, NamespaceId};
use crate::input::FieldError;
use crate::{Metadata, Timestamp};

/// A bucket's name: 1 to 100 characters without control characters, not shaped like an identifier, and not
/// `list`, which has a meaning of its own in addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BucketName(String);

impl BucketName {
    /// Reads a name; the field named in the error is `bucket_name`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        if (1..=100).contains(&text.chars().count())
            && !text.chars().any(char::is_control)
            && !text.starts_with("bkt_")
            && text != "list"
        {
            Ok(Self(text.to_owned()))
        } else {
            let message = "must have 1 to 100 characters, no control characters, not start with bkt_ and not be list";
            Err(FieldError::new("bucket_name", "string_pattern", message))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A bucket before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewBucket {
    /// Its identifier.
    pub id: BucketId,
    /// The namespace it belongs to.
    pub namespace: NamespaceId,
    /// Its name, unique within the namespace.
    pub name: BucketName,
    /// What it is for; at most 500 characters.
    pub description: Option<String>,
    /// The schema as it was given: kept and returned, not enforced.
    pub schema: Value,
    /// Key-value pairs.
    pub metadata: Metadata,
}

/// A stored bucket, with what it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Its identifier.
    pub id: BucketId,
    /// The namespace it belongs to.
    pub namespace: NamespaceId,
    /// Its name.
    pub name: BucketName,
    /// What it is for.
    pub description: Option<String>,
    /// The schema as it was given.
    pub schema: Value,
    /// Key-value pairs.
    pub metadata: Metadata,
    /// Live objects in it.
    pub object_count: u64,
    /// Bytes of the live objects in it.
    pub total_size_bytes: u64,
    /// When an object last arrived.
    pub last_upload_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// How a request names a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketIdentifier {
    /// By identifier.
    Id(BucketId),
    /// By name.
    Name(String),
}

impl BucketIdentifier {
    /// What parses as an identifier is one, anything else a name.
    pub fn parse(text: &str) -> Self {
        text.parse()
            .map_or_else(|_| Self::Name(text.to_owned()), Self::Id)
    }
}

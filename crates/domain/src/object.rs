//! Objects: what a bucket holds, and where it came from.

use crate::ids::{BucketId, JobId, NamespaceId, ObjectId, OrganizationId, SyncId};
use crate::mapping::Mapped;
use crate::provider::Provider;
use crate::{Metadata, Timestamp};

/// The key of a blob: written once, one per fetch. `<organization>/<bucket>/<32 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey(String);

impl BlobKey {
    /// The key for one fetch into a bucket; `token` is 32 random hex digits from the `IdSource` port.
    pub fn new(organization: &OrganizationId, bucket: &BucketId, token: &str) -> Self {
        Self(format!("{organization}/{bucket}/{token}"))
    }

    /// Reads a stored key; `None` if it is not of the form above.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let organization = parts.next()?.parse::<OrganizationId>().ok()?;
        let bucket = parts.next()?.parse::<BucketId>().ok()?;
        let token = parts.next()?;
        let sound = parts.next().is_none()
            && token.len() == 32
            && token.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| Self::new(&organization, &bucket, token))
    }

    /// The organization whose blob it is.
    pub fn organization(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an object comes from. Together with the bucket this is its identity.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId {
    /// The provider.
    pub provider: Provider,
    /// The account or endpoint, so that equal keys on two stores never collide.
    pub authority: String,
    /// The provider's identity of the file; on S3 `bucket/key`.
    pub object: String,
}

/// What the source said about a file when it was copied.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceFacts {
    /// Where it lies, for people; on S3 `bucket/key`.
    pub path: String,
    /// The version token that decides "unchanged".
    pub version: String,
    /// When it was last modified there.
    pub modified_at: Option<Timestamp>,
    /// The provider's id of the version that was copied, where it keeps versions.
    pub version_id: Option<String>,
    /// The provider's metadata.
    pub metadata: Metadata,
    /// The provider's tags, where a mapping or a filter asked for them: key → text.
    pub tags: Metadata,
}

/// The bytes of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Where they lie.
    pub blob: BlobKey,
    /// How many.
    pub size_bytes: u64,
    /// Their type, if the source knows it.
    pub content_type: Option<String>,
    /// Their SHA-256, in lower-case hex.
    pub sha256: String,
}

/// Why an object is a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedBy {
    /// It vanished at the source.
    Source,
    /// A person deleted it; it stays deleted until the source changes.
    Person,
}

impl DeletedBy {
    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Person => "person",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "source" => Some(Self::Source),
            "person" => Some(Self::Person),
            _ => None,
        }
    }
}

/// A stored object, live or a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Its identifier.
    pub id: ObjectId,
    /// The bucket that holds it.
    pub bucket: BucketId,
    /// The namespace of that bucket.
    pub namespace: NamespaceId,
    /// Where it comes from.
    pub source: SourceId,
    /// What the source said about it.
    pub facts: SourceFacts,
    /// Its bytes.
    pub content: Content,
    /// What the schema mapping of the sync that copied it made of it.
    pub mapped: Mapped,
    /// The sync and the job that copied it; the sync may be gone. `None` for objects of an older version of Wharf.
    pub copied_by: Option<(SyncId, JobId)>,
    /// When and why it became a tombstone.
    pub deleted: Option<(Timestamp, DeletedBy)>,
    /// Whether its bytes are gone, because its undo window as a tombstone has passed.
    pub purged: bool,
    /// When it first arrived.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Which objects a list should contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectFilter {
    /// Whose source path contains this text.
    pub search: Option<String>,
    /// Tombstones too.
    pub include_deleted: bool,
}

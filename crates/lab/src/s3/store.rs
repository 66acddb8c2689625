//! Buckets and objects in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, Duration, SubsecRound, Utc};
use md5::{Digest, Md5};
use s3s::dto::Checksum;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::bucket::BucketSettings;
use super::checksum::{self, Algorithm};
use super::presentation::Presentation;
use super::uploads::Uploads;
use super::versions::{Deletion, Found, Version};
use crate::clock;
use crate::world::lock;

const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";
const DEFAULT_STORAGE_CLASS: &str = "STANDARD";
const ARCHIVES: [&str; 2] = ["GLACIER", "DEEP_ARCHIVE"];

/// What a test compares with what arrived elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectSummary {
    /// The key.
    pub key: String,
    /// The number of bytes.
    pub size: u64,
    /// The `ETag` without quotes: the MD5 of the bytes in hex, unless parts or encryption made it another.
    pub etag: String,
    /// The SHA-256 of the bytes in hex.
    pub sha256: String,
}

/// How an object is encrypted at rest, as far as a reader notices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encryption {
    /// Nobody notices.
    #[default]
    None,
    /// With a KMS key readers may use; the `ETag` is no digest of the bytes.
    Kms,
    /// With a KMS key readers may not use: `AccessDenied` naming `kms:Decrypt`.
    KmsDenied,
    /// With a key the customer sends along (SSE-C): `InvalidRequest` without one.
    CustomerKey,
}

/// Whether an archived object was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// It is being restored, and cannot be read yet.
    Ongoing,
    /// It was restored, and can be read.
    Done,
}

/// What a caller says about an object.
#[derive(Default)]
pub(crate) struct NewObject {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) presentation: Presentation,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) storage_class: Option<String>,
    pub(crate) restore: Option<Restore>,
    pub(crate) encryption: Encryption,
    pub(crate) version_id: Option<String>,
    /// Already verified; without one, the store adds its own as S3 does.
    pub(crate) checksum: Option<Checksum>,
    /// Of how many bytes the parts were it was put together from; none for a single put.
    pub(crate) parts: Option<Vec<usize>>,
    /// When it was begun, if not now.
    pub(crate) modified: Option<DateTime<Utc>>,
}

impl NewObject {
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }

    /// The bytes of each part.
    fn parts(&self) -> Option<Vec<&[u8]>> {
        let mut rest = &self.bytes[..];
        let parts = self.parts.as_ref()?;
        Some(
            parts
                .iter()
                .map(|length| {
                    let (part, after) = rest.split_at((*length).min(rest.len()));
                    rest = after;
                    part
                })
                .collect(),
        )
    }

    /// The digest of the bytes, or of the parts' digests with their number; no digest of anything for
    /// bytes encrypted with a key of the customer's.
    fn etag(&self) -> String {
        let md5 = |bytes: &[u8]| Md5::digest(bytes).to_vec();
        if self.encryption != Encryption::None {
            let hidden = [b"encrypted".as_slice(), &self.bytes].concat();
            return hex::encode(md5(&hidden));
        }
        match self.parts() {
            None => hex::encode(md5(&self.bytes)),
            Some(parts) => {
                let digests = parts.iter().copied().flat_map(md5).collect::<Vec<_>>();
                format!("{}-{}", hex::encode(md5(&digests)), parts.len())
            }
        }
    }

    /// With checksums by these algorithms, of its parts if it has any.
    pub(crate) fn with_checksums(mut self, algorithms: &[Algorithm]) -> Self {
        let checksum = match (self.parts(), algorithms) {
            (Some(parts), [algorithm]) => checksum::of_parts(&parts, *algorithm),
            (_, algorithms) => checksum::whole(&self.bytes, algorithms),
        };
        self.checksum = Some(checksum);
        self
    }
}

/// A stored object.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    /// To the second, as S3 keeps it.
    pub(crate) modified: DateTime<Utc>,
    /// When it came.
    pub(crate) put: DateTime<Utc>,
    pub(crate) content_type: String,
    pub(crate) presentation: Presentation,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) storage_class: String,
    pub(crate) restore: Option<Restore>,
    pub(crate) encryption: Encryption,
    pub(crate) version_id: Option<String>,
    pub(crate) checksum: Checksum,
}

impl Object {
    fn store(new: NewObject) -> Self {
        let put = clock::now();
        Self {
            etag: new.etag(),
            modified: new.modified.unwrap_or(put).trunc_subsecs(0),
            put,
            content_type: new
                .content_type
                .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
            presentation: new.presentation,
            metadata: new.metadata,
            tags: new.tags,
            storage_class: new
                .storage_class
                .unwrap_or_else(|| DEFAULT_STORAGE_CLASS.to_owned()),
            restore: new.restore,
            encryption: new.encryption,
            version_id: new.version_id,
            checksum: new
                .checksum
                .unwrap_or_else(|| checksum::whole(&new.bytes, &[Algorithm::Crc64nvme])),
            bytes: new.bytes,
        }
    }

    /// Whether it would have to be restored before it can be read.
    pub(crate) fn is_archived(&self) -> bool {
        ARCHIVES.contains(&self.storage_class.as_str()) && self.restore != Some(Restore::Done)
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The day a restored copy goes away.
    pub(crate) fn restored_until(&self) -> DateTime<Utc> {
        self.modified + Duration::days(7)
    }
}

pub(crate) struct Bucket {
    pub(crate) created: DateTime<Utc>,
    pub(crate) settings: BucketSettings,
    /// What is there, each object in its present version.
    pub(crate) objects: BTreeMap<String, Arc<Object>>,
    /// Earlier versions by key, the oldest first; the last one hides that there is nothing, if it is a delete marker.
    pub(super) earlier: BTreeMap<String, Vec<Version>>,
    /// How many versions were named here.
    pub(super) named: u64,
}

impl Bucket {
    fn empty() -> Self {
        Self {
            created: now(),
            settings: BucketSettings::default(),
            objects: BTreeMap::new(),
            earlier: BTreeMap::new(),
            named: 0,
        }
    }
}

#[derive(Default)]
pub(crate) struct Store {
    buckets: Mutex<BTreeMap<String, Bucket>>,
    pub(crate) uploads: Uploads,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Whether the bucket is new.
    pub(crate) fn create_bucket(&self, name: &str) -> bool {
        let mut buckets = lock(&self.buckets);
        let new = !buckets.contains_key(name);
        if new {
            buckets.insert(name.to_owned(), Bucket::empty());
        }
        new
    }

    pub(crate) fn buckets(&self) -> Vec<(String, DateTime<Utc>)> {
        lock(&self.buckets)
            .iter()
            .map(|(name, bucket)| (name.clone(), bucket.created))
            .collect()
    }

    /// Reads a bucket while nothing else changes it.
    pub(crate) fn in_bucket<T>(&self, name: &str, read: impl FnOnce(&Bucket) -> T) -> Option<T> {
        lock(&self.buckets).get(name).map(read)
    }

    /// Makes a bucket peculiar, and makes it if need be.
    pub(crate) fn set_bucket(&self, name: &str, settings: BucketSettings) {
        lock(&self.buckets)
            .entry(name.to_owned())
            .or_insert_with(Bucket::empty)
            .settings = settings;
    }

    pub(crate) fn settings(&self, bucket: &str) -> Option<BucketSettings> {
        self.in_bucket(bucket, |bucket| bucket.settings.clone())
    }

    /// Puts an object, making its bucket if need be.
    pub(crate) fn put(&self, bucket: &str, key: &str, new: NewObject) -> Arc<Object> {
        let object = Object::store(new);
        let mut buckets = lock(&self.buckets);
        let bucket = buckets
            .entry(bucket.to_owned())
            .or_insert_with(Bucket::empty);
        bucket.put(key, object)
    }

    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Arc<Object>> {
        self.in_bucket(bucket, |bucket| bucket.objects.get(key).cloned())
            .flatten()
    }

    /// An object in a version, its present one if none is named.
    pub(crate) fn find(&self, bucket: &str, key: &str, version: Option<&str>) -> Found {
        self.in_bucket(bucket, |bucket| bucket.find(key, version))
            .unwrap_or(Found::Nothing)
    }

    /// Gives a version of an object these tags; the object, if it is there.
    pub(crate) fn tag(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        tags: BTreeMap<String, String>,
    ) -> Option<Arc<Object>> {
        let mut buckets = lock(&self.buckets);
        let object = buckets.get_mut(bucket)?.find_mut(key, version)?;
        Arc::make_mut(object).tags = tags;
        Some(Arc::clone(object))
    }

    /// Deletes an object, or a version of it for good.
    pub(crate) fn delete(&self, bucket: &str, key: &str, version: Option<&str>) -> Deletion {
        lock(&self.buckets)
            .get_mut(bucket)
            .map(|bucket| bucket.delete(key, version))
            .unwrap_or_default()
    }

    pub(crate) fn summaries(&self, bucket: &str) -> Option<Vec<ObjectSummary>> {
        // Hashing happens outside the lock: a bucket may be large.
        let objects = self.in_bucket(bucket, |bucket| bucket.objects.clone())?;
        let summary = |(key, object): (String, Arc<Object>)| ObjectSummary {
            key,
            size: object.size(),
            etag: object.etag.clone(),
            sha256: hex::encode(Sha256::digest(&object.bytes)),
        };
        Some(objects.into_iter().map(summary).collect())
    }

    pub(crate) fn clear(&self) {
        lock(&self.buckets).clear();
        self.uploads.clear();
    }
}

fn now() -> DateTime<Utc> {
    clock::now().trunc_subsecs(0)
}

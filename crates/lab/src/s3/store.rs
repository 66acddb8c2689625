//! Buckets and objects in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use md5::{Digest, Md5};
use s3s::checksum::ChecksumHasher;
use s3s::dto::Checksum;
use serde::Serialize;
use sha2::Sha256;

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
    /// The `ETag` without quotes: the MD5 of the bytes in hex.
    pub etag: String,
    /// The SHA-256 of the bytes in hex.
    pub sha256: String,
}

/// What a caller says about an object.
pub(crate) struct NewObject {
    pub(crate) bytes: Bytes,
    pub(crate) content_type: Option<String>,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) storage_class: Option<String>,
    /// Already verified; without one, the store adds its own as S3 does.
    pub(crate) checksum: Option<Checksum>,
}

impl NewObject {
    pub(crate) fn of(bytes: Bytes) -> Self {
        Self {
            bytes,
            content_type: None,
            metadata: HashMap::new(),
            tags: BTreeMap::new(),
            storage_class: None,
            checksum: None,
        }
    }
}

/// A stored object.
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    /// To the second, as S3 keeps it.
    pub(crate) modified: DateTime<Utc>,
    pub(crate) content_type: String,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) storage_class: String,
    pub(crate) checksum: Checksum,
}

impl Object {
    fn store(new: NewObject) -> Self {
        Self {
            etag: hex::encode(Md5::digest(&new.bytes)),
            modified: now(),
            content_type: new
                .content_type
                .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
            metadata: new.metadata,
            tags: new.tags,
            storage_class: new
                .storage_class
                .unwrap_or_else(|| DEFAULT_STORAGE_CLASS.to_owned()),
            checksum: new.checksum.unwrap_or_else(|| own_checksum(&new.bytes)),
            bytes: new.bytes,
        }
    }

    /// Whether it would have to be restored before it can be read.
    pub(crate) fn is_archived(&self) -> bool {
        ARCHIVES.contains(&self.storage_class.as_str())
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

pub(crate) struct Bucket {
    pub(crate) created: DateTime<Utc>,
    pub(crate) objects: BTreeMap<String, Arc<Object>>,
}

impl Bucket {
    fn empty() -> Self {
        Self {
            created: now(),
            objects: BTreeMap::new(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Store {
    buckets: Mutex<BTreeMap<String, Bucket>>,
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

    /// Puts an object, making its bucket if need be.
    pub(crate) fn put(&self, bucket: &str, key: &str, new: NewObject) -> Arc<Object> {
        let object = Arc::new(Object::store(new));
        let mut buckets = lock(&self.buckets);
        let bucket = buckets
            .entry(bucket.to_owned())
            .or_insert_with(Bucket::empty);
        bucket.objects.insert(key.to_owned(), Arc::clone(&object));
        object
    }

    pub(crate) fn object(&self, bucket: &str, key: &str) -> Option<Arc<Object>> {
        self.in_bucket(bucket, |bucket| bucket.objects.get(key).cloned())
            .flatten()
    }

    /// Whether the object was there.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> bool {
        lock(&self.buckets)
            .get_mut(bucket)
            .is_some_and(|bucket| bucket.objects.remove(key).is_some())
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
    }
}

fn own_checksum(bytes: &[u8]) -> Checksum {
    let mut hasher = ChecksumHasher {
        crc64nvme: Some(s3s::crypto::Crc64Nvme::default()),
        ..ChecksumHasher::default()
    };
    hasher.update(bytes);
    hasher.finalize()
}

fn now() -> DateTime<Utc> {
    clock::now().trunc_subsecs(0)
}

//! Filling buckets: object by object, or many alike.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::checksum::Algorithm;
use super::presentation::Presentation;
use super::store::{Encryption, NewObject, Restore, Store};

const LONGEST_KEY: usize = 1024;

/// Objects to put into one bucket, which is made if need be. Listed objects and a bulk may stand in
/// one seed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seed {
    /// The bucket.
    pub bucket: String,
    /// Objects, one by one.
    #[serde(default)]
    pub objects: Vec<SeedObject>,
    /// How many objects of a bulk: `{prefix}000000.bin`, `{prefix}000001.bin`, …
    #[serde(default)]
    pub count: usize,
    /// What the keys of the bulk start with.
    #[serde(default)]
    pub prefix: String,
    /// How many bytes each object of the bulk has; see [`generated_content`].
    #[serde(default)]
    pub size: usize,
}

impl Seed {
    /// A bulk of objects alike.
    pub fn bulk(
        bucket: impl Into<String>,
        count: usize,
        prefix: impl Into<String>,
        size: usize,
    ) -> Self {
        Self {
            bucket: bucket.into(),
            count,
            prefix: prefix.into(),
            size,
            ..Self::default()
        }
    }
}

/// One object to put.
#[derive(Debug, Clone, Deserialize)]
pub struct SeedObject {
    /// The key.
    pub key: String,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
    /// Its content type; `binary/octet-stream` when not said.
    #[serde(default)]
    pub content_type: Option<String>,
    /// Its `x-amz-meta-…` headers, names without that prefix.
    #[serde(default)]
    pub metadata: HashMap<String, String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Its headers for those who read it.
    #[serde(flatten)]
    pub presentation: Presentation,
    /// Its storage class, `STANDARD` when not said; those in `GLACIER` and `DEEP_ARCHIVE` cannot be read
    /// unless restored.
    #[serde(default)]
    pub storage_class: Option<String>,
    /// Whether it is restored from there.
    #[serde(default)]
    pub restore: Option<Restore>,
    /// How it is encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// The id of its version, in place of one that a bucket with versions gives out.
    #[serde(default)]
    pub version_id: Option<String>,
    /// The checksums kept with it; `crc64nvme` when not said.
    #[serde(default)]
    pub checksums: Vec<Algorithm>,
    /// Makes it look put together from parts of this many bytes: its `ETag` counts them, and a single
    /// checksum other than `crc64nvme` is a composite one.
    #[serde(default)]
    pub part_size: Option<usize>,
}

/// What an object holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// This text.
    Text(String),
    /// These bytes, in base64.
    Base64(String),
    /// This many bytes that depend on nothing but key and number; see [`generated_content`].
    Size(usize),
}

/// Why nothing was put.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SeedError {
    /// The bucket's name is not one S3 allows.
    #[error("bucket: {0:?} is not a bucket name S3 allows")]
    Bucket(String),
    /// A key is empty or longer than 1024 bytes.
    #[error("objects[{0}].key: must be 1 to 1024 bytes long")]
    Key(usize),
    /// Content is not base64.
    #[error("objects[{0}].base64: is not base64")]
    Base64(usize),
    /// The bulk's keys would be longer than 1024 bytes.
    #[error("prefix: the keys would be longer than 1024 bytes")]
    Prefix,
}

impl Store {
    /// Puts all of it or nothing; how many objects.
    pub(crate) fn seed(&self, seed: Seed) -> Result<usize, SeedError> {
        if !s3s::path::check_bucket_name(&seed.bucket) {
            return Err(SeedError::Bucket(seed.bucket));
        }
        let mut objects = Vec::with_capacity(seed.objects.len() + seed.count);
        for (index, object) in seed.objects.into_iter().enumerate() {
            if !is_key(&object.key) {
                return Err(SeedError::Key(index));
            }
            let bytes = object
                .content
                .bytes(&object.key)
                .ok_or(SeedError::Base64(index))?;
            let parts = object.part_size.map(|size| part_lengths(bytes.len(), size));
            let new = NewObject {
                content_type: object.content_type,
                presentation: object.presentation,
                metadata: object.metadata,
                tags: object.tags,
                storage_class: object.storage_class,
                restore: object.restore,
                encryption: object.encryption,
                version_id: object.version_id,
                parts,
                ..NewObject::of(bytes)
            };
            let new = if object.checksums.is_empty() {
                new
            } else {
                new.with_checksums(&object.checksums)
            };
            objects.push((object.key, new));
        }
        for index in 0..seed.count {
            let key = format!("{}{index:06}.bin", seed.prefix);
            if !is_key(&key) {
                return Err(SeedError::Prefix);
            }
            let new = NewObject::of(generated_content(&key, seed.size));
            objects.push((key, new));
        }
        self.create_bucket(&seed.bucket);
        let count = objects.len();
        for (key, new) in objects {
            self.put(&seed.bucket, &key, new);
        }
        Ok(count)
    }
}

fn part_lengths(bytes: usize, part: usize) -> Vec<usize> {
    let part = part.max(1);
    (0..bytes.div_ceil(part).max(1))
        .map(|index| part.min(bytes - index * part))
        .collect()
}

fn is_key(key: &str) -> bool {
    (1..=LONGEST_KEY).contains(&key.len())
}

impl SeedObject {
    /// An object with nothing peculiar about it; set its fields for more.
    pub fn new(key: impl Into<String>, content: Content) -> Self {
        Self {
            key: key.into(),
            content,
            content_type: None,
            metadata: HashMap::new(),
            tags: BTreeMap::new(),
            presentation: Presentation::default(),
            storage_class: None,
            restore: None,
            encryption: Encryption::default(),
            version_id: None,
            checksums: Vec::new(),
            part_size: None,
        }
    }
}

impl Content {
    fn bytes(self, key: &str) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(Bytes::from(text)),
            Self::Base64(text) => STANDARD.decode(text).ok().map(Bytes::from),
            Self::Size(size) => Some(generated_content(key, size)),
        }
    }
}

/// Bytes without a pattern that depend on key and size alone, so that every process can tell what an
/// object of a seed must hold.
pub fn generated_content(key: &str, size: usize) -> Bytes {
    let seed = Sha256::new()
        .chain_update(key)
        .chain_update([0])
        .chain_update(size.to_string())
        .finalize();
    let mut bytes = Vec::with_capacity(size + seed.len());
    let mut block: u64 = 0;
    while bytes.len() < size {
        bytes.extend_from_slice(
            &Sha256::new()
                .chain_update(seed)
                .chain_update(block.to_be_bytes())
                .finalize(),
        );
        block += 1;
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_content_depends_on_key_and_size_alone() {
        assert_eq!(generated_content("a", 100), generated_content("a", 100));
        assert_ne!(generated_content("a", 100), generated_content("b", 100));
        assert_eq!(generated_content("a", 33).len(), 33);
        assert!(generated_content("a", 0).is_empty());
    }

    #[test]
    fn a_seed_with_one_bad_object_puts_nothing() {
        let store = Store::default();
        let seed: Seed = serde_json::from_str(
            r#"{"bucket": "bkt", "objects": [{"key": "a", "text": "x"}, {"key": "b", "base64": "?"}]}"#,
        )
        .unwrap();
        assert_eq!(store.seed(seed), Err(SeedError::Base64(1)));
        assert!(store.buckets().is_empty());
        assert_eq!(
            store.seed(Seed::bulk("NO", 1, "", 1)),
            Err(SeedError::Bucket("NO".to_owned()))
        );
    }
}

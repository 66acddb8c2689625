//! Uploads in parts that are not complete yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use md5::{Digest, Md5};
use s3s::dto::Checksum;

use super::checksum::Algorithm;
use super::presentation::Presentation;
use crate::clock;
use crate::world::lock;

/// What was said when the upload was begun.
#[derive(Clone, Default)]
pub(crate) struct Beginning {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) content_type: Option<String>,
    pub(crate) presentation: Presentation,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) storage_class: Option<String>,
    /// Checksums by this algorithm are kept, of the whole object if said so.
    pub(crate) checksum: Option<Algorithm>,
    pub(crate) whole_checksum: bool,
}

#[derive(Clone)]
pub(crate) struct Part {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) came: DateTime<Utc>,
}

impl Part {
    pub(crate) fn new(bytes: Bytes, checksum: Option<Checksum>) -> Self {
        Self {
            etag: hex::encode(Md5::digest(&bytes)),
            bytes,
            checksum,
            came: clock::now(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Upload {
    pub(crate) beginning: Beginning,
    pub(crate) begun: DateTime<Utc>,
    pub(crate) parts: BTreeMap<i32, Part>,
}

#[derive(Default)]
pub(crate) struct Uploads(Mutex<(u64, BTreeMap<String, Upload>)>);

impl Uploads {
    /// The id of a new upload.
    pub(crate) fn begin(&self, beginning: Beginning) -> String {
        let mut uploads = lock(&self.0);
        uploads.0 += 1;
        let id = format!("upload-{:06}", uploads.0);
        let upload = Upload {
            beginning,
            begun: clock::now(),
            parts: BTreeMap::new(),
        };
        uploads.1.insert(id.clone(), upload);
        id
    }

    /// The upload of this id, if it is one of this object.
    pub(crate) fn find(&self, id: &str, bucket: &str, key: &str) -> Option<Upload> {
        lock(&self.0)
            .1
            .get(id)
            .filter(|upload| upload.beginning.bucket == bucket && upload.beginning.key == key)
            .cloned()
    }

    /// Takes a part, in place of one with its number; whether there is such an upload.
    pub(crate) fn take_part(&self, id: &str, number: i32, part: Part) -> bool {
        let mut uploads = lock(&self.0);
        let upload = uploads.1.get_mut(id);
        let found = upload.is_some();
        if let Some(upload) = upload {
            upload.parts.insert(number, part);
        }
        found
    }

    /// Forgets an upload; whether it was there.
    pub(crate) fn forget(&self, id: &str) -> bool {
        lock(&self.0).1.remove(id).is_some()
    }

    /// Those of a bucket, in order of key and beginning.
    pub(crate) fn of_bucket(&self, bucket: &str) -> Vec<(String, Upload)> {
        let mut uploads: Vec<_> = lock(&self.0)
            .1
            .iter()
            .filter(|(_, upload)| upload.beginning.bucket == bucket)
            .map(|(id, upload)| (id.clone(), upload.clone()))
            .collect();
        uploads.sort_by(|(_, one), (_, other)| one.beginning.key.cmp(&other.beginning.key));
        uploads
    }

    pub(crate) fn clear(&self) {
        lock(&self.0).1.clear();
    }
}
